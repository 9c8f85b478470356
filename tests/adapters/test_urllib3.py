"""The urllib3 adapter over real sockets: what the wire sees, what the caller gets, what is left when it is undone."""

from __future__ import annotations

import gc
import io
import os
import pickle
import threading
import time
import weakref
from typing import Any

import pytest
import urllib3
from urllib3.util.retry import Retry as Urllib3Retry

from clever_guard import (
    Deadline,
    ExponentialBackoff,
    Guard,
    GuardError,
    Quota,
    QuotaTimeout,
    RetriesExhausted,
    Retry,
    options,
)
from clever_guard.testing import Emulator
from tests.adapters.serving import TOKEN, Server, cut, in_turn, quick, says, serving

# --- what is retried ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_get_is_sent_again(server: Server, http_: urllib3.PoolManager, status: int) -> None:
    server.script = in_turn(says(status), says(200, b"at last"))
    answer = quick().wrap(http_).request("GET", server.url)
    assert (answer.status, answer.data, len(server.seen)) == (200, b"at last", 2)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 501])
def test_permanent_answers_come_back_at_once_even_with_retry_after(
    server: Server, http_: urllib3.PoolManager, status: int
) -> None:
    server.script = says(status, Retry_After="0")
    assert quick().wrap(http_).request("GET", server.url).status == status
    assert len(server.seen) == 1


def test_urllib3s_own_retries_are_taken_over(server: Server, http_: urllib3.PoolManager) -> None:
    server.script = says(503, Retry_After="0")
    guard = Guard(Retry(backoff=ExponentialBackoff(initial=0, max_delay=0), max_retries=2))
    assert guard.wrap(http_).request("GET", server.url).status == 503
    assert len(server.seen) == 3


def test_a_post_is_not_repeated_after_5xx_or_a_cut(server: Server, http_: urllib3.PoolManager) -> None:
    guard = quick()
    guard.wrap(http_)
    server.script = says(503)
    assert http_.request("POST", server.url, body=b"x").status == 503
    server.script = cut
    with pytest.raises(urllib3.exceptions.ProtocolError):
        http_.request("POST", server.url, body=b"x")
    assert len(server.seen) == 2


def test_a_post_is_repeated_after_429_or_when_the_caller_says_it_may(
    server: Server, http_: urllib3.PoolManager
) -> None:
    quick().wrap(http_)
    server.script = in_turn(says(429), says(201))
    assert http_.request("POST", server.url, body=b"x").status == 201
    server.script = in_turn(says(503), says(201))
    with options(idempotent=True):
        assert http_.request("POST", server.url, body=b"x").status == 201
    server.script = in_turn(says(503), says(201))
    assert http_.request("POST", server.url, body=b"x", headers={"Idempotency-Key": "k"}).status == 201


def test_a_connection_that_was_never_made_is_retried_for_any_method(http_: urllib3.PoolManager) -> None:
    attempts: list[int] = []
    guard = Guard(
        Retry(backoff=ExponentialBackoff(initial=0, max_delay=0), max_retries=2),
        observers=[lambda event: attempts.append(1) if type(event).__name__ == "AttemptFinished" else None],
    )
    with pytest.raises(urllib3.exceptions.MaxRetryError) as caught:
        guard.wrap(http_).request("POST", "http://127.0.0.1:1/", body=b"x")
    assert isinstance(caught.value.reason, urllib3.exceptions.NewConnectionError)
    assert len(attempts) == 3
    assert any("gave up after 3 attempts" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    "retries",
    [
        None,
        False,
        0,
        Urllib3Retry(1),
        Urllib3Retry(1, read=False),
        Urllib3Retry(1, connect=False),
        Urllib3Retry(1, allowed_methods={"PUT"}),
        Urllib3Retry(1, allowed_methods=None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_exceptions_keep_the_type_they_had(server: Server, retries: Any, method: str) -> None:
    server.script = cut
    for url in (server.url, "http://127.0.0.1:1"):
        kinds = []
        for guarded in (False, True):
            with urllib3.PoolManager() as manager:
                if guarded:
                    quick().wrap(manager)
                with pytest.raises(urllib3.exceptions.HTTPError) as caught:
                    manager.request(method, url, retries=retries)
                kinds.append((type(caught.value), type(getattr(caught.value, "reason", None))))
        assert kinds[0] == kinds[1], url


def test_retries_exhausted_is_of_both_families_and_pickles(server: Server, http_: urllib3.PoolManager) -> None:
    server.script = says(503)
    guard = Guard(Retry(backoff=ExponentialBackoff(initial=0, max_delay=0), max_retries=1, raise_on_exhausted=True))
    with pytest.raises(RetriesExhausted) as caught:
        guard.wrap(http_).request("GET", server.url)
    assert isinstance(caught.value, urllib3.exceptions.HTTPError)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is type(caught.value)
    assert (str(copy), copy.sent, copy.last.status) == (str(caught.value), True, 503)


# --- bodies ------------------------------------------------------------------------------------------------------------


def test_every_attempt_sends_the_same_bytes(server: Server, http_: urllib3.PoolManager) -> None:
    quick().wrap(http_)
    server.script = in_turn(says(429), says(429), says(200))
    file = io.BytesIO(b"skipped the body")
    file.read(8)
    http_.request("PUT", server.url, body=file, headers={"Content-Length": "8"}, timeout=5)
    assert [body for _, _, _, body in server.seen] == [b"the body"] * 3


def test_a_generator_is_never_sent_twice(server: Server, http_: urllib3.PoolManager) -> None:
    quick().wrap(http_)
    server.script = lambda handler: (setattr(handler, "close_connection", True), handler.answer(429))[0]
    answer = http_.request("PUT", server.url, body=(part for part in [b"a", b"b"]))
    assert answer.status == 429
    assert len(server.seen) == 1


def test_streaming_stays_streaming(server: Server, http_: urllib3.PoolManager) -> None:
    quick().wrap(http_)
    server.script = in_turn(says(503, b"x" * 100), says(200, b"y" * 100_000))
    answer = http_.request("GET", server.url, preload_content=False)
    assert not answer.isclosed()
    assert sum(len(part) for part in answer.stream(1000)) == 100_000
    answer.release_conn()


@pytest.mark.parametrize("size", [0, 1000, 1_000_000])
def test_a_pool_of_one_does_not_starve_while_waiting(server: Server, size: int) -> None:
    server.script = in_turn(says(503, b"x" * size), says(200))
    with urllib3.PoolManager(maxsize=1, block=True) as manager:
        quick().wrap(manager)
        answer = manager.request("GET", server.url, preload_content=False, pool_timeout=2)
        assert answer.status == 200
        answer.drain_conn()


# --- redirects ---------------------------------------------------------------------------------------------------------


def test_redirects_are_followed_and_each_hop_is_an_attempt(server: Server, http_: urllib3.PoolManager) -> None:
    hops: list[Any] = []
    guard = quick(observers=[hops.append])
    guard.wrap(http_)
    server.script = in_turn(says(302, Location="/there"), says(429), says(200, b"there"))
    answer = http_.request("GET", server.url + "/here", headers=TOKEN)
    assert (answer.status, answer.data) == (200, b"there")
    assert [path for _, path, _, _ in server.seen] == ["/here", "/there", "/there"]
    assert sum(type(event).__name__ == "AttemptFinished" for event in hops) == 3
    assert answer.retries is not None
    assert [entry.status for entry in answer.retries.history] == [302]


def test_the_token_does_not_go_to_another_origin(server: Server, http_: urllib3.PoolManager) -> None:
    with serving(says(200)) as other:
        server.script = says(302, Location=other.url + "/elsewhere")
        quick().wrap(http_).request("GET", server.url, headers=TOKEN)
        assert "Authorization" in server.seen[0][2]
        assert "Authorization" not in other.seen[0][2]


def test_a_bare_pool_follows_too(server: Server) -> None:
    server.script = in_turn(says(303, Location="/got"), says(200, b"got"))
    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port) as pool:
        answer = quick().wrap(pool).request("POST", "/posted", body=b"x")
        assert answer.data == b"got"
        pool.close()
    assert [(method, path, body) for method, path, _, body in server.seen] == [
        ("POST", "/posted", b"x"),
        ("GET", "/got", b""),
    ]


def test_a_loop_of_redirects_ends_as_without_a_guard(server: Server, http_: urllib3.PoolManager) -> None:
    server.script = says(302, Location="/again")
    with pytest.raises(urllib3.exceptions.MaxRetryError) as bare:
        http_.request("GET", server.url)
    sent = len(server.seen)
    quick().wrap(http_)
    with pytest.raises(urllib3.exceptions.MaxRetryError) as guarded:
        http_.request("GET", server.url)
    assert type(bare.value.reason) is type(guarded.value.reason)
    assert len(server.seen) == 2 * sent


def test_redirect_false_is_respected(server: Server, http_: urllib3.PoolManager) -> None:
    server.script = says(302, Location="/there")
    assert quick().wrap(http_).request("GET", server.url, redirect=False).status == 302
    assert len(server.seen) == 1


# --- wrapping ----------------------------------------------------------------------------------------------------------


def test_wrapping_leaves_no_trace_when_undone(server: Server, http_: urllib3.PoolManager) -> None:
    http_.request("GET", server.url)
    before, pool = dict(vars(http_)), http_.connection_from_url(server.url)
    guard = quick()
    assert guard.wrap(http_) is http_
    assert "urlopen" in vars(pool)
    assert guard.unwrap(http_) is http_
    assert vars(http_) == before
    assert "urlopen" not in vars(pool)
    server.script = says(429)
    assert http_.request("GET", server.url, retries=False).status == 429
    guard.unwrap(http_)


def test_pools_made_before_and_after_are_guarded(server: Server, http_: urllib3.PoolManager) -> None:
    http_.request("GET", server.url)
    quick().wrap(http_)
    server.script = in_turn(says(429), says(200))
    assert http_.request("GET", server.url).status == 200
    http_.clear()
    server.script = in_turn(says(429), says(200))
    assert http_.request("GET", server.url).status == 200


def test_wrapping_twice(http_: urllib3.PoolManager) -> None:
    guard = quick()
    guard.wrap(http_)
    assert guard.wrap(http_) is http_
    with pytest.raises(ValueError, match="unwrap it first"):
        quick().wrap(http_)
    other = urllib3.PoolManager()
    quick(hosts=["a.example"]).wrap(other)
    quick(hosts=["b.example"]).wrap(other)
    with pytest.raises(ValueError, match="in common"):
        quick(hosts=["a.example"]).wrap(other)


@pytest.mark.parametrize("thing", [None, object(), urllib3.PoolManager, "http"])
def test_what_cannot_be_wrapped_is_told(thing: Any) -> None:
    with pytest.raises(TypeError, match=r"cannot wrap .*PoolManager, urllib3\.ProxyManager"):
        quick().wrap(thing)


def test_other_hosts_pass_untouched(server: Server, http_: urllib3.PoolManager) -> None:
    quick(hosts=["api.clever.com"]).wrap(http_)
    server.script = says(500)
    assert http_.request("GET", server.url, retries=False).status == 500
    assert len(server.seen) == 1


def test_after_close_calls_raise_and_unwrap_goes_on_bare(server: Server, http_: urllib3.PoolManager) -> None:
    guard = quick()
    guard.wrap(http_)
    guard.close()
    with pytest.raises(GuardError, match="closed") as caught:
        http_.request("GET", server.url)
    assert isinstance(caught.value, urllib3.exceptions.HTTPError)
    guard.unwrap(http_)
    assert http_.request("GET", server.url).status == 200


def test_nothing_outlives_what_it_would_have_without_a_guard(server: Server) -> None:
    manager = urllib3.PoolManager()
    guard = quick()
    guard.wrap(manager)
    manager.request("GET", server.url)
    pool = weakref.ref(manager.connection_from_url(server.url))
    gone = weakref.ref(manager)
    gc.disable()
    try:
        manager.clear()
        assert pool() is None, "an evicted pool is kept alive"
        del manager
        assert gone() is None, "a manager is kept alive"
    finally:
        gc.enable()


def test_modes(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.script = says(429)
    for mode, sent in (("off", 1), ("shadow", 1)):
        server.seen.clear()
        with urllib3.PoolManager() as manager:
            guard = Guard(Retry(), Quota(limit=1, window=3600), mode=mode)
            guard.wrap(manager)
            assert manager.request("GET", server.url, headers=TOKEN, retries=False).status == 429
            assert manager.request("GET", server.url, headers=TOKEN, retries=False).status == 429
        assert len(server.seen) == 2 * sent
    monkeypatch.setenv("CLEVER_GUARD_MODE", "off")
    assert Guard(Retry()).mode == "off"
    monkeypatch.setenv("CLEVER_GUARD_MODE", "loud")
    with pytest.raises(ValueError, match="write enforce, shadow or off"):
        Guard(Retry())


# --- time --------------------------------------------------------------------------------------------------------------


def test_a_deadline_bounds_reading_and_waiting(server: Server, http_: urllib3.PoolManager) -> None:
    guard = Guard(Deadline(0.4), Retry())
    guard.wrap(http_)
    server.script = says(503, Retry_After="30")
    begun = time.monotonic()
    with pytest.raises(GuardError) as caught:
        http_.request("GET", server.url)
    assert time.monotonic() - begun < 5
    assert caught.value.retry_in == pytest.approx(30)
    assert len(server.seen) == 1
    server.script = lambda handler: time.sleep(3)
    with pytest.raises(urllib3.exceptions.HTTPError):
        http_.request("GET", server.url)
    assert time.monotonic() - begun < 5


def test_a_wait_that_cannot_fit_is_not_begun() -> None:
    with Emulator(limit=2, window=3600).serve() as emulated, urllib3.PoolManager() as manager:
        guard = Guard(Retry(), Quota(limit=2, window=3600))
        guard.wrap(manager)
        url = emulated.url + "/v2.0/students?limit=1"
        with options(max_wait=5):
            assert manager.request("GET", url, headers=TOKEN).status == 200
        for _ in range(2):
            begun = time.monotonic()
            with pytest.raises(QuotaTimeout) as caught, options(max_wait=2.5):
                for _ in range(3):
                    manager.request("GET", url, headers=TOKEN)
            assert time.monotonic() - begun < 20
        assert isinstance(caught.value, urllib3.exceptions.HTTPError)
        assert caught.value.retry_in is not None
        assert caught.value.retry_in > 60
        assert emulated.emulator.refused == 0
        assert "secret-token" not in f"{caught.value} {caught.value!r} {pickle.dumps(caught.value)!r} {guard!r}"
        guard.close()


# --- the budget --------------------------------------------------------------------------------------------------------


def test_threads_share_one_guard() -> None:
    with Emulator(limit=60, window=2, phase=0.4).serve() as emulated, urllib3.PoolManager(maxsize=16) as manager:
        guard = Guard(Retry(), Quota(limit=60, window=2))
        guard.wrap(manager)
        statuses: list[int] = []

        def work() -> None:
            for _ in range(15):
                statuses.append(manager.request("GET", emulated.url + "/v2.0/students?limit=1", headers=TOKEN).status)

        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        guard.close()
        assert statuses == [200] * 240
        assert emulated.emulator.refused == 0


def test_a_forked_child_draws_for_itself() -> None:
    """Four children of a process that holds a lease: each starts with empty books, so the budget is kept."""
    with Emulator(limit=40, window=3600).serve() as emulated, urllib3.PoolManager() as manager:
        guard = Guard(Retry(), Quota(limit=40, window=3600))
        guard.wrap(manager)
        url = emulated.url + "/v2.0/students?limit=1"
        for _ in range(3):
            manager.request("GET", url, headers=TOKEN)
        books = guard.engine._books
        children = []
        for _ in range(4):
            pid = os.fork()
            if pid == 0:
                mine = guard.engine._books
                os._exit(0 if mine is not books and not mine._books else 1)
            children.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
        guard.close()


def test_a_request_without_a_token_takes_no_permit(server: Server, http_: urllib3.PoolManager) -> None:
    Guard(Retry(backoff=ExponentialBackoff(initial=0, max_delay=0)), Quota(limit=1, window=3600)).wrap(http_)
    assert [http_.request("GET", server.url).status for _ in range(3)] == [200] * 3


def test_a_token_with_a_line_end_is_refused_without_showing_it(server: Server, http_: urllib3.PoolManager) -> None:
    Guard(Retry(), Quota()).wrap(http_)
    with pytest.raises(ValueError, match="control character") as caught:
        http_.request("GET", server.url, headers={"Authorization": "Bearer abc\r\nX: y"})
    assert "abc" not in str(caught.value)
    assert server.seen == []


def test_an_interruption_ends_the_call_and_gives_the_permit_back(http_: urllib3.PoolManager) -> None:
    with Emulator(limit=5, window=3600).serve() as emulated:
        guard = Guard(Retry(), Quota(limit=5, window=3600))
        guard.wrap(http_)
        pool = http_.connection_from_url(emulated.url)
        real = pool._make_request

        def interrupted(*args: Any, **kwargs: Any) -> Any:
            raise KeyboardInterrupt

        pool._make_request = interrupted  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            http_.request("GET", emulated.url + "/v2.0/students", headers=TOKEN)
        pool._make_request = real  # type: ignore[method-assign]
        assert http_.request("GET", emulated.url + "/v2.0/students", headers=TOKEN).status == 200
        guard.close()
