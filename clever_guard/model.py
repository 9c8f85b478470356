"""The nouns of a guarded call: what policies ask with and what they are answered.

    Request   one call, as policies see it. Per-call, mutable, never shared
    Outcome   what one attempt gave: a Reply (any status) or a Failure
    Reading   what an answer's headers say about one bucket
    Claim     whose budget an attempt draws on
    Permit    the right to send one attempt
    Hold      "no permit now; ask again in s seconds"
    Receipt   what became of a permit, told back to the ledger

Times are seconds on the driver's monotonic clock unless a name says otherwise. Nothing here performs
anything, and no ``repr`` shows a token or a URL. What never changes is a named tuple: it is made for every attempt, and a
frozen dataclass takes three times as long to make. Where one is made for every attempt it is made as ``made(Reading, (...))``,
in half the time again, for a named tuple's own constructor is a Python function.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

made = tuple.__new__
"""``made(Reading, (limit, remaining, ...))``: a named tuple of all its fields, in order."""


class Verdict(enum.Enum):
    """What an outcome means for the call."""

    OK = "ok"
    TRANSIENT = "transient"
    THROTTLED = "throttled"
    PERMANENT = "permanent"


class Reading(NamedTuple):
    """What one answer says about one bucket.

    ``reset`` is the server's own number in seconds and is compared only with other numbers of the same
    server. ``resets_in`` is Reset - Date, both of the server, in seconds from receipt; None when the answer
    had no usable Date. The quota policy then puts an upper bound there and says so in ``dated``.
    """

    limit: int
    remaining: int
    reset: float
    resets_in: float | None
    bucket: str = ""
    dated: bool = True


class HeaderReport(NamedTuple):
    """Everything a dialect found in one answer. ``ignored`` names the refused values (bounded words)."""

    readings: tuple[Reading, ...] = ()
    retry_after: float | None = None
    ignored: tuple[str, ...] = ()


NOTHING_READ = HeaderReport()


class Headers(Protocol):
    """The part of a header mapping that parts and dialects use. Lookup ignores letter case."""

    def get(self, name: str, /) -> str | None: ...


@dataclass(slots=True)
class Reply:
    """An answer of any status. ``response`` is the wrapped library's own object."""

    status: int
    headers: Headers = field(repr=False)
    response: Any = field(repr=False)
    sent_at: float = 0.0
    received_at: float = 0.0
    wall: float = 0.0
    """Epoch seconds of our own clock at receipt: only for header dates that have no server Date beside them."""


@dataclass(slots=True)
class Failure:
    """No answer. ``sent`` is False only when the server surely saw nothing of the request."""

    error: BaseException = field(repr=False)
    """The library's own: its text may hold the URL."""
    sent: bool
    reason: str = "read"
    """``connect`` or ``read``: a bounded word for metrics."""
    retryable: bool = True
    """False for errors that no repetition mends: a bad URL, a closed pool, a full pool, a caller's mistake."""
    sent_at: float = 0.0
    received_at: float = 0.0
    response: Any = field(default=None, repr=False)
    """A response that broke off, if the library made one."""


Outcome: TypeAlias = Reply | Failure


def evidence(outcome: Outcome | None) -> Any:
    """What an error carries as ``last``: the library's response, or the exception."""
    if isinstance(outcome, Reply):
        return outcome.response
    return outcome.error if isinstance(outcome, Failure) else None


@dataclass
class Request:
    """One call (one redirect hop), as policies see it. Made by the adapter for each call.

    Without slots: what a usual call leaves as it is stays an attribute of the class and is not written for each call.
    """

    method: str
    scheme: str
    host: str
    port: int | None
    target: str = field(repr=False)
    """Path and query: for a user's ``route`` function. Never logged, never a label."""
    headers: Headers = field(repr=False)
    guard: str = ""
    """Name of the guard, for events."""
    rewindable: bool = True
    """Whether the body can be sent again from where it started."""
    idempotent: bool | None = None
    """What ``options(idempotent=...)`` said; None leaves it to method and Idempotency-Key."""
    priority: str | None = None
    deadline: float | None = None
    """Monotonic time at which the call must be over."""
    max_wait: float | None = None
    """Seconds the call may wait for quota, all its holds together."""
    now: float = 0.0
    """The newest stamp: every answer the driver gives moves it."""
    sends: int = field(default=0, init=False)
    """Attempts sent so far; counted by the driver."""
    held: float = field(default=0.0, init=False)
    """Seconds waited for quota so far; counted by the driver."""
    last: Outcome | None = field(default=None, init=False)
    """The newest outcome of this call: the evidence an error carries."""
    exhausted: bool = field(default=False, init=False)
    """Set by a policy that gave up after its last retry."""
    claim: Claim | None = field(default=None, init=False)
    """Whose budget its attempts draw on, once somebody has asked."""
    without_permit: bool = field(default=False, init=False)
    """Set by a Quota that lets the call pass without a permit, so that no hold will pace it."""


class Claim(NamedTuple):
    """Whose budget an attempt draws on, and what the user said about it.

    ``identity`` is a keyed digest (hex), never the token. ``limit`` and ``window`` (seconds) are used until the
    server's headers are heard. ``reserve`` permits are left to others while the window is young (a floor).
    """

    identity: str
    route: str
    limit: int
    window: float
    reserve: int = 0
    label: str = ""
    """How the identity is shown: an account's name, or the digest's first 12 hex digits."""


class Ticket:
    """A place in the queue of those who were told to wait; ``wake`` is set by whoever waits. ``book`` is the lease books' own."""

    __slots__ = ("book", "wake", "woken")

    def __init__(self) -> None:
        self.book: Any = None
        self.wake: Callable[[], None] | None = None
        self.woken = False


class Hold(NamedTuple):
    """No permit now; ask again in ``seconds``, or sooner when ``ticket`` is woken.

    ``at_least`` is the part of it that is certain: a call whose time ends before that need not begin to wait.
    """

    seconds: float
    at_least: float = 0.0
    ticket: Ticket | None = None
    bucket: str = ""


@dataclass(slots=True)
class Permit:
    """The right to send one attempt. ``lease`` and ``book`` are the lease books' own; policies only pass them back."""

    claim: Claim
    lease: Any = field(default=None, repr=False)
    book: Any = field(default=None, repr=False)
    settled: bool = False


class Receipt(NamedTuple):
    """What became of a permit.

    sent=False               nothing left this process: the permit goes back
    answered=False           no answer: unknown, so it ages
    otherwise                answered; ``readings`` teach the ledger, ``refused`` marks a 429
    """

    sent: bool
    answered: bool = False
    ok: bool = False
    """An answer below 400: when it carries no reading, the API may send no headers at all."""
    refused: bool = False
    sent_at: float = 0.0
    received_at: float = 0.0
    readings: tuple[Reading, ...] = ()
    retry_after: float | None = None


UNSENT = Receipt(sent=False)
UNKNOWN = Receipt(sent=True)
