"""One call is one call and five retries at most, whatever layers repeat as well. Counted by the server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from urllib3.util.retry import Retry as Urllib3Retry

from clever_guard import Guard, Retry, options, presets
from clever_guard.testing import Emulator, no_waiting
from clever_guard.testing.emulator.serving import Served

RETRIES = 5
OUTAGES: list[dict[str, Any]] = [
    {"error_rate": 1.0, "error_codes": (503,), "retry_after": "1"},
    {"drop_before": 1.0},
    {"drop_after": 1.0},
    {"drop_body": 1.0},
    {"stranger": 1.0, "stranger_at": "reset", "retry_after": "1"},
]
NAMES = ["503", "cut before", "cut after", "cut in the body", "429"]
OWN = [None, 0, 10, Urllib3Retry(10, status_forcelist=[429, 500, 502, 503], allowed_methods=None, backoff_factor=0)]


@pytest.fixture(params=OUTAGES, ids=NAMES)
def outage(request: pytest.FixtureRequest) -> Iterator[Served]:
    """An API of which nothing can be had."""
    with Emulator(limit=10_000, **request.param).serve() as served:
        yield served


def sends(served: Served, client: Any, url: str, method: str = "GET", **arguments: Any) -> int:
    """How often one call arrives."""
    before = len(served.emulator.operations)
    headers = {"Authorization": "Bearer TEST_TOKEN", "X-Operation-Id": "a"}
    try:
        assert client.request(method, url, headers=headers, **arguments).status >= 429
    except urllib3.exceptions.HTTPError:
        pass
    return len(served.emulator.operations) - before


def guard_of(name: str) -> Guard:
    return presets.clever("memory://", observers=[]) if name == "preset" else Guard(Retry(max_retries=RETRIES))


@pytest.mark.parametrize("own", OWN, ids=["nothing", "0", "10", "everything"])
@pytest.mark.parametrize("kind", ["preset", "retries alone"])
def test_urllib3s_own_retries_do_not_multiply_ours(outage: Served, kind: str, own: Any) -> None:
    """Given with the call, to the manager, or to a pool."""
    guard = guard_of(kind)
    path = "/v2.0/students?limit=1"
    with no_waiting(guard), urllib3.PoolManager() as one, urllib3.PoolManager(retries=own) as other, guard:
        pool = urllib3.HTTPConnectionPool("127.0.0.1", outage.port, retries=own)
        for client in (one, other, pool):
            guard.wrap(client)
        assert sends(outage, one, outage.url + path, retries=own) == 1 + RETRIES
        assert sends(outage, other, outage.url + path) == 1 + RETRIES
        assert sends(outage, pool, path) == 1 + RETRIES
        pool.close()


@pytest.mark.parametrize("own", OWN, ids=["nothing", "0", "10", "everything"])
def test_nor_repeat_what_must_be_done_once(outage: Served, own: Any) -> None:
    guard = guard_of("preset")
    with no_waiting(guard), urllib3.PoolManager() as http, guard:
        guard.wrap(http)
        found = sends(outage, http, outage.url + "/v2.0/operations", "POST", retries=own, body=b"x")
        assert found == (1 + RETRIES if outage.emulator.statuses[429] else 1)
    assert set(outage.emulator.operations.worked().values()) <= {1}


def test_two_guards_do_not_nest(outage: Served) -> None:
    """Whichever way round: through a manager and one of its pools, the second is refused, and the first goes on alone."""
    guards = guard_of("preset"), guard_of("retries alone")
    with no_waiting(*guards):
        for outer, inner in (guards, guards[::-1]):
            with urllib3.PoolManager() as http:
                pool = http.connection_from_url(outage.url)
                for first, second in ((http, pool), (pool, http)):
                    outer.wrap(first)
                    with pytest.raises(ValueError, match="wrapped by the guard"):
                        inner.wrap(second)
                    assert sends(outage, http, outage.url + "/v2.0/students") == 1 + RETRIES
                    outer.unwrap(first)
    for guard in guards:
        guard.close()


def test_a_guard_that_watches_twice_acts_once(outage: Served) -> None:
    guard = guard_of("preset")
    with no_waiting(guard), urllib3.PoolManager() as http, guard:
        guard.wrap(http.connection_from_url(outage.url))
        guard.wrap(guard.wrap(http))
        assert sends(outage, http, outage.url + "/v2.0/students") == 1 + RETRIES


def test_a_fleet_of_threads_in_an_outage_sends_six_times_its_calls(outage: Served) -> None:
    guard, threads, calls = guard_of("preset"), 4, 5
    with no_waiting(guard), urllib3.PoolManager(maxsize=threads) as http, guard, options(max_wait=1e9):
        guard.wrap(http, max_wait=1e9)

        def work() -> None:
            for _ in range(calls):
                sends(outage, http, outage.url + "/v2.0/students?limit=1")

        crew = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join(60)
    assert len(outage.emulator.operations) == threads * calls * (1 + RETRIES)
