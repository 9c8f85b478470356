"""What every driver decides the same way: which waits may begin, how a call ended, what is no effect. No I/O, no clock."""

from __future__ import annotations

from typing import Any, NoReturn

from clever_guard.errors import DeadlineExceeded, GuardError, QuotaTimeout, RetriesExhausted
from clever_guard.flow import Wait
from clever_guard.model import Failure, Outcome, Reply, Request, evidence

OUTCOMES = (Reply, Failure)


def time_for(request: Request, wait: Wait) -> float:
    """Seconds this wait may take: all it wants, less where the deadline or ``max_wait`` comes first. May be negative."""
    allowed = wait.seconds
    if request.deadline is not None:
        allowed = min(allowed, request.deadline - request.now)
    if wait.reason == "quota" and request.max_wait is not None:
        allowed = min(allowed, request.max_wait - request.held)
    return allowed


def refusal(request: Request, wait: Wait, wall: float) -> GuardError | None:
    """The error for a wait that cannot end in time, or None when it may begin. ``wall``: epoch seconds."""
    allowed = time_for(request, wait)
    if allowed >= wait.seconds or (allowed > 0 and wait.at_least <= allowed):
        return None
    soonest = max(wait.at_least, wait.seconds)
    kind = QuotaTimeout if wait.reason == "quota" else DeadlineExceeded
    return kind(
        _sentence(request, wait, soonest),
        retry_in=soonest,
        retry_at=wall + soonest,
        last=evidence(request.last),
        bucket=wait.bucket,
        sent=request.sends > 0,
    )


def refuse(request: Request, wait: Wait, wall: float) -> None:
    """Raise the ``refusal`` of a wait, if there is one."""
    error = refusal(request, wait, wall)
    try:
        if error is not None:
            raise error
    finally:
        del error


def check_time_left(request: Request, wall: float) -> None:
    """Raise DeadlineExceeded where an attempt would begin after the deadline: the server might do what nobody waits for."""
    if request.deadline is None or request.now <= request.deadline:
        return
    error = DeadlineExceeded(
        "the deadline passed before the next attempt",
        retry_in=0.0,
        retry_at=wall,
        last=evidence(request.last),
        sent=request.sends > 0,
    )
    try:
        raise error
    finally:
        del error


def _sentence(request: Request, wait: Wait, soonest: float) -> str:
    room = []
    if request.deadline is not None:
        room.append(f"the deadline leaves {max(0.0, request.deadline - request.now):.2f} s")
    if wait.reason == "quota" and request.max_wait is not None:
        room.append(f"max_wait leaves {max(0.0, request.max_wait - request.held):.2f} s")
    what = f"no permit for bucket {wait.bucket}" if wait.reason == "quota" else f"the next attempt ({wait.reason})"
    return f"{what} before {soonest:.2f} s from now, but {' and '.join(room)}"


def ending(request: Request, outcome: Outcome) -> str:
    """How a call ended that had an outcome, in the bounded words of the metrics."""
    if request.exhausted:
        return "exhausted"
    if isinstance(outcome, Reply):
        return "ok" if outcome.status < 400 else "permanent"
    return "error"


def breaking(error: BaseException) -> str:
    """How a call ended that an exception ended."""
    if not isinstance(error, Exception):
        return "cancelled"
    if isinstance(error, RetriesExhausted):
        return "exhausted"
    return "rejected" if isinstance(error, GuardError) else "error"


def checked(outcome: Any) -> Outcome:
    """What a flow returned, if it is an outcome; else TypeError, with the usual reason."""
    if isinstance(outcome, OUTCOMES):
        return outcome
    raise TypeError(
        f"a policy returned {type(outcome).__name__} instead of an outcome; did it forget 'yield from' before proceed?"
    )


def not_one_of_six(driver: object, effect: object, /, *rest: object) -> NoReturn:
    """In place of a driver's method. Six effects are all there are: whoever yields something else is told."""
    raise TypeError(f"a flow yielded {effect!r}, which is none of the six effects")
