"""What the guard itself costs: microseconds of CPU for each call around a stub that answers at once.

    python -m benchmarks.wrapper [--quick] [--json]
    python -m benchmarks.wrapper --profile     where the microseconds go, function by function

Two stubs, both with one finished answer that carries Clever's headers. ``flow`` rows hand a request to ``guard.call``: policies,
driver, lease book, metrics. ``urllib3`` rows call the patched ``urlopen`` of a pool: the same and the seam. Pieces are measured in
turn, round after round, and the medians are shown. tenacity stands beside them, for retries alone.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import time
import unittest.mock
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import urllib3
from prometheus_client import CollectorRegistry

from benchmarks.report import medians, options, show, table
from clever_guard import Deadline, Guard, Quota, Retry
from clever_guard.adapters.urllib3.request import answer_headers
from clever_guard.model import Outcome, Reply, Request
from clever_guard.observe import counting
from clever_guard.observe.prometheus import PrometheusObserver

HEADERS = {"Authorization": "Bearer TEST_TOKEN"}
LIMIT = 10**8
LEARNING = 1.2
"""Seconds after its first call until a new ledger gives whole leases."""


def a_pool() -> urllib3.HTTPConnectionPool:
    """A pool whose ``urlopen`` answers at once."""
    now = time.time()
    response = urllib3.HTTPResponse(
        status=200,
        headers={
            "Content-Type": "application/json",
            "Content-Length": "2",
            "Date": formatdate(now, usegmt=True),
            "X-RateLimit-Limit": str(LIMIT),
            "X-RateLimit-Remaining": str(LIMIT - 1),
            "X-RateLimit-Reset": str(int(now) + 3600),
            "X-RateLimit-Bucket": "all",
        },
    )
    pool = urllib3.HTTPConnectionPool("api.example.test")

    def answer(method: str, url: str, **kwargs: Any) -> urllib3.HTTPResponse:
        return response

    pool.urlopen = answer  # type: ignore[method-assign, assignment]
    return pool


def quota() -> Quota:
    """An hour's window, so that the run is one window."""
    return Quota(limit=LIMIT, window=3600)


def everything() -> Guard:
    observers = [PrometheusObserver(CollectorRegistry(), buckets=True)]
    return Guard(Retry(), quota(), observers=observers, timeout=(5.0, 60.0))


def everything_with_children() -> Guard:
    """As in multiprocess mode, where prometheus_client keeps the numbers."""
    with unittest.mock.patch.object(counting, "_may_own", lambda: False):
        return everything()


GUARDS: dict[str, Callable[[], Guard]] = {
    "no policies": Guard,
    "Retry": lambda: Guard(Retry()),
    "Quota, leased": lambda: Guard(quota()),
    "Retry, Quota": lambda: Guard(Retry(), quota()),
    "Retry, Quota, metrics": everything,
    "Retry, Quota, prometheus_client": everything_with_children,
    "Deadline, Retry, Quota": lambda: Guard(Deadline(60), Retry(), quota()),
}
CALLS = 4000


class Stub:
    """A transport that answers at once."""

    def __init__(self) -> None:
        self._response: Any = a_pool().urlopen("GET", "/")

    def send(self, request: Request, /) -> Outcome:
        return Reply(200, answer_headers(self._response), self._response)

    def discard(self, outcome: Outcome, /) -> None:
        raise AssertionError("a 200 is returned")


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    calls = {"urllib3: stub alone": _through(None), "tenacity": _tenacity()}
    calls |= {f"flow: {name}": _flow(make()) for name, make in GUARDS.items()}
    calls |= {f"urllib3: {name}": _through(make()) for name, make in GUARDS.items()}
    for call in calls.values():
        call()
    time.sleep(LEARNING)
    for call in calls.values():
        _microseconds(call, 1000)
    if asked.profile:
        _profile(calls["urllib3: Retry, Quota, metrics"])
        return 0
    found = medians({name: _measure(call) for name, call in calls.items()}, 5 if asked.quick else 25)
    bare = found.pop("urllib3: stub alone")
    added = {name: round(figure - bare, 2) for name, figure in found.items()}
    title = f"CPU microseconds a call, added to a stub of {bare:.2f}"
    show(asked, "wrapper", added, table(title, ["", "us"], [[name, us] for name, us in added.items()]))
    return 0


def _through(guard: Guard | None) -> Callable[[], Any]:
    pool = a_pool()
    if guard is not None:
        guard.wrap(pool)
    return lambda: pool.urlopen("GET", "/v2.0/students", headers=HEADERS, redirect=False)


def _flow(guard: Guard) -> Callable[[], Any]:
    stub = Stub()
    return lambda: guard.call(Request("GET", "https", "api.example.test", None, "/v2.0/students", HEADERS, "g"), stub)


def _tenacity() -> Callable[[], Any]:
    import tenacity

    def unlucky(answer: Any) -> bool:
        return answer.status in (429, 500, 502, 503, 504)

    pool = a_pool()
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(unlucky) | tenacity.retry_if_exception_type(urllib3.exceptions.HTTPError),
        wait=tenacity.wait_exponential_jitter(initial=1, max=60),
        stop=tenacity.stop_after_attempt(6),
    )
    return lambda: retrying(pool.urlopen, "GET", "/v2.0/students", headers=HEADERS, redirect=False)


def _measure(call: Callable[[], Any]) -> Callable[[], float]:
    return lambda: _microseconds(call, CALLS)


def _microseconds(call: Callable[[], Any], calls: int) -> float:
    begun = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - begun) / calls * 1e6


def _profile(call: Callable[[], Any]) -> None:
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(CALLS):
        call()
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(32)


if __name__ == "__main__":
    sys.exit(main())
