"""The lease books of one process: permits handed out without touching the store.

    Books   all books of one guard, and the one lock they share (held for a few integer operations, never across I/O)
    Book    one (identity, route, reserve): the lease in hand, who waits, when to ask the store again (book.py)
    Trip    what should travel to the store now; whoever is handed one makes the journey and says how it ended

Nothing here waits or talks. ``reserve`` answers a permit, a hold (with a place in the queue), or a trip to make first;
waking is a callback on the ticket, so threads and loops may share one book.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clever_guard.model import Claim, Hold, Permit, Receipt, Ticket
from clever_guard.quota.book import Book, Moves
from clever_guard.quota.lease import Lease, StoreClock
from clever_guard.quota.store import Answer, Command, Draw, Report, Terms

MAX_COMMANDS = 64
"""Commands of one trip; what is left over rides on the next."""
MAX_BOOKS = 10_000
AFTER_LOSS = 0.05
"""Seconds until a store that did not answer is asked again."""
NAP = 0.0002
"""Seconds between two looks at a lock that another thread holds."""
LOOKS = 50
"""Then a thread queues for it all the same, lest it never finds it free."""


@dataclass(frozen=True, slots=True)
class Trip:
    """Commands for one round trip, and the books they came from."""

    commands: tuple[Command, ...]
    books: tuple[Book, ...]
    told: tuple[tuple[tuple[Lease, Report], ...], ...] = ()


class Books:
    """All lease books of one guard. Thread-safe; a forked child needs Books of its own, for these leases are the parent's."""

    def __init__(
        self,
        ttl: float = 1.0,
        chance: Callable[[], float] | None = None,
        *,
        solo: bool = False,
        nap: Callable[[float], object] = time.sleep,
    ) -> None:
        """``ttl``: seconds a lease lives. ``chance``: 0..1, spreads the wake-ups of workers (None: no spread).

        ``nap`` gives the processor away for so many seconds, while another thread holds the lock.
        """
        self.ttl = ttl
        self._nap = nap
        self._chance = chance or (lambda: 0.0)
        self._solo = solo
        self.forget()

    def forget(self) -> None:
        """Start anew, with a new lock."""
        self._lock = threading.Lock()
        self._books: dict[Claim, Book] = {}
        self._leasing: dict[Book, None] = {}
        """Whose lease may still live, the oldest first."""
        self._talkative: dict[Book, None] = {}
        self._urgent: dict[Book, None] = {}
        self._moves = Moves()

    # -- callers -------------------------------------------------------------------------------------------------------

    def in_hand(self, claim: Claim, now: float) -> Permit | None:
        """A permit of a lease that lives, if no woken caller was promised it. Nearly every call is served by this."""
        if self._lock.locked():
            self._stand_aside()
        with self._lock:
            book = self._books.get(claim)
            if book is None or (lease := book.lease) is None or now >= lease.expires or book.promised:
                return None
            book.used = now
            return book.hand_out(lease, None)

    def reserve(self, claim: Claim, now: float, ticket: Ticket | None = None) -> Permit | Hold | Trip:
        """A permit, a hold, or the trip that must be made before asking again."""
        with self._lock:
            book = self._books.get(claim) or self._open(claim)
            book.used = now
            lease = book.lease
            if lease is not None and now >= lease.expires:
                book.expire(now)
                self._listen(book)
                lease = None
            if lease is not None and (not book.promised or book.may_take(lease, ticket, now)):
                return book.hand_out(lease, ticket)
            if book.may_draw(now):
                return self._trip(book, book.draw(now, self.ttl), now)
            return book.queue(ticket, now)

    def settle(self, permit: Permit, receipt: Receipt, now: float) -> None:
        """What became of a permit. A second settling of the same permit changes nothing."""
        if self._lock.locked():
            self._stand_aside()
        with self._lock:
            if permit.settled:
                return
            permit.settled = True
            book: Book = permit.book
            lease: Lease = permit.lease
            wake = book.settle(lease, receipt, now)
            if book.unsaid:
                self._talkative[book] = None
                if lease.open == 0 and lease.left == 0 and book.urgent:
                    self._urgent[book] = None
        if wake:
            _call(wake)

    def leave(self, ticket: Ticket, now: float) -> None:
        """Whoever waited with ``ticket`` gives up: a permit that was kept for it would be kept from those who wait."""
        with self._lock:
            book: Book | None = ticket.book
            wake = book.leave(ticket, now) if book is not None else ()
        _call(wake)

    @property
    def pressing(self) -> bool:
        """Whether there may be a report that should not wait for company. Asked after each call, without the lock."""
        return bool(self._urgent)

    def due(self, now: float) -> Trip | None:
        """That report."""
        with self._lock:
            for book in list(self._urgent):
                if book.drawing or not book.unsaid:
                    del self._urgent[book]
                elif not (book.waiting and now >= book.ask_at):
                    return self._trip(book, None, now)
        return None

    def landed(self, trip: Trip, answers: Sequence[Answer], asked: float, got: float) -> None:
        """The store answered ``trip``; it was asked at ``asked`` and its answer was here at ``got``."""
        wake: list[Ticket] = []
        with self._lock:
            for book, command, answer in zip(trip.books, trip.commands, answers, strict=True):
                book.clock = StoreClock(answer.now, asked, got)
                book.bucket = answer.buckets[0] if answer.buckets else ""
                if command.draw is not None:
                    book.drawn(answer, asked, got, self.ttl, self._chance())
                    self._leasing.pop(book, None)
                    self._leasing[book] = None
                    wake += book.promise(got)
                    self._listen(book)
        _call(wake)

    def lost(self, trip: Trip, now: float) -> None:
        """The store did not answer, so nobody knows what it did: counts are dropped, readings may be sent again."""
        with self._lock:
            for book, command, told in zip(trip.books, trip.commands, trip.told, strict=True):
                if command.draw is not None:
                    book.drawing = False
                    book.ask_at = now + AFTER_LOSS
                for lease, report in told:
                    lease.hear_again(report)
                    if lease.has_news:
                        book.unsaid[lease] = None
                self._listen(book)

    def moves(self) -> list[tuple[str, str, str, int]]:
        """(label, bucket, op, permits) since the last time; op: granted, used, returned, expired."""
        with self._lock:
            moved = [(*key, count) for key, count in self._moves.items()]
            self._moves.clear()
        return moved

    def closing(self, now: float) -> Trip | None:
        """What is still to be said at the end; unspent permits go back. Ask until None."""
        with self._lock:
            for book in self._books.values():
                if book.lease is not None:
                    book.give_back(book.lease.left)
                    self._listen(book)
            talkative = next(iter(self._talkative), None)
            return self._trip(talkative, None, now) if talkative is not None else None

    def wake_everybody(self) -> None:
        """Those who wait look again at once, for the guard is closed."""
        with self._lock:
            tickets = [ticket for book in self._books.values() for ticket in book.waiting]
        _call(tickets)

    def _stand_aside(self) -> None:
        """Let the holder of the lock go on, before asking for it.

        A thread that sleeps in the kernel for a lock is given it before it has the interpreter. Whoever runs then finds the
        lock taken at its next step and sleeps too, and from there on every call of every thread costs a switch. Looking
        first keeps them awake: the lock is held for microseconds, so it is found taken only where its holder was put off.
        """
        for _ in range(LOOKS):
            self._nap(NAP)
            if not self._lock.locked():
                return

    # -- books and trips -----------------------------------------------------------------------------------------------

    def _open(self, claim: Claim) -> Book:
        terms = Terms(claim.limit, int(claim.window * 1000), int(self.ttl * 1000), self._solo)
        book = Book(claim, terms, self._moves)
        self._evict()
        self._books[claim] = book
        return book

    def _evict(self) -> None:
        if len(self._books) < MAX_BOOKS:
            return
        idle = sorted((book.used, key) for key, book in self._books.items() if book.idle)
        for _, key in idle[: MAX_BOOKS // 10]:
            del self._books[key]

    def _listen(self, book: Book) -> None:
        """Remember who has something to say."""
        if book.unsaid:
            self._talkative[book] = None

    def _put_away(self, now: float) -> None:
        """Leases that died in hand, of books nobody asks any more: what is left of them is reported too."""
        while self._leasing:
            book = next(iter(self._leasing))
            if book.lease is not None and now < book.lease.expires:
                return
            del self._leasing[book]
            book.expire(now)
            self._listen(book)

    def _trip(self, first: Book, draw: Draw | None, now: float) -> Trip:
        """The draw of one book, with everything that any book has to report."""
        self._put_away(now)
        books = [first, *(book for book in self._talkative if book is not first)][:MAX_COMMANDS]
        told = tuple(tuple(book.tell()) for book in books)
        for book in books:
            self._talkative.pop(book, None)
            self._urgent.pop(book, None)
        commands = tuple(
            _command(book, reports, draw if book is first else None) for book, reports in zip(books, told, strict=True)
        )
        return Trip(commands, tuple(books), told)


def _command(book: Book, told: tuple[tuple[Lease, Report], ...], draw: Draw | None) -> Command:
    reports = tuple(report for _, report in told)
    return Command(book.claim.identity, book.claim.route, book.terms, reports, draw)


def _call(tickets: Sequence[Ticket]) -> None:
    """Wake, outside the lock: the callback belongs to the driver."""
    for ticket in tickets:
        ticket.woken = True
        if ticket.wake is not None:
            ticket.wake()
