"""Ten thousand of everything that a server, a caller or a redirect may make up: series, bytes, memory and log lines stay bounded."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from email.utils import formatdate
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from clever_guard import ExponentialBackoff, Guard, Quota, Retry
from clever_guard.errors import StoreUnavailable
from clever_guard.events import Event, LedgerSeen, PermitsMoved
from clever_guard.model import Failure, HeaderReport, Outcome, Reply, Request
from clever_guard.observe.prometheus import PrometheusObserver
from clever_guard.quota.store import Answer, Command, Terms
from clever_guard.stores.memory import MemoryStore
from clever_guard.testing import no_waiting
from clever_guard.testing.transcripts import make_request
from tests._canary import heard_logs

MANY = 10_000
BUCKETS = 20
MOST_BYTES = 3_000_000
TERMS = Terms(100, 10_000, 1_000)


class Transport:
    """Answers with what ``reply`` makes of the number of the attempt."""

    def __init__(self, reply: Callable[[int], Outcome]) -> None:
        self.count = 0
        self.reply = reply

    def send(self, request: Request, /) -> Outcome:
        self.count += 1
        return self.reply(self.count)

    def discard(self, outcome: Outcome, /) -> None:
        pass


def quota(number: int, bucket: str, **more: str) -> dict[str, str]:
    headers = {
        "X-RateLimit-Limit": str(10 * MANY),
        "X-RateLimit-Remaining": str(9 * MANY - number),
        "X-RateLimit-Bucket": bucket,
    }
    return headers | {"X-RateLimit-Reset": str(int(time.time()) + 30), "Date": formatdate(usegmt=True)} | more


def asked(number: int, **given: Any) -> Request:
    request = make_request(headers={"Authorization": f"Bearer {given.pop('token', 'T')}"}, **given)
    request.guard = "clever"
    return request


def blocks() -> int:
    """What Python has allocated and not freed."""
    gc.collect()
    return sys.getallocatedblocks()


class Watched:
    """A guard, its numbers, and how much memory a second half costs that is like the first."""

    def __init__(self, store: Any = None, **given: Any) -> None:
        self.registry = CollectorRegistry()
        observer = PrometheusObserver(self.registry, buckets=True, max_buckets=BUCKETS)
        backoff = ExponentialBackoff(initial=0, max_delay=0, jitter="none")
        quota = Quota(limit=10 * MANY, window=60, **given)
        self.guard = Guard(Retry(backoff=backoff, max_retries=1), quota, store=store, observers=[observer])

    def run(self, transport: Transport, request: Callable[[int], Request], calls: int = MANY) -> float:
        """Blocks of memory that the second half of the calls left behind, for each of them: 0 where nothing grows."""
        with no_waiting(self.guard):
            for number in range(calls):
                if number == calls // 2:
                    half = blocks()
                self.guard.call(request(number), transport)
            return (blocks() - half) / (calls / 2)

    def series(self) -> int:
        return sum(len(metric.samples) for metric in self.registry.collect())

    def page(self) -> bytes:
        return generate_latest(self.registry)


@pytest.fixture
def watched() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.guard.close()


def is_bounded(watched: Watched, left: float, *, series: int) -> None:
    assert watched.series() <= series
    assert len(watched.page()) <= MOST_BYTES
    assert left < 0.5, "memory grows with what is made up"


def test_buckets_that_a_server_makes_up(watched: Watched) -> None:
    """A name of its own in each answer, half of them no plain words."""
    transport = Transport(lambda number: Reply(200, quota(number, f"{number}" + "\u00e9{}" * (number % 2)), None))
    left = watched.run(transport, asked)
    is_bounded(watched, left, series=300)
    labels = {
        sample.labels["bucket"]
        for metric in watched.registry.collect()
        for sample in metric.samples
        if "bucket" in sample.labels
    }
    assert 2 <= len(labels) <= BUCKETS + 1
    assert "other" in labels


def test_eight_buckets_in_each_answer(watched: Watched) -> None:
    def reply(number: int) -> Reply:
        lists = {name: ", ".join([value] * 8) for name, value in quota(number, "").items() if name != "Date"}
        names = ", ".join(f"b{number}-{n}" for n in range(8))
        return Reply(200, lists | {"X-RateLimit-Bucket": names, "Date": formatdate(usegmt=True)}, None)

    begun = time.process_time()
    left = watched.run(Transport(reply), asked, MANY // 16)
    is_bounded(watched, left, series=300)
    assert time.process_time() - begun < 30, "a few milliseconds a call, and not more with each"


def test_hosts_that_redirects_make_up(watched: Watched) -> None:
    """Long ones too: each would stand in every line of forty series."""
    hosts = [f"h{number}.{'x' * (number % 3 * 20_000)}.example" for number in range(100)]
    transport = Transport(lambda number: Reply(200, quota(number, "all"), None))
    left = watched.run(
        transport, lambda number: asked(number, host=hosts[number] if number < 100 else f"{number}.example")
    )
    is_bounded(watched, left, series=51 * 60)
    assert b"x" * 254 not in watched.page()


def test_methods_statuses_and_paths(watched: Watched) -> None:
    transport = Transport(lambda number: Reply(number, quota(number, "all"), None))
    left = watched.run(transport, lambda number: asked(number, method=f"M{number}", target=f"/{number}?x={number}"))
    is_bounded(watched, left, series=800)
    assert b"M77" not in watched.page()


def test_reasons_that_a_dialect_makes_up() -> None:
    watched = Watched(dialect=lambda headers, status, wall: HeaderReport((), None, (headers.get("X") or "",)))
    words = (
        "reason_" + "abcdefghij"[number % 10] * (number % 30) + "\n" * (number % 7 == 0) for number in range(3 * MANY)
    )
    left = watched.run(Transport(lambda number: Reply(200, {"X": next(words)}, None)), asked)
    is_bounded(watched, left, series=300)
    watched.guard.close()


def test_tokens_that_a_caller_makes_up(watched: Watched) -> None:
    """A budget for each: what is remembered of the idle ones is bounded by itself, and forgotten."""
    transport = Transport(lambda number: Reply(200, quota(number, "all"), None))
    left = watched.run(transport, lambda number: asked(number, token=f"token-{number}"), MANY // 4)
    assert watched.series() <= 300
    assert len(watched.page()) <= MOST_BYTES
    assert left < 200, "a record of some thirty integers for a token in use this minute"


def test_events_of_strangers() -> None:
    """Whatever comes in an event, the labels stay few."""
    registry = CollectorRegistry()
    tell: Callable[[Event], None] = PrometheusObserver(registry, buckets=True, max_buckets=BUCKETS)
    for number in range(MANY):
        tell(LedgerSeen("clever", f"d{number}:b", 100, 50, 1, 30.0, number, 1, number))
        tell(PermitsMoved("clever", f"d{number}:b", f"op{number % 9}", 1))
        tell(PermitsMoved("clever", f"d{number}:b", "granted", 1))
    assert sum(len(metric.samples) for metric in registry.collect()) <= 200


# -- log lines (catalogue C5) ----------------------------------------------------------------------------------------------


def test_a_storm_of_refusals_says_nothing(watched: Watched) -> None:
    refusal = {"Retry-After": "0"}
    with heard_logs() as logs:
        watched.run(Transport(lambda number: Reply(429, refusal, None)), asked, MANY // 2)  # each is sent twice
    assert logs.lines == []
    assert b"clever_guard_throttled_total" in watched.page()


def test_nor_does_a_storm_of_failures() -> None:
    transport = Transport(lambda number: Failure(OSError("cut"), sent=True))
    with heard_logs() as logs, Guard(Retry(max_retries=0)) as guard:
        for number in range(MANY):
            guard.call(asked(number), transport)
    assert logs.lines == []
    assert transport.count == MANY


class Failing:
    """A shared store that is there, gone for ten thousand commands, and there again."""

    shared = True

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.down = False
        self.asked = 0

    def execute(self, commands: Sequence[Command], /) -> Sequence[Answer]:
        self.asked += 1
        if self.down:
            raise StoreUnavailable("the store does not serve: no connection")
        return self.inner.execute(commands)

    def fingerprint(self, mine: str, /) -> str | None:
        return mine

    def close(self) -> None:
        pass


@pytest.mark.parametrize("policy", ["local", "raise"])
def test_a_store_that_fails_ten_thousand_times_is_one_line(policy: str) -> None:
    store = Failing()
    observed = Watched()
    with (
        heard_logs() as logs,
        Guard(Retry(), Quota(), store=store, observers=[], secret="s", on_store_failure=policy) as guard,
    ):
        transport = Transport(lambda number: Reply(200, quota(number, "all"), None))
        command = [Command("id", "", TERMS)]
        guard.call(asked(0), transport)
        store.down = True
        failed = sum(_fails(guard, command) for _ in range(MANY))
        assert failed == (MANY if policy == "raise" else 0)
        store.down = False
        until = time.monotonic() + 20
        while policy == "local" and guard.engine._store.degraded and time.monotonic() < until:  # type: ignore[attr-defined]
            guard.engine._store.execute(command)
    observed.guard.close()
    warnings = [line for line in logs.of("clever_guard") if line.startswith("WARNING")]
    assert len(warnings) == (2 if policy == "local" else 1), warnings
    assert len(logs.lines) == len(warnings)


def _fails(guard: Guard, command: list[Command]) -> bool:
    try:
        guard.engine._store.execute(command)
    except StoreUnavailable:
        return True
    return False


def test_an_observer_that_fails_ten_thousand_times_is_one_line() -> None:
    def observer(event: Event) -> None:
        raise RuntimeError("full disk")

    with heard_logs() as logs, Guard(Retry(), observers=[observer]) as guard:
        for number in range(MANY):
            guard.call(asked(number), Transport(lambda number: Reply(200, {}, None)))
    assert len(logs.lines) == 1
