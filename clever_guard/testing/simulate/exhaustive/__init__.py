"""Every interleaving of a small fleet: the production ledger and lease books as pure transitions, searched breadth first.

    state    everything there is at one moment, as a value that can be hashed and taken apart again
    moves    what may happen next: calls, messages, losses, crashes, time
    search   breadth first over states not seen before; what is violated, and from which states nothing gets stuck
    command  ``python -m clever_guard.testing.simulate exhaustive``

Two or three workers with one caller each share a budget of two or three requests in a window of three seconds. A message may be overtaken by
any other; a worker may die between any two steps; time moves from one moment of interest to the next, in every order with the rest.
"""

from clever_guard.testing.simulate.exhaustive.command import main

__all__ = ["main"]
