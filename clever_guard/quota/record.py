"""The record of one identity: which buckets its routes draw on, and the ledger of each bucket.

The server names the bucket in the *answer*, so an attempt's bucket is looked up by its route. An unknown route draws
from the unnamed ledger ``""``. A route draws from every bucket that was named for it within the current window: from all
of them or from none. So one budget whose name changes is not split in two (the new name starts as a copy of the old
ledger, and the old one fades when its window is over), and two names that alternate are two buckets.

``transition`` is pure: (record, now, command) -> (record, answer). Every store calls it or says the same in Lua.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from clever_guard.quota.ageing import regress, tick
from clever_guard.quota.granting import count_drawer, offer, recall, take
from clever_guard.quota.hearing import hear
from clever_guard.quota.ledger import Ledger, Offer, birth, clone, view
from clever_guard.quota.settling import hear_nothing, refuse, settle
from clever_guard.quota.store import Answer, Command, Draw, Report, Sight, Terms

MAX_ROUTES = 16
MAX_NAMES = 4
"""Buckets a route draws from at once."""
KEEP = 10
"""A record is forgotten after so many windows without a command."""


@dataclass(slots=True)
class Record:
    """What is stored of one identity."""

    routes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ledgers: dict[str, Ledger] = field(default_factory=dict)


def transition(record: Record, now: int, command: Command) -> tuple[Record, Answer]:
    """Apply one command at ``now`` (store milliseconds)."""
    after = Record(dict(record.routes), {name: clone(ledger) for name, ledger in record.ledgers.items()})
    now = _tick(after, now, command)
    for report in command.reports:
        _report(after, now, command, report)
    now = max([now, *(ledger.last for ledger in after.ledgers.values())])
    names = after.routes.get(command.route, ("",))
    granted = _draw(after, now, command.terms, names, command.draw) if command.draw else Offer(0)
    views = tuple(view(after.ledgers[name], name) for name in names if name in after.ledgers)
    return after, Answer(now, granted.count, granted.kind, names, granted.hold, granted.at_least, views)


def lifetime(record: Record, now: int, command: Command) -> int:
    """Milliseconds after which the record may be forgotten when nobody asks."""
    ends = [ledger.hi - now for ledger in record.ledgers.values()]
    return KEEP * max(command.terms.window, command.terms.ttl, *ends)


def _tick(record: Record, now: int, command: Command) -> int:
    """Let time pass for all ledgers. A stamp later than a record's last command proves that the record is an old one."""
    known = max((report.stamp for report in command.reports), default=0)
    known = max(known, command.draw.previous if command.draw else 0)
    times = [now]
    for ledger in record.ledgers.values():
        lost = ledger.last < known <= now
        times.append(tick(ledger, now, command.terms))
        if lost:
            regress(ledger, now, command.terms)
    return max(times)


def _report(record: Record, now: int, command: Command, report: Report) -> None:
    for sight in report.sights:
        _open(record, now, command.terms, sight.bucket, report.buckets)
    for name in _concerned(record, report):
        _settle(record.ledgers[name], now, command.terms, report, name)
    for sight in report.sights:
        hear(record.ledgers[sight.bucket], now, command.terms, report, sight)
    if report.sights:
        _route(record, now, command.route, report.sights)


def _open(record: Record, now: int, terms: Terms, name: str, drawn: tuple[str, ...]) -> None:
    """A bucket named for the first time inherits what was drawn for it under the old name."""
    if name in record.ledgers:
        return
    parent = next((record.ledgers[old] for old in drawn if old in record.ledgers), None)
    record.ledgers[name] = clone(parent) if parent else birth(now, terms)


def _concerned(record: Record, report: Report) -> list[str]:
    named = {sight.bucket for sight in report.sights}
    return sorted(name for name in named | set(report.buckets) if name in record.ledgers)


def _settle(ledger: Ledger, now: int, terms: Terms, report: Report, name: str) -> None:
    """Answers that named another bucket did not spend from this one: their permits go back."""
    answered = sum(sight.answers for sight in report.sights if sight.bucket == name)
    back = report.unsent + max(0, report.answered - answered) + (report.blank if ledger.pace else 0)
    settle(ledger, now, terms, report.stamp, answered, report.refused, back)
    if answered or not report.sights:
        refuse(ledger, now, terms, report)
    hear_nothing(ledger, now, terms, report)


def _route(record: Record, now: int, route: str, sights: tuple[Sight, ...]) -> None:
    """The route's buckets: those just named, and those whose window still runs."""
    named = sorted({sight.bucket for sight in sights})
    before = record.routes.get(route, ())
    running = [name for name in before if name and name not in named and now < record.ledgers[name].hi]
    if route in record.routes or len(record.routes) < MAX_ROUTES:
        record.routes[route] = tuple((named + running)[:MAX_NAMES])
    _forget_unrouted(record)


def _forget_unrouted(record: Record) -> None:
    routed = {name for names in record.routes.values() for name in names}
    for name in [name for name in record.ledgers if name not in routed]:
        del record.ledgers[name]


def _draw(record: Record, now: int, terms: Terms, names: tuple[str, ...], draw: Draw) -> Offer:
    """Offer from each bucket, then take from all or from none."""
    for name in names:
        if name not in record.ledgers:
            record.ledgers[name] = birth(now, terms)
            recall(record.ledgers[name], now, terms, draw)
        count_drawer(record.ledgers[name], draw)
    offers = [offer(record.ledgers[name], now, terms, draw) for name in names]
    merged = _merge(offers)
    for name, offered in zip(names, offers, strict=True):
        if merged.count:
            take(record.ledgers[name], now, terms, Offer(merged.count, offered.kind))
        elif offered.appoints:
            record.ledgers[name].appointed = 1
    return merged


def _merge(offers: list[Offer]) -> Offer:
    if all(offered.count for offered in offers):
        kinds = {offered.kind for offered in offers} - {"lease"}
        return Offer(min(offered.count for offered in offers), min(kinds, default="lease"))
    return Offer(0, hold=max(offered.hold for offered in offers), at_least=max(offered.at_least for offered in offers))
