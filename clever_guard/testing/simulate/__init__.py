"""A simulated fleet: the production ledger, lease book and quota policy under virtual time, judged by the server's log.

    loop       virtual time: a heap of (time, what happens)
    setting    what one schedule is like: fleet, server, network, faults
    scenarios  the rows of the table, each a way to make settings and the figure it must not exceed
    server     an API with fixed windows (the emulator's own budgets) and its oddities
    worker     a process: callers whose flows are driven by the loop
    world      one schedule from beginning to end, and its figures
    report     many schedules, the table, the exit status

One thread, no clock, no randomness but the seed's: a seed replays exactly. ``python -m clever_guard.testing.simulate --seeds N``
runs N schedules spread over all rows.
"""
