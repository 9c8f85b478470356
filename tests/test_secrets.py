"""No secret comes out anywhere: every kind of failure, with secrets wherever there is room for one, and every place searched."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
import urllib3
from click.testing import CliRunner
from prometheus_client import CollectorRegistry, generate_latest

from clever_guard import Deadline, ExponentialBackoff, Guard, Quota, Retry, options, paginate
from clever_guard.adapters.families import into
from clever_guard.cli.commands import commands
from clever_guard.cli.demo import Plan
from clever_guard.errors import GuardError, QuotaTimeout, RetriesExhausted, StoreUnavailable
from clever_guard.model import Claim, Permit
from clever_guard.observe.prometheus import PrometheusObserver
from clever_guard.pages import PageError
from clever_guard.stores.open import open_store
from clever_guard.testing import Emulator
from clever_guard.testing.emulator.core import Arrival
from clever_guard.testing.fleet import Fleet
from tests._canary import SECRETS, Logs, Sinks, errors_as_printed, forms, found_in, heard_logs, pickled
from tests._redis import RedisServer, free_port
from tests.adapters.serving import Script, Server, cut, says, serving

TOKEN = {"Authorization": f"Bearer {SECRETS['token']}", "Cookie": f"session={SECRETS['userinfo']}"}
PASSWORD = SECRETS["store password"]
PATH = f"/v2.0/students?access_token={SECRETS['query token']}"
QUOTA = {"X-RateLimit-Limit": "1", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 30)}


@dataclass
class World:
    """A guarded client with secrets everywhere, and all that it tells."""

    server: Server
    guard: Guard
    registry: CollectorRegistry
    logs: Logs
    events: list[Any]
    http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False))

    def call(self, **request: Any) -> Any:
        return self.http.request("GET", self.server.url + PATH, headers=TOKEN, **request)

    def sinks(self) -> Sinks:
        guard = self.guard
        things = [guard, *guard.policies, guard.engine, guard.engine._bare, guard.engine._store, *self.events]
        shown = {f"{type(thing).__name__}": f"{thing!r} {thing}" for thing in things}
        pickles = {f"pickle of {type(one).__name__}": pickled(one) for one in (*things, *guard.policies)}
        copies = {f"copy of {type(one).__name__}": repr(copy.copy(one)) for one in guard.policies}
        return {"metrics": generate_latest(self.registry), **shown, **pickles, **copies}


@contextmanager
def world(script: Script, store: str | None, **given: Any) -> Iterator[World]:
    registry, events = CollectorRegistry(), list[Any]()
    observers = [PrometheusObserver(registry, buckets=True), events.append]
    backoff = ExponentialBackoff(initial=0, max_delay=0, jitter="none")
    policies = (Retry(backoff=backoff, max_retries=1), Quota(limit=6000, window=60))
    with serving(script) as server, heard_logs() as logs:
        guard = Guard(*policies, store=store, observers=observers, secret=SECRETS["secret"], **given)
        made = World(server, guard, registry, logs, events)
        guard.wrap(made.http)
        try:
            yield made
        finally:
            made.http.clear()
            guard.close()


def slow(handler: Any) -> None:
    time.sleep(0.3)
    handler.answer(200)


def foreign_page(handler: Any) -> None:
    link = f"https://evil.example/?t={SECRETS['query token']}"
    handler.answer(200, b'{"data": [1], "links": [{"rel": "next", "uri": "%s"}]}' % link.encode())


def patient(seconds: float) -> Callable[[World], Any]:
    def call(here: World) -> Any:
        with options(max_wait=seconds, deadline=seconds):
            here.call()
            return here.call()

    return call


def bad_token(here: World) -> Any:
    return here.http.request("GET", here.server.url, headers={"Authorization": f"Bearer {SECRETS['token']}\r\n"})


def bad_header(here: World) -> Any:
    """urllib3 refuses it after our frames were entered."""
    return here.http.request("GET", here.server.url, headers=TOKEN | {"X": None})


def walk(here: World) -> Any:
    return list(paginate(here.http, here.server.url + PATH, headers=TOKEN))


def call(here: World) -> Any:
    return here.call()


FAULTS: dict[str, tuple[Script, Callable[[World], Any]]] = {
    "none": (says(200), call),
    "401": (says(401, b"Invalid auth"), call),
    "429": (says(429, b"", **{name.replace("-", "_"): value for name, value in QUOTA.items()}), patient(0)),
    "500": (says(500), call),
    "timeout": (slow, lambda here: here.call(timeout=0.05)),
    "cut": (cut, call),
    "redirect": (says(302, Location=f"http://127.0.0.1:9/{SECRETS['query token']}"), lambda here: here.call(retries=1)),
    "circle": (says(302, Location="/again"), lambda here: here.call(retries=2)),
    "bad link": (foreign_page, walk),
    "no page": (says(404), walk),
    "quota": (says(200, **{name.replace("-", "_"): value for name, value in QUOTA.items()}), patient(0)),
    "deadline": (slow, patient(0.05)),
    "bad token": (says(200), bad_token),
    "bad header": (says(200), bad_header),
    "garbage": (says(200, X_RateLimit_Limit="x" * 500, X_RateLimit_Remaining="-", X_RateLimit_Reset="0"), call),
}
RAISES = {
    "timeout",
    "cut",
    "redirect",
    "circle",
    "bad link",
    "no page",
    "quota",
    "deadline",
    "bad token",
    "bad header",
    "429",
}


def outcome_of(fault: Callable[[World], Any], here: World) -> tuple[Sinks, BaseException | None]:
    try:
        fault(here)
    except Exception as error:
        return errors_as_printed(error), error
    return {}, None


def allowed(error: BaseException | None) -> set[str]:
    """urllib3's own errors name the URL, query and all; ours do not, but carry one of urllib3's as ``last``."""
    return {"query token"} if isinstance(error, urllib3.exceptions.HTTPError) else set()


def stored(url: str) -> bytes:
    """Every key and value."""
    with redis.Redis.from_url(url) as client:
        keys: Any = client.keys("*")
        values: list[Any] = [client.hgetall(key) if client.type(key) == b"hash" else client.get(key) for key in keys]
        return repr((keys, values)).encode()


@pytest.fixture(scope="module")
def locked_redis() -> Iterator[RedisServer]:
    server = RedisServer()
    lock(server)
    yield server
    server.stop()


def lock(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.config_set("requirepass", PASSWORD)


def with_password(server: RedisServer) -> str:
    return f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/0"


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("kind", ["redis", "sqlite"])
def test_no_secret_comes_out(name: str, kind: str, locked_redis: RedisServer, tmp_path: Path) -> None:
    script, fault = FAULTS[name]
    url = with_password(locked_redis) if kind == "redis" else f"sqlite:///{tmp_path}/quota.db"
    with world(script, url) as here:
        sinks, error = outcome_of(fault, here)
        assert (error is not None) == (name in RAISES)
        sinks |= here.sinks() | here.logs.sinks(but="urllib3")
        if kind == "redis":
            sinks["Redis"] = stored(url)
        else:
            sinks |= {f"file {path.name}": path.read_bytes() for path in tmp_path.iterdir()}
    assert found_in(sinks, but=allowed(error)) == []
    assert found_in(here.logs.sinks(), but={"query token"}) == [], (
        "urllib3's own lines show paths, with or without a guard"
    )


@pytest.mark.parametrize("policy", ["local", "raise"])
@pytest.mark.parametrize("fault", ["down", "error"])
def test_nor_when_the_store_fails(policy: str, fault: str, locked_redis: RedisServer) -> None:
    port = free_port() if fault == "down" else locked_redis.port
    url = f"redis://someone:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/0"  # a user it does not know
    with world(says(200), url, on_store_failure=policy) as here:
        sinks, error = outcome_of(call, here)
        assert isinstance(error, StoreUnavailable) == (policy == "raise")
        sinks |= here.sinks()
    assert found_in(sinks | here.logs.sinks(), but={"query token"}) == []
    assert found_in(sinks) == []


def test_nor_in_what_is_said_to_redis(own_redis: RedisServer) -> None:
    """MONITOR, as an operator would see it."""
    heard = list[str]()
    lock(own_redis)
    with redis.Redis.from_url(own_redis.url, password=PASSWORD) as client, client.monitor() as monitor:
        with world(says(200), with_password(own_redis)) as here:
            for _ in range(3):
                here.call()
        client.echo("that was all")
        while "that was all" not in (heard[-1] if heard else ""):
            heard.append(str(monitor.next_command()["command"]))
    assert any("EVALSHA" in line.upper() for line in heard)
    assert found_in({"MONITOR": "\n".join(heard)}) == []


# -- what users build ------------------------------------------------------------------------------------------------------


def misused(url: str) -> Sinks:
    with pytest.raises(ValueError) as caught:
        Guard(Retry(), store=url)
    return errors_as_printed(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:{}@host:port/0",
        "redis://user:{}@:6379/0",
        "redis://user:{}@host/database",
        "redis://user:x/{}@host/0",
        "redis+cluster://user:{}@host:1/0",
        "redis+sentinel://user:{}@host:1",
        "redis+sentinel://user:12/{}@host:1/service/0",
        "redis+sentinel://host:1/service/0?{}=1",
        "redis://host:1/0?{}=1",
        "rediss://host:1/0?ssl_password={}&protocol=x",
        "mysql://user:{}@host",
        "{}://host",
        "user:{}@host",
        "unix://user:x/{}@/run/redis.sock",
    ],
)
def test_a_store_that_cannot_be_named_is_refused_without_its_password(url: str) -> None:
    for secret in (PASSWORD, SECRETS["certificate password"]):
        assert found_in(misused(url.format(quote(secret, safe="")))) == []


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix", "redis+cluster", "rediss+cluster", "redis+sentinel"])
def test_a_store_shows_its_place_only(scheme: str) -> None:
    word = quote(PASSWORD, safe="")
    tail = "/service/0" if "sentinel" in scheme else "/run/r.sock" if scheme == "unix" else ""
    more = f"?ssl_password={SECRETS['certificate password']}" if scheme.startswith("rediss") else ""
    store = open_store(f"{scheme}://user:{word}@{'' if scheme == 'unix' else 'host:1'}{tail}{more}")
    assert found_in({"store": f"{store!r} {store}", "variables": repr(vars(store))}) == []
    store.close()


def test_nor_of_a_proxy_nor_of_userinfo_in_the_address() -> None:
    proxy = f"http://someone:{SECRETS['proxy password']}@127.0.0.1:{free_port()}"
    headers = urllib3.make_headers(proxy_basic_auth=f"someone:{SECRETS['proxy password']}")
    registry = CollectorRegistry()
    guard = Guard(Retry(max_retries=0), Quota(), observers=[PrometheusObserver(registry)])
    with heard_logs() as logs, guard, urllib3.ProxyManager(proxy, proxy_headers=headers, retries=False) as http:
        guard.wrap(http)
        with pytest.raises(urllib3.exceptions.HTTPError) as caught:
            http.request("GET", f"http://someone:{SECRETS['userinfo']}@api.example/", headers=TOKEN)
    sinks = errors_as_printed(caught.value) | logs.sinks() | {"metrics": generate_latest(registry)}
    assert found_in(sinks, but={"userinfo"}) == []
    assert found_in({"metrics": sinks["metrics"], **logs.sinks(but="urllib3")}) == []


@pytest.mark.parametrize("kind", [GuardError, QuotaTimeout, RetriesExhausted, StoreUnavailable, PageError])
def test_an_error_shows_nothing_of_the_response_it_carries(kind: type[GuardError]) -> None:
    with Emulator().serve() as served, urllib3.PoolManager() as http:
        response = http.request("GET", served.url + PATH, headers=TOKEN)
    plain = kind("a sentence", last=response)
    for error in (plain, plain if kind is PageError else into(urllib3.exceptions.HTTPError, plain)):
        sinks = errors_as_printed(error)
        assert sinks["pickle"]
        assert found_in(sinks | {"copy": repr(pickle.loads(pickle.dumps(error)))}) == []


def test_plain_records_hide_what_they_hold() -> None:
    url = f"redis://:{PASSWORD}@host"
    arrival = Arrival("GET", "/v2.0", PATH, TOKEN, SECRETS["token"].encode())
    emulator = Emulator()
    emulator.handle(arrival, 0.0)
    fleet = Fleet(url="http://127.0.0.1", store=url, limit=1, window=1.0)
    claim = Claim("digest", "", 1, 1.0)
    things = [Plan(1, 1.0, url, 1, 1), fleet, arrival, emulator, emulator.truth(), claim, Permit(claim), Deadline(5)]
    assert found_in({type(thing).__name__: repr(thing) for thing in things}, but={"token"}) == []
    assert SECRETS["token"] not in repr(things)


# -- the command line --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    [
        ["demo", "--store", f"redis://:{PASSWORD}@host:port"],
        ["demo", "--store", f"redis://:{quote(PASSWORD)}@127.0.0.1:1"],
        ["demo", f"redis://:{PASSWORD}@host"],
        ["demo", "--limit", f"redis://:{PASSWORD}@host"],
        [f"redis://:{PASSWORD}@host"],
        ["emulate", "--window", f"redis://:{PASSWORD}@host"],
    ],
)
def test_a_command_line_that_is_wrong_is_not_repeated_with_its_password(typed: list[str]) -> None:
    done = CliRunner().invoke(commands, typed)
    assert done.exit_code != 0
    assert done.output
    assert found_in({"output": done.output}) == []


def test_no_process_of_a_demo_has_the_password_on_its_command_line(own_redis: RedisServer) -> None:
    """But the one whose command line the user wrote: processes are seen by everybody on the host."""
    lock(own_redis)
    words = ["demo", "--limit", "20", "--window", "1", "--windows", "1", "--workers", "1"]
    words += ["--store", with_password(own_redis)]
    with subprocess.Popen(
        [sys.executable, "-m", "clever_guard", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        seen: Sinks = {}
        watcher = threading.Thread(target=_watch, args=(demo, seen))
        watcher.start()
        said = demo.communicate(timeout=120)[0]
        watcher.join()
    assert demo.returncode == 0, said
    assert len(seen) >= 2, "an emulator and a worker"
    assert found_in(seen | {"output": said}) == []


def _watch(demo: subprocess.Popen[str], seen: Sinks) -> None:
    """The command lines of the demo's descendants, as long as it runs."""
    while demo.poll() is None:
        parents = {demo.pid}
        for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
            try:
                parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
                if parent in parents:
                    parents.add(pid)
                    seen[f"process {pid}"] = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
        time.sleep(0.1)


# -- the search itself -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", forms(SECRETS["token"]))
def test_a_leak_would_be_found(form: str) -> None:
    leak = b"something " + forms(SECRETS["token"])[form] + b" else"
    assert any(f"token ({form})" in one for one in found_in({"sink": leak}))


def test_a_variable_of_a_frame_would_be_found() -> None:
    def frame(token: str) -> None:
        raise ValueError("a sentence")

    frame.__globals__["__name__"], before = "clever_guard.made_up", __name__
    try:
        with pytest.raises(ValueError) as caught:
            frame(SECRETS["token"])
        assert found_in(errors_as_printed(caught.value))
    finally:
        frame.__globals__["__name__"] = before
