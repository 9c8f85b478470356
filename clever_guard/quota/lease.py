"""The lease books of one process: permits handed out without touching the store.

    Books   all books of one guard, and the one lock they share (held for a few integer operations, never across I/O)
    Book    one (identity, route, reserve): the lease in hand, who waits, when to ask the store again
    Lease   a handful of permits drawn together, and what became of them
    Trip    what should travel to the store now; whoever is handed one makes the journey and says how it ended

Nothing here waits or talks. ``reserve`` answers a permit, a hold (with a place in the queue), or a trip to make first;
waking is a callback on the ticket, so threads and loops may share one book. Times are seconds of the driver's monotonic
clock; towards the store everything is integer milliseconds of the store's clock.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from clever_guard.model import Claim, Hold, Permit, Reading, Receipt, Ticket
from clever_guard.quota.store import Answer, Command, Draw, Report, Sight, Terms

PATIENCE = 1.0
"""A place in the queue is kept so long after its holder should have looked again."""
QUEUE_GRACE = 0.1
"""Those behind the head of the queue look again so much later, should the head have given up."""
PROMISE = 0.25
"""A woken caller has so long to fetch its permit before the promise is forgotten."""
MAX_PAUSE = 86_400_000
MAX_COMMANDS = 64
"""Commands of one trip; what is left over rides on the next."""
MAX_BOOKS = 10_000


@dataclass(slots=True, eq=False)
class Lease:
    """Permits drawn together. ``left`` are in hand, ``open`` are with callers; the rest is counted by what became of it."""

    book: Book
    stamp: int
    buckets: tuple[str, ...]
    kind: str
    granted: int
    left: int
    expires: float
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

    def tell(self) -> Report | None:
        """Everything not yet reported, once; None when there is nothing."""
        if not (self.answered or self.refused or self.unsent or self.blank or self.sights):
            return None
        sights = tuple(_covering(sight, self.trailing) for sight in self.sights.values())
        report = Report(
            self.stamp, self.buckets, self.answered, self.refused, self.unsent, self.pause, self.blank, sights
        )
        self.answered = self.refused = self.unsent = self.pause = self.blank = self.trailing = 0
        self.sights = {}
        return report


@dataclass(slots=True)
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
class Book:
    """One queue for one budget."""

    claim: Claim
    terms: Terms
    lease: Lease | None = None
    want: int = 1
    previous: int = 0
    """Stamp of the last draw."""
    drawing: bool = False
    ask_at: float = 0.0
    """Not before this is the store asked again."""
    certain: float = 0.0
    """Until when it is certain that no permit is to be had."""
    clock: StoreClock = field(default_factory=StoreClock)
    waiting: dict[Ticket, float] = field(default_factory=dict)
    """Who waits, in order of arrival, and when each should have looked again."""
    promised: dict[Ticket, float] = field(default_factory=dict)
    """Who was woken and has not come yet."""
    unsaid: dict[Lease, None] = field(default_factory=dict)
    """Leases with something to report."""
    bucket: str = ""
    used: float = 0.0

    @property
    def idle(self) -> bool:
        return not (self.lease or self.drawing or self.waiting or self.promised or self.unsaid)


@dataclass(frozen=True, slots=True)
class Trip:
    """Commands for one round trip, and the books they came from."""

    commands: tuple[Command, ...]
    books: tuple[Book, ...]
    told: tuple[tuple[tuple[Lease, Report], ...], ...] = ()


class Books:
    """All lease books of one guard. Thread-safe; after a fork call ``forget`` in the child."""

    def __init__(self, ttl: float = 1.0, random: Callable[[], float] | None = None, *, solo: bool = False) -> None:
        """``ttl``: seconds a lease lives. ``random``: 0..1, spreads the wake-ups of workers (None: no spread)."""
        self.ttl = ttl
        self._random = random or (lambda: 0.0)
        self._solo = solo
        self.forget()

    def forget(self) -> None:
        """Start anew: in a forked child, the leases belong to the parent."""
        self._lock = threading.Lock()
        self._books: dict[tuple[str, str, int], Book] = {}
        self._talkative: dict[Book, None] = {}
        self._urgent: dict[Book, None] = {}
        self._moves: Counter[tuple[str, str, str]] = Counter()

    # -- callers ---------------------------------------------------------------------------------------------------

    def reserve(self, claim: Claim, now: float, ticket: Ticket | None = None) -> Permit | Hold | Trip:
        """A permit, a hold, or the trip that must be made before asking again."""
        with self._lock:
            book = self._book(claim, now)
            self._expire(book, now)
            lease = book.lease
            if lease is not None and self._may_take(book, lease, ticket, now):
                return self._hand_out(book, lease, ticket)
            if lease is None and not book.drawing and now >= book.ask_at:
                return self._draw(book)
            return self._queue(book, ticket, now)

    def settle(self, permit: Permit, receipt: Receipt, now: float) -> None:
        """What became of a permit. A second settling of the same permit changes nothing."""
        with self._lock:
            if permit.settled:
                return
            permit.settled = True
            lease: Lease = permit.lease
            lease.open -= 1
            self._enter(lease, permit, receipt, now)
            wake = self._after_settling(lease, now)
        _call(wake)

    def due(self, now: float) -> Trip | None:
        """A report that should not wait for company. Asked after each call."""
        if not self._urgent:
            return None
        with self._lock:
            for book in list(self._urgent):
                if book.drawing or not book.unsaid:
                    del self._urgent[book]
                elif not (book.waiting and now >= book.ask_at):
                    return self._trip(book, None)
        return None

    def landed(self, trip: Trip, answers: Sequence[Answer], asked: float, got: float) -> None:
        """The store answered ``trip``; it was asked at ``asked`` and its answer was here at ``got``."""
        wake: list[Ticket] = []
        with self._lock:
            for book, command, answer in zip(trip.books, trip.commands, answers, strict=True):
                book.clock = StoreClock(answer.now, asked, got)
                book.bucket = answer.buckets[0] if answer.buckets else ""
                if command.draw is not None:
                    self._drawn(book, answer, asked, got)
                    wake += self._promise(book, got)
        _call(wake)

    def lost(self, trip: Trip, now: float) -> None:
        """The store did not answer, so nobody knows what it did: counts are dropped, readings may be sent again."""
        with self._lock:
            for book, command, told in zip(trip.books, trip.commands, trip.told, strict=True):
                if command.draw is not None:
                    book.drawing = False
                    book.ask_at = now + 0.05
                for lease, report in told:
                    for sight in report.sights:
                        _keep(lease, replace(sight, answers=0))
                    if lease.sights:
                        self._remember(lease)

    def moves(self) -> list[tuple[str, str, str, int]]:
        """(label, bucket, op, permits) since the last time; op: granted, used, returned, expired."""
        with self._lock:
            moved, self._moves = self._moves, Counter()
        return [(*key, count) for key, count in moved.items()]

    def closing(self, now: float) -> Trip | None:
        """What is still to be said at the end; unspent permits go back. Ask until None."""
        with self._lock:
            for book in self._books.values():
                if book.lease is not None:
                    self._give_back(book, book.lease)
            book_ = next(iter(self._talkative), None)
            return self._trip(book_, None) if book_ is not None else None

    # -- books and leases --------------------------------------------------------------------------------------------

    def _book(self, claim: Claim, now: float) -> Book:
        key = (claim.identity, claim.route, claim.reserve)
        book = self._books.get(key)
        if book is None:
            terms = Terms(claim.limit, int(claim.window * 1000), int(self.ttl * 1000), self._solo)
            book = self._books[key] = Book(claim, terms)
            self._evict()
        book.used = now
        return book

    def _evict(self) -> None:
        if len(self._books) <= MAX_BOOKS:
            return
        idle = sorted((book.used, key) for key, book in self._books.items() if book.idle)
        for _, key in idle[: MAX_BOOKS // 10]:
            del self._books[key]

    def _expire(self, book: Book, now: float) -> None:
        """A lease is dead a TTL after the *sending* of its draw: the process may have been stopped in between."""
        lease = book.lease
        if lease is not None and now >= lease.expires:
            book.want = max(1, lease.granted - lease.left)
            self._give_back(book, lease)

    def _give_back(self, book: Book, lease: Lease) -> None:
        lease.unsent += lease.left
        self._move(lease, "returned", lease.left)
        lease.left = 0
        book.lease = None
        if lease.unsent:
            self._remember(lease)

    def _may_take(self, book: Book, lease: Lease, ticket: Ticket | None, now: float) -> bool:
        """In order of arrival: who was woken comes first, a newcomer only where permits are left over."""
        if ticket is not None and ticket in book.promised:
            return True
        for other, until in list(book.promised.items()):
            if until < now:
                del book.promised[other]
        return lease.left > len(book.promised)

    def _hand_out(self, book: Book, lease: Lease, ticket: Ticket | None) -> Permit:
        if ticket is not None:
            book.waiting.pop(ticket, None)
            book.promised.pop(ticket, None)
        lease.left -= 1
        lease.open += 1
        if lease.left == 0:
            book.lease = None
            book.want = min(book.terms.limit, max(book.want, 2 * lease.granted))
        return Permit(book.claim, lease)

    def _queue(self, book: Book, ticket: Ticket | None, now: float) -> Hold:
        if ticket is None:
            ticket = Ticket()
        ticket.woken = False
        book.promised.pop(ticket, None)
        book.waiting[ticket] = now + PATIENCE
        head = _head(book, now) is ticket and not book.drawing
        wait = max(0.0, book.ask_at - now) + (0.0 if head else QUEUE_GRACE)
        book.waiting[ticket] = now + wait + PATIENCE
        return Hold(wait, max(0.0, book.certain - now), ticket, book.bucket)

    def _promise(self, book: Book, now: float) -> list[Ticket]:
        """Whom to wake: as many as there are permits; and the next head, who must look at the time to ask again."""
        room = (book.lease.left if book.lease else 0) - len(book.promised)
        woken = list(book.waiting)[: max(1, room)]
        for ticket in woken[: max(0, room)]:
            del book.waiting[ticket]
            book.promised[ticket] = now + PROMISE
        return woken

    # -- trips -------------------------------------------------------------------------------------------------------

    def _draw(self, book: Book) -> Trip:
        book.drawing = True
        want = max(book.want, len(book.waiting) + len(book.promised), 1)
        return self._trip(book, Draw(min(want, book.terms.limit), book.previous, book.claim.reserve))

    def _trip(self, first: Book, draw: Draw | None) -> Trip:
        """The draw of one book, with everything that any book has to report."""
        books = [first, *(book for book in self._talkative if book is not first)][:MAX_COMMANDS]
        told = tuple(tuple(_tell(book)) for book in books)
        for book in books:
            self._talkative.pop(book, None)
            self._urgent.pop(book, None)
        commands = tuple(
            Command(
                book.claim.identity,
                book.claim.route,
                book.terms,
                tuple(report for _, report in reports),
                draw if book is first else None,
            )
            for book, reports in zip(books, told, strict=True)
        )
        return Trip(commands, tuple(books), told)

    def _drawn(self, book: Book, answer: Answer, asked: float, got: float) -> None:
        book.drawing = False
        book.previous = answer.now
        if answer.granted:
            book.ask_at = book.certain = 0.0
            lease = Lease(
                book, answer.now, answer.buckets, answer.kind, answer.granted, answer.granted, asked + self.ttl
            )
            book.lease = lease
            self._move(lease, "granted", lease.granted)
            self._expire(book, got)
        else:
            spread = min(0.005, answer.hold / 4000) * self._random()
            book.ask_at = got + answer.hold / 1000 + spread
            book.certain = asked + answer.at_least / 1000

    # -- what became of permits --------------------------------------------------------------------------------------

    def _enter(self, lease: Lease, permit: Permit, receipt: Receipt, now: float) -> None:
        if not receipt.sent:
            self._take_back(lease, now)
            return
        self._move(lease, "used" if receipt.answered else "expired", 1)
        if receipt.readings:
            self._enter_answer(lease, receipt)
        elif receipt.refused:
            lease.refused += 1
            lease.pause = max(lease.pause, min(MAX_PAUSE, int((receipt.retry_after or 0) * 1000)))
        elif receipt.ok:
            lease.blank += 1
            lease.trailing += 1

    def _take_back(self, lease: Lease, now: float) -> None:
        """Unsent: back into the hand while the lease lives, else to the ledger."""
        if lease.book.lease is lease and now < lease.expires:
            lease.left += 1
        else:
            lease.unsent += 1
            self._move(lease, "returned", 1)

    def _move(self, lease: Lease, op: str, count: int) -> None:
        if count:
            self._moves[lease.book.claim.label, lease.buckets[0], op] += count

    def _enter_answer(self, lease: Lease, receipt: Receipt) -> None:
        lease.answered += 1
        lease.refused += receipt.refused
        for reading in receipt.readings:
            _keep(lease, _sight(lease.book.clock, receipt, reading))
        lease.trailing = 0
        if lease.book.lease is lease:
            self._heed(lease, 0 if receipt.refused else min(reading.remaining for reading in receipt.readings))

    def _heed(self, lease: Lease, remaining: int) -> None:
        """The server has less left than we hold: others took it, so what is too much goes back."""
        if remaining == 0:
            self._give_back(lease.book, lease)
        elif remaining < lease.left:
            self._move(lease, "returned", lease.left - remaining)
            lease.unsent += lease.left - remaining
            lease.left = remaining

    def _after_settling(self, lease: Lease, now: float) -> list[Ticket]:
        """Note what is to be said. A scout is waited for by the whole fleet: if anybody waits here, it asks now."""
        book = lease.book
        if lease.answered or lease.refused or lease.unsent or lease.blank:
            self._remember(lease)
            if self._is_urgent(book):
                self._urgent[book] = None
        if lease.kind != "lease" and lease.finished and not book.drawing and book.waiting:
            book.ask_at = now
            return [next(iter(book.waiting))]
        return self._promise(book, now) if book.lease is not None and book.waiting else []

    def _remember(self, lease: Lease) -> None:
        lease.book.unsaid[lease] = None
        self._talkative[lease.book] = None

    def _is_urgent(self, book: Book) -> bool:
        """The fleet waits for it (a scout), or this process is on hold and its last call is in."""
        scouted = any(lease.kind != "lease" and lease.finished for lease in book.unsaid)
        return scouted or (bool(book.waiting) and all(lease.finished for lease in book.unsaid))


def _head(book: Book, now: float) -> Ticket:
    """The first who waits. Those who gave up (a deadline, an interruption) did not say so, and are dropped late."""
    while True:
        ticket, until = next(iter(book.waiting.items()))
        if until >= now:
            return ticket
        del book.waiting[ticket]


def _tell(book: Book) -> list[tuple[Lease, Report]]:
    told = [(lease, report) for lease in book.unsaid if (report := lease.tell()) is not None]
    book.unsaid.clear()
    return told


def _call(tickets: Sequence[Ticket]) -> None:
    """Wake, outside the lock: the callback belongs to the driver."""
    for ticket in tickets:
        ticket.woken = True
        if ticket.wake is not None:
            ticket.wake()


def _sight(clock: StoreClock, receipt: Receipt, reading: Reading) -> Sight:
    sent = clock.at_least(receipt.sent_at)
    received = clock.at_most(receipt.received_at)
    ahead = int((reading.resets_in or 0.0) * 1000)
    remaining = 0 if receipt.refused else reading.remaining
    reset = int(reading.reset * 1000)
    low = sent + ahead if reading.dated else sent
    return Sight(reading.bucket, reading.limit, remaining, reset, low, received + ahead, sent, received)


def _keep(lease: Lease, sight: Sight) -> None:
    """Join what answers of one lease said about one window."""
    key = (sight.bucket, sight.reset)
    other = lease.sights.get(key)
    lease.sights[key] = sight if other is None else _joined(other, sight)


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
