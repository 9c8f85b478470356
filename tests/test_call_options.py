"""Options follow the context, add up, and are carried only where they are bound."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from clever_guard import options
from clever_guard.call_options import NO_OPTIONS, CallOptions, current


@pytest.mark.parametrize(
    "bad",
    [{"deadline": 0}, {"deadline": -1}, {"deadline": float("nan")}, {"max_wait": -0.1}, {"max_wait": float("nan")}],
)
def test_impossible_numbers_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"give a number of seconds"):
        options(**bad)


def test_a_max_wait_of_nothing_is_a_wish() -> None:
    with options(max_wait=0):
        assert current().max_wait == 0


def test_blocks_add_to_each_other_the_inner_one_first() -> None:
    with options(deadline=10, priority="bulk"):
        with options(deadline=5, idempotent=False):
            assert current() == CallOptions(5, None, "bulk", False)
        assert current() == CallOptions(10, None, "bulk", None)
    assert current() is NO_OPTIONS


def test_they_end_with_the_block_that_raises() -> None:
    with pytest.raises(RuntimeError), options(deadline=5):
        raise RuntimeError
    assert current() is NO_OPTIONS


def test_one_block_may_be_entered_again_inside_itself() -> None:
    block = options(max_wait=1)
    with block, block:
        assert current().max_wait == 1
    assert current() is NO_OPTIONS


def seen_in_a_thread(function: Any) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def work() -> CallOptions:
    return current()


def test_a_thread_sees_them_only_when_bound() -> None:
    with options(deadline=10):
        assert seen_in_a_thread(work) is NO_OPTIONS
        bound = options.bind(work)
    assert seen_in_a_thread(bound).deadline == 10
    assert bound.__name__ == "work"
    assert current() is NO_OPTIONS
