"""Budgets that are not what they seem: others draw on them, several tokens share one, a name changes in mid-run."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from clever_guard import Guard, Quota, Retry
from tests.clocks.setting import LATE, LIMIT, WINDOW, Scene, scene


def in_turn(run: Scene, tokens: str, calls: int) -> Counter[int]:
    return Counter(run.call(tokens[number % len(tokens)]) for number in range(calls))


@pytest.mark.parametrize("share", [0.1, 0.4, 0.9])
def test_somebody_else_at_the_reset_costs_no_refusal(share: float) -> None:
    """Remaining rules downwards. What the other took of the last windows is left to it in the next."""
    with scene(stranger=share, stranger_at="reset") as run:
        assert set(run.until(100)) == {200}
        assert run.emulator.refused == 0
        left = LIMIT - round(share * LIMIT)
        assert all(0 < admitted <= left for admitted in run.spent())


@pytest.mark.parametrize("share", [0.1, 0.4, 0.9])
def test_somebody_else_now_and_then_costs_a_refusal_a_window_at_most(share: float) -> None:
    with scene(stranger=share) as run:
        assert set(run.until(150)) == {200}
        assert max(window.refused for window in run.windows) <= 1
        assert run.emulator.refused <= 3
        assert run.longest_wait <= WINDOW + LATE


@pytest.mark.parametrize("tokens", ["AB", "ABCDEF"])
def test_tokens_that_share_a_budget_nobody_told_us_of(tokens: str) -> None:
    """Each has a ledger and takes the others for strangers: a token may be refused once where another took the last."""
    with scene(one_budget=True) as run:
        assert set(in_turn(run, tokens, 60)) == {200}
        assert max(window.refused for window in run.windows) <= 1
        assert max(run.spent()) <= LIMIT


def test_tokens_of_one_account_share_a_ledger() -> None:
    def make(**options: Any) -> Guard:
        quota = Quota(limit=LIMIT, window=WINDOW, account=lambda request: "District 42")
        return Guard(Retry(), quota, **options)

    with scene(one_budget=True, make=make) as run:
        assert set(in_turn(run, "ABCDEF", 60)) == {200}
        assert run.emulator.refused == 0
        assert run.spent() == [LIMIT] * len(run.spent())


def test_tokens_that_share_nothing_keep_out_of_each_others_way() -> None:
    with scene() as run:
        assert set(in_turn(run, "AB", 2 * LIMIT)) == {200}
        assert run.emulator.refused == 0
        assert run.clocks.clock() < 2 * WINDOW, "each spends its own"


@pytest.mark.parametrize("when", [50.0, 67.43, 75.0], ids=["spent", "half spent", "while a caller waits"])
def test_a_bucket_that_is_renamed_stays_one_budget(when: float) -> None:
    with scene(bucket="all") as run:
        run.clocks.at(when, lambda: run.emulator.turn(bucket="everything"))
        assert set(run.until(130)) == {200}
        assert run.emulator.refused == 0
        assert run.spent() == [LIMIT] * len(run.spent())


@pytest.mark.parametrize("every", [1, 2, 7])
def test_names_that_alternate_are_drawn_from_together(every: int) -> None:
    """Two names of one budget: a permit is drawn from both or from neither, so nobody spends it twice."""
    with scene(bucket="a") as run:
        found: Counter[int] = Counter()
        for number in range(60):
            run.emulator.turn(bucket="ab"[number // every % 2])
            found[run.call()] += 1
        assert set(found) == {200}
        assert run.emulator.refused == 0
        assert sum(run.spent()) >= 0.7 * LIMIT * len(run.spent())
        assert run.longest_wait <= WINDOW + LATE


def test_one_bucket_that_becomes_two_and_one_again() -> None:
    with scene() as run:
        run.clocks.at(50, lambda: run.emulator.turn(buckets={"all": LIMIT, "none": 3 * LIMIT}))
        run.clocks.at(110, lambda: run.emulator.turn(buckets={}))
        assert set(run.until(180)) == {200}
        assert run.emulator.refused <= 1
        assert run.longest_wait <= WINDOW + LATE
