"""Faults on every party, drawn at random and in combination, then none; judged by the server's log, after every arrival.

kinds      the catalogue: what is injected, what is promised under it, and why
schedule   what one seed is like: a small fleet, a server, two phases, up to three kinds of fault
hurt_worker, hurt_store, hurt_server   how each kind is done
trial      one schedule from beginning to end
process    a worker: callers, lease books and a way to the store, on a clock of its own
depot      the store: the pure transition, its clock, its losses
api        the server: the emulator's budgets, and what happens to requests on their way
monitor    what must hold of the ledger after every command
branches   rare branches, counted
judge      what is a violation
totals     the figures of many schedules, kept in a file
command    ``python -m clever_guard.testing.simulate faults``
"""
