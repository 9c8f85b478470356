"""A call as a conversation: policies yield effects and are sent answers.

A policy is a generator wrapped around "proceed". It performs nothing itself; what it wants done it yields, and a
driver (``drivers/``) does it and sends the answer back. There are six effects, and the number is a promise:

    Send(request)            -> Outcome        one attempt on the wire
    Discard(outcome)         -> None           drain or close a response we will not return
    Wait(seconds, reason)    -> None           refused by the driver when it cannot end in time
    Reserve(claim)           -> Permit | Hold  a permit from the lease book
    Settle(permit, receipt)  -> None           never waits, never talks
    Emit(event)              -> None           never waits, never talks

A worked example, the shortest useful policy:

    class OnceMore:
        def around(self, request, proceed):
            outcome = yield from proceed(request)
            if isinstance(outcome, Failure):
                yield from Wait(1.0, "backoff")
                outcome = yield from proceed(request)
            return outcome

Every answer is stamped: ``request.now`` is the newest stamp, so a policy holds no clock and a test is a transcript
(scripted answers in, list of effects out). An interruption (KeyboardInterrupt, cancellation) is thrown into the flow
at its yield, so ``finally: yield from Settle(...)`` runs; because Settle and Emit never wait, an unwinding flow needs
no shield. A flow that returns after an interruption did not mean to: the driver raises it again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from clever_guard.events import Event
from clever_guard.model import Claim, Hold, Outcome, Permit, Receipt, Request, Ticket

T = TypeVar("T")


class Effect(Generic[T]):
    """Something a policy wants done. ``answer = yield from effect`` has the precise type of the answer."""

    __slots__ = ()

    def __iter__(self) -> Generator[Effect[Any], Any, T]:
        answer: T = yield self
        return answer


class Send(Effect[Outcome]):
    """Send one attempt. Answered by its outcome; a transport error is an answer too."""

    __slots__ = ("request",)

    def __init__(self, request: Request) -> None:
        self.request = request


class Discard(Effect[None]):
    """Drain or close the response of an outcome that will not be returned, before any wait."""

    __slots__ = ("outcome",)

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


class Wait(Effect[None]):
    """Wait ``seconds``, or until ``ticket`` is woken. ``at_least`` is the part that is certain (default: all).

    The driver throws QuotaTimeout (reason ``quota``) or DeadlineExceeded into the flow when ``at_least`` does not fit
    into the call's deadline or its ``max_wait``; no wait is begun that cannot end in time.
    """

    __slots__ = ("at_least", "bucket", "reason", "seconds", "ticket")

    def __init__(
        self,
        seconds: float,
        reason: str,
        *,
        at_least: float | None = None,
        ticket: Ticket | None = None,
        bucket: str | None = None,
    ) -> None:
        self.seconds = seconds
        self.reason = reason
        self.at_least = seconds if at_least is None else at_least
        self.ticket = ticket
        self.bucket = bucket


class Reserve(Effect[Permit | Hold]):
    """Ask for the right to send one attempt."""

    __slots__ = ("claim", "ticket")

    def __init__(self, claim: Claim, ticket: Ticket | None = None) -> None:
        self.claim = claim
        self.ticket = ticket
        """The place this call already has in the queue, from the Hold before."""


class Settle(Effect[None]):
    """Tell the lease book what became of a permit."""

    __slots__ = ("permit", "receipt")

    def __init__(self, permit: Permit, receipt: Receipt) -> None:
        self.permit = permit
        self.receipt = receipt


class Emit(Effect[None]):
    """Tell the observers."""

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event


Flow: TypeAlias = Generator[Effect[Any], Any, Outcome]
Proceed: TypeAlias = Callable[[Request], Flow]


class Policy(Protocol):
    """A layer around an attempt. Configuration is frozen; what one call needs lives in the generator's locals."""

    def around(self, request: Request, proceed: Proceed, /) -> Flow: ...


def send(request: Request) -> Flow:
    """The innermost layer: one attempt. An effect is a flow by itself."""
    return iter(Send(request))


def fold(policies: tuple[Policy, ...]) -> Proceed:
    """Nest ``policies``, the first one outermost, around a single send."""
    proceed: Proceed = send
    for policy in reversed(policies):
        proceed = _layer(policy, proceed)
    return proceed


def _layer(policy: Policy, inner: Proceed) -> Proceed:
    around = policy.around
    return lambda request: around(request, inner)
