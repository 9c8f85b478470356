"""The main job with real processes, judged by the emulator's own log. No bound here is a matter of a few milliseconds."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from clever_guard.testing.fleet import EmulatorProcess, Fleet

LIMIT, WINDOW = 120, 3.0


def full_windows(windows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the first two, in which the fleet begins and learns (headers are in whole seconds, and these windows are
    short), and the last, which the run cuts short."""
    return windows[2:-1]


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/quota.db"
    url: str = request.getfixturevalue("redis_url")
    return url


@pytest.mark.parametrize("skew", [0.0, 1.5, -1.5])
def test_a_fleet_spends_the_budget_and_nothing_more(store: str, skew: float) -> None:
    with EmulatorProcess(limit=LIMIT, window=WINDOW, phase=0.7, skew=skew) as server:
        counts = Fleet(url=server.url, store=store, limit=LIMIT, window=WINDOW, workers=6).run(seconds=14)
        windows = server.windows()
    assert set(counts) == {"200"}
    assert sum(window["refused"] for window in windows) == 0
    spent = [window["admitted"] / LIMIT for window in full_windows(windows)]
    assert len(spent) >= 2
    assert min(spent) >= 0.99 - 1 / LIMIT, spent


def test_killed_workers_cost_little_and_never_a_refusal(store: str) -> None:
    """A killed worker's permits come back within three slots of a second, so the window is longer than that."""
    limit, length = 240, 6.0
    with EmulatorProcess(limit=limit, window=length, phase=0.7) as server:
        fleet = Fleet(url=server.url, store=store, limit=limit, window=length, workers=6)
        until = time.time() + 26

        def kill_some(crew: list[multiprocessing.Process]) -> None:
            for number in range(100):
                time.sleep(0.5)
                if time.time() > until - 1:
                    return
                victim = crew[number % len(crew)]
                assert victim.pid is not None
                if victim.is_alive():
                    os.kill(victim.pid, signal.SIGKILL)
                victim.join()
                crew[number % len(crew)] = fleet.start_one(number % len(crew), until)

        fleet.run(seconds=25, disturb=kill_some)
        windows = server.windows()
    assert sum(window["refused"] for window in windows) == 0
    learned = windows[0]["end"] + length
    full = int((until - learned) / length)
    used = sum(window["admitted"] for window in windows if learned <= window["start"] and window["end"] <= until)
    assert full >= 2
    assert used >= 0.95 * full * limit, windows


def test_a_store_that_dies_leaves_the_fleet_within_the_limit(own_redis: Any) -> None:
    with EmulatorProcess(limit=LIMIT, window=WINDOW) as server:
        fleet = Fleet(url=server.url, store=own_redis.url, limit=LIMIT, window=WINDOW, workers=6)
        timer = threading.Timer(5, own_redis.kill)
        timer.daemon = True
        timer.start()
        counts = fleet.run(seconds=12)
        windows = server.windows()
    assert counts["200"] > 0
    assert set(counts) == {"200"}
    assert all(window["admitted"] <= LIMIT for window in windows)
    assert sum(window["refused"] for window in windows) == 0
    assert windows[-2]["admitted"] >= LIMIT / 6 - 6, "the fleet went on in the dark with its share"
