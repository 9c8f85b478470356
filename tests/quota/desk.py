"""A desk at which a test plays store, fleet and server: one record, a clock that is set by hand, sights as an API would give them."""

from __future__ import annotations

from dataclasses import dataclass, field

from clever_guard.quota.ledger import Ledger
from clever_guard.quota.record import Record, transition
from clever_guard.quota.store import Answer, Command, Draw, Report, Sight, Terms

SERVER_AHEAD = 8_000
"""The server's clock minus the store's, in milliseconds."""


def sight(
    remaining: int, end: int, sent: int, received: int | None = None, *, answers: int = 1, bucket: str = "", limit: int = 100,
    number: int | None = None, date_off: int = 0,
) -> Sight:  # fmt: skip
    """What a request sent at ``sent`` reads of a window that ends at ``end``: whole-second Date, all in store milliseconds."""
    received = sent + 10 if received is None else received
    reset = end + SERVER_AHEAD if number is None else number
    ahead = end + SERVER_AHEAD - (sent + SERVER_AHEAD + date_off) // 1000 * 1000
    return Sight(bucket, limit, remaining, reset, sent + ahead, received + ahead, sent, received, answers)


@dataclass
class Desk:
    """100 permits in 10 seconds and leases of a second, where a test says nothing else."""

    terms: Terms = field(default_factory=lambda: Terms(100, 10_000, 1_000))
    now: int = 50_000
    record: Record = field(default_factory=Record)

    @property
    def ledger(self) -> Ledger:
        (found,) = self.record.ledgers.values()
        return found

    def send(self, now: int, *reports: Report, draw: Draw | None = None, route: str = "") -> Answer:
        self.now = now
        self.record, answer = transition(self.record, now, Command("id", route, self.terms, reports, draw))
        return answer

    def draw(
        self, now: int, want: int = 1, *reports: Report, previous: int = 0, reserve: int = 0, end: int = 0, route: str = ""
    ) -> Answer:  # fmt: skip
        return self.send(now, *reports, draw=Draw(want, previous, reserve, end), route=route)

    def make_sure(self, end: int = 60_000, left: int = 98) -> None:
        """Two scouts, one of them after every lease that may have been forgotten is dead: sure at 52_000."""
        one = self.draw(50_000)
        self.send(50_050, answered(one, sight(left + 1, end, 50_010)))
        two = self.draw(51_950)
        self.send(52_000, answered(two, sight(left, end, 51_960)))


def answered(grant: Answer, *sights: Sight, refused: int = 0) -> Report:
    """All permits the sights speak of were answered."""
    return Report(grant.now, grant.buckets, sum(one.answers for one in sights), refused, sights=sights)


def unsent(grant: Answer, count: int | None = None) -> Report:
    return Report(grant.now, grant.buckets, unsent=grant.granted if count is None else count)
