"""A reply of one call is never given to another: after a timeout, an interruption at any line, a fork, in any kind of client.

Every question names a limit of its own, and the ledger's view in the answer says it back. The link to the server keeps each
answer back for a while, so that what is interrupted leaves an answer on its way.
"""

from __future__ import annotations

import itertools
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
import redis
import valkey

from clever_guard.errors import StoreUnavailable
from clever_guard.quota.store import Command, Draw, Terms
from clever_guard.stores.redis import SHA, RedisStore
from tests._proxy import Proxy
from tests._redis import RedisServer
from tests.test_forks import in_child

LIMITS = itertools.count(1_000)


class Asker:
    """Asks questions whose answers are known."""

    def __init__(self, store: RedisStore) -> None:
        self.store = store

    def ask(self, count: int = 1) -> None:
        """One trip of ``count`` commands. Fails if an answer is of another question; may raise StoreUnavailable."""
        limits = [next(LIMITS) for _ in range(count)]
        terms = [Terms(limit, 10_000, 1_000) for limit in limits]
        commands = [Command(f"{one.limit:x}", "", one, (), Draw(1)) for one in terms]
        answers = self.store.execute(commands)
        assert [answer.views[0].limit for answer in answers] == limits

    def ask_in_vain(self, count: int = 1) -> bool:
        """Whether the store did not serve."""
        try:
            self.ask(count)
        except StoreUnavailable:
            return True
        return False


@pytest.fixture
def link(redis_server: RedisServer, redis_url: str) -> Iterator[Proxy]:
    link = Proxy(redis_server.port)
    link.delay = 0.002
    yield link
    link.stop()


def client_of(kind: str, port: int) -> Any:
    if kind == "one connection":
        return redis.Redis(port=port, single_connection_client=True)
    if kind == "blocking pool":
        return redis.Redis(connection_pool=redis.BlockingConnectionPool(port=port, max_connections=1_000, timeout=5))
    if kind == "RESP2":
        return redis.Redis(port=port, protocol=2)
    return valkey.Valkey(port=port)


def store_of(kind: str, port: int) -> RedisStore:
    if kind == "our own":
        return RedisStore.from_url(f"redis://127.0.0.1:{port}/0", deadline=5)
    return RedisStore(client_of(kind, port))


def interrupt_at(line: int, work: Callable[[], Any]) -> bool:
    """Do ``work``, but for a KeyboardInterrupt before this line of our store or of the client, counted from where the question
    is sent. False: there was no such line.

    What holds a lock is let pass, as pools do: a trace strikes between the body of a ``with`` and its end, which no signal does.
    """
    seen, sent = 0, False

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal seen
        if event == "line" and sent:
            seen += 1
            if seen == line:
                raise KeyboardInterrupt
        return trace

    def begin(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal sent
        sent = sent or frame.f_code.co_name == "send_packed_command"
        if "Pool" in type(frame.f_locals.get("self")).__name__ or "_lock" in frame.f_code.co_names:
            return None
        name = frame.f_code.co_filename
        return trace if "/redis/" in name or "/valkey/" in name or "/clever_guard/stores/" in name else None

    try:
        sys.settrace(begin)
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


INTERRUPTED = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""A client that is interrupted while it connects leaves its socket to the garbage collector."""


@INTERRUPTED
@pytest.mark.parametrize(
    ("kind", "step"), [("our own", 2), ("one connection", 5), ("blocking pool", 5), ("RESP2", 5), ("valkey", 5)]
)
def test_interrupted_before_any_line_no_answer_goes_astray(kind: str, step: int, link: Proxy) -> None:
    asker = Asker(store_of(kind, link.port))
    asker.ask()
    interruptions, ended = 0, Counter[bool]()
    for line in itertools.count(1, step):
        if not interrupt_at(line, asker.ask):
            break
        interruptions += 1
        ended[asker.ask_in_vain()] += 1
        asker.ask()
    assert interruptions * step >= 30, "there are so many lines between a question and the end"
    assert ended[True] <= interruptions // 10, "what was interrupted is closed, not found out by its answer"
    asker.store.close()


@INTERRUPTED
def test_hundreds_of_timeouts_and_interruptions_among_threads(link: Proxy) -> None:
    """One thread is interrupted by signals, three others share its pool; a third of all answers come too late."""
    store = RedisStore.from_url(f"redis://127.0.0.1:{link.port}/0", deadline=0.03)
    asker, chance = Asker(store), random.Random(1)
    astray: list[BaseException] = []
    done, armed = threading.Event(), threading.Event()
    ended: Counter[str] = Counter()

    def others() -> None:
        while not done.is_set():
            try:
                ended["late" if asker.ask_in_vain(1 + len(astray) % 3) else "in time"] += 1
            except BaseException as error:
                astray.append(error)
                return

    def interrupt(number: int, frame: Any) -> None:
        if armed.is_set():
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    threads = [threading.Thread(target=others) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(300):
            link.delay = chance.choice([0.0, 0.002, 0.01, 0.05])
            try:
                armed.set()
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.000_2, 0.02))
                ended["late" if asker.ask_in_vain(chance.choice([1, 3])) else "in time"] += 1
                armed.clear()
            except KeyboardInterrupt:
                ended["interrupted"] += 1
                armed.clear()
    finally:
        armed.clear()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        done.set()
        for thread in threads:
            thread.join(30)
        store.close()
    assert astray == []
    assert ended["interrupted"] >= 50, ended
    assert ended["late"] >= 20, ended
    assert ended["in time"] >= 20, ended


def test_a_late_answer_closes_its_connection(link: Proxy) -> None:
    store = RedisStore.from_url(f"redis://127.0.0.1:{link.port}/0", deadline=0.1)
    asker = Asker(store)
    asker.ask()
    for _ in range(5):
        opened = link.connects
        link.delay = 1.0
        with pytest.raises(StoreUnavailable, match="no answer in time"):
            asker.ask()
        link.delay = 0.0
        asker.ask()
        assert link.connects == opened + 1
    store.close()


def test_an_answer_to_another_question_is_refused_and_its_connection_closed(redis_url: str) -> None:
    """Should a client ever hand it out all the same: here somebody else left a question of ours unread."""
    client = redis.Redis.from_url(redis_url)
    store, asker = RedisStore(client), Asker(RedisStore(client))
    asker.ask()
    pool = client.connection_pool
    connection = pool._available_connections[-1]
    words = store._arguments(Command("astray", "", Terms(7, 10_000, 1_000), (), Draw(1)))
    connection.send_command("EVALSHA", SHA, 1, "cg:1:{astray}", *words)
    asker.ask_in_vain()
    asker.ask()
    client.close()


def test_a_forked_child_has_a_socket_of_its_own_while_the_parent_waits_for_an_answer(link: Proxy) -> None:
    store = RedisStore.from_url(f"redis://127.0.0.1:{link.port}/0", deadline=10)
    asker = Asker(store)
    asker.ask()
    mine = store._client.client_id()
    link.delay = 0.2
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            asker.ask()
        except BaseException as error:
            failed.append(error)

    for _ in range(2):
        waiting = threading.Thread(target=ask)
        waiting.start()
        time.sleep(0.05)

        def work() -> tuple[bool, bool]:
            store.after_fork()
            asker.ask()
            asker.ask(3)
            return True, store._client.client_id() == mine

        assert in_child(work) == "(True, False)"
        waiting.join()
    assert failed == []
    link.delay = 0.0
    asker.ask()
    assert store._client.client_id() == mine, "the parent's connection was not disturbed"
    store.close()
