"""The driver for blocking clients.

``run`` is the loop: take an effect from the flow, do it, send the answer back; whatever goes wrong is thrown into the flow
at that place. The rest of the module is one short method per effect. Clock, wall clock and the way to wait are parameters.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Protocol

from clever_guard.drivers.account import ending, refusal, time_for
from clever_guard.errors import StoreUnavailable
from clever_guard.events import AttemptFinished, CallFinished, Event, Waited
from clever_guard.flow import Discard, Effect, Emit, Proceed, Reserve, Send, Settle, Wait
from clever_guard.model import Hold, Outcome, Permit, Reply, Request, Ticket
from clever_guard.quota.lease import Books, Trip
from clever_guard.quota.store import Answer, Store


class Transport(Protocol):
    """What an adapter gives the driver: how its library sends one attempt, and how it lets go of an answer."""

    def send(self, request: Request, /) -> Outcome: ...

    def discard(self, outcome: Outcome, /) -> None: ...


def pause(seconds: float, ticket: Ticket | None) -> None:
    """Wait, or until the ticket is woken. Interruptible by signals in the main thread."""
    if ticket is None:
        time.sleep(seconds)
        return
    event = threading.Event()
    ticket.wake = event.set
    if not ticket.woken:
        event.wait(seconds)


class SyncDriver:
    """Runs the flows of one guard. Holds no state of a call; threads share it."""

    def __init__(
        self,
        books: Books,
        store: Store,
        tell: Callable[[Event], None],
        *,
        on_trip: Callable[[Trip, list[Answer] | None, float], None] | None = None,
        shadow: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        pause: Callable[[float, Ticket | None], None] = pause,
    ) -> None:
        self._books = books
        self._store = store
        self._tell = tell
        self._on_trip = on_trip
        self._shadow = shadow
        self._clock = clock
        self._wall = wall
        self._pause = pause

    def now(self) -> float:
        """The driver's monotonic clock, seconds."""
        return self._clock()

    def call(self, request: Request, proceed: Proceed, transport: Transport) -> Outcome:
        """One call from beginning to end: the flow, then what should be reported, then the event."""
        begun = request.now = self._clock()
        outcome: Outcome | None = None
        failure: BaseException | None = None
        try:
            outcome = self.run(request, proceed, transport)
            return outcome
        except BaseException as error:
            failure = error
            raise
        finally:
            self._finish(request, ending(request, outcome, failure), self._clock() - begun)

    def run(self, request: Request, proceed: Proceed, transport: Transport) -> Outcome:
        """Drive one flow. An interruption is raised again even if the flow returns after it."""
        flow: Generator[Effect[Any], Any, Outcome] = proceed(request)
        step: Callable[[], Effect[Any]] = partial(flow.send, None)
        interruption: BaseException | None = None
        while True:
            try:
                effect = step()
            except StopIteration as done:
                if interruption is not None:
                    raise interruption from None
                return _checked(done.value)
            try:
                answer = self._perform(effect, request, transport)
            except BaseException as error:
                if not isinstance(error, Exception):
                    interruption = error
                step = partial(flow.throw, error)
            else:
                step = partial(flow.send, answer)
            request.now = self._clock()

    def report(self) -> None:
        """Say what should not wait for company."""
        trip = self._books.due(self._clock())
        if trip is not None:
            self._travel(trip, op="report")

    def close(self) -> None:
        """Give unspent permits back. What the store does not hear ages there by itself."""
        while (trip := self._books.closing(self._clock())) is not None:
            if not self._travel(trip, op="report"):
                return

    def _finish(self, request: Request, how: str, seconds: float) -> None:
        if how != "cancelled":
            self.report()
        self._tell(CallFinished(request.guard, request.host, request.method, how, seconds))

    # -- one method per effect ---------------------------------------------------------------------------------------

    def _perform(self, effect: Effect[Any], request: Request, transport: Transport) -> Any:
        match effect:
            case Send():
                return self._send(effect.request, transport)
            case Reserve():
                return self._reserve(effect)
            case Settle():
                return self._books.settle(effect.permit, effect.receipt, self._clock())
            case Wait():
                return self._wait(request, effect)
            case Discard():
                return transport.discard(effect.outcome)
            case Emit():
                return self._tell(effect.event)
            case _:
                raise TypeError(f"a flow yielded {effect!r}, which is none of the six effects")

    def _send(self, request: Request, transport: Transport) -> Outcome:
        request.sends += 1
        sent = self._clock()
        outcome = transport.send(request)
        outcome.sent_at, outcome.received_at = sent, self._clock()
        code = None
        if isinstance(outcome, Reply):
            outcome.wall = self._wall()
            code = outcome.status
        request.last = outcome
        self._tell(
            AttemptFinished(request.guard, request.host, request.method, code, outcome.received_at - outcome.sent_at)
        )
        return outcome

    def _wait(self, request: Request, wait: Wait) -> None:
        request.now = self._clock()
        error = refusal(request, wait, self._wall())
        if error is not None:
            raise error
        begun = request.now
        self._pause(max(0.0, min(wait.seconds, time_for(request, wait))), wait.ticket)
        waited = self._clock() - begun
        if wait.reason == "quota":
            request.held += waited
        self._tell(Waited(request.guard, request.host, wait.reason, waited))

    def _reserve(self, effect: Reserve) -> Permit | Hold:
        while True:
            answer = self._books.reserve(effect.claim, self._clock(), effect.ticket)
            if isinstance(answer, Trip):
                self._travel(answer, op="draw")
            elif isinstance(answer, Hold) and self._shadow:
                return Permit(effect.claim, None, settled=True)
            else:
                return answer

    def _travel(self, trip: Trip, op: str) -> bool:
        """One round trip to the store. True when it answered."""
        asked = self._clock()
        try:
            answers = list(self._store.execute(trip.commands))
        except StoreUnavailable:
            self._books.lost(trip, self._clock())
            self._seen(trip, None, asked)
            if op == "draw":
                raise
            return False
        except BaseException:
            self._books.lost(trip, self._clock())
            raise
        self._books.landed(trip, answers, asked, self._clock())
        self._seen(trip, answers, asked)
        return True

    def _seen(self, trip: Trip, answers: list[Answer] | None, asked: float) -> None:
        if self._on_trip is not None:
            self._on_trip(trip, answers, self._clock() - asked)


def _checked(outcome: Any) -> Outcome:
    if not hasattr(outcome, "received_at"):
        raise TypeError(
            f"a policy returned {type(outcome).__name__} instead of an outcome; did it forget 'yield from' before proceed?"
        )
    result: Outcome = outcome
    return result
