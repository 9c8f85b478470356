"""Clocks of client, store and server that differ by up to a day: no refusal, no budget lost, no wait beyond a window."""

from __future__ import annotations

import itertools

import pytest

from tests.clocks.setting import DAY, LATE, LIMIT, WINDOW, Clocks, scene

SKEWS = list(itertools.product([-DAY, 0.0, DAY], repeat=3))


@pytest.mark.parametrize(("client", "store", "server"), SKEWS)
def test_no_two_clocks_need_agree(client: float, store: float, server: float) -> None:
    clocks = Clocks()
    clocks.client, clocks.store = client, store
    with scene(clocks, skew=server) as run:
        assert set(run.until(60)) == {200}
        assert run.emulator.refused == 0
        assert run.spent() == [LIMIT] * 3
        assert run.longest_wait <= WINDOW + LATE
        assert run.ignored == {}


@pytest.mark.parametrize(("client", "store", "server"), [(DAY, -DAY, DAY), (-DAY, DAY, -DAY), (0.0, 0.0, 300.7)])
def test_nor_without_a_date(client: float, store: float, server: float) -> None:
    """Where the window ends is then known by when it ended before, and a permit or so is spent on finding out."""
    clocks = Clocks()
    clocks.client, clocks.store = client, store
    with scene(clocks, skew=server, dated=False) as run:
        assert set(run.until(100)) == {200}
        assert run.emulator.refused == 0
        assert min(run.spent()) >= LIMIT - 1
        assert run.longest_wait <= WINDOW + LATE
