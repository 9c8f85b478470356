"""The schedule Clever asks for, and what jitter may do to it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clever_guard.parts.backoff import ExponentialBackoff

chances = st.floats(0, 1)


def test_clevers_schedule() -> None:
    assert [ExponentialBackoff()(retry, 0.0) for retry in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


@given(st.integers(1, 50), chances)
def test_added_jitter_is_never_shorter_and_at_most_a_quarter_longer(retry: int, chance: float) -> None:
    plain = ExponentialBackoff(jitter="none")(retry, chance)
    assert plain <= ExponentialBackoff()(retry, chance) <= plain * 1.25


@pytest.mark.parametrize(
    ("jitter", "least", "half", "most"),
    [("added", 4.0, 4.5, 5.0), ("none", 4.0, 4.0, 4.0), ("full", 0.0, 2.0, 4.0), ("equal", 2.0, 3.0, 4.0)],
)
def test_the_span_of_each_jitter(jitter: Any, least: float, half: float, most: float) -> None:
    backoff = ExponentialBackoff(jitter=jitter)
    assert [backoff(3, chance) for chance in (0.0, 0.5, 1.0)] == [least, half, most]


@given(st.floats(0, 1e6), st.floats(1, 1e308), st.floats(0, 1e9 - 1e6), st.integers(1, 10**12))
def test_no_schedule_overflows_or_passes_its_maximum(initial: float, factor: float, more: float, retry: int) -> None:
    delay = ExponentialBackoff(initial, factor, initial + more, "none")(retry, 0.0)
    assert min(initial, initial + more) <= delay <= initial + more


def test_a_great_number_of_retries_costs_nothing() -> None:
    """With whole numbers 2 ** 10**9 would fill the memory."""
    assert ExponentialBackoff(initial=1, factor=2, max_delay=60)(10**9, 0.0) == 60
    assert ExponentialBackoff(initial=0, factor=2)(10**9, 1.0) == 0
    assert ExponentialBackoff(initial=1, factor=1)(10**9, 0.0) == 1


nan, inf = float("nan"), float("inf")


@pytest.mark.parametrize(
    "wrong",
    [
        {"initial": -1},
        {"initial": 61},
        {"initial": nan},
        {"factor": 0.5},
        {"factor": nan},
        {"max_delay": nan},
        {"max_delay": inf},
        {"max_delay": -1},
        {"jitter": "some"},
    ],
)
def test_numbers_that_make_no_schedule_are_refused(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match="max_delay=60.0" if wrong == {"initial": 61} else f"{name}="):
        ExponentialBackoff(**wrong)
