"""Metrics that fail, or are entered twice by one thread, never fail or hang a call."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from clever_guard import Guard, Quota, Retry, events
from clever_guard.observe.counting import Child, Children, Own
from clever_guard.observe.prometheus import PrometheusObserver
from tests.test_threads import Api, call

ROOT = Path(__file__).parents[2]


def broken(*anything: Any) -> Any:
    raise OSError("no space left on device")


@pytest.mark.parametrize(
    "harm",
    [
        lambda monkeypatch: monkeypatch.setattr(Own, "cell", broken),
        lambda monkeypatch: monkeypatch.setattr(PrometheusObserver, "__call__", broken),
        lambda monkeypatch: monkeypatch.setattr("clever_guard.observe.counting.Number.inc", broken),
        lambda monkeypatch: monkeypatch.setattr("clever_guard.observe.counting.Times.observe", broken),
    ],
    ids=["a new series", "everything", "a counter", "a histogram"],
)
def test_no_call_fails_with_its_metrics(
    harm: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a good one nor one that waits and repeats. It is said once."""
    harm(monkeypatch)
    api = Api(3, 1.0)
    others: list[events.Event] = []
    observers = [PrometheusObserver(CollectorRegistry(), buckets=True), others.append]
    guard = Guard(Retry(), Quota(limit=3, window=1), observers=observers)
    assert [call(guard, api) for _ in range(5)] == [200] * 5
    guard.close()
    assert sum("an observer of guard 'clever' raised" in record.getMessage() for record in caplog.records) == 1
    assert sum(isinstance(event, events.CallFinished) for event in others) == 5, "another observer hears everything"


def test_a_failing_scrape_is_the_scrapers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = CollectorRegistry()
    guard = Guard(Quota(limit=10, window=3600), observers=[PrometheusObserver(registry)])
    api = Api(10, 3600)
    call(guard, api)
    with monkeypatch.context() as harmed, pytest.raises(OSError, match="no space"):
        harmed.setattr("clever_guard.observe.counting._add", broken)
        generate_latest(registry)
    assert call(guard, api) == 200
    assert (
        'calls_total{guard="clever",host="api.example",method="GET",outcome="ok"} 2.0'
        in generate_latest(registry).decode()
    )
    guard.close()


@pytest.mark.parametrize("own", [True, False])
def test_many_guards_and_observers_of_one_registry_are_one_collector(
    own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clever_guard.observe.counting._may_own", lambda: own)
    registry, api = CollectorRegistry(), Api(100, 3600)
    guards = [
        Guard(Quota(limit=100, window=3600), name=f"g{number % 2}", observers=[PrometheusObserver(registry)])
        for number in range(4)
    ]
    for guard in guards:
        assert call(guard, api) == 200
        guard.close()
    text = generate_latest(registry).decode()
    assert text.count("# TYPE clever_guard_calls_total counter") == 1
    for name in ("g0", "g1"):
        assert f'calls_total{{guard="{name}",host="api.example",method="GET",outcome="ok"}} 2.0' in text


def test_a_log_handler_that_calls_is_served_while_the_store_is_down() -> None:
    """As one that ships its records over a guarded client does. It is told of the store going dark, and asks it."""
    statuses: list[int] = []

    class Shipping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            statuses.append(call(guard, api))

    api = Api(1000, 3600)
    guard = Guard(Retry(), Quota(limit=1000, window=3600), store="redis://127.0.0.1:1/0", fleet=1)
    shipping = Shipping(logging.WARNING)
    logging.getLogger("clever_guard").addHandler(shipping)
    try:
        assert call(guard, api) == 200
    finally:
        logging.getLogger("clever_guard").removeHandler(shipping)
        guard.close()
    assert statuses
    assert set(statuses) == {200}


def test_a_child_that_is_entered_twice_counts_both() -> None:
    """prometheus_client's locks would wait for ever for a thread that has them."""
    numbers = Children(CollectorRegistry())
    outer, inner = (numbers.cell("throttled", ("g", host)) for host in ("outer", "inner"))
    do = Child.do

    def interrupted(child: Child, how: str, value: float) -> None:
        if child is outer and inner._child is None:
            inner.inc()
            assert inner._child is None, "it waits for its turn"
        do(child, how, value)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Child, "do", interrupted)
        outer.inc()
    assert [cell._child._value.get() for cell in (outer, inner)] == [1.0, 1.0]
    assert not numbers._queue._left


MULTIPROCESS = """
import random, signal, time
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from clever_guard import Guard, Quota, Retry
from clever_guard.observe.prometheus import PrometheusObserver
from tests.test_threads import Api, call

api = Api(10**6, 3600)
guard = Guard(Retry(), Quota(limit=10**6, window=3600), observers=[PrometheusObserver()])
count = [0]

def one(*anything):
    assert call(guard, api, max_wait=30) == 200
    count[0] += 1

def handle(*anything):
    one()
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.002))

one(); time.sleep(1.2); one()
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.001)
until = time.monotonic() + 1.5
while time.monotonic() < until:
    one()
signal.signal(signal.SIGALRM, signal.SIG_IGN)
registry = CollectorRegistry()
MultiProcessCollector(registry)
text = generate_latest(registry).decode()
counted = 'outcome="ok"} ' + f"{float(count[0])}" in text
print(counted, count[0] > 100)
"""


def test_a_handler_that_calls_in_multiprocess_mode(tmp_path: Path) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", MULTIPROCESS], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert (ran.stdout, ran.stderr) == ("True True\n", "")
