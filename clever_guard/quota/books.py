"""The lease books of one process: permits handed out without touching the store.

    Books   all books of one guard, and the one lock they share (held for a few integer operations, never across I/O)
    Book    one (identity, route, reserve): the lease in hand, who waits, when to ask the store again (book.py)
    Trip    what should travel to the store now; whoever is handed one makes the journey and says how it ended

Nothing here waits or talks. ``reserve`` answers a permit, a hold (with a place in the queue), or a trip to make first;
waking is a callback on the ticket, so threads and loops may share one book.

A signal handler or a finalizer may make a guarded call while its own thread holds the lock. Waiting for it would never end, and the
books may be half changed, so such a call is served by books of its own (``_mine_aside``), which draw from the store as another
process would. That is safe because the frame below stands still until the call above it has ended: for as long as it lasts the lock
is held by its thread, so nobody else can reach those books, and each of its steps finds the same ones. Whether the lock is one's own
is read off the stack, and only where the lock was found taken: whoever holds it has a frame of these methods there, from before the
lock is taken until after it is let go, so no moment between is left out, as it would be with a note of the holder.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType

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
    home: Books | None = None
    """Where it is entered how the trip ended; None: wherever it is said."""


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
        self._prompt = False
        """Whether everything is said at once, and nothing kept in hand: of books that are seldom asked."""
        self.forget()

    def forget(self) -> None:
        """Start anew, with a new lock."""
        self._lock = threading.Lock()
        self._aside: Books | None = None
        """For calls that interrupted a thread that holds the lock."""
        self._books: dict[Claim, Book] = {}
        self._leasing: dict[Book, None] = {}
        """Whose lease may still live, the oldest first."""
        self._talkative: dict[Book, None] = {}
        self._urgent: dict[Book, None] = {}
        self._moves = Moves()

    # -- callers -------------------------------------------------------------------------------------------------------

    def in_hand(self, claim: Claim, now: float) -> Permit | None:
        """A permit of a lease that lives, if no woken caller was promised it. Nearly every call is served by this."""
        if self._lock.locked() and self._stand_aside() is not None:
            return None
        with self._lock:
            book = self._books.get(claim)
            if book is None or (lease := book.lease) is None or now >= lease.expires or book.promised:
                return None
            book.used = now
            return book.hand_out(lease, None)

    def reserve(
        self, claim: Claim, now: float, ticket: Ticket | None = None, who: object = None
    ) -> Permit | Hold | Trip:
        """A permit, a hold, or the trip that must be made before asking again.

        ``who`` asks, where the driver can tell: a call that interrupted its own thread on a trip need not wait for that.
        """
        if self._lock.locked() and (aside := self._stand_aside()) is not None:
            return aside.reserve(claim, now, ticket, who)
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
            if book.may_draw(now, who):
                return self._trip(book, book.draw(now, self.ttl, who), now)
            return book.queue(ticket, now)

    def leave(self, ticket: Ticket, now: float) -> None:
        """Whoever had this place in the queue does not wait any more. What it was promised goes to the next."""
        if self._lock.locked() and (aside := self._stand_aside()) is not None:
            return aside.leave(ticket, now)
        with self._lock:
            book: Book | None = ticket.book
            wake = [] if book is None else book.dismiss(ticket, now)
        _call(wake)

    def settle(self, permit: Permit, receipt: Receipt, now: float) -> None:
        """What became of a permit. A second settling of the same permit changes nothing."""
        if self._lock.locked() and (aside := self._stand_aside()) is not None:
            return aside.settle(permit, receipt, now)
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
            if self._prompt:
                book.give_back(lease.left)
                self._talkative[book] = self._urgent[book] = None
        if wake:
            _call(wake)

    @property
    def pressing(self) -> bool:
        """Whether there may be a report that should not wait for company. Asked after each call, without the lock."""
        return bool(self._urgent or (self._aside is not None and self._aside.pressing))

    def due(self, now: float) -> Trip | None:
        """That report."""
        if self._lock.locked() and (aside := self._stand_aside()) is not None:
            return aside.due(now)
        with self._lock:
            for book in list(self._urgent):
                if book.drawing or not book.unsaid:
                    del self._urgent[book]
                elif not (book.waiting and now >= book.ask_at):
                    return self._trip(book, None, now)
            return None if self._aside is None else self._aside.due(now)

    def landed(self, trip: Trip, answers: Sequence[Answer], asked: float, got: float) -> None:
        """The store answered ``trip``; it was asked at ``asked`` and its answer was here at ``got``."""
        if trip.home is not None and trip.home is not self:
            return trip.home.landed(trip, answers, asked, got)
        if self._lock.locked():
            self._stand_aside()
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

    def lost(self, trip: Trip, now: float, patience: float = AFTER_LOSS) -> None:
        """The store did not answer, so nobody knows what it did: counts are dropped, readings may be sent again.

        It is asked again after ``patience`` seconds, or whenever its own circuit lets one through.
        """
        if trip.home is not None and trip.home is not self:
            return trip.home.lost(trip, now, patience)
        if self._lock.locked():
            self._stand_aside()
        with self._lock:
            for book, command, told in zip(trip.books, trip.commands, trip.told, strict=True):
                if command.draw is not None:
                    book.drawing = False
                    book.ask_at = now + patience
                for lease, report in told:
                    lease.hear_again(report)
                    if lease.has_news:
                        book.unsaid[lease] = None
                self._listen(book)

    def moves(self) -> list[tuple[str, str, str, int]]:
        """(label, bucket, op, permits) since the last time; op: granted, used, returned, expired."""
        if self._lock.locked() and (aside := self._stand_aside()) is not None:
            return aside.moves()
        with self._lock:
            moved = [(*key, count) for key, count in self._moves.items()]
            self._moves.clear()
            return moved if self._aside is None else moved + self._aside.moves()

    def closing(self, now: float) -> Trip | None:
        """What is still to be said at the end; unspent permits go back. Ask until None."""
        if self._lock.locked() and (aside := self._stand_aside()) is not None:
            return aside.closing(now)
        with self._lock:
            for book in self._books.values():
                if book.lease is not None:
                    book.give_back(book.lease.left)
                    self._listen(book)
            talkative = next(iter(self._talkative), None)
            if talkative is not None:
                return self._trip(talkative, None, now)
            return None if self._aside is None else self._aside.closing(now)

    def wake_everybody(self) -> None:
        """Those who wait look again at once, for the guard is closed. Without the lock: ``list`` of a dict is one step."""
        for book in list(self._books.values()):
            _call(list(book.waiting))
        if self._aside is not None:
            self._aside.wake_everybody()

    # -- the lock --------------------------------------------------------------------------------------------------------

    def _stand_aside(self) -> Books | None:
        """Somebody has the lock. Whom to ask instead where that is this thread itself, further down its stack.

        Else let the holder of the lock go on, before asking for it: None.

        A thread that sleeps in the kernel for a lock is given it before it has the interpreter. Whoever runs then finds the
        lock taken at its next step and sleeps too, and from there on every call of every thread costs a switch. Looking
        first keeps them awake: the lock is held for microseconds, so it is found taken only where its holder was put off.
        """
        if self._is_mine():
            return self._mine_aside()
        for _ in range(LOOKS):
            self._nap(NAP)
            if not self._lock.locked():
                break
        return None

    def _is_mine(self) -> bool:
        """Whether a frame of this thread, below the method that asks, is inside a method that takes this lock."""
        frame: FrameType | None = sys._getframe(3)
        while frame is not None:
            if frame.f_code in _TAKERS and frame.f_locals.get("self") is self:
                return True
            frame = frame.f_back
        return False

    def _mine_aside(self) -> Books:
        """The books for calls that interrupted a thread that holds the lock: theirs alone, so nothing is kept there."""
        if self._aside is None:
            aside = Books(self.ttl, self._chance, solo=self._solo, nap=self._nap)
            aside._prompt = True
            self._aside = aside
        return self._aside

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
        return Trip(commands, tuple(books), told, self)


_TAKERS: frozenset[CodeType] = frozenset(
    method.__code__
    for method in (
        Books.in_hand,
        Books.reserve,
        Books.leave,
        Books.settle,
        Books.due,
        Books.landed,
        Books.lost,
        Books.moves,
        Books.closing,
    )
)
"""All that take the lock."""


def _command(book: Book, told: tuple[tuple[Lease, Report], ...], draw: Draw | None) -> Command:
    reports = tuple(report for _, report in told)
    return Command(book.claim.identity, book.claim.route, book.terms, reports, draw)


def _call(tickets: Sequence[Ticket]) -> None:
    """Wake, outside the lock: the callback belongs to the driver."""
    for ticket in tickets:
        ticket.woken = True
        if ticket.wake is not None:
            ticket.wake()
