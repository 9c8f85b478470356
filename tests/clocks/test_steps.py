"""Clocks that are set in the middle of a window."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3

from clever_guard import presets
from clever_guard.drivers.sync import SyncDriver
from clever_guard.errors import StoreUnavailable
from clever_guard.stores import MemoryStore
from clever_guard.stores.fallback import Fallback
from clever_guard.testing import Emulator
from tests.clocks.setting import DAY, HOUR, LATE, LIMIT, WINDOW, Clocks, scene

DEFAULTS = SyncDriver.__init__.__kwdefaults__ or {}
STEPS = [1.0, -1.0, 40.0, -40.0, HOUR, -HOUR, DAY, -DAY]

# --- the client's wall clock ---------------------------------------------------------------------------------------------


def waits_with(step: float) -> list[float]:
    """The waits of a run whose wall clock is set by so much in the middle of each of its windows."""
    clocks = Clocks()

    def set_clock() -> None:
        clocks.client += step

    for number in range(4):
        clocks.at(5 + number * WINDOW, set_clock)
    with scene(clocks) as run:
        assert set(run.until(80)) == {200}
        assert run.emulator.refused == 0
        assert clocks.client == pytest.approx(4 * step)
        return clocks.waits


def test_no_wait_depends_on_the_wall_clock() -> None:
    untouched = waits_with(0.0)
    assert len(untouched) > 5
    for step in STEPS:
        assert waits_with(step) == untouched


@pytest.fixture
def unsteady_wall(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The default wall clock is set by up to a day each time somebody looks. The steps so far."""
    chance, steps = random.Random(7), []

    def wall() -> float:
        steps.append(chance.choice([-DAY, -HOUR, -1.0, 1.0, HOUR, DAY]))
        return time.time() + sum(steps)

    monkeypatch.setitem(DEFAULTS, "wall", wall)
    yield steps


def test_in_real_time_too(unsteady_wall: list[float]) -> None:
    limit, window, calls = 10, 2.0, 25
    headers = {"Authorization": "Bearer TEST_TOKEN"}
    begun = time.monotonic()
    guard = presets.clever("memory://", limit=limit, window=window, observers=[])
    with Emulator(limit=limit, window=window).serve() as served, urllib3.PoolManager() as http, guard:
        guard.wrap(http)
        for _ in range(calls):
            assert http.request("GET", served.url + "/v2.0/students?limit=1", headers=headers).status == 200
    assert served.emulator.refused == 0
    assert len(unsteady_wall) > calls
    assert time.monotonic() - begun < 60


# --- the store's clock ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", [70.1, 75.0], ids=["in the middle", "while a caller waits"])
def test_a_store_clock_that_is_set_costs_a_window_at_most(step: float, when: float) -> None:
    """The clock of the memory store is monotonic and is never set; that of a store like it may be."""
    clocks = Clocks()

    def set_clock() -> None:
        clocks.store += step

    clocks.at(when, set_clock)
    with scene(clocks) as run:
        assert set(run.until(170)) == {200}
        assert run.emulator.refused == 0
        assert run.longest_wait <= WINDOW + LATE
        assert len(run.windows) >= 170 / WINDOW - 1
        assert min(run.spent()) >= LIMIT - 1


class Down:
    """A shared store that never answers."""

    shared = True

    def execute(self, commands: Any, /) -> Any:
        raise StoreUnavailable("down")

    def fingerprint(self, mine: str, /) -> str | None:
        raise StoreUnavailable("down")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("step", STEPS)
def test_so_it_is_in_the_dark(step: float) -> None:
    """A worker's own share of each window, here a half, and of the rest where the clock was set that it counts by: it took the
    window for over, and is told at once what is left of it. The parts of all workers are not more than the whole."""
    clocks = Clocks()

    def set_clock() -> None:
        clocks.store += step

    clocks.at(75, set_clock)
    with scene(clocks, store=Fallback(Down(), fleet=2, clock=clocks.store_ms)) as run:
        assert set(run.until(170)) == {200}
        assert run.emulator.refused == 0
        assert run.longest_wait <= WINDOW + LATE
        assert sorted(run.spent())[-2] <= LIMIT // 2 + 1
        assert max(run.spent()) <= LIMIT // 2 + LIMIT // 4 + 1
        assert run.spent()[-2:] == [LIMIT // 2] * 2


def test_the_clocks_we_choose_cannot_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: -1e9)
    for clock in (MemoryStore()._clock, Fallback(Down())._clock):
        assert clock() == pytest.approx(time.monotonic() * 1000, abs=60_000)
    assert DEFAULTS["clock"] is time.monotonic


# --- the server's clock --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [*STEPS, WINDOW, -WINDOW])
def test_a_server_whose_clock_is_set_costs_a_permit_or_two(step: float) -> None:
    """Its numbers follow from nothing then; set by just a window, they even are the old ones again."""
    with scene() as run:
        run.clocks.at(67.43, lambda: run.emulator.turn(skew=step))
        assert set(run.until(150)) == {200}
        assert run.emulator.refused == 0
        assert min(run.spent()) >= LIMIT - 1
        assert run.longest_wait <= WINDOW + LATE


def test_every_pair_of_steps() -> None:
    """Wall and store clock set in the same window."""
    for wall, store in itertools.product([-DAY, DAY], [-HOUR, HOUR]):
        clocks = Clocks()

        def set_both(clocks: Clocks = clocks, wall: float = wall, store: float = store) -> None:
            clocks.client += wall
            clocks.store += store

        clocks.at(50, set_both)
        with scene(clocks) as run:
            assert set(run.until(120)) == {200}
            assert run.emulator.refused == 0
