"""One request in, one answer out. No socket and no clock: the time comes with the request."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from clever_guard.testing.emulator import pages
from clever_guard.testing.emulator.budget import Budget, Window
from clever_guard.testing.emulator.headers import date_header, quota_headers
from clever_guard.testing.emulator.knobs import Knobs

if TYPE_CHECKING:
    from clever_guard.testing.emulator.serving import Served

CONTROL = "/_emulator/"
WORK = "operations"
"""POST /v2.0/operations does work that must not be done twice; every body is remembered."""
KEPT_BODIES = 100_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it arrived; ``headers`` in lower case."""

    method: str
    path: str
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    origin: str = "http://api.clever.com"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back, after ``delay`` seconds. ``cut``: the connection ends instead."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    delay: float = 0.0
    cut: bool = False


class Emulator:
    """The API. Deterministic for a seed and a sequence of requests. Not locked: one thread at a time.

    Memory is bounded: 2000 windows a budget, 20,000 arrivals a window, 100,000 bodies; counts go on.
    """

    def __init__(self, knobs: Knobs | None = None, **turned: Any) -> None:
        """``Emulator(limit=300, window=6)``, or ready-made ``Knobs``."""
        self.knobs = replace(knobs, **turned) if knobs else Knobs(**turned)
        self.reset()

    def reset(self) -> None:
        """Forget everything that happened."""
        self._random = random.Random(self.knobs.seed)
        self.budgets: dict[str, dict[str, Budget]] = {}
        """By token and bucket name."""
        self.statuses: Counter[int] = Counter()
        self.cuts: Counter[str] = Counter()
        self.work: list[tuple[bytes, str | None]] = []
        """(body, Idempotency-Key) of every operation that was carried out, in order."""

    def turn(self, **turned: Any) -> None:
        """Turn knobs in the middle of a run. Windows that are open keep the limit they have; other buckets begin anew."""
        self.knobs = replace(self.knobs, **turned)
        for token, budgets in list(self.budgets.items()):
            limits = self._limits(_digest(token)[:6])
            if limits.keys() != budgets.keys():
                del self.budgets[token]
                continue
            for name, budget in budgets.items():
                budget._knobs, budget.limit = self.knobs, limits[name]

    # -- one request -----------------------------------------------------------------------------------------------------

    def handle(self, arrival: Arrival, now: float) -> Answer:
        """The answer to ``arrival`` at ``now`` (true epoch seconds)."""
        if arrival.path.startswith(CONTROL):
            return self._control(arrival)
        low, high = self.knobs.latencies
        delay = low if low == high else self._random.uniform(low, high)
        if self._happens(self.knobs.drop_before):
            return self._cut("before", delay)
        answer = self._answer(arrival, now)
        self.statuses[answer.status] += 1
        if answer.status < 400 and self._happens(self.knobs.drop_after):
            return self._cut("after", delay)
        return replace(answer, delay=delay, headers=answer.headers + date_header(self.knobs, now))

    def _answer(self, arrival: Arrival, now: float) -> Answer:
        token = _token(arrival.headers.get("authorization"))
        if token is None:
            return _says(401, "Invalid auth")
        windows = {name: budget.at(now) for name, budget in self._budgets(token).items()}
        admitted = all(window.left > 0 for window in windows.values())
        for name, window in windows.items():
            self.budgets[token][name].note(window, now, arrival.headers.get("x-worker", ""), admitted)
        if not admitted:
            return Answer(429, self._quota(windows, always=True))
        answer = self._work(arrival)
        return replace(answer, headers=answer.headers + self._quota(windows))

    def _work(self, arrival: Arrival) -> Answer:
        if self._happens(self.knobs.error_rate):
            return _says(self._random.choice(self.knobs.error_codes), "Clever API failure")
        if arrival.method == "POST" and arrival.path.rstrip("/").endswith("/" + WORK):
            return self._operate(arrival)
        if arrival.method not in ("GET", "HEAD"):
            return _says(501, "Not implemented")
        try:
            found = pages.answer(self.knobs, arrival.path, arrival.query, arrival.origin)
        except pages.BadRequest as error:
            return _says(error.status, str(error))
        return _json(200, found)

    def _operate(self, arrival: Arrival) -> Answer:
        key = arrival.headers.get("idempotency-key")
        if (key is None or all(key != known for _, known in self.work)) and len(self.work) < KEPT_BODIES:
            self.work.append((arrival.body, key))
        return _json(201, {"data": {"number": len(self.work)}})

    # -- budgets -----------------------------------------------------------------------------------------------------------

    def _budgets(self, token: str) -> dict[str, Budget]:
        if token not in self.budgets:
            limits = self._limits(_digest(token)[:6])
            self.budgets[token] = {name: Budget(self.knobs, limit) for name, limit in limits.items()}
        return self.budgets[token]

    def _limits(self, name: str) -> dict[str, int]:
        return dict(self.knobs.buckets) or {name: self.knobs.limit}

    def _quota(self, windows: dict[str, Window], *, always: bool = False) -> list[tuple[str, str]]:
        if self._happens(self.knobs.headerless) and not (always and self.knobs.headerless < 1):
            return []
        return quota_headers(self.knobs, windows)

    # -- the truth -----------------------------------------------------------------------------------------------------------

    @property
    def admitted(self) -> int:
        return sum(window.admitted for window in self.windows())

    @property
    def refused(self) -> int:
        return sum(window.refused for window in self.windows())

    def windows(self, token: str | None = None) -> list[Window]:
        """All windows of ``token`` (or of all tokens), the first bucket's where there are several."""
        tokens = self.budgets if token is None else {token: self.budgets.get(token, {})}
        return [window for named in tokens.values() for budget in list(named.values())[:1] for window in budget.windows]

    def truth(self) -> dict[str, Any]:
        """Everything as plain data; tokens are shown as digests."""
        budgets = {
            f"{_digest(token)[:12]}:{name}": [window.summary() for window in budget.windows]
            for token, named in self.budgets.items()
            for name, budget in named.items()
        }
        return {
            "budgets": budgets,
            "statuses": {str(code): count for code, count in self.statuses.items()},
            "cuts": dict(self.cuts),
            "work": len(self.work),
            "worked_twice": len(self.work) - len(set(self.work)),
        }

    def _control(self, arrival: Arrival) -> Answer:
        what = arrival.path.removeprefix(CONTROL)
        if what == "truth":
            return _json(200, self.truth())
        if what == "reset":
            self.reset()
            return _json(200, {})
        if what == "knobs" and arrival.method == "POST":
            return self._turn(arrival.body)
        return _says(404, "the control path knows truth, reset and knobs")

    def _turn(self, body: bytes) -> Answer:
        try:
            self.turn(**json.loads(body))
        except (ValueError, TypeError, RecursionError) as error:
            return _says(400, str(error))
        return _json(200, {})

    def _cut(self, when: Literal["before", "after"], delay: float) -> Answer:
        self.cuts[when] += 1
        return Answer(0, [], delay=delay, cut=True)

    def _happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def serve(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        certificate: tuple[str, str] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> Served:
        """This emulator behind a real socket, in a thread, until ``close``. Needs the extra ``emulator``.

        ``clock``: epoch seconds, where its windows should follow another time than the machine's.
        """
        from clever_guard.testing.emulator.serving import Served

        return Served(self, host, port, certificate, clock)


def _token(authorization: str | None) -> str | None:
    scheme, _, token = (authorization or "").partition(" ")
    known = scheme.lower() == "bearer" and token and token.isascii() and token.isprintable() and " " not in token
    return token if known else None


def _digest(token: str) -> str:
    return hashlib.blake2b(token.encode(), digest_size=16).hexdigest()


def _json(status: int, body: Any) -> Answer:
    return Answer(status, [("Content-Type", "application/json")], json.dumps(body).encode())


def _says(status: int, message: str) -> Answer:
    return _json(status, {"error": message})
