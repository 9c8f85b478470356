"""Our own numbers: they export what prometheus_client's children would, and lose nothing between threads and signals."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from clever_guard.observe.counting import Children, Number, Own, Times, numbers_of
from clever_guard.observe.prometheus import PrometheusObserver
from clever_guard.observe.series import SERIES, WAITS
from tests.observe.test_prometheus import EVERY


@pytest.fixture
def hurried() -> Iterator[None]:
    """Threads take turns as often as the interpreter lets them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def exported(registry: CollectorRegistry) -> set[str]:
    lines = generate_latest(registry).decode().splitlines()
    return {line for line in lines if "_created" not in line}


def test_own_numbers_export_what_children_export(monkeypatch: pytest.MonkeyPatch) -> None:
    own, children = CollectorRegistry(), CollectorRegistry()
    observers = [PrometheusObserver(own, buckets=True, wall=lambda: 1000.0)]
    monkeypatch.setattr("clever_guard.observe.counting._may_own", lambda: False)
    observers.append(PrometheusObserver(children, buckets=True, wall=lambda: 1000.0))
    for observe in observers:
        for event, _ in EVERY * 3:
            observe(event)
    assert isinstance(numbers_of(own), Own)
    assert isinstance(numbers_of(children), Children)
    assert exported(own) == exported(children)


def test_a_value_on_a_bound_counts_below_it() -> None:
    times = Times(WAITS)
    for seconds in (0.0, 0.005, 0.0051, 300.0, 301.0):
        times.observe(seconds)
    assert (times.counts[0], times.counts[1], times.counts[-2], times.counts[-1]) == (2, 1, 1, 1)


def test_a_name_that_somebody_has_is_refused() -> None:
    registry = CollectorRegistry()
    Counter("clever_guard_calls_total", "Somebody else's.", registry=registry)
    with pytest.raises(ValueError, match="clever_guard_calls"):
        numbers_of(registry)


def test_the_same_question_gives_the_same_cell() -> None:
    numbers = Own(CollectorRegistry())
    for name, series in SERIES.items():
        labels = tuple("x" for _ in series.labels)
        assert numbers.cell(name, labels) is numbers.cell(name, labels)


def test_threads_lose_no_count(hurried: None) -> None:
    number, times = Number(), Times(WAITS)

    def work() -> None:
        for _ in range(5_000):
            number.inc()
            times.observe(0.3)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert number.value == sum(times.counts) == 80_000
    assert times.sum == pytest.approx(24_000)


def test_a_signal_handler_that_counts_takes_nothing_away() -> None:
    number, handled = Number(), Number()

    def count(signum: int, frame: FrameType | None) -> None:
        number.inc()
        handled.inc()

    before = signal.signal(signal.SIGALRM, count)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for _ in range(300_000):
            number.inc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handled.value > 0
    assert number.value == 300_000 + handled.value
