"""Retry: send again what may be sent again, no more than five times, no sooner than asked.

    loop: send; judge; stop, or drain the answer, wait, and send again

A refusal (429) is not waited for here when a Quota is inside: Quota's hold is the wait, for it knows the ledger and
Retry only one header. A second refusal of one call within a window comes from a limit that nobody knows, so it backs
off.

    around         the first attempt, which is nearly always the last
    more           decides: whether anything follows it
    _repeat        talks: the loop
    _wait_for      decides: how long, and what for
    server_wait    reads: what an answer asks for
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

from clever_guard.dialects import Dialect, dialect_of
from clever_guard.dialects.retry_after import MAX_WAIT
from clever_guard.errors import RetriesExhausted
from clever_guard.events import HeadersIgnored, RetryScheduled
from clever_guard.flow import Discard, Effect, Emit, Flow, Proceed, Wait
from clever_guard.given import check_callable, check_whole
from clever_guard.model import NOTHING_READ, Failure, HeaderReport, Outcome, Reading, Reply, Request, Verdict, evidence
from clever_guard.parts.backoff import Backoff, Chance, ExponentialBackoff
from clever_guard.parts.classify import Classifier, StatusClassifier, repeatable

AGAIN = (Verdict.TRANSIENT, Verdict.THROTTLED)


def _no_chance() -> float:
    return 0.0


@dataclass(slots=True)
class _Course:
    """What one call has been through."""

    retries: int = 0
    refused_at: float | None = None
    reached: bool = False
    """Whether the server may have seen anything of the call."""


@dataclass(frozen=True)
class Retry:
    """At most ``max_retries`` (0 or more) further attempts; Clever asks to cease after five.

    When they are used up the library's own last response or exception comes out; with ``raise_on_exhausted`` a
    RetriesExhausted that carries it. ``dialect`` reads what an answer asks for. ``chance`` gives the randomness of
    the backoff's jitter and ``quota_window`` tells of the Quota inside: the guard puts both in. Raises ValueError for
    a number of retries that is none, or a dialect nobody knows.
    """

    classifier: Classifier = field(default_factory=StatusClassifier)
    backoff: Backoff = field(default_factory=ExponentialBackoff)
    max_retries: int = 5
    raise_on_exhausted: bool = False
    dialect: str | Dialect = "x-ratelimit"
    chance: Chance = _no_chance
    quota_window: float | None = None
    """Seconds of the window of the Quota inside, None where there is none."""

    def __post_init__(self) -> None:
        check_whole("Retry: max_retries", self.max_retries, "retries", least=0)
        check_callable("Retry: classifier", self.classifier, "a function of request and outcome, or StatusClassifier()")
        check_callable("Retry: backoff", self.backoff, "a function of retry and chance, or ExponentialBackoff()")
        object.__setattr__(self, "dialect", dialect_of(self.dialect))

    def bound(self, chance: Chance, quota_window: float | None) -> Retry:
        """The same policy as part of a guard: with its randomness and knowing the Quota inside."""
        return replace(self, chance=chance, quota_window=quota_window)

    def around(self, request: Request, proceed: Proceed, /) -> Flow:
        outcome = yield from proceed(request)
        more = self.more(proceed, request, outcome)
        return outcome if more is None else (yield from more)

    def more(self, proceed: Proceed, request: Request, outcome: Outcome) -> Flow | None:
        """What follows the first outcome; None where that is the outcome of the call, as it nearly always is."""
        verdict = self.classifier(request, outcome)
        if verdict not in AGAIN or not repeatable(request, outcome, verdict):
            return None
        return self._repeat(request, proceed, outcome, verdict)

    def _repeat(self, request: Request, proceed: Proceed, outcome: Outcome, verdict: Verdict) -> Flow:
        course = _Course()
        while True:
            course.reached = course.reached or isinstance(outcome, Reply) or outcome.sent
            if course.retries >= self.max_retries:
                return (yield from self._give_up(request, course, outcome))
            course.retries += 1
            yield from self._pass_on(request, course, outcome, verdict)
            outcome = yield from proceed(request)
            verdict = self.classifier(request, outcome)
            if verdict not in AGAIN or not repeatable(request, outcome, verdict):
                return outcome

    def _pass_on(
        self, request: Request, course: _Course, outcome: Outcome, verdict: Verdict
    ) -> Generator[Effect[Any], Any, None]:
        """From an outcome that is not the last to the moment of the next attempt."""
        report = self._read(outcome)
        seconds, reason, ignored = self._wait_for(request, course, outcome, verdict, report)
        for word in ignored:
            yield from Emit(HeadersIgnored(request.guard, request.host, word))
        yield from Emit(RetryScheduled(request.guard, request.host, _cause(outcome, verdict)))
        yield from Discard(outcome)
        if seconds > 0:
            yield from Wait(seconds, reason)

    def _wait_for(
        self, request: Request, course: _Course, outcome: Outcome, verdict: Verdict, report: HeaderReport
    ) -> tuple[float, str, tuple[str, ...]]:
        """The longer of backoff and server's wish, never their sum; what for; and which headers were refused."""
        paced = self.quota_window is not None and not request.without_permit
        if paced and verdict is Verdict.THROTTLED and self._is_first_refusal(course, outcome):
            return 0.0, "quota", ()
        asked, ignored = server_wait(outcome, report, until_reset=verdict is Verdict.THROTTLED and not paced)
        backoff = self.backoff(course.retries, self.chance())
        seconds, reason = (asked, "retry_after") if asked > backoff else (backoff, "backoff")
        return seconds, reason, () if paced else ignored  # a Quota inside has told of them already

    def _is_first_refusal(self, course: _Course, outcome: Outcome) -> bool:
        """Whether this is the call's first 429 in a window. Another status that throttles is unknown to Quota."""
        if isinstance(outcome, Failure) or outcome.status != 429:
            return False
        before, course.refused_at = course.refused_at, outcome.received_at
        return before is None or outcome.received_at - before >= (self.quota_window or 0.0)

    def _read(self, outcome: Outcome) -> HeaderReport:
        assert not isinstance(self.dialect, str)
        if isinstance(outcome, Failure):
            return NOTHING_READ
        return self.dialect(outcome.headers, outcome.status, outcome.wall)

    def _give_up(self, request: Request, course: _Course, outcome: Outcome) -> Flow:
        request.exhausted = course.retries > 0
        if self.raise_on_exhausted:
            yield from Discard(outcome)
            raise self._exhaustion(request, course, outcome)
        if isinstance(outcome, Failure) and request.exhausted:
            outcome.error.add_note(f"clever_guard gave up after {request.sends} attempts")
        return outcome

    def _exhaustion(self, request: Request, course: _Course, outcome: Outcome) -> RetriesExhausted:
        """The error for it. It is not chained to the library's own, whose text may hold a URL: that is in ``last``."""
        asked, _ = server_wait(outcome, self._read(outcome), until_reset=True)
        return RetriesExhausted(
            f"gave up after {request.sends} attempts, the last one: {_words(outcome)}",
            retry_in=asked or None,
            retry_at=outcome.wall + asked if asked and isinstance(outcome, Reply) else None,
            last=evidence(outcome),
            sent=course.reached,
        )


def server_wait(outcome: Outcome, report: HeaderReport, *, until_reset: bool) -> tuple[float, tuple[str, ...]]:
    """Seconds an answer asks to wait (0: it asks nothing), and which headers were refused on the way.

    ``until_reset``: the reset counts too, of the buckets with nothing left if one says so. What is later decides.
    """
    asked, ignored = report.retry_after or 0.0, report.ignored
    if until_reset and isinstance(outcome, Reply):
        empty = [reading for reading in report.readings if reading.remaining == 0]
        for ahead in (_ahead(reading, outcome.wall) for reading in empty or report.readings):
            if ahead > MAX_WAIT:
                ignored = (*ignored, "reset_far")
            else:
                asked = max(asked, ahead)
    return asked, ignored


def _ahead(reading: Reading, wall: float) -> float:
    """Seconds to the reset. Without a Date of the server's, our own wall clock is all there is."""
    return reading.reset - wall if reading.resets_in is None else reading.resets_in


def _words(outcome: Outcome) -> str:
    return f"status {outcome.status}" if isinstance(outcome, Reply) else type(outcome.error).__name__


def _cause(outcome: Outcome, verdict: Verdict) -> str:
    if isinstance(outcome, Failure):
        return outcome.reason
    return "throttled" if verdict is Verdict.THROTTLED else "status"
