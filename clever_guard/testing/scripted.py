"""The stage of a scripted call: everything outside the flow, in virtual time.

reply, failure, make_request    what scripts are made of
Notes                           what was wanted and when
Stage                           answers one effect after another from the script
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeAlias

from clever_guard.drivers.account import check_time_left, not_one_of_six, refusal, time_for
from clever_guard.flow import Discard, Effect, Emit, Reserve, Send, Settle, Wait
from clever_guard.model import Failure, Hold, Outcome, Permit, Reply, Request

Scripted: TypeAlias = int | Reply | Failure | BaseException | Callable[[Request], Outcome]
EPOCH = 1_800_000_000.0
"""What the wall clock (epoch seconds) shows when the virtual clock shows 0."""
ENDLESS = 10_000
"""Effects after which a flow is taken to run for ever."""


class ScriptError(AssertionError):
    """The flow did not keep to the script: it sent more often than there are answers, or it never ends."""


def reply(status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer of that status. Its ``response`` is an object with nothing but the status."""
    return Reply(status, dict(headers or {}), SimpleNamespace(status=status))


def failure(error: BaseException | None = None, *, sent: bool = True, retryable: bool = True) -> Failure:
    """No answer. ``sent=False``: no connection was made."""
    error = ConnectionError("scripted") if error is None else error
    return Failure(error, sent=sent, reason="read" if sent else "connect", retryable=retryable)


WRITTEN_LATER = frozenset(one.name for one in dataclasses.fields(Request) if not one.init)
"""What the driver and the policies write into a request."""


def make_request(method: str = "GET", headers: Mapping[str, str] | None = None, **fields: Any) -> Request:
    """A request to api.example. ``fields`` are those of Request."""
    place: dict[str, Any] = {"scheme": "https", "host": "api.example", "port": None, "target": "/", "guard": "test"}
    later = {name: fields.pop(name) for name in WRITTEN_LATER & fields.keys()}
    request = Request(method, headers=dict(headers or {}), **place | fields)
    for name, value in later.items():
        setattr(request, name, value)
    return request


@dataclass(slots=True)
class Notes:
    """What is written down on the stage."""

    request: Request
    steps: list[tuple[float, Effect[Any]]] = field(default_factory=list)
    """(virtual time in seconds, effect)."""
    granted: list[Permit] = field(default_factory=list)
    answered: list[Outcome] = field(default_factory=list)


@dataclass(slots=True)
class Stage:
    """Everything outside the flow: the script, the clock, and the notes taken."""

    notes: Notes
    answers: Iterator[Scripted]
    permits: Iterator[Hold | BaseException | None]
    latency: float
    interruptions: dict[int, BaseException] = field(default_factory=dict)

    def perform(self, effect: Effect[Any]) -> Any:
        steps = self.notes.steps
        steps.append((self.notes.request.now, effect))
        if len(steps) > ENDLESS:
            raise ScriptError(f"the flow goes on after {ENDLESS} effects")
        if isinstance(effect, Send):
            check_time_left(self.notes.request, EPOCH + self.notes.request.now)
            self.notes.request.sends += 1
        if len(steps) - 1 in self.interruptions:
            raise self.interruptions[len(steps) - 1]
        return self._answer(effect)

    def _answer(self, effect: Effect[Any]) -> Any:
        match effect:
            case Send():
                return self._send()
            case Reserve():
                return self._reserve(effect)
            case Wait():
                return self._wait(effect)
            case Settle():
                effect.permit.settled = True
            case Discard() | Emit():
                return None
            case _:
                not_one_of_six(self, effect)
        return None

    def _send(self) -> Outcome:
        request = self.notes.request
        outcome = self._scripted()
        outcome.sent_at = request.now
        request.now = outcome.received_at = request.now + self.latency
        if isinstance(outcome, Reply):
            outcome.wall = EPOCH + request.now
        request.last = outcome
        self.notes.answered.append(outcome)
        return outcome

    def _scripted(self) -> Outcome:
        request = self.notes.request
        answer = next(self.answers, None)
        if answer is None:
            raise ScriptError(f"the script has no answer to Send number {request.sends}")
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, int):
            return reply(answer)
        return answer if isinstance(answer, Reply | Failure) else answer(request)

    def _reserve(self, reserve: Reserve) -> Permit | Hold:
        answer = next(self.permits, None)
        if isinstance(answer, BaseException):
            raise answer
        if answer is not None:
            return answer
        permit = Permit(reserve.claim)
        self.notes.granted.append(permit)
        return permit

    def _wait(self, wait: Wait) -> None:
        request = self.notes.request
        error = refusal(request, wait, EPOCH + request.now)
        if error is not None:
            raise error
        waited = max(0.0, min(wait.seconds, time_for(request, wait)))
        request.now += waited
        if wait.reason == "quota":
            request.held += waited
