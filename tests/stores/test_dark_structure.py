"""While the circuit is open nobody connects, but for one look at a time; counted on the socket the store should listen on."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from clever_guard import Guard, Quota
from clever_guard.errors import StoreUnavailable
from clever_guard.quota.store import Answer, Command, Draw
from clever_guard.stores.circuit import FIRST_PATIENCE, MOST_PATIENCE, STRICT_PATIENCE, Circuit, Strict
from clever_guard.stores.fallback import Fallback
from clever_guard.stores.memory import MemoryStore
from clever_guard.testing import Emulator
from clever_guard.testing.emulator.serving import Served
from tests._proxy import Proxy
from tests._redis import RedisServer
from tests.stores.test_fallback import TERMS, Patient
from tests.stores.watched import Watched

DRAW = Command("id", "", TERMS, (), Draw(1))


class Listener:
    """Counts connections. Says nothing (``mute``), or hangs up at once."""

    def __init__(self, mute: bool) -> None:
        self._mute = mute
        self._held: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._socket.getsockname()[1]
        self.connects = 0
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connects += 1
            if self._mute:
                self._held.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for connection in self._held:
            connection.close()


@pytest.fixture(scope="module")
def api() -> Iterator[Served]:
    with Emulator(limit=100_000, window=3600).serve() as served:
        yield served


@pytest.fixture(params=["mute", "hangs up"])
def listener(request: pytest.FixtureRequest) -> Iterator[Listener]:
    listener = Listener(request.param == "mute")
    yield listener
    listener.close()


def looks_within(milliseconds: float, first: int) -> int:
    """How often a store may be looked for in that time, the failure that opened the circuit included."""
    looks, at, patience = 1, 0.0, first
    while (at := at + patience) <= milliseconds:
        looks += 1
        patience = min(MOST_PATIENCE, 2 * patience)
    return looks


@pytest.mark.parametrize("mode", ["local", "raise"])
def test_calls_do_not_connect_while_the_circuit_is_open(listener: Listener, api: Served, mode: str) -> None:
    worker = Watched(f"redis://127.0.0.1:{listener.port}/0", api, mode=mode)
    first: int = worker.guard.engine._store._circuit.first  # type: ignore[union-attr]
    begun = time.monotonic()
    worker.get()
    assert worker.changes == [True]
    threads = [threading.Thread(target=lambda: [worker.get() for _ in range(60)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = (time.monotonic() - begun) * 1000
    assert listener.connects <= looks_within(elapsed, first)
    assert listener.connects == worker.losses
    worker.close()


def test_one_look_finds_the_store_again(api: Served, own_redis: RedisServer) -> None:
    """It is the only connection that is made: everybody's next trip goes over it."""
    link = Proxy(own_redis.port)
    worker = Watched(f"redis://127.0.0.1:{link.port}/0", api)
    worker.get()
    link.instead = b"-LOADING Redis is loading the dataset in memory\r\n" * 9
    link.cut()
    worker.calls_until(lambda: worker.losses >= 2)
    connects, losses = link.connects, worker.losses
    link.instead = None
    link.cut()
    worker.calls_until(lambda: worker.changes == [True, False])
    for _ in range(5):
        worker.fresh_lease()
        assert worker.get() == "served"
    assert link.connects - connects == 1 + (worker.losses - losses)
    worker.close()
    link.stop()


def test_nobody_waits_for_a_look_that_another_caller_makes() -> None:
    now = [0]
    looking, answer = threading.Event(), threading.Event()

    class Slow(Patient):
        def execute(self, commands: Sequence[Command], /) -> Sequence[Answer]:
            if self.down and now[0]:
                looking.set()
                assert answer.wait(20)
            return super().execute(commands)

    store = Slow(now)
    fallback = Fallback(store, clock=lambda: now[0])
    store.down = True
    fallback.execute([DRAW])
    now[0] = FIRST_PATIENCE
    look = threading.Thread(target=fallback.execute, args=([DRAW],))
    look.start()
    assert looking.wait(20)
    for _ in range(100):
        assert fallback.execute([DRAW])[0].dark
    assert look.is_alive()
    answer.set()
    look.join()


# --- the circuit and the strict store, on a clock that is set by hand ----------------------------------------------------


def test_a_circuit_looks_half_as_often_each_time() -> None:
    circuit = Circuit()
    assert circuit.admits(0)
    assert circuit.failed(0)
    assert not circuit.failed(1), "no news"
    looks = [now for now in range(0, 30_000, 50) if circuit.admits(now)]
    assert looks == [500, 1500, 3500, 7500, 12_500, 17_500, 22_500, 27_500]
    assert circuit.answered()
    assert not circuit.answered()
    assert circuit.failed(30_000)
    assert circuit.look_at == 30_000 + FIRST_PATIENCE, "it begins anew"


class TestStrict:
    @pytest.fixture(autouse=True)
    def _made(self) -> None:
        self.clock = [1_000]
        self.store = Patient(self.clock)
        self.changes: list[bool] = []
        self.lost: list[float] = []
        self.strict = Strict(
            self.store,
            on_change=self.changes.append,
            on_loss=lambda commands, seconds: self.lost.append(seconds),
            clock=lambda: self.clock[0],
        )

    def test_it_stays_out_of_the_way_while_the_store_answers(self) -> None:
        assert self.strict.execute([DRAW])[0].kind == "scout"
        assert self.strict.fingerprint("mine") == "mine"
        assert (self.changes, self.lost, self.strict.degraded) == ([], [], False)

    def test_a_failure_is_the_callers_and_later_ones_do_not_ask(self) -> None:
        self.store.down = True
        for number in range(20):
            with pytest.raises(StoreUnavailable, match="redis at db:6379 does not serve: no connection") as caught:
                self.strict.execute([DRAW])
            assert caught.value.retry_in == (STRICT_PATIENCE - number) / 1000
            self.clock[0] += 1
        assert len(self.store.asked) == len(self.lost) == 1
        assert self.changes == [True]

    def test_it_is_back_after_one_look(self, caplog: pytest.LogCaptureFixture) -> None:
        self.store.down = True
        with pytest.raises(StoreUnavailable):
            self.strict.execute([DRAW])
        self.store.down = False
        self.clock[0] += STRICT_PATIENCE
        assert self.strict.execute([DRAW])[0].kind == "scout"
        assert self.changes == [True, False]
        assert [record.getMessage() for record in caplog.records] == [
            "redis at db:6379 does not serve: no connection (it has not answered since this process began); "
            "calls that need it are refused",
            "the store answers again; calls are served",
        ]


def test_a_store_of_one_process_has_no_circuit() -> None:
    """There is nothing to fall back from."""
    guard = Guard(Quota(limit=10, window=1), store=MemoryStore(), on_store_failure="raise")
    assert isinstance(guard.engine._store, MemoryStore)
    guard.close()
