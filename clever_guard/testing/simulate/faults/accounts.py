"""What one worker drew, sent and holds: the monitor of its books."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from clever_guard.quota.lease import Lease
from clever_guard.quota.store import Answer

TTL = 1.0
"""Seconds a lease lives."""


class Accounts:
    """Counts that are kept beside the books, and compared with them."""

    def __init__(self) -> None:
        self.granted = self.sent = self.acknowledged = 0
        self.dark: set[Lease] = set()
        """Leases of the worker's own share, while the store is down."""
        self.doubtful: set[Lease] = set()
        """Single permits that were drawn to see what became of others."""
        self._moved: Counter[str] = Counter()
        self._leases: dict[Lease, int] = {}
        """Every lease seen, and how many permits of it were handed out."""

    @property
    def in_hand(self) -> int:
        """Permits it could send with, without asking."""
        return sum(lease.left for lease in self._leases)

    @property
    def open(self) -> int:
        """Permits that are with callers."""
        return sum(lease.open for lease in self._leases)

    def drew(self, answer: Answer, lease: Lease | None, doubtful: bool) -> None:
        """The store granted; ``lease`` is None where it was dead on arrival. ``doubtful``: permits fell silent in this window."""
        self.granted += answer.granted
        if lease is None:
            return
        self._leases[lease] = 0
        if answer.dark:
            self.dark.add(lease)
        elif lease.granted == 1 and doubtful:
            self.doubtful.add(lease)

    def handed(self, lease: Lease, now: float) -> Iterator[str]:
        """A permit is handed out: no lease may outlive its TTL, no permit be handed out twice."""
        handed = self._leases[lease] = self._leases.get(lease, 0) + 1
        if now >= lease.expires:
            yield f"hands out of a lease that died {now - lease.expires:.3f} s ago"
        if handed > lease.granted or lease.left < 0 or lease.open < 0:
            yield f"handed out {handed} of {lease.granted} permits"

    def took_back(self, lease: Lease) -> None:
        """Unsent, into the hand."""
        self._leases[lease] -= 1

    def check(self, moves: list[tuple[str, str, str, int]]) -> Iterator[str]:
        """Granted = used + returned + expired + what is still in hand, with callers, or not yet counted."""
        for _, _, op, count in moves:
            self._moved[op] += count
        moved = self._moved
        held = self.in_hand + self.open + sum(lease.used for lease in self._leases)
        accounted = moved["used"] + moved["returned"] + moved["expired"] + held
        if not moved["granted"] == self.granted == accounted:
            yield f"drew {self.granted} permits and accounts for {accounted}: {dict(moved)}"
        if self.sent > self.granted:
            yield f"sent {self.sent} requests with {self.granted} permits"
