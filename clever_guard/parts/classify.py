"""What an outcome means, and whether the same request may be sent again.

Clever's table (API Responses and Error Handling): 400, 401, 404, 413 and 501 are not retried; 429 is retried after the
rate limit period; 500, 502 and 503 after a wait. RFC 9110 9.2.2: nothing but an idempotent method is repeated when the
server may have processed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from clever_guard.model import Failure, Outcome, Reply, Request, Verdict

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""RFC 9110 9.2.1 and 9.2.2."""


class Classifier(Protocol):
    """Outcome -> verdict; and whether the request may be repeated after it."""

    def verdict(self, outcome: Outcome, /) -> Verdict: ...

    def repeatable(self, request: Request, outcome: Outcome, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class StatusClassifier:
    """Verdicts by status. ``transient``: statuses worth a wait and a retry; ``throttled``: refused by a rate limit."""

    transient: frozenset[int] = frozenset({500, 502, 503, 504})
    throttled: frozenset[int] = frozenset({429})

    def verdict(self, outcome: Outcome, /) -> Verdict:
        if isinstance(outcome, Failure):
            return Verdict.TRANSIENT if outcome.retryable else Verdict.PERMANENT
        if outcome.status < 400:
            return Verdict.OK
        if outcome.status in self.throttled:
            return Verdict.THROTTLED
        return Verdict.TRANSIENT if outcome.status in self.transient else Verdict.PERMANENT

    def repeatable(self, request: Request, outcome: Outcome, /) -> bool:
        """False whenever a second sending could do the work twice, or could not send the same bytes."""
        if not request.rewindable:
            return False
        if isinstance(outcome, Reply):
            return outcome.status in self.throttled or idempotent(request)
        return not outcome.sent or idempotent(request)


def idempotent(request: Request) -> bool:
    """By what the caller said, by method, or by an Idempotency-Key header."""
    if request.idempotent is not None:
        return request.idempotent
    return request.method in IDEMPOTENT or request.headers.get("Idempotency-Key") is not None
