"""In shadow mode, and without policies, a client behaves as if it were bare, and every attempt is seen as it was."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import urllib3
from urllib3.util.retry import Retry as Urllib3Retry

from clever_guard import Guard, Quota, Retry
from clever_guard.events import AttemptFinished
from clever_guard.stores import MemoryStore
from tests.adapters.serving import TOKEN, Script, Server, cut, in_turn, quick, says, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(says(200)) as served:
        yield served


def redirects(to: str) -> Script:
    return lambda handler: handler.answer(302, location=to)


def shadow(**options: Any) -> Guard:
    return Guard(Retry(), Quota(limit=100, window=60), mode="shadow", **options)


def passive(**options: Any) -> Guard:
    return Guard(**options)


class Telling:
    """``read`` and ``tell``, and no ``seek``."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        self.read, self.tell = self._file.read, self._file.tell


QUICK: dict[str, Any] = {"backoff_factor": 0.0}
CASES: dict[str, tuple[list[Script], dict[str, Any]]] = {
    "a refusal": ([says(429, retry_after="0"), says(429, retry_after="0"), says(200)], {}),
    "no more": ([says(503, retry_after="0")] * 5, {"retries": Urllib3Retry(2, **QUICK)}),
    "no more, returned": (
        [says(503)] * 5,
        {"retries": Urllib3Retry(2, status_forcelist=[503], raise_on_status=False, **QUICK)},
    ),
    "by status": ([says(500), says(500), says(200)], {"retries": Urllib3Retry(3, status_forcelist=[500], **QUICK)}),
    "cut": ([cut, cut, says(200)], {"retries": Urllib3Retry(3, **QUICK)}),
    "cut too often": ([cut] * 5, {"retries": Urllib3Retry(2, **QUICK)}),
    "cut, bare exceptions": ([cut] * 5, {"retries": False}),
    "cut, reads are not repeated": ([cut] * 5, {"retries": Urllib3Retry(3, read=False, **QUICK)}),
    "a post is not repeated": ([cut] * 5, {"method": "POST", "body": b"x", "retries": Urllib3Retry(3, **QUICK)}),
    "a redirect": ([redirects("/there"), says(200)], {}),
    "a redirect to trouble": ([redirects("/there"), says(429, retry_after="0"), says(200)], {}),
    "a redirect that is not followed": ([redirects("/there")], {"redirect": False}),
    "none allowed": ([says(503, retry_after="0")] * 3, {"retries": 0}),
    "a file": (
        [cut, says(200)],
        {"method": "PUT", "body": lambda: io.BytesIO(b"file"), "retries": Urllib3Retry(3, **QUICK)},
    ),
    "something that tells and cannot seek": (
        [cut, says(200)],
        {"method": "PUT", "body": lambda: Telling(b"told"), "retries": Urllib3Retry(3, **QUICK)},
    ),
    "a stream": (
        [cut, says(200)],
        {"method": "PUT", "body": lambda: iter([b"a"]), "retries": Urllib3Retry(3, **QUICK)},
    ),
}


def ended(client: Any, server: Server, script: list[Script], options: dict[str, Any], bare_pool: bool) -> list[Any]:
    """How a call ended, and what the server saw."""
    server.seen.clear()
    server.script = in_turn(*script)
    given = dict(options)
    if callable(given.get("body")):
        given["body"] = given["body"]()
    method, url = given.pop("method", "GET"), "/" if bare_pool else server.url
    try:
        response = client.request(method, url, headers=dict(TOKEN), **given)
        how: Any = (response.status, [one[3:] for one in response.retries.history])
    except Exception as error:
        how = (type(error), type(getattr(error, "reason", None)))
    return [how, [(seen[0], seen[1], seen[3]) for seen in server.seen]]


@pytest.mark.parametrize("only_counting", [shadow, passive])
@pytest.mark.parametrize("bare_pool", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_the_client_ends_as_a_bare_one(
    server: Server, name: str, bare_pool: bool, only_counting: Callable[..., Guard]
) -> None:
    script, options = CASES[name]
    make: Callable[[], Any] = (
        (lambda: urllib3.HTTPConnectionPool("127.0.0.1", server.server_port)) if bare_pool else urllib3.PoolManager
    )
    told: list[Any] = []
    with make() as bare, make() as guarded:
        only_counting(observers=[told.append]).wrap(guarded)
        expected = ended(bare, server, script, options, bare_pool)
        assert ended(guarded, server, script, options, bare_pool) == expected
    codes = [one.code for one in told if isinstance(one, AttemptFinished)]
    assert len(codes) == len(server.seen)


@pytest.mark.parametrize("only_counting", [shadow, passive])
def test_the_refusals_between_are_seen(server: Server, only_counting: Callable[..., Guard]) -> None:
    told: list[Any] = []
    with urllib3.PoolManager() as http:
        only_counting(observers=[told.append]).wrap(http)
        server.script = in_turn(says(429, retry_after="0"), says(503, retry_after="0"), says(200))
        assert http.request("GET", server.url, headers=TOKEN).status == 200
    assert [one.code for one in told if isinstance(one, AttemptFinished)] == [429, 503, 200]


@pytest.mark.parametrize("only_counting", [shadow, passive])
def test_a_redirect_that_asks_to_wait_is_waited_for(
    server: Server, monkeypatch: pytest.MonkeyPatch, only_counting: Callable[..., Guard]
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waits.append)
    server.script = in_turn(lambda handler: handler.answer(302, location="/there", retry_after="7"), says(200))
    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port) as pool:
        only_counting().wrap(pool)
        assert pool.request("GET", "/").status == 200
    assert waits == [7]


@pytest.mark.parametrize("status", ["UNKNOWN", "200"])
@pytest.mark.parametrize("make", [passive, shadow, quick])
def test_a_stand_in_whose_status_is_no_number_is_returned(status: Any, make: Callable[..., Guard]) -> None:
    answer = urllib3.HTTPResponse(b"", status=status)
    with urllib3.HTTPConnectionPool("127.0.0.1", 9) as pool:
        pool.urlopen = lambda *args, **kwargs: answer  # type: ignore[method-assign]
        make().wrap(pool)
        assert pool.request("GET", "/") is answer


def test_a_store_that_is_down_does_not_reach_a_call_that_only_counts(server: Server) -> None:
    class Down(MemoryStore):
        shared = True

        def execute(self, commands: Any, /) -> Any:
            from clever_guard import StoreUnavailable

            raise StoreUnavailable("down")

    server.script = says(200)
    with urllib3.PoolManager() as http:
        Guard(Retry(), Quota(), mode="shadow", on_store_failure="raise", store=Down()).wrap(http)
        assert http.request("GET", server.url, headers=TOKEN).status == 200
