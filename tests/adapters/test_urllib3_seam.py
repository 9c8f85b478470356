"""What is patched, by whom else it may be patched, and what is left when it is undone."""

from __future__ import annotations

import gc
import inspect
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import urllib3
import wrapt

from clever_guard import Guard, GuardError, Quota, QuotaTimeout, Retry, options
from clever_guard.events import AttemptFinished, Event
from clever_guard.testing import Emulator
from tests.adapters.serving import TOKEN, Server, in_turn, quick, says


def counting() -> tuple[Guard, list[Event]]:
    events: list[Event] = []
    return quick(observers=[events.append]), events


def attempts(events: list[Event]) -> int:
    return sum(isinstance(event, AttemptFinished) for event in events)


@contextmanager
def traced() -> Iterator[list[int]]:
    """A tracer that patches the class, as they do."""
    calls: list[int] = []
    plain = urllib3.HTTPConnectionPool.urlopen

    def trace(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        assert isinstance(instance, urllib3.HTTPConnectionPool)
        calls.append(1)
        return wrapped(*args, **kwargs)

    wrapt.wrap_function_wrapper(urllib3.HTTPConnectionPool, "urlopen", trace)
    try:
        yield calls
    finally:
        urllib3.HTTPConnectionPool.urlopen = plain  # type: ignore[method-assign]


# --- others who patch --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tracer_first", [True, False])
def test_a_tracer_of_the_class_sees_every_attempt(server: Server, tracer_first: bool) -> None:
    server.script = in_turn(says(503), says(200))
    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port) as pool:
        guard = quick()
        if not tracer_first:
            guard.wrap(pool)
        with traced() as calls:
            guard.wrap(pool)
            assert pool.request("GET", "/").status == 200
            assert len(calls) == 2
        assert pool.request("GET", "/").status == 200


def test_somebodys_own_urlopen_is_kept_called_and_put_back(server: Server) -> None:
    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port) as pool:
        theirs, calls = pool.urlopen, []

        def own(*args: Any, **kwargs: Any) -> Any:
            calls.append(1)
            return theirs(*args, **kwargs)

        pool.urlopen = own  # type: ignore[method-assign]
        guard, events = counting()
        guard.wrap(pool)
        pool.request("GET", "/")
        assert (len(calls), attempts(events)) == (1, 1)
        guard.unwrap(pool)
        assert vars(pool)["urlopen"] is own


def test_under_somebodys_later_patch_an_unwrapped_client_is_bare_and_can_be_wrapped_again(server: Server) -> None:
    server.script = says(503)
    with urllib3.PoolManager() as manager:
        guard, events = counting()
        guard.wrap(manager)
        pool = manager.connection_from_url(server.url)
        for client, name in ((pool, "urlopen"), (manager, "_new_pool")):
            later = wrapt.FunctionWrapper(vars(client)[name], lambda wrapped, instance, args, kw: wrapped(*args, **kw))
            setattr(client, name, later)
        guard.unwrap(manager)
        assert manager.request("GET", server.url, retries=False).status == 503
        assert (len(server.seen), attempts(events)) == (1, 0)
        manager.clear()
        assert manager.request("GET", server.url, retries=False).status == 503
        assert attempts(events) == 0
        again, events = counting()
        again.wrap(manager)
        manager.request("GET", server.url)
        assert attempts(events) == 6


# --- a manager and its pools -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("manager_first", [True, False])
def test_a_pool_wrapped_through_two_clients_takes_one_permit(server: Server, manager_first: bool) -> None:
    with urllib3.PoolManager() as manager:
        pool = manager.connection_from_url(server.url)
        guard, events = counting()
        first, second = (manager, pool) if manager_first else (pool, manager)
        guard.wrap(first)
        guard.wrap(second)
        manager.request("GET", server.url)
        assert attempts(events) == 1
        guard.unwrap(first)
        pool.request("GET", "/")
        assert attempts(events) == 2
        guard.unwrap(second)
        pool.request("GET", "/")
        assert attempts(events) == 2
        assert "urlopen" not in vars(pool)


def test_another_guard_cannot_take_a_pool_of_a_wrapped_manager(server: Server) -> None:
    with urllib3.PoolManager() as manager:
        pool = manager.connection_from_url(server.url)
        quick(name="first").wrap(manager)
        with pytest.raises(ValueError, match="'first' already"):
            quick().wrap(pool)
        with urllib3.PoolManager() as other:
            quick(name="second").wrap(other.connection_from_url(server.url))
            with pytest.raises(ValueError, match="'second' already"):
                quick().wrap(other)
            assert "_new_pool" not in vars(other)


def test_each_of_two_guards_watches_its_own_hosts(server: Server) -> None:
    with urllib3.PoolManager() as manager:
        (mine, seen), (theirs, others) = counting(), counting()
        mine.hosts, theirs.hosts = frozenset({"127.0.0.1"}), frozenset({"localhost"})
        theirs.wrap(mine.wrap(manager))
        manager.request("GET", server.url)
        manager.request("GET", server.url.replace("127.0.0.1", "localhost"))
        assert (attempts(seen), attempts(others)) == (1, 1)


def test_tools_see_the_signature_and_the_type_stays(http_: urllib3.PoolManager) -> None:
    pool = http_.connection_from_url("http://localhost")
    before = inspect.signature(pool.urlopen)
    assert type(quick().wrap(http_)) is urllib3.PoolManager
    assert inspect.signature(pool.urlopen) == before
    assert pool.urlopen.__name__ == "urlopen"


# --- nothing outlives what it would have without a guard ---------------------------------------------------------------


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_a_pool_with_somebodys_own_urlopen_can_be_collected(server: Server) -> None:
    pool = urllib3.HTTPConnectionPool("127.0.0.1", server.server_port)
    theirs = pool.urlopen
    pool.urlopen = partial(theirs)  # type: ignore[method-assign]
    quick().wrap(pool)
    pool.request("GET", "/")
    pool.close()
    gone = weakref.ref(pool)
    del pool, theirs
    gc.collect()
    assert gone() is None


@pytest.mark.usefixtures("no_collector")
def test_an_error_keeps_nothing_alive_once_it_is_dropped() -> None:
    with Emulator(limit=1, window=3600).serve() as emulated, urllib3.PoolManager() as manager:
        guard = Guard(Retry(), Quota(limit=1, window=3600))
        guard.wrap(manager)
        url = emulated.url + "/v2.0/students?limit=1"
        manager.request("GET", url, headers=TOKEN)
        gone = []
        try:
            with options(max_wait=0):
                manager.request("GET", url, headers=TOKEN)
        except GuardError as error:
            assert error.__context__ is None, "the driver's own, whose frames hold the caller's headers"
            gone.append(weakref.ref(error))
        assert [reference() for reference in gone] == [None]
        assert not [left for left in gc.get_objects() if isinstance(left, QuotaTimeout)], "nor the driver's own"
        guard.close()


@pytest.mark.usefixtures("no_collector")
def test_an_evicted_pool_and_its_error_go_without_the_collector(server: Server) -> None:
    """urllib3's own frames make a cycle of an error that was wrapped; a closed pool's error is not, so it shows ours."""
    pool = urllib3.HTTPConnectionPool("127.0.0.1", server.server_port)
    quick().wrap(pool)
    pool.request("GET", "/")
    pool.close()
    with pytest.raises(urllib3.exceptions.ClosedPoolError) as caught:
        pool.request("GET", "/")
    gone = [weakref.ref(pool), weakref.ref(caught.value)]
    del pool, caught
    assert [reference() for reference in gone] == [None, None]


def test_a_caller_that_is_wrong_gets_the_error_it_always_got(server: Server) -> None:
    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port) as pool:
        wrong: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
            ((), {}),
            (("GET",), {}),
            (("GET", "/"), {"url": "/"}),
            (("GET", "/", *([None] * 20)), {}),
        ]
        for args, kwargs in wrong:
            with pytest.raises(TypeError) as bare:
                pool.urlopen(*args, **kwargs)
            guard = quick()
            guard.wrap(pool)
            with pytest.raises(TypeError) as guarded:
                pool.urlopen(*args, **kwargs)
            assert str(guarded.value) == str(bare.value)
            guard.unwrap(pool)


def test_by_position_and_by_keyword_reach_the_wire_alike(server: Server) -> None:
    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port) as pool:
        quick().wrap(pool)
        answer = pool.urlopen(
            "PUT", "/a", b"x", {"A": "b"}, False, False, True, 5.0, None, False, True, None, False, False
        )
        assert answer.read() == b"fine"
        answer.release_conn()
        named = pool.urlopen(method="PUT", url="/a", body=b"x", headers={"A": "b"}, chunked=True, preload_content=True)
        assert named.data == b"fine"
    (_, _, first, body), (_, _, second, same) = server.seen
    assert body == same == b"x"
    assert first == second
    assert first["Transfer-Encoding"] == "chunked"


def test_headers_that_are_empty_are_the_callers_own(server: Server) -> None:
    keys: list[str | None] = []

    def key(request: Any) -> None:
        keys.append(request.headers.get("authorization"))

    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port, headers=TOKEN) as pool:
        Guard(Retry(), Quota(key=key)).wrap(pool)
        pool.request("GET", "/")
        pool.request("GET", "/", headers={})
    assert keys == [TOKEN["Authorization"], None]
