"""Every way a Redis can fail, through whole guards: urllib3 over loopback, an emulated API, a real server with the page's rights.

Two workers meet each fault side by side, one for each ``on_store_failure``. The one goes on and serves every call, the other
raises the typed error; neither is ever late, both say so once, and one look each finds the store again.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from clever_guard.testing import Emulator
from clever_guard.testing.emulator.serving import Served
from tests._proxy import Proxy
from tests._redis import RedisServer
from tests._redis_fleet import until
from tests.stores.watched import TOKEN, Watched, left_of, lines, store_at
from tests.test_docs import DOCS, acl_words

USER = "clever_guard:PASSWORD@"


class Place:
    """A server, a link to it, and its owner's connection."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.proxy = Proxy(server.port)
        self.admin = redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0))
        self.running: list[threading.Thread] = []
        self.allow()

    def allow(self, *more: str) -> None:
        """The user of the page, as new; then ``more`` rules."""
        self.admin.execute_command("ACL", "DELUSER", "clever_guard")
        self.admin.execute_command(*acl_words(), *more)

    def rule(self, *rules: str) -> None:
        self.admin.execute_command("ACL", "SETUSER", "clever_guard", *rules)

    def cut(self) -> None:
        """The connections end; what follows must connect anew."""
        self.admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def meanwhile(self, *words: str | int) -> None:
        """A command of somebody else's that takes long."""

        def run() -> None:
            with contextlib.suppress(redis.RedisError), redis.Redis(port=self.server.port, socket_timeout=60) as client:
                client.execute_command(*words)

        self.running.append(threading.Thread(target=run))
        self.running[-1].start()

    def settle(self) -> None:
        for thread in self.running:
            thread.join(60)
        self.running.clear()

    def close(self) -> None:
        self.settle()
        self.admin.close()
        self.proxy.stop()
        self.server.stop()


@dataclass(frozen=True)
class Fault:
    """``says``: what the one WARNING holds. ``who``: the user in the URL."""

    hurt: Callable[[Place], Any]
    heal: Callable[[Place], Any]
    says: str
    who: str = USER


def be_busy(place: Place) -> None:
    place.admin.config_set("busy-reply-threshold", 1)
    place.meanwhile("EVAL", "while true do end", 0)
    until(lambda: _is_busy(place), "a script that runs on")


def _is_busy(place: Place) -> bool:
    try:
        place.admin.get("anything")
    except redis.ResponseError as error:
        return "BUSY" in str(error) or "busy" in str(error)
    return False


def load_slowly(place: Place) -> None:
    """Read a few thousand keys from disk again, five milliseconds each; questions are heard after each of them."""
    place.admin.config_set("loading-process-events-interval-bytes", 1024)
    place.admin.execute_command("DEBUG", "POPULATE", 5_000, "filler", 1_100)
    place.admin.config_set("key-load-delay", 5_000)
    place.meanwhile("DEBUG", "RELOAD")
    until(lambda: _is_loading(place), "a server that loads")


def _is_loading(place: Place) -> bool:
    try:
        place.admin.get("anything")
    except redis.BusyLoadingError:
        return True
    return False


def restart(place: Place) -> None:
    place.server.restart()
    place.settle()
    place.allow()


def say(what: bytes | None) -> Callable[[Place], None]:
    def turn(place: Place) -> None:
        place.proxy.instead = what
        place.proxy.cut()

    return turn


def delay(seconds: float) -> Callable[[Place], None]:
    def turn(place: Place) -> None:
        place.proxy.delay = seconds
        if not seconds:
            place.proxy.cut()

    return turn


def rules(*words: str, cut: bool = False) -> Callable[[Place], None]:
    def turn(place: Place) -> None:
        place.rule(*words)
        if cut:
            place.cut()

    return turn


def want_password(place: Place) -> None:
    place.admin.config_set("requirepass", "another")
    place.cut()


def want_none(place: Place) -> None:
    place.admin.config_set("requirepass", "")


REFUSED = "does not accept the user or password|no connection"
"""Whose connection is ended with the rights may meet its end first."""
FAULTS = {
    "killed": Fault(lambda place: place.server.kill(), restart, "no connection"),
    "frozen": Fault(lambda place: place.server.pause(), lambda place: place.server.resume(), "no answer in time"),
    "slow": Fault(delay(1.5), delay(0), "no answer in time"),
    "no RESP": Fault(say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), say(None), "InvalidResponse"),
    "nonsense": Fault(say(b"*1\r\n:one\r\n" * 9), say(None), r"it answered what is no answer \(ValueError\)"),
    "another's answer": Fault(say(b"*2\r\n+99\r\n+1\r\n" * 9), say(None), "it answered what is no answer|user or password"),
    "READONLY": Fault(
        lambda place: place.admin.replicaof("127.0.0.1", "1"), lambda place: place.admin.replicaof("NO", "ONE"), "ReadOnly"
    ),
    "OOM": Fault(
        lambda place: place.admin.config_set("maxmemory", 1), lambda place: place.admin.config_set("maxmemory", 0),
        "OutOfMemory|OOM",
    ),
    "BUSY": Fault(be_busy, lambda place: (place.admin.script_kill(), place.settle()), "BUSY|Busy"),
    "LOADING": Fault(load_slowly, restart, "BusyLoadingError"),
    "NOAUTH": Fault(want_password, want_none, REFUSED, who=""),
    "password changed": Fault(
        rules("resetpass", ">ANOTHER", cut=True), rules("resetpass", ">PASSWORD"), REFUSED
    ),
    "user removed": Fault(
        lambda place: place.admin.acl_deluser("clever_guard"), lambda place: place.allow(),
        REFUSED,
    ),
    "the script forbidden": Fault(rules("-evalsha"), rules("+evalsha"), "NoPermission"),
    "a command of the script forbidden": Fault(rules("-hset"), rules("+hset"), "can't run this command"),
    "the key forbidden": Fault(rules("resetkeys", "~other:*"), rules("~cg:1:*"), "NoPermission"),
}  # fmt: skip


@pytest.fixture(scope="module")
def shared_place() -> Iterator[Place]:
    place = Place(RedisServer("--enable-debug-command", "yes"))
    yield place
    place.close()


@pytest.fixture
def place(shared_place: Place) -> Place:
    shared_place.allow()
    shared_place.admin.flushall()
    shared_place.admin.script_flush()
    return shared_place


@pytest.fixture(scope="module")
def shared_api() -> Iterator[Served]:
    with Emulator(limit=100_000, window=3600).serve() as served:
        yield served


@pytest.fixture
def api(shared_api: Served) -> Served:
    shared_api.emulator.reset()
    return shared_api


@contextlib.contextmanager
def workers(place: Place, api: Served, who: str = USER) -> Iterator[tuple[Watched, Watched]]:
    url = f"redis://{who}127.0.0.1:{place.proxy.port}/0"
    pair = Watched(store_at(url), api), Watched(store_at(url), api, mode="raise")
    try:
        yield pair
    finally:
        for worker in pair:
            worker.close()


def notice(worker: Watched) -> None:
    """Call until the worker has noticed; nothing else than its mode promises may become of a call."""
    ended = worker.calls_until(lambda: worker.changes[-1:] == [True])
    assert set(ended) <= ({"served"} if worker.mode == "local" else {"served", "raised"})
    assert worker.mode == "local" or ended[-1] == "raised"
    assert worker.gauge == 1


def stay(worker: Watched) -> None:
    """Until a look at the store has failed too."""
    ended = worker.calls_until(lambda: worker.losses >= 2)
    assert set(ended) <= ({"served"} if worker.mode == "local" else {"raised"})
    assert worker.changes == [True]


def recover(worker: Watched) -> None:
    ended = worker.calls_until(lambda: worker.changes == [True, False])
    assert set(ended) <= ({"served"} if worker.mode == "local" else {"served", "raised"})
    assert worker.gauge == 0
    for _ in range(3):
        worker.fresh_lease()
        assert worker.get() == "served"
    assert worker.changes == [True, False]


def of(mode: str, records: Any) -> list[str]:
    """The lines of one of the two: they end differently."""
    local = re.compile("share of the budget|shares its budget")
    return [line for line in lines(records) if bool(local.search(line)) == (mode == "local")]


@pytest.mark.parametrize("name", FAULTS)
def test_in_mid_run(name: str, place: Place, api: Served, caplog: pytest.LogCaptureFixture) -> None:
    fault = FAULTS[name]
    with workers(place, api, fault.who) as pair:
        for worker in pair:
            assert [worker.get() for _ in range(3)] == ["served"] * 3
            worker.fresh_lease()
        assert lines(caplog.records) == []
        fault.hurt(place)
        try:
            for worker in pair:
                notice(worker)
                stay(worker)
        finally:
            fault.heal(place)
        left = left_of(api)
        for worker in pair:
            recover(worker)
            said, back = of(worker.mode, caplog.records)
            assert re.search(fault.says, said), said
            assert "(it answered before)" in said
            assert back.startswith("the store answers again")
        assert pair[0].remaining <= left, "what was read in the dark is known to the store"
        assert api.emulator.refused == 0
    assert not [secret for secret in ("PASSWORD", "ANOTHER", TOKEN) if secret in caplog.text]


@pytest.mark.parametrize("name", FAULTS)
def test_at_the_start(name: str, place: Place, api: Served, caplog: pytest.LogCaptureFixture) -> None:
    fault = FAULTS[name]
    fault.hurt(place)
    try:
        with workers(place, api, fault.who) as pair:
            for worker in pair:
                notice(worker)
                worker.get()
                (said,) = of(worker.mode, caplog.records)
                assert re.search(fault.says, said), said
                assert "(it has not answered since this process began)" in said
                assert "PASSWORD" not in said
    finally:
        fault.heal(place)


def test_the_page_says_what_the_log_says() -> None:
    """Every fault has its row in docs/stores.md, with the words an operator will look for."""
    page = (DOCS / "stores.md").read_text("utf-8")
    reasons = [row.rpartition(" | ")[2] for row in page.splitlines() if row.startswith("| ")]
    missing = [name for name, fault in FAULTS.items() if not any(re.search(fault.says, reason) for reason in reasons)]
    assert missing == []
