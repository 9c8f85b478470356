"""Run policies against scripted answers in virtual time, and read what they wanted done.

    transcript = play([Retry()], [503, 200])
    print(transcript)
        0.00  Send GET
        0.00  Emit RetryScheduled
        0.00  Discard 503
        0.00  Wait 1.00 s (backoff)
        1.00  Send GET
        1.00  returned 200

A script is a list of answers, one for each Send: a status, an outcome (``reply``, ``failure``), a function of the
request, or an exception to be thrown into the flow where it stands. Holds and permits are scripted apart
(``permits``); without them each Reserve is granted. Waits are judged as the drivers judge them, then the clock jumps.
Nothing here sleeps.

    play        the driver of a scripted call
    Transcript  what was wanted, when, and how it ended
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import length_hint
from typing import Any, TypeVar

from clever_guard.drivers.account import checked
from clever_guard.events import Event
from clever_guard.flow import Discard, Effect, Emit, Flow, Policy, Send, Wait, fold
from clever_guard.model import Hold, Outcome, Permit, Reply, Request
from clever_guard.testing.scripted import Notes, Scripted, ScriptError, Stage, failure, make_request, reply

__all__ = ["ScriptError", "Scripted", "Transcript", "failure", "make_request", "play", "reply"]

E = TypeVar("E", bound=Effect[Any])


@dataclass(slots=True)
class Transcript(Notes):
    """What a flow wanted, in order, and how it ended: with an ``outcome``, or with an ``error`` that left it."""

    outcome: Outcome | None = None
    error: BaseException | None = None
    unused: int = 0
    """Answers of the script that were never asked for."""

    @property
    def effects(self) -> list[Effect[Any]]:
        return [effect for _, effect in self.steps]

    @property
    def names(self) -> list[str]:
        """The effects' names: ``["Send", "Emit", "Discard", "Wait", "Send"]``."""
        return [type(effect).__name__ for effect in self.effects]

    @property
    def waits(self) -> list[float]:
        """Seconds of each Wait that was wanted."""
        return [wait.seconds for wait in self.every(Wait)]

    @property
    def events(self) -> list[Event]:
        return [emit.event for emit in self.every(Emit)]

    @property
    def undrained(self) -> list[Reply]:
        """Answers that were neither discarded nor returned: each is a connection that does not come back."""
        kept = [self.outcome, *(discard.outcome for discard in self.every(Discard))]
        return [one for one in self.answered if isinstance(one, Reply) and not any(one is other for other in kept)]

    @property
    def unsettled(self) -> list[Permit]:
        """Permits that nobody settled: the ledger would wait for them until they age."""
        return [permit for permit in self.granted if not permit.settled]

    def every(self, kind: type[E]) -> list[E]:
        """The effects of one kind."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def __str__(self) -> str:
        ended = f"raised {type(self.error).__name__}" if self.error else f"returned {_outcome(self.outcome)}"
        lines = [f"{at:7.2f}  {_line(effect)}" for at, effect in self.steps]
        return "\n".join([*lines, f"{self.request.now:7.2f}  {ended}"])


def play(
    policies: Sequence[Policy],
    answers: Sequence[Scripted],
    *,
    request: Request | None = None,
    permits: Iterable[Hold | BaseException | None] = (),
    latency: float = 0.0,
    interrupt_at: int | None = None,
    interruption: BaseException | None = None,
) -> Transcript:
    """Run ``policies`` (outermost first) on one request and return the transcript. What the flow raises is in it.

    ``permits``: what Reserve is answered, one after another, before permits are given freely: a Hold, an exception, or
    None for a permit.
    ``latency``: seconds each Send takes. ``interrupt_at``: the number of the effect (from 0) in whose place
    ``interruption`` (default KeyboardInterrupt) is thrown into the flow. Raises ScriptError, and nothing else.
    """
    request = make_request() if request is None else request
    transcript = Transcript(request)
    stage = Stage(transcript, iter(tuple(answers)), iter(permits), latency)
    if interrupt_at is not None:
        stage.interruptions[interrupt_at] = interruption or KeyboardInterrupt()
    try:
        transcript.outcome = _drive(fold(tuple(policies))(request), stage)
    except ScriptError:
        raise
    except BaseException as error:  # an interruption too is a way to end, and the test's to judge
        transcript.error = error
    transcript.unused = length_hint(stage.answers)
    return transcript


def _drive(flow: Flow, stage: Stage) -> Outcome:
    """As the drivers do: what goes wrong is thrown into the flow, an interruption is raised again at the end."""
    step: Callable[[], Effect[Any]] = partial(flow.send, None)
    interruption: BaseException | None = None
    while True:
        try:
            effect = step()
        except StopIteration as done:
            if interruption is not None:
                raise interruption from None
            return checked(done.value)
        try:
            step = partial(flow.send, stage.perform(effect))
        except BaseException as error:
            if not isinstance(error, Exception) or isinstance(error, ScriptError):
                interruption = error
            step = partial(flow.throw, error)


def _line(effect: Effect[Any]) -> str:
    name = type(effect).__name__
    match effect:
        case Send():
            return f"{name} {effect.request.method}"
        case Wait():
            return f"{name} {effect.seconds:.2f} s ({effect.reason})"
        case Discard():
            return f"{name} {_outcome(effect.outcome)}"
        case Emit():
            return f"{name} {type(effect.event).__name__}"
        case _:
            return name


def _outcome(outcome: Outcome | None) -> str:
    if isinstance(outcome, Reply):
        return str(outcome.status)
    return "nothing" if outcome is None else type(outcome.error).__name__
