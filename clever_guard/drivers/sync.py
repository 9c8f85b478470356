"""The driver for blocking clients.

``run`` is the loop: take an effect from the flow, do it, send the answer back; whatever goes wrong is thrown into the flow
at that place. The rest of the module is one short method per effect. Clock, wall clock and the way to wait are parameters.

Nearly every call finds a permit in hand and is answered by something that nobody repeats. Where the guard knows all its
policies (``Usual``) such a call starts no flow, which would cost it a third of its time; what follows another first outcome is
a flow as ever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from clever_guard.drivers.account import breaking, check_time_left, checked, ending, not_one_of_six, refuse, time_for
from clever_guard.drivers.trips import OnTrip, Trips
from clever_guard.errors import StoreUnavailable
from clever_guard.events import AttemptFinished, CallFinished, Event, HeadersIgnored, Waited
from clever_guard.flow import Discard, Effect, Emit, Flow, Proceed, Reserve, Send, Settle, Wait
from clever_guard.model import UNKNOWN, UNSENT, Claim, Hold, Outcome, Permit, Receipt, Reply, Request, Ticket, made
from clever_guard.quota.books import Books
from clever_guard.quota.store import Store


class Transport(Protocol):
    """What an adapter gives the driver: how its library sends one attempt, and how it lets go of an answer."""

    def send(self, request: Request, /) -> Outcome: ...

    def discard(self, outcome: Outcome, /) -> None: ...


class Usual(Protocol):
    """The steps of a first attempt, by the same policies that the flow asks (``clever_guard/usual.py``)."""

    @property
    def begin(self) -> Callable[[Request], Claim | None]:
        """What Deadline writes down; and whose budget the attempt draws on."""
        ...

    @property
    def receipt(self) -> Callable[[Outcome], tuple[Receipt, tuple[str, ...]]]:
        """What became of the permit of an attempt that was begun, and which headers were refused."""
        ...

    @property
    def more(self) -> Callable[[Request, Outcome], Flow | None]:
        """The flow from the first outcome on; None where it is the call's."""
        ...


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
        """Give unspent permits back. Calls that wait for quota end with GuardError."""
        self._trips.close()

    def call(self, request: Request, proceed: Proceed, transport: Transport, usual: Usual | None = None) -> Outcome:
        """One call from beginning to end: the flow, then what should be reported, then the event."""
        begun = request.now = self._clock()
        how = "cancelled"
        try:
            first = None if usual is None else self._first(request, usual, transport)
            if first is None or usual is None:
                outcome = self.run(proceed(request), request, transport)
            else:
                flow = usual.more(request, first)
                outcome = first if flow is None else self.run(flow, request, transport)
            how = ending(request, outcome)
        except BaseException as error:
            request.now = self._clock()
            how = breaking(error)
            raise
        finally:
            self._finish(request, how, request.now - begun)
        return outcome

    def _first(self, request: Request, usual: Usual, transport: Transport) -> Outcome | None:
        """The first attempt, with a permit that is in hand or without a claim; None, and nothing done, where it must wait."""
        claim = usual.begin(request)
        if claim is None:
            return self._sent(request, request, transport)
        permit = self._books.in_hand(claim, request.now)
        if permit is None:
            return None
        receipt: Receipt | None = None
        try:
            outcome = self._sent(request, request, transport)
            receipt, ignored = usual.receipt(outcome)
        finally:
            if receipt is None:
                request.now = self._clock()
                receipt = UNKNOWN if request.sends else UNSENT
            self._books.settle(permit, receipt, request.now)
        for reason in ignored:
            self._tell(HeadersIgnored(request.guard, request.host, reason))
        return outcome

    def run(self, flow: Flow, request: Request, transport: Transport) -> Outcome:
        """Drive one flow. An interruption is raised again even if the flow returns after it."""
        answer: Any = None
        error: BaseException | None = None
        interruption: BaseException | None = None
        try:
            while True:
                try:
                    effect: Any = flow.send(answer) if error is None else flow.throw(error)
                except StopIteration as done:
                    if interruption is not None:
                        raise interruption from None
                    return checked(done.value)
                answer = error = None
                try:
                    answer = _DOES.get(type(effect), not_one_of_six)(self, effect, request, transport)
                except BaseException as raised:
                    error = raised
                    interruption = interruption if isinstance(raised, Exception) else raised
                    request.now = self._clock()
                    if isinstance(effect, Wait | Reserve) and effect.ticket is not None:
                        self._books.leave(effect.ticket, request.now)
        finally:
            error = interruption = None  # an exception whose traceback leads back to it keeps connections alive

    def _finish(self, request: Request, how: str, seconds: float) -> None:
        if self._books.pressing and how != "cancelled":
            self._trips.report()
        self._tell(made(CallFinished, (request.guard, request.host, request.method, how, seconds)))

    def _sent(self, sending: Request, request: Request, transport: Transport) -> Outcome:
        """One attempt. A policy may send another request than the call's: the time moves for both."""
        sending.now = sent = self._clock()
        if sending.deadline is not None:
            check_time_left(sending, self._wall())
        sending.sends += 1
        outcome = transport.send(sending)
        request.now = sending.now = received = self._clock()
        outcome.sent_at, outcome.received_at = sent, received
        code = None
        if isinstance(outcome, Reply):
            outcome.wall = self._wall()
            code = outcome.status
        sending.last = outcome
        self._tell(made(AttemptFinished, (sending.guard, sending.host, sending.method, code, received - sent)))
        return outcome

    # -- one method per effect, with one signature -------------------------------------------------------------------

    def _send(self, effect: Send, request: Request, transport: Transport) -> Outcome:
        return self._sent(effect.request, request, transport)

    def _discard(self, effect: Discard, request: Request, transport: Transport) -> None:
        transport.discard(effect.outcome)
        request.now = self._clock()

    def _wait(self, effect: Wait, request: Request, transport: Transport) -> None:
        begun = request.now = self._clock()
        refuse(request, effect, self._wall())
        self._pause(max(0.0, min(effect.seconds, time_for(request, effect))), effect.ticket)
        request.now = self._clock()
        waited = request.now - begun
        if effect.reason == "quota":
            request.held += waited
        self._tell(Waited(request.guard, request.host, effect.reason, waited))

    def _reserve(self, effect: Reserve, request: Request, transport: Transport) -> Permit | Hold:
        try:
            answer = self._trips.reserve(effect.claim, effect.ticket)
        except StoreUnavailable:
            if not self._shadow:
                raise
            answer = Hold(0.0)
        request.now = self._clock()
        if self._shadow and isinstance(answer, Hold):
            if answer.ticket is not None:
                self._books.leave(answer.ticket, request.now)
            return Permit(effect.claim, settled=True)
        return answer

    def _settle(self, effect: Settle, request: Request, transport: Transport) -> None:
        self._books.settle(effect.permit, effect.receipt, self._clock())

    def _emit(self, effect: Emit, request: Request, transport: Transport) -> None:
        self._tell(effect.event)


_DOES: dict[type[Effect[Any]], Callable[..., Any]] = {
    Send: SyncDriver._send,
    Discard: SyncDriver._discard,
    Wait: SyncDriver._wait,
    Reserve: SyncDriver._reserve,
    Settle: SyncDriver._settle,
    Emit: SyncDriver._emit,
}
"""How each effect is done. A table: a chain of comparisons costs as much as what it decides about."""
