"""Everything there is at one moment, and the same as a value: nested tuples of numbers and words.

Leases are shared between a book, its permits and its reports on their way, so each worker's are listed once and named by their place.
"""

from __future__ import annotations

import marshal
import math
from dataclasses import dataclass, field, fields
from typing import Any

from clever_guard.model import Claim, Permit, Ticket
from clever_guard.quota.book import Book
from clever_guard.quota.books import Books, Trip
from clever_guard.quota.demand import Demand
from clever_guard.quota.lease import Gathering, Lease, StoreClock
from clever_guard.quota.ledger import Ledger
from clever_guard.quota.record import Record
from clever_guard.quota.store import Answer, Command, Draw, Report, Sight, Terms, View

Value = tuple[Any, ...]
TTL = 1.0
LEDGER = tuple(one.name for one in fields(Ledger))
LEASE = tuple(one.name for one in fields(Lease) if one.name not in ("limits", "gatherings", "again"))
GATHERING = Gathering.__slots__


@dataclass(frozen=True)
class Size:
    """What is searched: so many workers with so many calls each, so many faults on each way, and the server's terms in ms."""

    workers: int = 2
    calls: int = 2
    limit: int = 2
    faults: int = 1
    naps: int = 1
    """How often on each way time may pass while a caller could ask: it comes late for its lease, its window, its turn."""
    window: int = 3_000
    phase: int = 2_400

    @property
    def terms(self) -> Terms:
        return Terms(self.limit, self.window, int(TTL * 1000))

    @property
    def claim(self) -> Claim:
        return Claim("id", "", self.limit, self.window / 1000)


@dataclass(eq=False)
class Journey:
    """A trip to the store: ``sent``, then ``executed`` (answers on their way) or ``lost`` (nothing will come)."""

    trip: Trip
    sent_at: int
    stage: str = "sent"
    answers: tuple[Answer, ...] = ()


@dataclass(eq=False)
class Sending:
    """A request: ``sent``, then ``answered`` or ``cut`` (no answer will come)."""

    permit: Permit
    sent_at: int
    stage: str = "sent"
    reading: tuple[int, int, int] = (0, 0, 0)
    """Remaining (below 0: refused), Reset and Date in seconds, as the server said."""
    doubtful: bool = False
    """A single permit, drawn to see what became of those that fell silent."""


@dataclass(eq=False)
class Worker:
    """One process with one caller, who has ``calls`` to make still."""

    calls: int
    books: Books
    ticket: Ticket | None = None
    waits_until: int = 0
    journey: Journey | None = None
    sending: Sending | None = None


@dataclass(eq=False)
class State:
    """``orphans``: what dead workers had sent, by its time: requests and commands arrive although nobody waits for them."""

    now: int
    record: Record
    workers: list[Worker]
    faults: int
    """That may still happen."""
    naps: int
    window: int = 0
    """Number of the server's window, and what was counted in it."""
    counted: int = 0
    excused: int = -1
    """Number of the window in which a scout was refused for permits that fell silent."""
    requests: list[tuple[int, bool]] = field(default_factory=list)
    commands: list[tuple[int, Command]] = field(default_factory=list)


def fresh_books() -> Books:
    return Books(TTL)


def frozen(state: State) -> bytes:
    """The state as bytes: equal states give equal bytes. Workers are alike, so it does not matter which of them is which."""
    value = (
        state.now,
        _record(state.record),
        tuple(sorted((_worker(worker) for worker in state.workers), key=_bytes)),
        state.faults,
        state.naps,
        state.window,
        state.counted,
        state.excused,
        tuple(sorted(state.requests)),
        tuple((at, _command(command)) for at, command in state.commands),
    )
    return _bytes(value)


def _bytes(value: Value) -> bytes:
    return marshal.dumps(value, 2)  # version 2 holds no references, which would tell equal values apart


def thawed(found: bytes, size: Size) -> State:
    now, record, workers, faults, naps, window, counted, excused, requests, commands = marshal.loads(found)
    return State(
        now,
        _thaw_record(record),
        [_thaw_worker(worker, size) for worker in workers],
        faults,
        naps,
        window,
        counted,
        excused,
        list(requests),
        [(at, _thaw_command(command, size)) for at, command in commands],
    )


# -- the record --------------------------------------------------------------------------------------------------------


def _record(record: Record) -> Value:
    ledgers = tuple((name, _ledger(ledger)) for name, ledger in sorted(record.ledgers.items()))
    return tuple(sorted(record.routes.items())), ledgers


def _ledger(ledger: Ledger) -> Value:
    return tuple(tuple(value) if isinstance(value := getattr(ledger, name), list) else value for name in LEDGER)


def _thaw_record(value: Value) -> Record:
    routes, ledgers = value
    return Record(dict(routes), {name: _thaw_ledger(found) for name, found in ledgers})


def _thaw_ledger(value: Value) -> Ledger:
    numbers: list[Any] = [list(one) if isinstance(one, tuple) else one for one in value]
    return Ledger(*numbers)


# -- commands and answers ----------------------------------------------------------------------------------------------


def _report(report: Report) -> Value:
    sights = tuple(_sight(sight) for sight in report.sights)
    counts = report.stamp, report.buckets, report.answered, report.refused, report.unsent, report.pause, report.blank
    return *counts, sights


def _sight(sight: Sight) -> Value:
    return (
        sight.bucket,
        sight.limit,
        sight.remaining,
        sight.reset,
        sight.low,
        sight.high,
        sight.sent,
        sight.received,
        sight.answers,
    )


def _thaw_report(value: Value) -> Report:
    stamp, buckets, answered, refused, unsent, pause, blank, sights = value
    heard = tuple(Sight(*sight) for sight in sights)
    return Report(stamp, buckets, answered, refused, unsent, pause, blank, heard)


def _command(command: Command) -> Value:
    draw = command.draw
    wish = None if draw is None else (draw.want, draw.previous, draw.reserve, draw.end)
    return tuple(_report(report) for report in command.reports), wish


def _thaw_command(value: Value, size: Size) -> Command:
    reports, wish = value
    draw = None if wish is None else Draw(*wish)
    return Command("id", "", size.terms, tuple(_thaw_report(report) for report in reports), draw)


def _answer(answer: Answer) -> Value:
    views = tuple(
        (v.bucket, v.limit, v.remaining, v.outstanding, v.reset_at, v.answered, v.refused, v.drawers)
        for v in answer.views
    )
    return answer.now, answer.granted, answer.kind, answer.buckets, answer.hold, answer.at_least, views


def _thaw_answer(value: Value) -> Answer:
    now, granted, kind, buckets, hold, at_least, views = value
    return Answer(now, granted, kind, buckets, hold, at_least, tuple(View(*found) for found in views))


# -- a worker ----------------------------------------------------------------------------------------------------------


class _Places:
    """Leases by the order in which they are met."""

    def __init__(self) -> None:
        self.leases: list[Lease] = []

    def of(self, lease: Lease | None) -> int:
        if lease is None:
            return -1
        for place, known in enumerate(self.leases):
            if known is lease:
                return place
        self.leases.append(lease)
        return len(self.leases) - 1


def _worker(worker: Worker) -> Value:
    places = _Places()
    book = next(iter(worker.books._books.values()), None)
    value = (
        worker.calls,
        worker.waits_until,
        None if worker.ticket is None else worker.ticket.woken,
        None if book is None else _book(worker, book, places),
        None if worker.journey is None else _journey(worker.journey, places),
        None if worker.sending is None else _sending(worker.sending, places),
    )
    return *value, tuple(_lease(lease) for lease in places.leases)


def _thaw_worker(value: Value, size: Size) -> Worker:
    calls, waits_until, woken, book, journey, sending, leases = value
    found = [_thaw_lease(lease) for lease in leases]
    worker = Worker(calls, fresh_books(), waits_until=waits_until)
    if woken is not None:
        worker.ticket = Ticket()
        worker.ticket.woken = woken
    if book is not None:
        _thaw_book(book, worker, found, size)
    mine = next(iter(worker.books._books.values()), None)
    if journey is not None and mine is not None:
        worker.journey = _thaw_journey(journey, mine, found, size)
    if sending is not None:
        lease, rest = found[sending[0]], sending[1:]
        worker.sending = Sending(Permit(size.claim, lease, mine), *rest)
    return worker


def _book(worker: Worker, book: Book, places: _Places) -> Value:
    books = worker.books
    return (
        places.of(book.lease),
        book.demand.want,
        places.of(book.demand.used_up),
        book.previous,
        book.end,
        book.drawing,
        book.ask_at,
        book.certain,
        tuple(book.clock),
        tuple(book.waiting.values()),
        tuple(book.promised.values()),
        tuple(places.of(lease) for lease in book.unsaid),
        book.bucket,
        book in books._leasing,
        book in books._talkative,
        book in books._urgent,
    )


def _thaw_book(value: Value, worker: Worker, leases: list[Lease], size: Size) -> None:
    books = worker.books
    book = Book(size.claim, size.terms, books._moves)
    lease, want, used_up, book.previous, book.end, book.drawing, book.ask_at, book.certain, clock = value[:9]
    waiting, promised, unsaid, book.bucket, leasing, talkative, urgent = value[9:]
    book.back_by = math.inf  # every draw of this world comes back or is lost
    book.lease = leases[lease] if lease >= 0 else None
    book.demand = Demand(want, leases[used_up] if used_up >= 0 else None)
    book.clock = StoreClock(*clock)
    book.unsaid = {leases[place]: None for place in unsaid}
    for until in waiting:
        book.waiting[_the_ticket(worker, book)] = until
    for until in promised:
        book.promised[_the_ticket(worker, book)] = until
    books._books[size.claim] = book
    for flag, where in ((leasing, books._leasing), (talkative, books._talkative), (urgent, books._urgent)):
        if flag:
            where[book] = None


def _the_ticket(worker: Worker, book: Book) -> Ticket:
    """There is one caller, so there is one."""
    if worker.ticket is None:
        worker.ticket = Ticket()
    worker.ticket.book = book
    return worker.ticket


def _journey(journey: Journey, places: _Places) -> Value:
    trip = journey.trip
    return (
        journey.sent_at,
        journey.stage,
        tuple(_answer(answer) for answer in journey.answers),
        tuple(_command(command) for command in trip.commands),
        tuple(tuple((places.of(lease), _report(report)) for lease, report in told) for told in trip.told),
    )


def _thaw_journey(value: Value, book: Book, leases: list[Lease], size: Size) -> Journey:
    sent_at, stage, answers, commands, told = value
    trip = Trip(
        tuple(_thaw_command(command, size) for command in commands),
        (book,) * len(commands),
        tuple(tuple((leases[place], _thaw_report(report)) for place, report in one) for one in told),
    )
    return Journey(trip, sent_at, stage, tuple(_thaw_answer(answer) for answer in answers))


def _sending(sending: Sending, places: _Places) -> Value:
    return places.of(sending.permit.lease), sending.sent_at, sending.stage, sending.reading, sending.doubtful


def _lease(lease: Lease) -> Value:
    return (
        tuple(getattr(lease, name) for name in LEASE),
        tuple(lease.limits.items()),
        tuple((*key, *(getattr(one, name) for name in GATHERING)) for key, one in lease.gatherings.items()),
        tuple(_sight(sight) for sight in lease.again),
    )


def _thaw_lease(value: Value) -> Lease:
    plain, limits, gatherings, again = value
    lease = Lease(**dict(zip(LEASE, plain, strict=True)), limits=dict(limits))
    for bucket, reset, *rest in gatherings:
        gathering = lease.gatherings[bucket, reset] = Gathering()
        for name, one in zip(GATHERING, rest, strict=True):
            setattr(gathering, name, one)
    lease.again = tuple(Sight(*sight) for sight in again)
    return lease
