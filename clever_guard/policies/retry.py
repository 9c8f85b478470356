"""Retry: send again what may be sent again, no more than five times, no sooner than asked.

    loop: send; judge; stop, or drain the answer, wait, and send again

A refusal (429) is not waited for here when a Quota is inside: Quota's hold is the wait, for it knows the ledger and Retry
only one header. A second refusal of one call within a window comes from a limit that nobody knows, so it backs off.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from clever_guard.dialects import Dialect, dialect_named
from clever_guard.errors import RetriesExhausted
from clever_guard.events import RetryScheduled
from clever_guard.flow import Discard, Emit, Flow, Proceed, Wait
from clever_guard.model import Failure, HeaderReport, Outcome, Reply, Request, Verdict
from clever_guard.parts.backoff import Backoff, Chance, ExponentialBackoff
from clever_guard.parts.classify import Classifier, StatusClassifier


def _no_chance() -> float:
    return 0.0


@dataclass(slots=True)
class _Course:
    """What one call has been through."""

    retries: int = 0
    refused_at: float | None = None


@dataclass(frozen=True)
class Retry:
    """At most ``max_retries`` (0 or more) further attempts; Clever asks to cease after five.

    When they are used up the library's own last response or exception comes out; with ``raise_on_exhausted`` a
    RetriesExhausted that carries it. ``chance`` gives the randomness of the backoff's jitter; the guard puts it in.
    """

    classifier: Classifier = field(default_factory=StatusClassifier)
    backoff: Backoff = field(default_factory=ExponentialBackoff)
    max_retries: int = 5
    raise_on_exhausted: bool = False
    dialect: str | Dialect = "x-ratelimit"
    chance: Chance = _no_chance
    quota_window: float | None = None
    """Seconds of the window of the Quota inside, None where there is none. The guard fills it in."""

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise ValueError(f"Retry(max_retries={self.max_retries!r}): give 0 or more")
        if isinstance(self.dialect, str):
            object.__setattr__(self, "dialect", dialect_named(self.dialect))

    def bound(self, chance: Chance, quota_window: float | None) -> Retry:
        """The same policy as part of a guard: with its randomness and knowing the Quota inside."""
        return replace(self, chance=chance, quota_window=quota_window)

    def around(self, request: Request, proceed: Proceed, /) -> Flow:
        course = _Course()
        while True:
            outcome = yield from proceed(request)
            verdict = self.classifier.verdict(outcome)
            if verdict in (Verdict.OK, Verdict.PERMANENT) or not self.classifier.repeatable(request, outcome):
                return outcome
            if course.retries >= self.max_retries:
                return self._exhausted(request, outcome)
            course.retries += 1
            wait, reason = self._schedule(course, outcome, verdict)
            yield from Emit(RetryScheduled(request.guard, request.host, _cause(outcome, verdict)))
            yield from Discard(outcome)
            if wait > 0:
                yield from Wait(wait, reason)

    def _schedule(self, course: _Course, outcome: Outcome, verdict: Verdict) -> tuple[float, str]:
        """Seconds to wait and what for: the longer of backoff and server's wish, never their sum."""
        report = self._read(outcome)
        backoff = self.backoff(course.retries, self.chance())
        asked = report.retry_after or 0.0
        if verdict is Verdict.THROTTLED:
            if self.quota_window is not None and self._is_first_refusal(course, outcome):
                return 0.0, "quota"
            asked = max([asked, *(reading.resets_in or 0.0 for reading in report.readings)])
        return (asked, "retry_after") if asked > backoff else (backoff, "backoff")

    def _is_first_refusal(self, course: _Course, outcome: Outcome) -> bool:
        assert self.quota_window is not None
        before, course.refused_at = course.refused_at, outcome.received_at
        return before is None or outcome.received_at - before >= self.quota_window

    def _read(self, outcome: Outcome) -> HeaderReport:
        assert not isinstance(self.dialect, str)
        if isinstance(outcome, Failure):
            return HeaderReport()
        return self.dialect(outcome.headers, outcome.status, outcome.wall)

    def _exhausted(self, request: Request, outcome: Outcome) -> Outcome:
        request.exhausted = True
        if self.raise_on_exhausted:
            raise _exhaustion(request, outcome)
        if isinstance(outcome, Failure):
            outcome.error.add_note(f"clever_guard gave up after {request.sends} attempts")
        return outcome


def _exhaustion(request: Request, outcome: Outcome) -> RetriesExhausted:
    last = outcome.response if isinstance(outcome, Reply) else outcome.error
    said = f"status {outcome.status}" if isinstance(outcome, Reply) else type(outcome.error).__name__
    return RetriesExhausted(f"gave up after {request.sends} attempts, the last one: {said}", last=last, sent=True)


def _cause(outcome: Outcome, verdict: Verdict) -> str:
    if isinstance(outcome, Failure):
        return outcome.reason
    return "throttled" if verdict is Verdict.THROTTLED else "status"
