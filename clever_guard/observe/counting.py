"""Where the numbers of a registry are kept: our own, read when Prometheus asks, or prometheus_client's children.

    Own        plain numbers, and a collector that reads them at scrape time. Counting costs a quarter of a child's increment
    Children   prometheus_client's: for multiprocess mode, which exports no custom collector, and Pythons without a GIL

Both give out cells with ``inc``, ``set`` and ``observe``, and a tally of two of them. An own cell needs no lock: CPython changes threads, and runs signal
handlers, at calls and backward jumps only, and there is none between reading and writing in ``self.value += amount``. Nor can a
signal handler that emits ever wait for a lock that its own thread holds.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Protocol, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from clever_guard.observe.series import SERIES, Series

Labels: TypeAlias = tuple[str, ...]


class Numbers(Protocol):
    """Cells by series and label values; the same cell for the same question."""

    def cell(self, name: str, labels: Labels, /) -> Any: ...

    def after_fork(self) -> None: ...

    def tally(self, number: Any, times: Any, /) -> Tally | ChildTally: ...


class Number:
    """A counter or a gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        self.value += amount

    def set(self, value: float) -> None:
        self.value = value


class Times:
    """A histogram: how many came to rest in each bucket, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds


class Tally:
    """A counter and the times that belong to it: what most events move together."""

    __slots__ = ("number", "times")

    def __init__(self, number: Number, times: Times) -> None:
        self.number = number
        self.times = times

    def add(self, seconds: float) -> None:
        self.number.value += 1.0
        times = self.times
        times.counts[bisect_left(times.bounds, seconds)] += 1
        times.sum += seconds


class ChildTally:
    """The same of prometheus_client's children."""

    __slots__ = ("number", "times")

    def __init__(self, number: Any, times: Any) -> None:
        self.number = number
        self.times = times

    def add(self, seconds: float) -> None:
        self.number.inc()
        self.times.observe(seconds)


class Own(Collector):
    """Our own numbers of one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._cells: dict[str, dict[Labels, Any]] = {name: {} for name in SERIES}
        registry.register(self)

    def cell(self, name: str, labels: Labels, /) -> Any:
        series = SERIES[name]
        return self._cells[name].setdefault(labels, Times(series.bounds) if series.bounds else Number())

    def tally(self, number: Number, times: Times, /) -> Tally:
        return Tally(number, times)

    def after_fork(self) -> None:
        """There is no lock."""

    def describe(self) -> list[Metric]:
        """The names, so that a registry notices when another collector has them."""
        return [_family(series) for series in SERIES.values()]

    def collect(self) -> Iterator[Metric]:
        for name, series in SERIES.items():
            family = _family(series)
            for labels, cell in list(self._cells[name].items()):
                _add(family, labels, cell)
            yield family


class Child:
    """One of prometheus_client's children, found when it is first needed."""

    __slots__ = ("_child", "_labels", "_metric", "_queue")

    def __init__(self, metric: Any, labels: Labels, queue: Queue) -> None:
        self._metric = metric
        self._labels = labels
        self._queue = queue
        self._child: Any = None

    def inc(self, amount: float = 1.0) -> None:
        self._queue.put(self, "inc", amount)

    def set(self, value: float) -> None:
        self._queue.put(self, "set", value)

    def observe(self, seconds: float) -> None:
        self._queue.put(self, "observe", seconds)

    def do(self, how: str, value: float) -> None:
        if self._child is None:
            self._child = self._metric.labels(*self._labels)
        getattr(self._child, how)(value)


class Queue:
    """What is to be counted, one after the other.

    prometheus_client's locks are not made for a thread that holds one and comes again, as a signal handler does. So whoever finds
    somebody counting leaves it to them: they look once more after they have let go.
    """

    def __init__(self) -> None:
        self.start_anew()

    def start_anew(self) -> None:
        """Also in a forked child: another thread of the parent may be counting, and goes on there."""
        self._lock = threading.Lock()
        self._left: deque[tuple[Child, str, float]] = deque()

    def put(self, child: Child, how: str, value: float) -> None:
        self._left.append((child, how, value))
        while self._left and not self._lock.locked():
            with self._lock:
                self._count()

    def _count(self) -> None:
        while self._left:
            child, how, value = self._left.popleft()
            child.do(how, value)


class Children:
    """prometheus_client's own metrics and their children."""

    _KINDS: dict[str, Any] = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}  # noqa: RUF012  (never changed)

    def __init__(self, registry: CollectorRegistry) -> None:
        self._metrics = {name: self._made(series, registry) for name, series in SERIES.items()}
        self._queue = Queue()

    def after_fork(self) -> None:
        self._queue.start_anew()

    def cell(self, name: str, labels: Labels, /) -> Any:
        return Child(self._metrics[name], labels, self._queue)

    def tally(self, number: Any, times: Any, /) -> ChildTally:
        return ChildTally(number, times)

    def _made(self, series: Series, registry: CollectorRegistry) -> Any:
        more: dict[str, Any] = {"buckets": series.bounds} if series.kind == "histogram" else {}
        if series.kind == "gauge":
            more = {"multiprocess_mode": series.mode}
        return self._KINDS[series.kind](series.name, series.text, series.labels, registry=registry, **more)


_made: weakref.WeakKeyDictionary[CollectorRegistry, Numbers] = weakref.WeakKeyDictionary()


def numbers_of(registry: CollectorRegistry) -> Numbers:
    """The numbers of a registry, made once: observers that share it share them, and a name is registered only once."""
    if registry not in _made:
        _made[registry] = Own(registry) if _may_own() else Children(registry)
    return _made[registry]


def _may_own() -> bool:
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)
    return has_gil() and not os.environ.get("PROMETHEUS_MULTIPROC_DIR")


def _family(series: Series) -> Metric:
    if series.kind == "counter":
        return CounterMetricFamily(series.name, series.text, labels=series.labels)
    kind = GaugeMetricFamily if series.kind == "gauge" else HistogramMetricFamily
    return kind(series.name, series.text, labels=series.labels)


def _add(family: Any, labels: Labels, cell: Any) -> None:
    if isinstance(cell, Number):
        family.add_metric(labels, cell.value)
        return
    names = [*map(str, cell.bounds), "+Inf"]
    family.add_metric(labels, list(zip(names, accumulate(cell.counts), strict=True)), cell.sum)
