"""Times that cannot be, in the headers of a whole run: refused, counted in the metrics, and never waited for."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import pytest

from clever_guard import DeadlineExceeded, ExponentialBackoff, Guard, QuotaTimeout, Retry, presets
from tests.clocks.setting import LATE, LIMIT, WINDOW, Scene, scene

REASONS = {
    "past": "reset_past",
    "milliseconds": "reset_impossible",
    "year 9999": "reset_impossible",
    "negative": "reset_impossible",
    "far": "reset_far",
}
DAY = 86_400.0
ASKED = 5
"""How often somebody is refused in a window of 20 s who waits 1, 2, 4, 8 and 16 s."""


@pytest.mark.parametrize("odd", REASONS)
def test_a_server_that_never_says_a_time_that_can_be(odd: str) -> None:
    """As with an API that says nothing: small windows of our own, of which no window of the server sees more than the limit."""
    with scene(odd_reset=odd) as run:
        found = run.until(100)
        assert set(found) == {200}
        assert run.emulator.refused == 0
        assert run.ignored == {REASONS[odd]: found[200]}
        assert run.longest_wait <= 3.0
        assert sum(run.spent()) >= 0.7 * LIMIT * len(run.spent())


@pytest.mark.parametrize("odd", REASONS)
def test_a_server_that_begins_to_say_such_times(odd: str) -> None:
    """What is known holds until its window is over. In the next, one after the other asks, and is refused when nothing is left;
    after that it is an API that says nothing."""
    with scene() as run:
        run.until(50)
        before = sum(run.emulator.statuses.values())
        run.emulator.turn(odd_reset=odd)
        found = run.until(190)
        assert set(found) == {200}
        assert run.ignored == {REASONS[odd]: sum(run.emulator.statuses.values()) - before}
        assert run.emulator.refused <= ASKED
        assert len([window for window in run.windows if window.refused]) <= 1
        assert run.longest_wait <= WINDOW + LATE
        assert sum(run.spent()[-3:]) >= 0.8 * LIMIT * 3


@pytest.mark.parametrize("odd", REASONS)
def test_and_one_that_comes_to_its_senses(odd: str) -> None:
    with scene(odd_reset=odd) as run:
        run.until(50)
        run.emulator.turn(odd_reset="")
        ignored = sum(run.ignored.values())
        refused = run.emulator.refused
        run.until(150)
        assert sum(run.ignored.values()) == ignored
        assert run.emulator.refused == refused
        assert min(run.spent()[-3:]) >= LIMIT - 1


# --- resets that are only wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [3.0, 10.0, 19.0, 20.0, 30.0])
def test_a_reset_that_is_late_costs_time_and_no_refusal(off: float) -> None:
    """Nobody can tell it from a longer window, as long as it is no further ahead than two windows."""
    with scene(reset_off=off) as run:
        assert set(run.until(200)) == {200}
        assert run.emulator.refused == 0
        assert run.longest_wait <= 2 * WINDOW + LATE


@pytest.mark.parametrize("off", [-3.0, -5.0, -10.0, -19.0])
def test_a_reset_that_is_early_is_found_out(off: float) -> None:
    """One request at a time asks whether the window is over; what is off by no more than rounding and a second costs nothing."""
    with scene(reset_off=off) as run:
        assert set(run.until(150)) == {200}
        assert max(window.refused for window in run.windows) <= ASKED
        assert run.emulator.refused <= 1 or off < -3.0
        assert run.longest_wait <= WINDOW + LATE


# --- Retry-After ---------------------------------------------------------------------------------------------------------

ABSURD = {
    "1700000060": "retry_after_far",
    "86401": "retry_after_far",
    "999999999999999": "retry_after_far",
    "9" * 400: "retry_after_unreadable",
    "1e18": "retry_after_unreadable",
    "-5": "retry_after_unreadable",
    "NaN": "retry_after_unreadable",
    "soon": "retry_after_unreadable",
    "Fri, 31 Dec 9999 23:59:59 GMT": "retry_after_far",
}


def retry_alone(**options: Any) -> Guard:
    return Guard(Retry(backoff=ExponentialBackoff(jitter="none")), **options)


@pytest.mark.parametrize("text", ABSURD)
@pytest.mark.parametrize("code", [429, 503])
def test_an_absurd_retry_after_is_counted_and_the_usual_backoff_kept(text: str, code: int) -> None:
    with _failing(code, text) as run:
        assert run.call() == code
        assert run.clocks.waits == [1.0, 2.0, 4.0, 8.0, 16.0]
        assert run.ignored == {ABSURD[text]: 5}


@pytest.mark.parametrize(("text", "waited"), [("0", 1.0), ("120", 120.0), ("86400", DAY)])
@pytest.mark.parametrize("code", [429, 503])
def test_a_retry_after_that_can_be_is_kept_up_to_a_day(text: str, waited: float, code: int) -> None:
    with _failing(code, text) as run:
        assert run.call() == code
        assert run.clocks.waits[0] == waited
        assert max(run.clocks.waits) <= max(waited, 16.0)
        assert run.ignored == {}


def _failing(code: int, text: str) -> AbstractContextManager[Scene]:
    share: dict[str, Any] = (
        {"error_rate": 1.0, "error_codes": (503,)} if code == 503 else {"stranger": 1.0, "stranger_at": "reset"}
    )
    return scene(make=retry_alone, retry_after=text, headerless=1.0, window=1e6, **share)


def test_a_refusal_that_asks_for_more_than_a_caller_may_wait_is_told_at_once() -> None:
    with scene(retry_after="3600", headerless=1.0, stranger=1.0, stranger_at="reset") as run:
        begun = run.clocks.clock()
        with pytest.raises(QuotaTimeout) as caught:
            run.call()
        assert caught.value.retry_in == pytest.approx(3600, abs=1)
        assert run.clocks.clock() - begun < 1
        _nobody_else_is_sent(run)


def _nobody_else_is_sent(run: Scene) -> None:
    """It stops every caller of that token, until it is over."""
    sent = run.emulator.refused
    with pytest.raises(QuotaTimeout):
        run.call()
    assert run.emulator.refused == sent
    run.clocks.pass_by(3600)
    run.emulator.turn(stranger=0.0, headerless=0.0)
    run.clocks.pass_by(WINDOW)
    assert run.call() == 200


def test_a_deadline_ends_what_no_header_may() -> None:
    def make(**options: Any) -> Guard:
        return presets.clever("memory://", deadline=30, **options)

    with scene(make=make, retry_after="40000", error_rate=1.0, error_codes=(503,)) as run:
        with pytest.raises(DeadlineExceeded) as caught:
            run.call()
        assert caught.value.retry_in == 40_000
        assert run.clocks.waits == []
