"""Quota: each attempt needs a permit of the fleet's budget, and each answer teaches the ledger.

The policy asks for a permit, waits while it is told to hold, lets the attempt go, and settles: with what the answer's
headers say, with "nothing left this process", or with "unknown", which ages in the ledger. It never reads a clock; what
can be waited for at all is the driver's to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from clever_guard.dialects import Dialect, dialect_named
from clever_guard.events import HeadersIgnored
from clever_guard.flow import Effect, Emit, Flow, Proceed, Reserve, Settle, Wait
from clever_guard.given import check_callable, check_seconds, check_whole
from clever_guard.model import (
    UNKNOWN,
    UNSENT,
    Claim,
    Failure,
    Hold,
    Outcome,
    Permit,
    Reading,
    Receipt,
    Reply,
    Request,
)
from clever_guard.parts.keys import KEPT, BearerToken, Key, identity
from clever_guard.quota.names import plain

ACCOUNT = "account\0"
"""So that an account named like a token is another identity: no token holds a NUL."""
PAST = -2.0
"""Reset - Date can be as low as this by rounding alone (a second each); below, the reset lies in the past."""


@dataclass(frozen=True)
class Quota:
    """A budget of ``limit`` requests in each fixed window of ``window`` seconds, one for each key.

    Both are what the user says until the server's headers are heard: for Clever 1200 and 60 ("1200 requests per minute
    per Bearer Token ... the allowed count of requests resets every minute", Clever API, Overview and Best Practices).

    ``key`` gives the token of a request (None: no permit is needed), ``account`` an identity that outlives a rotating
    token and may be shown, ``route`` what tells attempts apart that draw on different buckets. A reset further ahead
    than ``max_window`` seconds (default two windows), or in the past, is refused and counted.

    ``reserves`` names, for a priority, the permits it leaves to others while a window is young.

    Raises ValueError for a limit below 1, a window that is not positive, or a dialect nobody knows.
    """

    limit: int = 1200
    window: float = 60.0
    key: Key = field(default_factory=BearerToken)
    dialect: str | Dialect = "x-ratelimit"
    route: Callable[[Request], str] | None = None
    account: Callable[[Request], str | None] | None = None
    max_window: float | None = None
    reserves: Mapping[str, int] = field(default_factory=dict)
    secret: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        check_whole("Quota: limit", self.limit, "requests", least=1)
        check_seconds("Quota: window", self.window, least=0.1, most=10**7)
        if self.max_window is not None:
            check_seconds("Quota: max_window", self.max_window)
        check_callable("Quota: key", self.key, "a function of the request, or BearerToken()")
        for priority, permits in self.reserves.items():
            check_whole(f"Quota: reserves[{priority!r}]", permits, "permits", least=0)
        if isinstance(self.dialect, str):
            object.__setattr__(self, "dialect", dialect_named(self.dialect))

    def bound(self, secret: bytes) -> Quota:
        """The same policy with the guard's secret, with which identities are digested."""
        return replace(self, secret=secret)

    def around(self, request: Request, proceed: Proceed, /) -> Flow:
        claim = self.claim(request)
        if claim is None:
            request.without_permit = True
            return (yield from proceed(request))
        answer: Permit | Hold = yield Reserve(claim)
        permit = (yield from _wait(claim, answer)) if isinstance(answer, Hold) else answer
        sends = request.sends
        outcome: Outcome | None = None
        try:
            outcome = yield from proceed(request)
            return outcome
        finally:
            receipt, ignored = self._receipt(outcome, request.sends > sends)
            yield Settle(permit, receipt)
            for reason in ignored:
                yield Emit(HeadersIgnored(request.guard, request.host, reason))

    def claim(self, request: Request) -> Claim | None:
        """Whose budget this request draws on; None when its key is None. Raises ValueError for a token with CR/LF."""
        name = self.account(request) if self.account else None
        token = name if name is not None else self.key(request)
        if token is None:
            return None
        route = plain(self.route(request)) if self.route else ""
        reserve = self.reserves.get(request.priority, 0) if request.priority else 0
        return _claim(token, name is not None, self.secret, route, self.limit, self.window, reserve)

    def _receipt(self, outcome: Outcome | None, sent: bool) -> tuple[Receipt, tuple[str, ...]]:
        if isinstance(outcome, Reply):
            return self._answered(outcome)
        if isinstance(outcome, Failure):
            sent = sent and outcome.sent
        return (UNKNOWN if sent else UNSENT), ()

    def _answered(self, reply: Reply) -> tuple[Receipt, tuple[str, ...]]:
        assert not isinstance(self.dialect, str)
        report = self.dialect(reply.headers, reply.status, reply.wall)
        readings: tuple[Reading, ...] = ()
        ignored = report.ignored
        for reading in report.readings:
            judged = self._judged(reading)
            if isinstance(judged, str):
                ignored += (judged,)
            else:
                readings += (judged,)
        status, retry_after = reply.status, report.retry_after
        receipt = Receipt(
            True, True, status < 400, status == 429, reply.sent_at, reply.received_at, readings, retry_after
        )
        return receipt, ignored

    def _judged(self, reading: Reading) -> Reading | str:
        """The reading with a harmless bucket name and a bounded reset, or the reason why it cannot be.

        Without a Date the end of the window is at most a window away, and that is all that is known: our own clock, a few
        seconds ahead of the server's, would say too early. The borders themselves teach the rest.
        """
        if reading.resets_in is None:
            reading = reading._replace(resets_in=self.window, dated=False)
        ahead = reading.resets_in or 0.0
        if ahead < PAST:
            return "reset_past"
        if ahead > (self.max_window or 2 * self.window):
            return "reset_far"
        name = plain(reading.bucket)
        return reading if name == reading.bucket else reading._replace(bucket=name)


@lru_cache(maxsize=KEPT)
def _claim(token: str, named: bool, secret: bytes, route: str, limit: int, window: float, reserve: int) -> Claim:
    """``named``: the token is an account's name, which may be shown."""
    digest = identity(ACCOUNT + token if named else token, secret)
    return Claim(digest, route, limit, window, reserve, plain(token) if named else digest[:12])


def _wait(claim: Claim, hold: Hold) -> Generator[Effect[Any], Any, Permit]:
    """Wait for as long as the answer is "hold"; the place in the queue is kept."""
    answer: Permit | Hold = hold
    while isinstance(answer, Hold):
        ticket = answer.ticket
        yield from Wait(answer.seconds, "quota", at_least=answer.at_least, ticket=ticket, bucket=claim.label)
        answer = yield from Reserve(claim, ticket)
    return answer
