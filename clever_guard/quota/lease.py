"""A lease: a handful of permits drawn together, and what became of each of them.

Gathering   what answers say of one window, on the driver's clock, while they still come
Sight       the same, told to the store on the store's clock
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from clever_guard.model import Reading, Receipt
from clever_guard.quota.store import Answer, Report, Sight

MAX_PAUSE = 86_400_000
MAX_LEFT = 10**15


class StoreClock(NamedTuple):
    """How local times translate: the store said ``now`` at some moment between ``asked`` and ``got``."""

    now: int = 0
    asked: float = 0.0
    got: float = 0.0

    def at_least(self, local: float) -> int:
        return self.now + math.floor((local - self.got) * 1000)

    def at_most(self, local: float) -> int:
        return self.now + math.ceil((local - self.asked) * 1000)


class Gathering:
    """What answers say about one window of a bucket. Joined answer by answer: this is done for each, telling is not."""

    __slots__ = ("answers", "high", "limit", "low", "received", "remaining", "sent")

    def __init__(self) -> None:
        self.limit = 0
        self.remaining = MAX_LEFT
        self.sent = self.low = -math.inf
        self.received = self.high = math.inf
        self.answers = 0

    def add(self, receipt: Receipt, reading: Reading) -> None:
        """Join what one more answer says: the least that is left, the narrowest bracket."""
        sent, received, ahead = receipt.sent_at, receipt.received_at, reading.resets_in or 0.0
        low = sent + ahead if reading.dated else sent
        self.answers += 1
        self.limit = reading.limit
        if reading.remaining < self.remaining or receipt.refused:
            self.remaining = 0 if receipt.refused else reading.remaining
        if sent > self.sent:
            self.sent = sent
        if received < self.received:
            self.received = received
        if low > self.low:
            self.low = low
        if received + ahead < self.high:
            self.high = received + ahead

    def sight(self, bucket: str, reset: float, clock: StoreClock) -> Sight:
        return Sight(
            bucket,
            self.limit,
            self.remaining,
            int(reset * 1000),
            clock.at_least(self.low),
            clock.at_most(self.high),
            clock.at_least(self.sent),
            clock.at_most(self.received),
            self.answers,
        )


@dataclass(slots=True, eq=False)
class Lease:
    """``left`` permits are in hand, ``open`` ones are with callers; the rest is counted by what became of it.

    Alive until ``expires``, seconds of the driver's clock: a TTL after the *sending* of the draw, for the process may have
    been stopped in between. What is counted is told once (``tell``).
    """

    stamp: int
    buckets: tuple[str, ...]
    kind: str
    granted: int
    left: int
    expires: float
    limits: dict[str, int]
    """Of each bucket, as the ledger knew it when these were drawn."""
    open: int = 0
    used: int = 0
    """Answered in any way, and not yet counted among the moves."""
    answered: int = 0
    refused: int = 0
    unsent: int = 0
    pause: int = 0
    blank: int = 0
    shared: bool = False
    """Others draw on the same bucket."""
    at_end: bool = False
    """An answer said that nothing is left of the window, and nobody was told yet."""
    trailing: int = 0
    """Answers without quota headers since the last one with: no reading covers them."""
    gatherings: dict[tuple[str, float], Gathering] = field(default_factory=dict)
    """By bucket and the server's number for the reset."""
    again: tuple[Sight, ...] = ()
    """Those of a report whose fate is unknown."""

    @property
    def finished(self) -> bool:
        return self.left == 0 and self.open == 0

    @property
    def has_news(self) -> bool:
        return bool(self.answered or self.refused or self.unsent or self.blank or self.again)

    def give_back(self, count: int) -> int:
        """So many of those in hand go back to the ledger."""
        count = min(count, self.left)
        self.left -= count
        self.unsent += count
        return count

    def enter(self, receipt: Receipt) -> int:
        """What became of a permit that was answered; gives how many permits in hand the answer leaves.

        No more than the server has left, when others took it. A lowered limit leaves none: the whole fleet holds permits of
        the old one. An unknown outcome is not entered: it ages in the ledger.
        """
        self.used += 1
        if not receipt.readings:
            return self._enter_blank(receipt)
        self.answered += 1
        self.refused += receipt.refused
        self.trailing = 0
        kept = 0 if receipt.refused else self.left
        for reading in receipt.readings:
            bucket = reading.bucket
            gathering = self.gatherings.get((bucket, reading.reset))
            if gathering is None:
                gathering = self.gatherings[bucket, reading.reset] = Gathering()
            gathering.add(receipt, reading)
            if reading.remaining < kept:
                kept = reading.remaining
            if reading.remaining == 0 and self.shared:
                self.at_end = True
            if reading.limit < self.limits.get(bucket, 0):
                kept = 0
        return kept

    def _enter_blank(self, receipt: Receipt) -> int:
        """Without quota headers."""
        if receipt.refused:
            self.refused += 1
            self.pause = max(self.pause, min(MAX_PAUSE, int((receipt.retry_after or 0) * 1000)))
            return 0
        if receipt.ok:
            self.blank += 1
            self.trailing += 1
        return self.left

    def tell(self, clock: StoreClock) -> Report | None:
        """Everything not yet reported, once; None when there is nothing."""
        if not self.has_news:
            return None
        sights = _joined(self.again, self._sights(clock))
        report = Report(
            self.stamp, self.buckets, self.answered, self.refused, self.unsent, self.pause, self.blank, sights
        )
        self.answered = self.refused = self.unsent = self.pause = self.blank = self.trailing = 0
        self.at_end = False
        self.gatherings, self.again = {}, ()
        return report

    def _sights(self, clock: StoreClock) -> list[Sight]:
        for gathering in self.gatherings.values():
            gathering.remaining = max(0, gathering.remaining - self.trailing)
        return [gathering.sight(bucket, reset, clock) for (bucket, reset), gathering in self.gatherings.items()]

    def hear_again(self, report: Report) -> None:
        """A report whose fate is unknown: its counts are dropped, its readings are true whenever they come."""
        self.again = _joined(self.again, [replace(sight, answers=0) for sight in report.sights])


def granted(answer: Answer, expires: float) -> Lease:
    """The lease a store's answer grants."""
    limits = {view.bucket: view.limit for view in answer.views}
    shared = any(view.drawers > 1 for view in answer.views)
    return Lease(
        answer.now, answer.buckets, answer.kind, answer.granted, answer.granted, expires, limits, shared=shared
    )


def _joined(earlier: tuple[Sight, ...], later: list[Sight]) -> tuple[Sight, ...]:
    """What both say: one sight for each window."""
    if not earlier:
        return tuple(later)
    sights = {(sight.bucket, sight.reset): sight for sight in earlier}
    for sight in later:
        key = (sight.bucket, sight.reset)
        sights[key] = _join(sights[key], sight) if key in sights else sight
    return tuple(sights.values())


def _join(one: Sight, other: Sight) -> Sight:
    return Sight(
        one.bucket,
        other.limit,
        min(one.remaining, other.remaining),
        one.reset,
        max(one.low, other.low),
        min(one.high, other.high),
        max(one.sent, other.sent),
        min(one.received, other.received),
        one.answers + other.answers,
    )
