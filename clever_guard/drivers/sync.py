"""The driver for blocking clients.

``run`` is the loop: take an effect from the flow, do it, send the answer back; whatever goes wrong is thrown into the flow
at that place. The rest of the module is one short method per effect. Clock, wall clock and the way to wait are parameters.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, cast

from clever_guard.drivers.account import Doable, breaking, checked, ending, never, refuse, time_for
from clever_guard.drivers.trips import OnTrip, Trips
from clever_guard.events import AttemptFinished, CallFinished, Event, Waited
from clever_guard.flow import Discard, Effect, Emit, Flow, Proceed, Reserve, Send, Settle, Wait
from clever_guard.model import Hold, Outcome, Permit, Reply, Request, Ticket
from clever_guard.quota.books import Books
from clever_guard.quota.store import Store


class Transport(Protocol):
    """What an adapter gives the driver: how its library sends one attempt, and how it lets go of an answer."""

    def send(self, request: Request, /) -> Outcome: ...

    def discard(self, outcome: Outcome, /) -> None: ...


def pause(seconds: float, ticket: Ticket | None) -> None:
    """Wait ``seconds``, or until the ticket is woken. Interruptible by signals in the main thread."""
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
        on_trip: OnTrip | None = None,
        shadow: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        pause: Callable[[float, Ticket | None], None] = pause,
    ) -> None:
        self._books = books
        self._trips = Trips(books, store, clock, on_trip)
        self._tell = tell
        self._shadow = shadow
        self._clock = clock
        self._wall = wall
        self._pause = pause

    def now(self) -> float:
        """The driver's monotonic clock, seconds."""
        return self._clock()

    def close(self) -> None:
        """Give unspent permits back. Calls that wait for quota end with GuardError when they look again."""
        self._trips.close()

    def call(self, request: Request, proceed: Proceed, transport: Transport) -> Outcome:
        """One call from beginning to end: the flow, then what should be reported, then the event."""
        begun = request.now = self._clock()
        how = "cancelled"
        try:
            outcome = self.run(request, proceed, transport)
            how = ending(request, outcome)
        except BaseException as error:
            how = breaking(error)
            raise
        finally:
            self._finish(request, how, self._clock() - begun)
        return outcome

    def run(self, request: Request, proceed: Proceed, transport: Transport) -> Outcome:
        """Drive one flow. An interruption is raised again even if the flow returns after it."""
        flow = proceed(request)
        answer: Any = None
        error: BaseException | None = None
        interruption: BaseException | None = None
        try:
            while True:
                try:
                    effect = _resumed(flow, answer, error)
                except StopIteration as done:
                    if interruption is not None:
                        raise interruption from None
                    return checked(done.value)
                answer = error = None
                try:
                    answer = self._perform(cast("Doable", effect), request, transport)
                    request.now = self._clock()
                except BaseException as raised:
                    error = raised
                    interruption = interruption if isinstance(raised, Exception) else raised
                    request.now = self._clock()
        finally:
            error = interruption = None  # an exception whose traceback leads back to it keeps connections alive

    def _finish(self, request: Request, how: str, seconds: float) -> None:
        if how != "cancelled":
            self._trips.report()
        self._tell(CallFinished(request.guard, request.host, request.method, how, seconds))

    # -- one method per effect ---------------------------------------------------------------------------------------

    def _perform(self, effect: Doable, request: Request, transport: Transport) -> Any:
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
                never(effect)

    def _send(self, request: Request, transport: Transport) -> Outcome:
        request.sends += 1
        request.now = sent = self._clock()
        outcome = transport.send(request)
        outcome.sent_at, outcome.received_at = sent, self._clock()
        code = None
        if isinstance(outcome, Reply):
            outcome.wall = self._wall()
            code = outcome.status
        request.last = outcome
        self._tell(AttemptFinished(request.guard, request.host, request.method, code, outcome.received_at - sent))
        return outcome

    def _wait(self, request: Request, wait: Wait) -> None:
        begun = request.now = self._clock()
        refuse(request, wait, self._wall())
        self._pause(max(0.0, min(wait.seconds, time_for(request, wait))), wait.ticket)
        waited = self._clock() - begun
        if wait.reason == "quota":
            request.held += waited
        self._tell(Waited(request.guard, request.host, wait.reason, waited))

    def _reserve(self, effect: Reserve) -> Permit | Hold:
        answer = self._trips.reserve(effect.claim, effect.ticket)
        if self._shadow and isinstance(answer, Hold):
            return Permit(effect.claim, settled=True)
        return answer


def _resumed(flow: Flow, answer: Any, error: BaseException | None) -> Effect[Any]:
    """The flow's next effect."""
    try:
        return flow.send(answer) if error is None else flow.throw(error)
    finally:
        del error
