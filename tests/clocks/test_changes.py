"""A server that changes its limit or the length of its windows while a fleet works."""

from __future__ import annotations

from typing import Any

import pytest

from clever_guard import Guard, Quota, QuotaTimeout, Retry
from tests.clocks.setting import LATE, LIMIT, WINDOW, scene

CHANGE = 70.0


@pytest.mark.parametrize("limit", [1, 3, 9, 11, 30])
@pytest.mark.parametrize("at_once", [False, True], ids=["with the next window", "in mid-window"])
def test_another_limit_is_heard_with_the_first_answer(limit: int, at_once: bool) -> None:
    """One caller, who sends one request after the other: what a fleet had under way is refused where the limit falls at once."""
    with scene() as run:

        def change() -> None:
            run.emulator.turn(limit=limit)
            if at_once:
                run.windows[-1].limit = limit

        run.clocks.at(67.33, change)  # in a window of which a few are spent
        assert set(run.until(200)) == {200}
        assert run.emulator.refused <= (at_once and limit < LIMIT)
        later = [window for window in run.windows[:-1] if window.start > run.windows[0].start + CHANGE]
        assert len(later) >= 5
        assert sum(window.admitted for window in later) >= 0.95 * limit * len(later)
        assert run.longest_wait <= WINDOW + LATE


@pytest.mark.parametrize("length", [5.0, 10.0, 15.0, 30.0, 39.0])
def test_another_length_is_heard_within_a_window(length: float) -> None:
    """Windows that become shorter, and longer ones as long as the reset is no further ahead than two windows that we were told of."""
    with scene() as run:
        run.clocks.at(CHANGE, lambda: run.emulator.turn(window=length))
        assert set(run.until(CHANGE + 8 * max(length, WINDOW))) == {200}
        assert run.emulator.refused == 0
        assert min(run.spent()) >= LIMIT - 1
        assert run.longest_wait <= max(length, WINDOW) + LATE
        assert run.ignored == {}


def test_a_window_beyond_what_is_believed_is_refused_counted_and_survived() -> None:
    """Three times as long: the numbers are refused and counted, and who is refused without a word waits longer each time."""
    with scene() as run:
        run.clocks.at(CHANGE, lambda: run.emulator.turn(window=3 * WINDOW))
        assert set(run.until(300)) == {200}
        assert max(window.refused for window in run.windows) <= 6, "after 1, 2, 4, 8, 16 and 20 seconds"
        assert run.ignored["reset_far"] > 0
        assert max(run.spent()) <= LIMIT
        assert run.longest_wait <= 2 * WINDOW + LATE


def test_where_nobody_can_wait_so_long_the_caller_is_told() -> None:
    with scene() as run:
        run.clocks.at(CHANGE, lambda: run.emulator.turn(window=20 * WINDOW))
        begun = 0.0
        with pytest.raises(QuotaTimeout) as caught:
            while True:
                begun = run.clocks.clock()
                run.call()
        assert caught.value.retry_in is not None
        assert caught.value.retry_in <= 2 * WINDOW + LATE
        assert run.clocks.clock() - begun <= 5 * WINDOW + 1, "the preset's max_wait"
        assert run.emulator.refused <= 12


def test_a_user_who_knows_of_longer_windows_says_so() -> None:
    def make(**options: Any) -> Guard:
        return Guard(Retry(), Quota(limit=LIMIT, window=WINDOW, max_window=5 * WINDOW), **options)

    with scene(make=make) as run:
        run.clocks.at(CHANGE, lambda: run.emulator.turn(window=3 * WINDOW))
        assert set(run.until(400)) == {200}
        assert run.emulator.refused == 0
        assert run.ignored == {}
        assert min(run.spent()) >= LIMIT - 1
