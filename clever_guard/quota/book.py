"""One queue for one budget: the lease in hand, who waits for it, and when to ask the store again.

    Lease   the permits in hand (lease.py)
    Book    one (identity, route, reserve); knows nothing of locks, other books and journeys
    Books   all books of one guard, and what travels to the store (books.py)

Times are seconds of the driver's monotonic clock; towards the store everything is integer milliseconds of the store's clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from clever_guard.model import Claim, Hold, Permit, Receipt, Ticket
from clever_guard.quota.demand import Demand
from clever_guard.quota.lease import Lease, StoreClock, granted
from clever_guard.quota.store import Answer, Draw, Report, Terms

PATIENCE = 1.0
"""A place in the queue is kept so long after its holder should have looked again."""
QUEUE_GRACE = 0.1
"""Those behind the head of the queue look again so much later, should the head have given up."""
PROMISE = 0.25
"""A woken caller has so long to fetch its permit before the promise is forgotten."""
OUT = 5.0
"""A draw is taken for lost after so many seconds: longer than a store of ours waits. Whoever made it was interrupted between
being told to and setting out, or hangs; its answer is welcome all the same."""

Moves = Counter[tuple[str, str, str]]
"""(label, bucket, op) -> permits; op: granted, used, returned, expired."""


@dataclass(slots=True, eq=False)
class Book:
    """``moves`` is shared with the other books of the guard."""

    claim: Claim
    terms: Terms
    moves: Moves
    lease: Lease | None = None
    demand: Demand = field(default_factory=Demand)
    previous: int = 0
    """Stamp of the last draw."""
    end: int = 0
    """When the window ends that is spent, in store milliseconds; 0 while there was something to draw."""
    drawing: bool = False
    drawer: object = None
    """Who is on the way to the store, where that is known."""
    back_by: float = 0.0
    """When that draw is taken for lost."""
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

    # -- callers -------------------------------------------------------------------------------------------------------

    def may_draw(self, now: float, who: object = None) -> bool:
        """One draw at a time, not before the store's hold is over.

        Where ``who`` is on the way itself, that draw was interrupted: by an exception, and it will never land; or by this call, and
        it will not land before this call has ended. It is not waited for.
        """
        if self.lease is not None or now < self.ask_at:
            return False
        return not self.drawing or now >= self.back_by or (who is not None and who == self.drawer)

    def may_take(self, lease: Lease, ticket: Ticket | None, now: float) -> bool:
        """While permits are promised, in order of arrival: who was woken comes first, a newcomer takes what is left over."""
        if ticket is not None and ticket in self.promised:
            return True
        for other, until in list(self.promised.items()):
            if until <= now:
                del self.promised[other]
        return lease.left > len(self.promised)

    def hand_out(self, lease: Lease, ticket: Ticket | None) -> Permit:
        if ticket is not None:
            self.waiting.pop(ticket, None)
            self.promised.pop(ticket, None)
        lease.open += 1
        lease.left -= 1
        if lease.left == 0:
            self.lease = None
            self.demand.used_up = lease
        return Permit(self.claim, lease, self)

    def queue(self, ticket: Ticket | None, now: float) -> Hold:
        if ticket is None:
            ticket = Ticket()
        ticket.woken, ticket.book = False, self
        self.promised.pop(ticket, None)
        self.waiting[ticket] = now + PATIENCE
        head = self._next(1, now) == [ticket] and not self.drawing
        wait = max(0.0, self._next_look() - now) + (0.0 if head else QUEUE_GRACE)
        self.waiting[ticket] = now + wait + PATIENCE
        return Hold(wait, max(0.0, self.certain - now), ticket, self.bucket)

    def _next_look(self) -> float:
        """When the head of the queue looks again unless it is woken: at what is in hand when a promise lapses, else at the store."""
        return self.ask_at if self.lease is None else min(self.promised.values(), default=self.ask_at)

    def promise(self, now: float) -> list[Ticket]:
        """Whom to wake: as many as there are permits; and the next head, who must look at the time to ask again."""
        room = (self.lease.left if self.lease else 0) - len(self.promised)
        woken = self._next(max(1, room), now)
        for ticket in woken[: max(0, room)]:
            del self.waiting[ticket]
            self.promised[ticket] = now + PROMISE
        return woken

    def _next(self, most: int, now: float) -> list[Ticket]:
        """The first who wait. Those who should have looked again long ago did not say that they gave up; they are dropped on the way."""
        late: list[Ticket] = []
        present: list[Ticket] = []
        for ticket, until in self.waiting.items():
            (present if until >= now else late).append(ticket)
            if len(present) == most:
                break
        for ticket in late:
            del self.waiting[ticket]
        return present

    def dismiss(self, ticket: Ticket, now: float) -> list[Ticket]:
        """``ticket`` waits no longer; whom to wake in its place."""
        self.waiting.pop(ticket, None)
        was_called = self.promised.pop(ticket, None) is not None or ticket.woken
        return self.promise(now) if was_called and self.waiting else []

    # -- the store -----------------------------------------------------------------------------------------------------

    def draw(self, now: float, ttl: float, who: object = None) -> Draw:
        """The wish to travel now."""
        self.drawing, self.drawer, self.back_by = True, who, now + OUT
        self.demand.learn(now, ttl)
        want = max(self.demand.want, len(self.waiting) + len(self.promised))
        return Draw(min(want, self.terms.limit), self.previous, self.claim.reserve, self.end)

    def drawn(self, answer: Answer, asked: float, got: float, ttl: float, spread: float) -> None:
        """The store's answer to it. ``spread``: 0..1, how far within a few milliseconds to come later than told."""
        self.drawing = False
        self.previous = answer.now
        spent = [view.reset_at for view in answer.views if view.remaining - view.outstanding <= 1]
        self.end = max(spent, default=0)
        if answer.granted:
            self.ask_at = self.certain = 0.0
            self.give_back(self.lease.left if self.lease is not None else 0)
            self.lease = granted(answer, asked + ttl)
            self._move(self.lease, "granted", answer.granted)
            self.expire(got)
        else:
            self.ask_at = got + answer.hold / 1000 + min(0.005, answer.hold / 4000) * spread
            self.certain = asked + answer.at_least / 1000

    def expire(self, now: float) -> None:
        """Put away a lease that is dead."""
        lease = self.lease
        if lease is not None and now >= lease.expires:
            self.demand.left_over(lease)
            self.give_back(lease.left)

    def give_back(self, count: int) -> None:
        """So many permits in hand go back with the next report; a lease that is given back whole is put away."""
        lease = self.lease
        if lease is None:
            return
        self._move(lease, "returned", lease.give_back(count))
        if lease.left == 0:
            self.lease = None
        if lease.unsent:
            self.unsaid[lease] = None

    # -- what became of permits ----------------------------------------------------------------------------------------

    def settle(self, lease: Lease, receipt: Receipt, now: float) -> Sequence[Ticket]:
        """Enter what became of a permit; returns whom to wake."""
        lease.open -= 1
        if receipt.answered:
            kept = lease.enter(receipt)
            if kept < lease.left and self.lease is lease:
                self.give_back(lease.left - kept)
            if receipt.readings or lease.has_news:
                self.unsaid[lease] = None
            else:
                self._count_used(lease)
        elif receipt.sent:
            self._move(lease, "expired", 1)
        else:
            self._take_back(lease, now)
        return self._to_wake(lease, now) if self.waiting else ()

    def _to_wake(self, lease: Lease, now: float) -> list[Ticket]:
        """The head of the queue when its scout is back, else those for whom there are permits."""
        if lease.kind != "lease" and lease.finished and not self.drawing:
            self.ask_at = now
            return self._next(1, now)
        return self.promise(now) if self.lease is not None else []

    def _count_used(self, lease: Lease) -> None:
        self._move(lease, "used", lease.used)
        lease.used = 0

    def _take_back(self, lease: Lease, now: float) -> None:
        """Unsent: back into the hand while the lease lives, else to the ledger."""
        if self.lease is lease and now < lease.expires:
            lease.left += 1
        else:
            lease.unsent += 1
            self.unsaid[lease] = None
            self._move(lease, "returned", 1)

    def _move(self, lease: Lease, op: str, count: int) -> None:
        if count:
            self.moves[self.claim.label, lease.buckets[0], op] += count

    # -- reports -------------------------------------------------------------------------------------------------------

    @property
    def urgent(self) -> bool:
        """The fleet waits for it (a scout), it tells that the window is spent, or this process is on hold and its last call is in.

        A worker that falls silent with the last answer of a window leaves its permits to age, and somebody would be sent to see.
        """
        if any(lease.finished and (lease.at_end or lease.kind != "lease") for lease in self.unsaid):
            return True
        return bool(self.unsaid and self.waiting) and all(lease.finished for lease in self.unsaid)

    def tell(self) -> list[tuple[Lease, Report]]:
        """Everything not yet reported, with the leases it is of."""
        told = []
        for lease in self.unsaid:
            self._count_used(lease)
            report = lease.tell(self.clock)
            if report is not None:
                told.append((lease, report))
        self.unsaid.clear()
        return told
