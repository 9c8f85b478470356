"""The guard: what it refuses to be, what it tells, and what it never shows."""

from __future__ import annotations

import io
import logging
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import urllib3
from prometheus_client import CollectorRegistry, generate_latest

from clever_guard import BearerToken, Deadline, ExponentialBackoff, Guard, GuardError, Quota, Retry, options, presets
from clever_guard.dialects import XRateLimit
from clever_guard.drivers.sync import pause
from clever_guard.model import Request
from clever_guard.observe.prometheus import PrometheusObserver
from clever_guard.testing import Emulator
from tests.test_engine import Answering

CANARY = "sk-canary-7f3a9b"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Guard(Quota(), Retry()), "one permit for six attempts"),
        (lambda: Guard(Retry(), Deadline(5)), "start anew with each attempt"),
        (lambda: Guard(Quota(), Quota()), "two Quota policies"),
        (lambda: Guard("retry"), "is no policy"),  # type: ignore[arg-type]
        (lambda: Guard(Retry, Quota), r"write Retry\(\)"),  # type: ignore[arg-type]
        (lambda: Guard(Retry(), max_wait="5"), "number of seconds"),  # type: ignore[arg-type]
        (lambda: Guard(Retry(), ttl=0), "number of seconds of 0.05 or more"),
        (lambda: Guard(Retry(), secret=5), "text or bytes"),  # type: ignore[arg-type]
        (lambda: Guard(Retry(), mode="loud"), "write enforce, shadow or off"),
        (lambda: Guard(Retry(), fleet=0), "1 or more"),
        (lambda: Guard(Retry(), on_store_failure="ignore"), "'local' or 'raise'"),
        (lambda: Guard(Retry(), hosts="api.clever.com"), "give a list of host names"),
        (lambda: Guard(Retry(), hosts=["https://api.clever.com"]), "without scheme, port or path"),
        (lambda: Guard(Retry(), hosts=["api.clever.com:443"]), "without scheme, port or path"),
        (lambda: Quota(limit=0), "1 or more"),
        (lambda: Quota(limit=2.5), "whole number"),  # type: ignore[arg-type]
        (lambda: Quota(window=-60), "number of seconds"),
        (lambda: Quota(window="60"), "number of seconds"),  # type: ignore[arg-type]
        (lambda: Quota(window=float("nan")), "number of seconds"),
        (lambda: Quota(max_window=0), "above 0"),
        (lambda: Quota(key=BearerToken), r"BearerToken\(\)"),
        (lambda: Quota(reserves={"bulk": "many"}), "whole number of permits"),  # type: ignore[dict-item]
        (lambda: Quota(dialect="guess"), "known: "),
        (lambda: Deadline(0), "above 0"),
        (lambda: Retry(max_retries=-1), "0 or more"),
        (lambda: Retry(backoff=5), "ExponentialBackoff"),  # type: ignore[arg-type]
        (lambda: ExponentialBackoff(initial=-1), "initial"),
        (lambda: ExponentialBackoff(initial=2, max_delay=1), "max_delay"),
        (lambda: ExponentialBackoff(factor=0.5), "factor"),
        (lambda: options(deadline=-1), "above 0"),
        (lambda: options(max_wait="5"), "number of seconds"),  # type: ignore[arg-type]
        (lambda: presets.clever(store="mysql://x"), "sqlite:///"),
        (lambda: presets.clever(store="redis://:hunter2@"), "names no host"),
        (lambda: presets.clever(store="redis://h:99999/0"), "port"),
        (lambda: presets.clever(store="redis://h:1/first"), "no number"),
        (lambda: presets.clever(store=42), "is no store"),
    ],
)
def test_bad_input_gets_one_sentence(make: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        make()
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_repr_prints_the_order() -> None:
    assert repr(Guard(Deadline(5), Retry(), Quota())) == "Guard(Deadline, Retry, Quota, name='clever', mode='enforce')"


def test_an_unreachable_redis_at_start_costs_a_moment_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"redis://user:hunter2@127.0.0.1:{unused.getsockname()[1]}/0"
        with Emulator().serve() as served, urllib3.PoolManager() as http:
            guard = presets.clever(url, observers=[])
            guard.wrap(http)
            begun = time.monotonic()
            for _ in range(3):
                assert http.request("GET", served.url + "/v2.0/schools", headers=_bearer()).status == 200
            assert time.monotonic() - begun < 10
            guard.close()
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert "127.0.0.1" in lines[0]
    assert "hunter2" not in lines[0]


def test_on_store_failure_raise() -> None:
    with Emulator().serve() as served, urllib3.PoolManager() as http:
        guard = presets.clever("redis://127.0.0.1:1/0", observers=[], on_store_failure="raise")
        guard.wrap(http)
        with pytest.raises(GuardError, match=r"redis at 127\.0\.0\.1:1") as caught:
            http.request("GET", served.url + "/v2.0/schools", headers=_bearer())
        assert isinstance(caught.value, urllib3.exceptions.HTTPError)
        assert served.emulator.admitted == 0


def test_absurd_headers_are_counted_and_lose_nothing() -> None:
    registry = CollectorRegistry()
    with Emulator(limit=50, window=3600).serve() as served, urllib3.PoolManager() as http:
        guard = Guard(Retry(), Quota(limit=50, window=1), observers=[PrometheusObserver(registry)])
        guard.wrap(http)
        for _ in range(3):
            assert http.request("GET", served.url + "/v2.0/schools", headers=_bearer()).status == 200
        guard.close()
    text = generate_latest(registry).decode()
    assert 'clever_guard_ignored_headers_total{guard="clever",host="127.0.0.1",reason="reset_far"}' in text


def test_an_observer_that_raises_reaches_no_request(caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: object) -> None:
        raise RuntimeError("observer")

    with Emulator().serve() as served, urllib3.PoolManager() as http:
        guard = Guard(Retry(), Quota(), observers=[broken])
        guard.wrap(http)
        assert http.request("GET", served.url + "/v2.0/schools", headers=_bearer()).status == 200
        guard.close()
    assert sum("observer" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_token_is_in_no_sink(
    kind: str, tmp_path: Path, redis_server: Any, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys, values, what MONITOR sees, the file, metrics, logs at DEBUG, repr, events, exceptions."""
    caplog.set_level(logging.DEBUG)
    registry, events = CollectorRegistry(), io.StringIO()
    store = redis_url if kind == "redis" else f"sqlite:///{tmp_path}/quota.db"
    with (
        _monitored(redis_server.port) as monitored,
        Emulator(limit=20, window=3600, error_rate=0.3).serve() as served,
        urllib3.PoolManager() as http,
    ):
        guard = Guard(
            Retry(backoff=ExponentialBackoff(initial=0, max_delay=0)),
            Quota(limit=20, window=3600),
            store=store,
            observers=[PrometheusObserver(registry, buckets=True), lambda event: print(repr(event), file=events)],
        )
        guard.wrap(http)
        with options(max_wait=1.5):
            try:
                for _ in range(30):
                    http.request("GET", served.url + "/v2.0/students?secret=" + CANARY, headers=_bearer())
            except GuardError as error:
                print(repr(error), error, error.__dict__, file=events)
        print(repr(guard), guard.policies, guard.engine, file=events)
        guard.close()
    sinks = {
        "events": events.getvalue(),
        "metrics": generate_latest(registry).decode(),
        "logs": "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("clever_guard")),
        "monitor": monitored.text(),
        "store": _contents(kind, tmp_path, redis_url),
    }
    assert "clever_guard_permits_total" in sinks["metrics"]
    for name, text in sinks.items():
        assert CANARY not in text, name
    assert len(sinks["store"]) > 100


def _contents(kind: str, folder: Path, url: str) -> str:
    if kind == "redis":
        with redis.Redis.from_url(url) as client:
            hashes = [(key, client.hgetall(key)) for key in client.keys("*") if client.type(key) == b"hash"]
            return repr(client.keys("*")) + repr(hashes)
    with sqlite3.connect(folder / "quota.db") as connection:
        rows = connection.execute("SELECT * FROM records").fetchall()
    connection.close()
    raw = b"".join(path.read_bytes() for path in folder.glob("quota.db*"))
    return repr(rows) + raw.decode("latin-1")


class _monitored:  # noqa: N801  (used like a function)
    """Everything the server is told while it lasts, by Redis' own MONITOR."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port))
        self._heard = bytearray()

    def __enter__(self) -> _monitored:
        self._connection.sendall(b"MONITOR\r\n")
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def _listen(self) -> None:
        while heard := self._connection.recv(65536):
            self._heard += heard

    def __exit__(self, *anything: object) -> None:
        self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._connection.close()

    def text(self) -> str:
        return self._heard.decode("latin-1")


def _bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {CANARY}"}


class MyRetry(Retry):
    """A user's own."""


def test_subclasses_of_ours_stand_where_ours_may() -> None:
    assert repr(Guard(MyRetry(), Quota())).startswith("Guard(MyRetry, Quota")
    with pytest.raises(ValueError, match="one permit for six attempts"):
        Guard(Quota(), MyRetry())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Guard(timeout=5), r"timeout=5: give \(connect, read\)"),
        (lambda: Guard(timeout=(5, 0)), "timeout: read=0: give a number of seconds above 0"),
        (lambda: Guard(observers=PrometheusObserver(CollectorRegistry())), "observers=PrometheusObserver: give a list"),
        (lambda: Guard(observers=[5]), "observers=5: give a list of functions of an event"),
        (lambda: Quota(dialect=XRateLimit), "give the name of one, or a function"),
        (lambda: Quota(dialect=5), "give the name of one, or a function"),
        (lambda: Retry(dialect=5), "give the name of one, or a function"),
        (lambda: Quota(account="x"), "Quota: account='x': give a function of the request"),
        (lambda: Quota(route="x"), "Quota: route='x': give a function of the request"),
        (lambda: Guard(store=redis.asyncio.Redis()), "Redis is an asyncio client: hand in redis.Redis"),
        (lambda: Guard(hosts=["a:80"]), "give names without scheme, port or path"),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_call(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize("given", ["::1", "[::1]", "FE80::1"])
def test_an_ipv6_host_is_guarded_with_and_without_its_brackets(given: str) -> None:
    guard = Guard(hosts=[given])
    bare = given.strip("[]")
    assert guard.covers(bare)
    assert guard.covers(f"[{bare}]")
    assert not guard.covers("::2")


def test_close_wakes_those_who_wait() -> None:
    guard = Guard(Quota(limit=1, window=3600))
    waiting = threading.Event()
    guard.engine.driver._pause = lambda seconds, ticket: (waiting.set(), pause(seconds, ticket))[1]
    transport = Answering()
    request = Request("GET", "https", "api.example", None, "/", {"Authorization": "Bearer t"})
    guard.call(request, transport)
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            guard.call(Request("GET", "https", "api.example", None, "/", {"Authorization": "Bearer t"}), transport)
        except GuardError as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert waiting.wait(10)
    guard.close()
    thread.join(10)
    assert [str(error) for error in ended] == ["the guard was closed while this call waited"]
