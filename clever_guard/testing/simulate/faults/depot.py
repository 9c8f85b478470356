"""The simulated store: the production transition on a clock that may drift, step and be stopped, and data that may be lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clever_guard.quota.ledger import Ledger
from clever_guard.quota.record import Record, transition
from clever_guard.quota.store import Answer, Command
from clever_guard.testing.simulate.loop import Loop

EPOCH = 2_000_000_000_000
Watcher = Callable[[Record, Record, int, Command, Answer], None]


class Depot:
    """One identity's record. ``watch`` is told (before, after, now, command, answer) of every command."""

    def __init__(self, loop: Loop, watch: Watcher) -> None:
        self._loop = loop
        self._watch = watch
        self.rate = 1.0
        self.offset = EPOCH
        """Milliseconds."""
        self.record = Record()
        self._past: list[tuple[float, Record]] = [(0.0, self.record)]

    def now(self) -> int:
        """Milliseconds of its clock."""
        return int(self._loop.now * 1000 * self.rate) + self.offset

    def execute(self, commands: Sequence[Command]) -> list[Answer]:
        now = self.now()
        return [self._apply(now, command) for command in commands]

    def receive(self, commands: Sequence[Command]) -> None:
        """Commands whose answers nobody waits for."""
        self.execute(commands)

    def forget(self) -> None:
        self._become(Record())

    def fall_back(self, seconds: float) -> None:
        """To the state of so long ago: the newest writes had not reached the replica."""
        then = self._loop.now - seconds
        self._become(next((record for at, record in reversed(self._past) if at <= then), Record()))

    @property
    def ledger(self) -> Ledger | None:
        """The one that would be drawn from."""
        names = next(iter(self.record.routes.values()), ("",))
        return self.record.ledgers.get(names[0])

    @property
    def out(self) -> int:
        """Permits drawn and not yet reported."""
        return max((sum(ledger.out) for ledger in self.record.ledgers.values()), default=0)

    @property
    def left(self) -> int:
        """What it would let out in the window that runs."""
        return max((ledger.r_min - sum(ledger.out) for ledger in self.record.ledgers.values()), default=0)

    def _apply(self, now: int, command: Command) -> Answer:
        before = self.record
        after, answer = transition(before, now, command)
        self._become(after)
        self._watch(before, after, now, command, answer)
        return answer

    def _become(self, record: Record) -> None:
        self.record = record
        self._past.append((self._loop.now, record))
