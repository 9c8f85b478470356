"""One request in, one answer out. No socket and no clock: the time comes with the request."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clever_guard.testing.emulator import pages
from clever_guard.testing.emulator.budget import Budget, Window
from clever_guard.testing.emulator.exchange import Answer, Arrival, Cut, bearer_token, error_answer, json_answer
from clever_guard.testing.emulator.faults import Faults
from clever_guard.testing.emulator.headers import asks_to_wait, date_header, quota_headers
from clever_guard.testing.emulator.knobs import Knobs
from clever_guard.testing.emulator.operations import Operations

if TYPE_CHECKING:
    from clever_guard.testing.emulator.serving import Served

CONTROL = "/_emulator/"
WORK = "operations"
"""POST /v2.0/operations does work that must not be done twice; so do PUT, PATCH and DELETE there and below. Bodies are remembered."""
WRITES = ("POST", "PUT", "PATCH", "DELETE")
KEPT_BODIES = 100_000


class Emulator:
    """The API. Deterministic for a seed and a sequence of requests. Not locked: one thread at a time.

    Memory is bounded: 2000 windows a budget, 20,000 arrivals a window, 100,000 bodies and entries of the
    operation log; counts go on.
    """

    def __init__(self, knobs: Knobs | None = None, **turned: Any) -> None:
        """``Emulator(limit=300, window=6)``, or ready-made ``Knobs``."""
        self.knobs = replace(knobs, **turned) if knobs else Knobs(**turned)
        self.reset()

    def reset(self) -> None:
        """Forget everything that happened."""
        self._faults = Faults(self.knobs.seed)
        self.budgets: dict[str, dict[str, Budget]] = {}
        """By token and bucket name."""
        self.statuses: Counter[int] = Counter()
        self.cuts: Counter[str] = Counter()
        self.work: list[tuple[bytes, str | None]] = []
        """(body, Idempotency-Key) of every POST that was carried out, in order."""
        self._keys: set[str] = set()
        self.operations = Operations()
        """Every request that names its operation, and what became of it."""

    def turn(self, **turned: Any) -> None:
        """Turn knobs in the middle of a run. Windows that are open keep the limit and the end they have.

        One bucket that is renamed goes on; where there are more or fewer than before, all begin anew.
        """
        self.knobs = replace(self.knobs, **turned)
        for token, budgets in list(self.budgets.items()):
            limits = self._limits(token)
            if len(limits) == len(budgets) == 1:
                budgets = dict(zip(limits, budgets.values(), strict=True))
            if limits.keys() != budgets.keys():
                del self.budgets[token]
                continue
            self.budgets[token] = budgets
            for name, budget in budgets.items():
                budget._knobs, budget.limit = self.knobs, limits[name]

    # -- one request -----------------------------------------------------------------------------------------------------

    def handle(self, arrival: Arrival, now: float) -> Answer:
        """The answer to ``arrival`` at ``now`` (true epoch seconds)."""
        if arrival.path.startswith(CONTROL):
            return self._control(arrival)
        delay = self._faults.latency(self.knobs)
        if self._faults.happens(self.knobs.drop_before):
            return self._cut("before", arrival, delay)
        answer = self._answer(arrival, now)
        self.statuses[answer.status] += 1
        answer = self._faults.on_the_way_back(self.knobs, answer)
        if answer.cut:
            self.cuts[answer.cut] += 1
        self.operations.enter(arrival, answer)
        return replace(answer, delay=delay + answer.delay, headers=answer.headers + date_header(self.knobs, now))

    def cuts_upload(self, arrival: Arrival) -> bool:
        """Whether the connection ends while the body of ``arrival`` is on its way. For what has the connection to ask."""
        cut = not arrival.path.startswith(CONTROL) and self._faults.happens(self.knobs.drop_upload)
        if cut:
            self._cut("upload", arrival, 0.0)
        return cut

    def _answer(self, arrival: Arrival, now: float) -> Answer:
        token = bearer_token(arrival.headers.get("authorization"))
        if token is None:
            return error_answer(401, "Invalid auth")
        budgets = self._budgets("" if self.knobs.one_budget else token)
        windows = {name: budget.at(now) for name, budget in budgets.items()}
        admitted = all(window.left > 0 for window in windows.values())
        for name, window in windows.items():
            budgets[name].note(window, now, arrival.headers.get("x-worker", ""), admitted)
        if not admitted:
            return Answer(429, self._quota(windows, always=True) + asks_to_wait(self.knobs))
        answer = self._faults.after_work(self.knobs, self._work(arrival))
        return replace(answer, headers=answer.headers + self._quota(windows))

    def _work(self, arrival: Arrival) -> Answer:
        if self._faults.happens(self.knobs.error_rate):
            return self._faults.error(self.knobs)
        if WORK in arrival.path.split("/") and arrival.method in WRITES:
            return self._operate(arrival)
        if arrival.method not in ("GET", "HEAD"):
            return error_answer(501, "Not implemented")
        try:
            found = pages.answer(self.knobs, arrival.path, arrival.query, arrival.origin)
        except pages.BadRequest as error:
            return error_answer(error.status, str(error))
        return json_answer(200, found, worked=True)

    def _operate(self, arrival: Arrival) -> Answer:
        """Work that a second POST with the same Idempotency-Key does not do again."""
        key = arrival.headers.get("idempotency-key")
        if arrival.method != "POST":
            return json_answer(200, {"data": {}}, worked=True)
        known = key is not None and key in self._keys
        if not known and len(self.work) < KEPT_BODIES:
            self.work.append((arrival.body, key))
            self._keys.update({key} if key is not None else ())
        return json_answer(201, {"data": {"number": len(self.work)}}, worked=not known)

    # -- budgets -----------------------------------------------------------------------------------------------------------

    def _budgets(self, token: str) -> dict[str, Budget]:
        if token not in self.budgets:
            self.budgets[token] = {name: Budget(self.knobs, limit) for name, limit in self._limits(token).items()}
        return self.budgets[token]

    def _limits(self, token: str) -> dict[str, int]:
        return dict(self.knobs.buckets) or {self.knobs.bucket or _digest(token)[:6]: self.knobs.limit}

    def _quota(self, windows: dict[str, Window], *, always: bool = False) -> list[tuple[str, str]]:
        if self._faults.happens(self.knobs.headerless) and not (always and self.knobs.headerless < 1):
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
            "fates": dict(self.operations.fates()),
        }

    def _control(self, arrival: Arrival) -> Answer:
        what = arrival.path.removeprefix(CONTROL)
        if what == "truth":
            return json_answer(200, self.truth())
        if what == "operations":
            return json_answer(200, [entry.plain() for entry in self.operations])
        if what == "reset":
            self.reset()
            return json_answer(200, {})
        if what == "knobs" and arrival.method == "POST":
            return self._turn(arrival.body)
        return error_answer(404, "the control path knows truth, operations, reset and knobs")

    def _turn(self, body: bytes) -> Answer:
        try:
            self.turn(**json.loads(body))
        except (ValueError, TypeError, RecursionError) as error:
            return error_answer(400, str(error))
        return json_answer(200, {})

    def _cut(self, when: Cut, arrival: Arrival, delay: float) -> Answer:
        """Nothing was done, and nothing is answered."""
        answer = Answer(0, [], delay=delay, cut=when)
        self.cuts[when] += 1
        self.operations.enter(arrival, answer)
        return answer

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


def _digest(token: str) -> str:
    return hashlib.blake2b(token.encode(), digest_size=16).hexdigest()
