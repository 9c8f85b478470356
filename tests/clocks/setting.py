"""A whole guard over real connections, on a time of which every party has its own opinion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import urllib3
from prometheus_client import CollectorRegistry

from clever_guard import Guard, presets
from clever_guard.model import Ticket
from clever_guard.observe.prometheus import PrometheusObserver
from clever_guard.quota.store import Store
from clever_guard.stores import MemoryStore
from clever_guard.testing import Emulator, VirtualTime
from clever_guard.testing.emulator.budget import Window

LIMIT, WINDOW = 10, 20.0
FLIGHT = 0.01
"""Seconds a request is on its way; the answer is there at once."""
HOUR, DAY = 3_600.0, 86_400.0
LATE = 3.0
"""A window may be taken for that much longer than it is, by rounding, until borders were seen."""


class Clocks(VirtualTime):
    """The client's monotonic time, which its waits and flights move. The others are so many seconds ahead of it."""

    def __init__(self) -> None:
        super().__init__()
        self.client = self.store = self.server = 0.0
        """Of the client's wall clock, the store's clock, and the true time in which the server's windows run."""
        self.plans: list[tuple[float, Callable[[], None]]] = []

    def at(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something once, as soon as the clock has passed ``seconds``."""
        self.plans.append((seconds, what))

    def client_wall(self) -> float:
        return self.wall() + self.client

    def store_ms(self) -> int:
        return int((self.wall() + self.store) * 1000)

    def arrival(self) -> float:
        """When a request that is sent now arrives, in the server's time."""
        self.pass_by(FLIGHT)
        return self.wall() + self.server

    def pass_by(self, seconds: float) -> None:
        """Let time pass that nobody asked to wait for."""
        self._passed += seconds
        for plan in [plan for plan in self.plans if plan[0] <= self._passed]:
            self.plans.remove(plan)
            plan[1]()

    def pause(self, seconds: float, ticket: Ticket | None = None) -> None:
        if ticket is None or not ticket.woken:
            self.waits.append(seconds)
            self.pass_by(seconds)


@dataclass
class Scene:
    """A guarded client, its server, and their clocks."""

    clocks: Clocks
    emulator: Emulator
    url: str
    http: Any
    guard: Guard
    registry: CollectorRegistry

    @property
    def ignored(self) -> dict[str, int]:
        """Headers refused as impossible, by reason: as the metrics count them."""
        return {labels["reason"]: int(value) for labels, value in self._counted("ignored_headers")}

    @property
    def given_back(self) -> int:
        """Permits that went back unused."""
        return sum(int(value) for labels, value in self._counted("permits") if labels["op"] == "returned")

    def _counted(self, name: str) -> list[tuple[dict[str, str], float]]:
        return [
            (sample.labels, sample.value)
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == f"clever_guard_{name}_total"
        ]

    def call(self, token: str = "TEST_TOKEN", method: str = "GET", **arguments: Any) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        status: int = self.http.request(
            method, self.url + "/v2.0/students?limit=1", headers=headers, **arguments
        ).status
        return status

    def calls(self, count: int, token: str = "TEST_TOKEN") -> Counter[int]:
        return Counter(self.call(token) for _ in range(count))

    def until(self, seconds: float) -> Counter[int]:
        """Call without a break until so many seconds have passed."""
        found: Counter[int] = Counter()
        while self.clocks.clock() < seconds:
            found[self.call()] += 1
        return found

    def stranger(self, count: int) -> None:
        """Somebody else takes so many of the window that runs."""
        with urllib3.PoolManager() as http:
            for _ in range(count):
                http.request("GET", self.url + "/v2.0/students?limit=1", headers={"Authorization": "Bearer TEST_TOKEN"})

    @property
    def windows(self) -> list[Window]:
        return self.emulator.windows()

    def spent(self) -> list[int]:
        """What of each window was admitted, but for the first, in which the run began, and the last, in which it ended."""
        return [window.admitted for window in self.windows][1:-1]

    @property
    def longest_wait(self) -> float:
        return max(self.clocks.waits, default=0.0)


@contextmanager
def scene(
    clocks: Clocks | None = None, make: Callable[..., Guard] | None = None, store: Store | None = None, **knobs: Any
) -> Iterator[Scene]:
    """``make``: the guard, from its observers; default Clever's preset for the emulator's limit and window."""
    clocks = clocks or Clocks()
    knobs = {"limit": LIMIT, "window": WINDOW, "phase": 7.3} | knobs
    emulator, registry = Emulator(**knobs), CollectorRegistry()
    guard = (make or _preset(knobs))(observers=[PrometheusObserver(registry=registry, buckets=True)])
    guard.engine.run_on(clocks.clock, clocks.client_wall, clocks.pause, store or MemoryStore(clocks.store_ms))
    with emulator.serve(clock=clocks.arrival) as served, urllib3.PoolManager() as http, guard:
        yield Scene(clocks, emulator, served.url, guard.wrap(http), guard, registry)


def _preset(knobs: dict[str, Any]) -> Callable[..., Guard]:
    return lambda observers: presets.clever(
        "memory://", limit=knobs["limit"], window=knobs["window"], observers=observers
    )
