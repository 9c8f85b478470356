"""An API that behaves as Clever documents its own, and keeps the truth about who asked for what.

knobs     what can be turned
budget    fixed windows, counted as the server counts them
headers   what an answer says about its budgets
pages     collections, records, links
exchange  a request as it arrives, and what goes back
faults    what goes wrong with one request
operations  what became of each request that names its operation
core      one request in, one answer out; no socket, no clock
serving   the core behind real sockets (needs the extra ``emulator``)

with Emulator(limit=300, window=6).serve() as server:
    http.request("GET", server.url + "/v2.0/students", headers={"Authorization": "Bearer TEST_TOKEN"})
    assert server.emulator.refused == 0
"""

from clever_guard.testing.emulator.core import Emulator
from clever_guard.testing.emulator.exchange import Answer, Arrival
from clever_guard.testing.emulator.knobs import Knobs
from clever_guard.testing.emulator.operations import Entry, Operations

__all__ = ["Answer", "Arrival", "Emulator", "Entry", "Knobs", "Operations"]
