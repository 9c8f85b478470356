"""A simulated process on a clock of its own: lease books, a way to the store, callers. The driver for virtual time, under faults."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from clever_guard.drivers.account import refusal, time_for
from clever_guard.errors import GuardError, StoreUnavailable
from clever_guard.flow import Emit, Flow, Reserve, Send, Settle, Wait, fold
from clever_guard.model import Failure, Outcome, Permit, Reply, Request, Ticket
from clever_guard.quota.books import Books, Trip
from clever_guard.quota.lease import Lease
from clever_guard.quota.store import Answer, Store
from clever_guard.stores.fallback import Fallback
from clever_guard.testing.simulate.faults.accounts import TTL, Accounts
from clever_guard.testing.simulate.faults.api import Journey
from clever_guard.testing.simulate.faults.way import DEADLINE, Way
from clever_guard.testing.simulate.server import EPOCH, Headers
from clever_guard.testing.simulate.worker import Once

if TYPE_CHECKING:
    from clever_guard.testing.simulate.faults.trial import Trial

TICK = 1e-6
"""Seconds that every wait takes at least, or a float would stand still."""
NO_HEADERS = Headers([])


class Interrupted(BaseException):
    """What a signal or a cancellation raises."""


class Call:
    """One call under way. ``over``: whatever still comes for it is nobody's."""

    __slots__ = ("doing", "flow", "over", "permit", "request", "ticket")

    def __init__(self, flow: Flow, request: Request) -> None:
        self.flow = flow
        self.request = request
        self.permit: Permit | None = None
        self.doing = ""
        self.over = False
        self.ticket: Ticket | None = None
        """Its place in the queue."""


class Process:
    """``alive``, ``stopped_until`` and ``cut_off_until`` (true seconds) are what faults change."""

    def __init__(self, trial: Trial, number: int, chance: random.Random) -> None:
        schedule = trial.schedule
        self.trial = trial
        self.number = number
        self.alive = True
        self.stopped_until = self.cut_off_until = 0.0
        self.accounts = Accounts()
        self.calls: dict[Call, None] = {}
        self._traps: dict[str, Callable[[], None]] = {}
        self._schedule = schedule
        self._loop = trial.loop
        self._chance = chance
        self._rate = 1.0
        self._ahead = chance.uniform(0, 1e6)
        self._books = Books(TTL, chance.random)
        self.way = Way(self)
        self._store: Store = self.way
        if schedule.local:
            self._store = Fallback(
                self.way, fleet=schedule.setting.workers, clock=self._milliseconds, on_change=self._changed
            )
        self._proceed = fold((trial.quota,))

    # -- its clock -----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds of its monotonic clock."""
        return self._loop.now * self._rate + self._ahead

    def drift(self, rate: float) -> None:
        self._rate = rate

    def _milliseconds(self) -> int:
        return int(self.now * 1000)

    def _later(self, seconds: float, event: Callable[[], None]) -> None:
        self._loop.after(seconds / self._rate, partial(self._if_running, event))

    def _if_running(self, event: Callable[[], None]) -> None:
        """A dead process does nothing more; a stopped one does it when it goes on."""
        if not self.alive:
            return
        if self.stopped_until > self._loop.now:
            self._loop.at(self.stopped_until + 0.001 * self._chance.random(), partial(self._if_running, event))
        else:
            event()

    # -- what faults do ------------------------------------------------------------------------------------------------

    def die(self) -> None:
        sometimes = self.trial.branches.sometimes
        sometimes("crashed with permits in hand", self.accounts.in_hand)
        sometimes("crashed with requests on their way", any(call.doing == "sends" for call in self.calls))
        sometimes("crashed while drawing", any(call.doing == "draws" for call in self.calls))
        if not self.alive:
            return
        self._check_books()
        self.alive = False

    def stop(self, seconds: float, asleep: bool = False) -> None:
        """``asleep``: its clock stands still too."""
        self.trial.branches.sometimes("stopped with permits in hand", self.accounts.in_hand)
        self.stopped_until = max(self.stopped_until, self._loop.now + seconds)
        self.trial.disturb(self.stopped_until)
        self.trial.branches.sometimes("stopped over a window's end", self.trial.border_within(seconds))
        if asleep:
            self._ahead -= seconds * self._rate

    def when(self, doing: str, fault: Callable[[], None]) -> None:
        """Let ``fault`` happen at the next moment at which a call has just begun to do that."""
        self._traps[doing] = fault

    def _spring(self, doing: str) -> None:
        fault = self._traps.pop(doing, None)
        if fault is not None and not self.trial.calm:
            self._loop.after(0.0, fault)

    def interrupt(self, chance: random.Random) -> None:
        """One of its calls, in a wait or a send."""
        candidates = [call for call in self.calls if call.doing in ("waits", "sends")]
        if not candidates:
            return
        call = chance.choice(candidates)
        self.trial.branches.sometimes(
            "interrupted while it waited" if call.doing == "waits" else "interrupted while it sent"
        )
        self._step(call, None, Interrupted())

    # -- one call ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        for _ in range(self._schedule.setting.threads):
            self._later(self._chance.uniform(0, 0.05), self._call)

    def _call(self) -> None:
        if self.trial.draining:
            return
        schedule = self._schedule
        request = Request("GET", "https", "api", None, "/", NO_HEADERS, now=self.now)
        if not self.trial.calm:
            request.max_wait = schedule.max_wait
            request.deadline = None if schedule.deadline is None else self.now + schedule.deadline
        call = Call(self._proceed(request), request)
        self.calls[call] = None
        self._step(call, None)

    def _step(self, call: Call, answer: Any, error: BaseException | None = None) -> None:
        """Drive the flow until it needs something that takes time."""
        flow, request = call.flow, call.request
        while not call.over and self.alive:
            request.now = self.now
            if error is not None and call.ticket is not None:
                self._books.leave(call.ticket, self.now)
            try:
                effect = flow.send(answer) if error is None else flow.throw(error)
            except StopIteration as done:
                return self._ended(call, done.value)
            except (GuardError, Interrupted) as raised:
                return self._ended(call, raised)
            answer = error = None
            match effect:
                case Settle():
                    self._settle(effect)
                case Emit():
                    pass
                case Reserve():
                    call.ticket = effect.ticket
                    return self._reserve(call, effect)
                case Wait():
                    call.ticket = effect.ticket
                    error = refusal(request, effect, EPOCH + self._loop.now)
                    if error is None:
                        return self._wait(call, effect)
                    self.trial.branches.sometimes("wait refused at once, for it could not end in time")
                case Send():
                    request.sends += 1
                    return self._send(call)

    def _ended(self, call: Call, how: Outcome | BaseException) -> None:
        """The next call, after what should be reported alone."""
        call.over = True
        del self.calls[call]
        again = partial(self._later, self._pause(how), self._call)
        trip = self._books.due(self.now) if self._books.pressing and not isinstance(how, Interrupted) else None
        if trip is None:
            again()
            return
        self.trial.branches.sometimes("report alone, for the fleet waits", trip.commands[0].draw is None)
        self._travel(trip, lambda error: again())

    def _pause(self, how: Outcome | BaseException) -> float:
        if isinstance(how, Interrupted | StoreUnavailable):
            return self._chance.uniform(0.05, 0.1)
        if isinstance(how, GuardError):
            return self._chance.uniform(0.2, 1.0)
        if isinstance(how, Failure) and not how.sent:
            return 0.1
        think = self.trial.think
        return self._chance.expovariate(1 / think) if think else 0.0

    # -- permits -------------------------------------------------------------------------------------------------------

    def _reserve(self, call: Call, effect: Reserve) -> None:
        if effect.ticket is None and self._schedule.in_hand:
            permit = self._books.in_hand(effect.claim, self.now)
            if permit is not None:
                return self._handed(call, permit)
        lease = self._held_lease()
        self.trial.branches.sometimes("lease expired in hand", lease is not None and self.now >= lease.expires)
        answer = self._books.reserve(effect.claim, self.now, effect.ticket)
        if isinstance(answer, Permit):
            self.trial.branches.sometimes("waiter served with another's lease", effect.ticket is not None)
            self._handed(call, answer)
        elif isinstance(answer, Trip):
            call.doing = "draws"
            self._travel(answer, partial(self._drawn, call, effect))
        else:
            self._step(call, answer)

    def _drawn(self, call: Call, effect: Reserve, error: StoreUnavailable | None) -> None:
        if call.over:
            return
        if error is not None:
            self._step(call, None, error)
        else:
            self._reserve(call, effect)

    def _handed(self, call: Call, permit: Permit) -> None:
        for what in self.accounts.handed(permit.lease, self.now):
            self.trial.violate(f"w{self.number} {what}")
        call.permit = permit
        self._step(call, permit)

    def _settle(self, effect: Settle) -> None:
        lease: Lease = effect.permit.lease
        left, unsent = lease.left, lease.unsent
        self._books.settle(effect.permit, effect.receipt, self.now)
        sometimes = self.trial.branches.sometimes
        if lease.left > left:
            self.accounts.took_back(lease)
        sometimes("permit taken back unsent", not effect.receipt.sent)
        sometimes("permits voided by a reading", effect.receipt.answered and lease.unsent > unsent)

    def _held_lease(self) -> Lease | None:
        book = self.book
        return book.lease if book is not None else None

    @property
    def book(self) -> Any:
        """Its one book, if it was opened: the simulation looks into what it watches."""
        return next(iter(self._books._books.values()), None)

    # -- waits ---------------------------------------------------------------------------------------------------------

    def _wait(self, call: Call, effect: Wait) -> None:
        call.doing = "waits"
        once = Once(partial(self._waited, call, effect, self.now))
        if effect.ticket is not None:
            effect.ticket.wake = partial(self._later, 0.0, once)
            if effect.ticket.woken:
                self._later(0.0, once)
        self._later(max(TICK, min(effect.seconds, time_for(call.request, effect))), once)

    def _waited(self, call: Call, effect: Wait, begun: float) -> None:
        if call.over:
            return
        waited = self.now - begun
        call.request.held += waited
        self.trial.branches.sometimes("woken before its time", waited < effect.seconds - 0.001)
        self.trial.branches.sometimes("deadline ended a wait", time_for(call.request, effect) < 0.001)
        self._step(call, None)

    # -- requests ------------------------------------------------------------------------------------------------------

    def _send(self, call: Call) -> None:
        call.doing = "sends"
        journey, sent = self.trial.weather.journey(), self.now
        if journey.cut == "refused":
            return self._later(
                journey.back, partial(self._failed, call, Failure(OSError(), sent=False, sent_at=sent), True)
            )
        self.accounts.sent += 1
        if call.permit is not None and call.permit.lease in self.accounts.dark:
            self.trial.allow(1, "sent with a permit of the dark")
        failure = Failure(TimeoutError(), sent=True, sent_at=sent)
        if journey.cut == "before":
            return self._later(journey.back, partial(self._failed, call, failure))
        lease = call.permit.lease if call.permit is not None else None
        self._loop.after(journey.out, partial(self._arrive, call, journey, failure, lease, self._loop.now))
        self._spring("sends")

    def _arrive(self, call: Call, journey: Journey, failure: Failure, lease: Any, sent: float) -> None:
        status, headers = self.trial.arrive(self, journey, lease, sent)
        if journey.cut:
            return self._later(journey.back, partial(self._failed, call, failure))
        end = self.trial.api.windows[-1].end if self.trial.api.windows else 0.0
        self._later(journey.back, partial(self._receive, call, status, headers, failure.sent_at, end))

    def _failed(self, call: Call, failure: Failure, unsent: bool = False) -> None:
        if call.over:
            return
        if unsent:
            call.request.sends -= 1
        failure.received_at = self.now
        self._step(call, failure)

    def _receive(self, call: Call, status: int, headers: Headers, sent: float, end: float) -> None:
        self.accounts.acknowledged += status == 200
        if call.over:
            return
        self.trial.branches.sometimes("answer after the window's end", self.trial.api.time(self._loop.now) >= end > 0)
        self._step(call, Reply(status, headers, None, sent, self.now, EPOCH + self._loop.now))

    # -- the store -----------------------------------------------------------------------------------------------------

    def _travel(self, trip: Trip, then: Callable[[StoreUnavailable | None], None]) -> None:
        """One round trip, which happens to whatever its worker becomes meanwhile."""
        self.trial.commands += 1
        fate, asked = self.trial.weather.fate(), self.now

        def arrive() -> None:
            self.way.fate, self.way.silent = fate, False
            try:
                answers = self._store.execute(trip.commands)
            except StoreUnavailable as error:
                rest = DEADLINE - fate.out if self.way.silent else fate.back
                self._later(rest, partial(self._lost, trip, error, then))
            else:
                rest = DEADLINE - fate.out if self.way.silent else fate.back
                self._later(rest, partial(self._land, trip, answers, asked, then))

        self._loop.after(fate.out, arrive)
        self._spring("draws")

    def _lost(self, trip: Trip, error: StoreUnavailable, then: Callable[[StoreUnavailable | None], None]) -> None:
        self._books.lost(trip, self.now)
        then(error)

    def _land(
        self,
        trip: Trip,
        answers: Sequence[Answer],
        asked: float,
        then: Callable[[StoreUnavailable | None], None],
    ) -> None:
        self._books.landed(trip, answers, asked, self.now)
        book, answer = trip.books[0], answers[0]
        if trip.commands[0].draw is not None and answer.granted:
            self.trial.branches.sometimes("lease dead on arrival", book.lease is None)
            self.trial.branches.sometimes("permit drawn in the dark", answer.dark)
            self.accounts.drew(answer, book.lease, self.trial.doubtful)
        then(None)

    def _changed(self, degraded: bool) -> None:
        self.trial.branches.sometimes("dark mode entered" if degraded else "dark mode left")

    def abandon(self) -> None:
        """The schedule is over: calls of the dead are unwound, as no flow may be left half way."""
        self.alive = True
        for call in list(self.calls):
            self._step(call, None, Interrupted())

    # -- the end -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """As a guard is closed: what is in hand goes back, what is known is told."""
        while (trip := self._books.closing(self.now)) is not None:
            answers = self._store.execute(trip.commands)
            self._books.landed(trip, answers, self.now, self.now)
        self._check_books()
        if self.accounts.in_hand or self.accounts.open:
            self.trial.violate(f"w{self.number} closed, and {self.accounts.in_hand} permits are in hand")

    def _check_books(self) -> None:
        for what in self.accounts.check(self._books.moves()):
            self.trial.violate(f"w{self.number} {what}")
