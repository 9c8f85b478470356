"""Machines that stand still for an hour, while permits are in hand and while a caller waits."""

from __future__ import annotations

import pytest

from tests.clocks.setting import HOUR, LATE, LIMIT, WINDOW, Clocks, scene


@pytest.mark.parametrize("taken", [0, 1, LIMIT])
@pytest.mark.parametrize("seconds", [WINDOW * 1.5, HOUR])
def test_permits_in_hand_are_dead_after_a_gap(seconds: float, taken: int) -> None:
    """The monotonic clock went on, as it does for a process that is stopped. Others took some of the window it wakes up in."""
    with scene() as run:
        run.until(44)
        run.calls(4)
        before = run.given_back
        run.clocks.pass_by(seconds)
        run.stranger(taken)
        found = run.until(run.clocks.clock() + 4 * WINDOW)
        assert set(found) == {200}
        assert run.emulator.refused <= (taken == LIMIT), "the one that found the window spent"
        assert run.given_back > before
        assert run.longest_wait <= WINDOW + LATE
        assert min(run.spent()[-2:]) >= LIMIT - 1


@pytest.mark.parametrize("taken", [0, 1, LIMIT])
@pytest.mark.parametrize("moves", [("server",), ("server", "store")], ids=["store stands still", "store goes on"])
def test_a_suspend_that_no_clock_of_ours_counts(moves: tuple[str, ...], taken: int) -> None:
    """Linux's monotonic clock stands still in a suspend, so permits of a window that is long over are sent in another. The first
    answer says so; until it is there an attempt may be refused, and a scout after it where the store's clock went on."""
    with scene() as run:
        run.until(44)
        run.calls(4)
        for name in moves:
            setattr(run.clocks, name, HOUR)
        run.stranger(taken)
        assert set(run.until(44 + 5 * WINDOW)) == {200}
        assert run.emulator.refused <= (len(moves) if taken == LIMIT else 0)
        assert run.longest_wait <= WINDOW + LATE
        assert min(run.spent()[-2:]) >= LIMIT - 1


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "not counted"])
def test_a_caller_that_waits_through_an_hour(counted: bool) -> None:
    clocks = Clocks()

    def sleep() -> None:
        if counted:
            clocks.pass_by(HOUR)
        else:
            clocks.server += HOUR

    with scene(clocks) as run:
        run.until(44)
        run.calls(LIMIT - 1)
        clocks.at(clocks.clock() + 5, sleep)
        waits = len(clocks.waits)
        assert run.call() == 200
        assert sum(clocks.waits[waits:]) <= WINDOW + LATE, "it is sent as soon as it wakes up, or when its wait is over"
        assert set(run.until(clocks.clock() + 4 * WINDOW)) == {200}
        assert run.emulator.refused == 0
        assert min(run.spent()[-2:]) >= LIMIT - 1
