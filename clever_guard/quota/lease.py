"""A lease: a handful of permits drawn together, and what became of each of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from clever_guard.model import Reading, Receipt
from clever_guard.quota.store import Answer, Report, Sight

MAX_PAUSE = 86_400_000


@dataclass(frozen=True, slots=True)
class StoreClock:
    """How local times translate: the store said ``now`` at some moment between ``asked`` and ``got``."""

    now: int = 0
    asked: float = 0.0
    got: float = 0.0

    def at_least(self, local: float) -> int:
        return self.now + math.floor((local - self.got) * 1000)

    def at_most(self, local: float) -> int:
        return self.now + math.ceil((local - self.asked) * 1000)


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
    answered: int = 0
    refused: int = 0
    unsent: int = 0
    pause: int = 0
    blank: int = 0
    trailing: int = 0
    """Answers without quota headers since the last one with: no reading covers them."""
    sights: dict[tuple[str, int], Sight] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        return self.left == 0 and self.open == 0

    @property
    def has_news(self) -> bool:
        return bool(self.answered or self.refused or self.unsent or self.blank or self.sights)

    def take(self) -> None:
        self.left -= 1
        self.open += 1

    def give_back(self, count: int) -> int:
        """So many of those in hand go back to the ledger."""
        count = min(count, self.left)
        self.left -= count
        self.unsent += count
        return count

    def enter(self, receipt: Receipt, clock: StoreClock) -> None:
        """What became of a permit that was sent. An unknown outcome is not counted: it ages in the ledger."""
        if receipt.readings:
            self.answered += 1
            self.refused += receipt.refused
            self.trailing = 0
            for reading in receipt.readings:
                self.keep(_sight(clock, receipt, reading))
        elif receipt.refused:
            self.refused += 1
            self.pause = max(self.pause, min(MAX_PAUSE, int((receipt.retry_after or 0) * 1000)))
        elif receipt.ok:
            self.blank += 1
            self.trailing += 1

    def may_keep(self, receipt: Receipt) -> int:
        """How many permits in hand an answer leaves: no more than the server has left, when others took it.

        A lowered limit leaves none: the whole fleet holds permits of the old one.
        """
        lowered = any(reading.limit < self.limits.get(reading.bucket, 0) for reading in receipt.readings)
        if receipt.refused or lowered:
            return 0
        return min((reading.remaining for reading in receipt.readings), default=self.left)

    def keep(self, sight: Sight) -> None:
        """Join what answers said about one window."""
        key = (sight.bucket, sight.reset)
        other = self.sights.get(key)
        self.sights[key] = sight if other is None else _joined(other, sight)

    def tell(self) -> Report | None:
        """Everything not yet reported, once; None when there is nothing."""
        if not self.has_news:
            return None
        sights = tuple(_covering(sight, self.trailing) for sight in self.sights.values())
        report = Report(
            self.stamp, self.buckets, self.answered, self.refused, self.unsent, self.pause, self.blank, sights
        )
        self.answered = self.refused = self.unsent = self.pause = self.blank = self.trailing = 0
        self.sights = {}
        return report

    def hear_again(self, report: Report) -> None:
        """A report whose fate is unknown: its counts are dropped, its readings are true whenever they come."""
        for sight in report.sights:
            self.keep(replace(sight, answers=0))


def granted(answer: Answer, expires: float) -> Lease:
    """The lease a store's answer grants."""
    limits = {view.bucket: view.limit for view in answer.views}
    return Lease(answer.now, answer.buckets, answer.kind, answer.granted, answer.granted, expires, limits)


def _sight(clock: StoreClock, receipt: Receipt, reading: Reading) -> Sight:
    sent = clock.at_least(receipt.sent_at)
    received = clock.at_most(receipt.received_at)
    ahead = int((reading.resets_in or 0.0) * 1000)
    remaining = 0 if receipt.refused else reading.remaining
    reset = int(reading.reset * 1000)
    low = sent + ahead if reading.dated else sent
    return Sight(reading.bucket, reading.limit, remaining, reset, low, received + ahead, sent, received)


def _covering(sight: Sight, trailing: int) -> Sight:
    return replace(sight, remaining=max(0, sight.remaining - trailing)) if trailing else sight


def _joined(one: Sight, other: Sight) -> Sight:
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
