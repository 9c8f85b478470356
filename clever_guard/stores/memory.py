"""Ledgers of one process: the pure transition, and a record that is exchanged for the next one.

For a single process, for tests, and for a worker that is cut off from its store. Nothing is shared with other
processes, so a fork gives the child ledgers of its own.

The next record is made without a lock and put in place if nobody was faster. So a signal handler or a finalizer that comes here
again finds a whole record, and one that raises leaves a whole one; under the lock no function is called and nothing is repeated,
and CPython runs neither handlers nor other threads where that is so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from clever_guard.quota.record import Record, lifetime, transition
from clever_guard.quota.store import Answer, Command

SWEEP = 1_000
"""Commands between two looks for records that nobody uses any more."""
NOTHING = Record()
"""Before the first command of an identity."""


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
        self._records, self._until = {}, {}

    def snapshot(self) -> dict[str, Record]:
        """All records, for ``restore``. None is ever changed, only exchanged."""
        return dict(self._records)

    def restore(self, records: dict[str, Record]) -> None:
        """Go back to an older state, as a store does that fails over to a lagging replica."""
        self._records = dict(records)

    def _apply(self, now: int, command: Command) -> Answer:
        self._sweep(now)
        while True:
            before = self._records.setdefault(command.identity, NOTHING)
            after, answer = transition(before, now, command)
            if self._exchanged(command.identity, before, after):
                self._until[command.identity] = now + lifetime(after, now, command)
                return answer

    def _exchanged(self, identity: str, before: Record, after: Record) -> bool:
        """Whether ``before`` was still there, and ``after`` is now."""
        records = self._records
        with self._lock:
            if identity in records and records[identity] is before:
                records[identity] = after
                return True
        return False

    def _sweep(self, now: int) -> None:
        self._count += 1
        if self._count % SWEEP == 0:
            for identity in [identity for identity, until in list(self._until.items()) if until < now]:
                self._records.pop(identity, None)
                self._until.pop(identity, None)
