"""Quota: each attempt needs a permit of the fleet's budget, and each answer teaches the ledger.

The policy asks for a permit, waits while it is told to hold, lets the attempt go, and settles: with what the answer's
headers say, with "nothing left this process", or with "unknown", which ages in the ledger. It never reads a clock; what
can be waited for at all is the driver's to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from clever_guard.dialects import Dialect, dialect_of
from clever_guard.events import HeadersIgnored
from clever_guard.flow import Effect, Emit, Flow, Proceed, Reserve, Settle, Wait
from clever_guard.given import check_callable, check_seconds, check_whole
from clever_guard.model import (
    UNKNOWN,
    UNSENT,
    Claim,
    HeaderReport,
    Hold,
    Outcome,
    Permit,
    Reading,
    Receipt,
    Reply,
    Request,
    made,
)
from clever_guard.parts.keys import KEPT, BearerToken, Key, identity
from clever_guard.quota.names import plain, shown

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

    ``reserves`` names, for a priority (``options(priority=...)``, ``guard.wrap(client, priority=...)``), the permits it leaves to
    others while a window is young: ``{"bulk": 200}``. A priority that it does not name leaves none.

    Raises ValueError for a limit below 1, a window below 0.1 s or above 10^7, a dialect nobody knows, or what is no function.
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
    _farthest: float = field(default=0.0, init=False, repr=False, compare=False)
    _claims: dict[str | tuple[str, bool, str, str | None], Claim] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        check_whole("Quota: limit", self.limit, "requests", least=1)
        check_seconds("Quota: window", self.window, least=0.1, most=10**7)
        if self.max_window is not None:
            check_seconds("Quota: max_window", self.max_window)
        check_callable("Quota: key", self.key, "a function of the request, or BearerToken()")
        for priority, permits in self.reserves.items():
            check_whole(f"Quota: reserves[{priority!r}]", permits, "permits", least=0)
        for name, given in (("account", self.account), ("route", self.route)):
            if given is not None:
                check_callable(f"Quota: {name}", given, "a function of the request")
        object.__setattr__(self, "dialect", dialect_of(self.dialect))
        object.__setattr__(self, "_farthest", self.max_window or 2 * self.window)

    def bound(self, secret: bytes) -> Quota:
        """The same policy with the guard's secret, with which identities are digested."""
        return replace(self, secret=secret)

    def around(self, request: Request, proceed: Proceed, /) -> Flow:
        claim = request.claim or self.claim(request)
        if claim is None:
            return (yield from proceed(request))
        answer: Permit | Hold = yield Reserve(claim)
        permit = (yield from _wait(claim, answer)) if isinstance(answer, Hold) else answer
        sends = request.sends
        outcome: Outcome | None = None
        try:
            outcome = yield from proceed(request)
            return outcome
        finally:
            receipt, ignored = self.receipt(outcome, request.sends > sends)
            yield Settle(permit, receipt)
            for reason in ignored:
                yield Emit(HeadersIgnored(request.guard, request.host, reason))

    def claim(self, request: Request) -> Claim | None:
        """Whose budget this request draws on; None when its key is None. Raises ValueError for a token with CR/LF.

        The request remembers it: the user's functions are asked once a call.
        """
        if self.account or self.route or request.priority:
            return self._particular(request)
        token = self.key(request)
        if token is None:
            request.without_permit = True
            return None
        request.claim = claim = self._claims.get(token) or self._made(token, token, "")
        return claim

    def _particular(self, request: Request) -> Claim | None:
        """The claim of a request that has an account, a route or a priority of its own."""
        name = self.account(request) if self.account else None
        token = name if name is not None else self.key(request)
        if token is None:
            request.without_permit = True
            return None
        route = plain(self.route(request)) if self.route else ""
        known = token, name is not None, route, request.priority
        request.claim = claim = self._claims.get(known) or self._made(
            known, token, route, name is not None, request.priority
        )
        return claim

    def _made(self, known: Any, token: str, route: str, named: bool = False, priority: str | None = None) -> Claim:
        """A claim, remembered as ``known``: digests are not made for each call. ``named``: the token is an account's name."""
        digest = identity(ACCOUNT + token if named else token, self.secret)
        reserve = self.reserves.get(priority, 0) if priority else 0
        claim = Claim(digest, route, self.limit, self.window, reserve, plain(token) if named else digest[:12])
        if len(self._claims) >= KEPT:
            self._claims.clear()
        self._claims[known] = claim
        return claim

    def receipt(self, outcome: Outcome | None, sent: bool = True) -> tuple[Receipt, tuple[str, ...]]:
        """What became of the permit of an attempt, and which of the answer's headers were refused.

        ``sent``: whether the attempt was begun; ``outcome`` is None where it was interrupted.
        """
        if not isinstance(outcome, Reply):
            return (UNKNOWN if sent and (outcome is None or outcome.sent) else UNSENT), ()
        status = outcome.status
        report: HeaderReport = self.dialect(outcome.headers, status, outcome.wall)  # type: ignore[operator]
        readings: tuple[Reading, ...] = ()
        ignored = report.ignored
        for reading in report.readings:
            judged = self._judged(reading)
            if isinstance(judged, str):
                ignored += (judged,)
            else:
                readings += (judged,)
        said = (
            True,
            True,
            status < 400,
            status == 429,
            outcome.sent_at,
            outcome.received_at,
            readings,
            report.retry_after,
        )
        return made(Receipt, said), ignored

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
        if ahead > self._farthest:
            return "reset_far"
        name = plain(reading.bucket)
        return reading if name == reading.bucket else reading._replace(bucket=name)


def _wait(claim: Claim, hold: Hold) -> Generator[Effect[Any], Any, Permit]:
    """Wait for as long as the answer is "hold"; the place in the queue is kept."""
    answer: Permit | Hold = hold
    ticket = hold.ticket
    try:
        while isinstance(answer, Hold):
            ticket = answer.ticket
            bucket = shown(claim.label, answer.bucket)
            yield from Wait(answer.seconds, "quota", at_least=answer.at_least, ticket=ticket, bucket=bucket)
            answer = yield from Reserve(claim, ticket)
    except BaseException:
        if ticket is not None:
            ticket.left = True
        raise
    return answer
