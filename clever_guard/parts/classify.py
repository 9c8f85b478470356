"""What an outcome means, and whether the same request may be sent again.

Clever's table (API Responses and Error Handling): 400, 401, 404, 413 and 501 are not retried; 429 is retried after the
rate limit period; 500, 502 and 503 after a wait. RFC 9110 9.2.2: nothing but an idempotent method is repeated when the
server may have processed it.

Two questions, two functions: a classifier judges the outcome and may be replaced; what may be repeated at all is no
matter of taste.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from clever_guard.model import Failure, Outcome, Request, Verdict

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""RFC 9110 9.2.1 and 9.2.2."""


class Classifier(Protocol):
    """(request, outcome) -> verdict. A plain function will do."""

    def __call__(self, request: Request, outcome: Outcome, /) -> Verdict: ...


@dataclass(frozen=True, slots=True)
class StatusClassifier:
    """Verdicts by status. ``transient``: statuses worth a wait and a retry; ``throttled``: refused by a rate limit.

    A throttled request was not processed, so it may be repeated whatever its method is: put no status there of which
    this is not certain.
    """

    transient: frozenset[int] = frozenset({500, 502, 503, 504})
    throttled: frozenset[int] = frozenset({429})

    def __call__(self, request: Request, outcome: Outcome, /) -> Verdict:
        if isinstance(outcome, Failure):
            return Verdict.TRANSIENT if outcome.retryable else Verdict.PERMANENT
        if outcome.status in self.throttled:
            return Verdict.THROTTLED
        if outcome.status in self.transient:
            return Verdict.TRANSIENT
        return Verdict.OK if outcome.status < 400 else Verdict.PERMANENT


def repeatable(request: Request, outcome: Outcome, verdict: Verdict) -> bool:
    """False whenever a second sending could do the work twice, or could not send the same bytes."""
    if not request.rewindable:
        return False
    if verdict is Verdict.THROTTLED or (isinstance(outcome, Failure) and not outcome.sent):
        return True
    return idempotent(request)


def idempotent(request: Request) -> bool:
    """By what the caller said, by method, or by an Idempotency-Key header that is not empty."""
    if request.idempotent is not None:
        return request.idempotent
    return request.method in IDEMPOTENT or bool(request.headers.get("Idempotency-Key"))
