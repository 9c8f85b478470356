"""Retry-After against RFC 9110 10.2.3."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clever_guard.dialects import RetryAfter, dialect_named
from clever_guard.dialects.dates import http_date
from clever_guard.dialects.retry_after import MAX_WAIT
from clever_guard.model import NOTHING_READ, HeaderReport

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
WALL = http_date(DATE, 0.0) or 0.0
read = RetryAfter()


def waits(value: str, date: str | None = DATE, wall: float = WALL) -> float | None:
    return report(value, date, wall).retry_after


def report(value: Any, date: str | None = DATE, wall: float = WALL) -> HeaderReport:
    headers = {"Retry-After": value} | ({} if date is None else {"Date": date})
    return read(headers, 503, wall)


@pytest.mark.parametrize(("value", "seconds"), [("0", 0), ("120", 120), (" 7\t", 7), ("007", 7), ("86400", 86400)])
def test_digits_are_seconds(value: str, seconds: float) -> None:
    assert report(value) == HeaderReport((), seconds, ())


@pytest.mark.parametrize(
    "value",
    ["Sun, 06 Nov 1994 08:50:37 GMT", "Sunday, 06-Nov-94 08:50:37 GMT", "Sun Nov  6 08:50:37 1994"],
)
def test_a_date_in_any_form_is_read_against_the_answers_own_date(value: str) -> None:
    assert waits(value, wall=WALL + 12345) == 60


def test_without_a_date_our_own_clock_stands_in() -> None:
    assert waits("Sun, 06 Nov 1994 08:50:37 GMT", date=None, wall=WALL + 10) == 50
    assert waits("Sun, 06 Nov 1994 08:50:37 GMT", date="no date", wall=WALL + 10) == 50


def test_a_date_that_has_passed_is_no_wait() -> None:
    assert report("Sun, 06 Nov 1994 08:40:00 GMT") == HeaderReport((), 0.0, ())


@pytest.mark.parametrize("value", ["86401", "1700000000000", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_more_than_a_day_is_refused_and_named(value: str) -> None:
    assert report(value) == HeaderReport((), None, ("retry_after_far",))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "+1",
        "1.5",
        "1e3",
        "1_000",
        "NaN",
        "inf",
        "\uff11\uff12\uff10",
        "soon",
        "5 seconds",
        "9" * 16,
        "9" * 5000,
        "5, 6",
        "5,",
        " " * 5000,
    ],
)
def test_what_cannot_be_read_is_refused_and_named(value: str) -> None:
    assert report(value) == HeaderReport((), None, ("retry_after_unreadable",))


def test_a_doubled_field_counts_once_if_its_members_agree() -> None:
    assert waits("5, 5") == 5


def test_without_the_field_nothing_is_read() -> None:
    assert read({}, 503, WALL) is NOTHING_READ


@given(st.one_of(st.text(), st.binary()), st.one_of(st.none(), st.text()), st.floats())
def test_no_value_raises_and_no_wait_leaves_its_bounds(value: Any, date: str | None, wall: float) -> None:
    wait = report(value, date, wall).retry_after
    assert wait is None or 0 <= wait <= MAX_WAIT


def test_it_is_found_by_name() -> None:
    assert isinstance(dialect_named("retry-after"), RetryAfter)
