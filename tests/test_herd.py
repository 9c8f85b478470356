"""At a reset the fleet does not fall upon the server: one request goes first, alone, then as many as there are callers.

By the arrival times of the simulated server. What docs/time.md says of it.
"""

from __future__ import annotations

import functools

import pytest

from clever_guard.testing.emulator.budget import Window
from clever_guard.testing.simulate.setting import Setting
from clever_guard.testing.simulate.world import World

INSTANT = 0.05
QUICKEST = 0.002
"""Seconds a request is on its way at least, and its answer too."""


@functools.cache
def learnt_windows(limit: int, window: float, workers: int, threads: int) -> list[Window]:
    """The windows of a fleet that knows its border to a second, and in which nobody was refused."""
    fast = (QUICKEST, 0.03)
    setting = Setting(limit=limit, window=window, workers=workers, threads=threads, latency=fast, windows=6, phase=1.3)
    world = World(setting, f"herd/{limit}/{workers}/{threads}")
    assert world.run().refused == 0
    return world.server.budget.windows[2:-1]


def within(window: Window, start: float) -> int:
    """Arrivals in the instant from ``start`` on."""
    return sum(start <= at < start + INSTANT for at, _, _ in window.arrivals)


def busiest(window: Window) -> int:
    return max(within(window, at) for at, _, _ in window.arrivals)


@pytest.mark.parametrize(
    ("limit", "window", "workers", "threads"),
    [(1200, 60.0, 8, 1), (1200, 60.0, 32, 1), (1200, 60.0, 1, 32), (300, 6.0, 64, 1)],
)
def test_the_first_instant_of_a_window_is_nearly_idle(limit: int, window: float, workers: int, threads: int) -> None:
    for one in learnt_windows(limit, window, workers, threads):
        (first, _, _), (second, _, _) = sorted(one.arrivals)[:2]
        assert second - first >= 2 * QUICKEST, "the second is sent when the first has been answered and reported"
        assert within(one, 0.0) <= 0.05 * limit
        assert one.admitted >= limit - 2


@pytest.mark.parametrize(("workers", "threads"), [(8, 1), (32, 1), (1, 32)])
def test_the_busiest_instant_is_made_by_the_callers_alone(workers: int, threads: int) -> None:
    """The budget is there to be spent, so nothing is smoothed: 32 callers with answers in 4 to 60 ms make a tenth of 1200 in 50 ms."""
    for one in learnt_windows(1200, 60.0, workers, threads):
        assert busiest(one) <= 0.15 * 1200
        assert busiest(one) <= workers * threads * INSTANT / (2 * QUICKEST)
