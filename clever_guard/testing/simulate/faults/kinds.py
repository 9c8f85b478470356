"""The catalogue of faults: how each is done, what is promised under it, and the reason.

``no refusal`` is promised where the ledger accounts for everything that may still arrive. Elsewhere a fault takes so many permits out
of its account, and each of them can cause one refusal, no more; how many is counted when the fault is injected (``Trial.allow``),
so the promise is a number for each schedule and not a rate. ``rate`` is what the kind may cost by itself over many schedules: it is
far below the sum of the allowances, for the ledger mends most of what was shaken before a refusal tells.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clever_guard.testing.simulate.faults import hurt_server, hurt_store, hurt_worker

if TYPE_CHECKING:
    from clever_guard.testing.simulate.faults.trial import Trial


@dataclass(frozen=True, slots=True)
class Kind:
    """``rate``: refusals for each 1000 requests of schedules with this kind alone; 0 promises that there is none at all."""

    name: str
    party: str
    inject: Callable[[Trial, random.Random], None]
    rate: float = 0.0
    why: str = "none: all that may still arrive is accounted for"
    trait: bool = False
    """There from the beginning to the end of the schedule."""
    early: bool = False
    """Now and then there from the very first answer."""
    silence: bool = False
    """Whether a permit that was counted may never be heard of, or late: the ledger sends a scout to see, once a window at most,
    and that one may be refused."""


SILENT = "one a window: the scout that is sent to see what became of permits that fell silent"
TOO_FAST = "one for each window: 0.1 % is more than the millisecond a minute that is allowed for"
DARK = "one for each request sent with a permit of a worker's own share, and one a window for the scout"
KINDS = (
    Kind("worker crashes", "worker", hurt_worker.crash, 2.0, SILENT, silence=True),
    Kind("worker restarts", "worker", hurt_worker.restart, 2.0, SILENT, silence=True),
    Kind("worker is stopped", "worker", hurt_worker.stop, 2.0, SILENT, silence=True),
    Kind(
        "worker's host sleeps",
        "worker",
        hurt_worker.sleep,
        5.0,
        "one for each permit in hand: its monotonic clock stood still, so its lease lives on",
    ),
    Kind("call interrupted", "worker", hurt_worker.interrupt, 2.0, SILENT, silence=True),
    Kind("worker's clock runs wrong", "worker", hurt_worker.drift, trait=True),
    Kind("commands lost", "store", hurt_store.lose_commands, 5.0, DARK, silence=True),
    Kind("answers of the store lost", "store", hurt_store.lose_answers, 5.0, DARK, silence=True),
    Kind("commands late", "store", hurt_store.delay, 5.0, DARK, silence=True),
    Kind("store stopped", "store", hurt_store.stop, 5.0, DARK, silence=True),
    Kind("store down", "store", hurt_store.go_down, 5.0, DARK, silence=True),
    Kind("worker cut off", "store", hurt_store.cut_off, 5.0, DARK, silence=True),
    Kind("store's clock runs wrong", "store", hurt_store.drift, 5.0, TOO_FAST, trait=True),
    Kind(
        "command delivered twice",
        "store",
        hurt_store.repeat,
        5.0,
        "one for each permit that the second delivery reports once more",
    ),
    Kind(
        "store's data lost", "store", hurt_store.forget, 5.0, "one for each permit that was out, and one for the scout"
    ),
    Kind(
        "store falls back",
        "store",
        hurt_store.fall_back,
        5.0,
        "one for each permit that the older state has too much, and one for the scout",
    ),
    Kind(
        "store's clock is set",
        "store",
        hurt_store.step,
        10.0,
        "one for each permit that was out and each worker, whose next report is of the old clock",
    ),
    Kind("cut before it counts", "server", hurt_server.cut_before),
    Kind("cut after it counts", "server", hurt_server.cut_after, 2.0, SILENT, silence=True),
    Kind("connection refused", "server", hurt_server.refuse_connections),
    Kind("5xx before it counts", "server", hurt_server.fail_before),
    Kind("5xx after it counts", "server", hurt_server.fail_after, 2.0, SILENT, silence=True),
    Kind("another limit refuses", "server", hurt_server.refuse),
    Kind("slow answers", "server", hurt_server.answer_late, 2.0, SILENT, silence=True),
    Kind("answers after the window", "server", hurt_server.answer_after_window, 2.0, SILENT, silence=True),
    Kind(
        "requests late",
        "server",
        hurt_server.arrive_late,
        5.0,
        "one for each request that is on its way for longer than permits are remembered",
    ),
    Kind("server's clock runs wrong", "server", hurt_server.drift, 5.0, TOO_FAST, trait=True),
    Kind("bucket renamed", "server", hurt_server.rename),
    Kind(
        "server's clock is set",
        "server",
        hurt_server.set_clock,
        5.0,
        "one for each worker, whose next report is of the old clock",
    ),
    Kind(
        "limit changed",
        "server",
        hurt_server.change_limit,
        20.0,
        "one for each permit by which it was lowered, and one for a probe",
    ),
    Kind("windows open with a request", "server", hurt_server.first_hit, 5.0, "one for each window", trait=True),
    Kind("answers without headers", "server", hurt_server.blank, 5.0, "one for each window of the fault", early=True),
    Kind("Date of another clock", "server", hurt_server.other_tick, 10.0, "one for each window of the fault"),
    Kind("stranger", "server", hurt_server.let_stranger_in, 100.0, "one for each request of the stranger's"),
)
BY_NAME = {kind.name: kind for kind in KINDS}
