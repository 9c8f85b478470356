"""A timeline that survives kill -9: one line for each happening, appended by every process of a soak.

    1764032400.123 7 dark            worker 7 lost the store (its own word)
    1764032400.640 7 refused         worker 7 got a 429
    1764032401.020 - freeze 2.1 s    the store was stopped

It explains what the emulator's log shows, and tells when workers worked without their store; what was admitted and refused is
the emulator's word alone.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from clever_guard import QuotaTimeout, presets
from clever_guard.events import AttemptFinished, Event, LedgerSeen, PermitsMoved, StoreAnswered, StoreChanged
from clever_guard.testing.fleet import Fleet

PARENT = "-"


@dataclass(frozen=True)
class Entry:
    """``worker`` is a number, or PARENT for a fault."""

    at: float
    worker: str
    what: str


class Journal:
    """The file. Each process opens it for itself; a line is one write, so lines of several processes do not mix."""

    def __init__(self, path: Path, worker: str = PARENT) -> None:
        self.path = path
        self.worker = worker
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, what: str) -> None:
        os.write(self._file, f"{time.time():.4f} {self.worker} {what}\n".encode())

    def close(self) -> None:
        os.close(self._file)

    def entries(self) -> list[Entry]:
        entries = []
        for line in self.path.read_text("utf-8").splitlines():
            at, worker, what = line.split(" ", 2)
            entries.append(Entry(float(at), worker, what))
        return entries


def dark_times(entries: Sequence[Entry], end: float) -> list[tuple[float, float]]:
    """From when to when each worker worked without its store, by its own word. Who was killed is dark no more."""
    since: dict[str, float] = {}
    times = []
    for entry in entries:
        word, _, number = entry.what.partition(" ")
        worker = number if entry.worker == PARENT and word == "kill" else entry.worker
        if word == "dark":
            since[worker] = entry.at
        elif word in ("back", "kill") and worker in since:
            times.append((since.pop(worker), entry.at))
    return times + [(at, end) for at in since.values()]


def failures(entries: Sequence[Entry]) -> Counter[str]:
    """Calls that ended otherwise than with an answer of 200, by what their callers saw."""
    return Counter(entry.what for entry in entries if entry.what.startswith(("raised ", "answered ")))


class Watched:
    """A guarded pool that notes what happens to it. ``thorough``: each journey to the store too."""

    def __init__(self, fleet: Fleet, path: Path, thorough: bool) -> None:
        self._journal = Journal(path, "?")
        self._thorough = thorough
        log = logging.getLogger("clever_guard")
        log.addHandler(_Noting(self._journal))
        log.propagate = False
        guard = presets.clever(
            fleet.store,
            limit=fleet.limit,
            window=fleet.window,
            observers=[self._see],
            max_wait=3600,
            fleet=fleet.workers * fleet.threads,
        )
        self._http = guard.wrap(urllib3.PoolManager(maxsize=fleet.threads))

    def request(self, method: str, url: str, *, headers: dict[str, str]) -> Any:
        self._journal.worker = headers["X-Worker"]
        try:
            answer = self._http.request(method, url, headers=headers)
        except QuotaTimeout:  # the run ends before there is a permit
            raise
        except Exception as error:
            self._journal.note(f"raised {type(error).__name__}")
            raise
        if answer.status != 200:
            self._journal.note(f"answered {answer.status}")
        return answer

    def _see(self, event: Event) -> None:
        match event:
            case AttemptFinished(code=429):
                self._journal.note("refused")
            case StoreChanged():
                self._journal.note("dark" if event.degraded else "back")
            case StoreAnswered(outcome="error"):
                self._journal.note(f"no answer to a {event.op} within {event.seconds:.3f} s")
            case LedgerSeen() if self._thorough:
                self._journal.note(
                    f"ledger at {event.stamp % 10**7} left {event.remaining} out {event.outstanding} ends in {event.resets_in:.3f}"
                )
            case PermitsMoved() if self._thorough:
                self._journal.note(f"permits {event.op} {event.permits}")
            case _:
                pass


class _Noting(logging.Handler):
    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        self._journal.note("log: " + record.getMessage().replace("\n", " "))
