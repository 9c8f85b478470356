"""Ledgers of one process: the pure transition under a lock.

For a single process, for tests, and for a worker that is cut off from its store. Nothing is shared with other
processes, so a fork gives the child ledgers of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from copy import deepcopy

from clever_guard.quota.record import Record, lifetime, transition
from clever_guard.quota.store import Answer, Command

SWEEP = 1_000
"""Commands between two looks for records that nobody uses any more."""


def monotonic_ms() -> int:
    """Milliseconds of this host's monotonic clock."""
    return time.monotonic_ns() // 1_000_000


class MemoryStore:
    """A store for one process. Thread-safe; ``clock`` gives integer milliseconds."""

    shared = False

    def __init__(self, clock: Callable[[], int] = monotonic_ms) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._records: dict[str, Record] = {}
        self._until: dict[str, int] = {}
        self._count = 0

    def execute(self, commands: Sequence[Command], /) -> Sequence[Answer]:
        """Apply ``commands`` in order. Never raises."""
        with self._lock:
            now = self._clock()
            return [self._apply(now, command) for command in commands]

    def fingerprint(self, mine: str, /) -> str | None:
        """Not shared: there is no other secret to differ from."""
        return None

    def close(self) -> None:
        """Nothing to release."""

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Lose everything, as a store does that restarts without its data."""
        with self._lock:
            self._records.clear()
            self._until.clear()

    def snapshot(self) -> dict[str, Record]:
        """A copy of all records, for ``restore``."""
        with self._lock:
            return deepcopy(self._records)

    def restore(self, records: dict[str, Record]) -> None:
        """Go back to an older state, as a store does that fails over to a lagging replica."""
        with self._lock:
            self._records = deepcopy(records)

    def _apply(self, now: int, command: Command) -> Answer:
        self._sweep(now)
        record = self._records.get(command.identity) or Record()
        self._records[command.identity], answer = transition(record, now, command)
        self._until[command.identity] = now + lifetime(self._records[command.identity], now, command)
        return answer

    def _sweep(self, now: int) -> None:
        self._count += 1
        if self._count % SWEEP == 0:
            for identity in [identity for identity, until in self._until.items() if until < now]:
                self._records.pop(identity, None)
                del self._until[identity]
