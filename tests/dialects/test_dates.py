"""HTTP dates against RFC 9110 5.6.7, with the standard library's calendar as the referee."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clever_guard.dialects.dates import http_date, server_date

NOW = calendar.timegm((2026, 6, 15, 12, 0, 0))
MOMENT = calendar.timegm((1994, 11, 6, 8, 49, 37))
moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=0)
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def fixdate(moment: datetime) -> str:
    day, month = WEEKDAYS[moment.weekday()][:3], MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year:04} {moment:%H:%M:%S} GMT"


def asctime(moment: datetime) -> str:
    day, month = WEEKDAYS[moment.weekday()][:3], MONTHS[moment.month - 1]
    return f"{day} {month} {moment.day:2} {moment:%H:%M:%S} {moment.year:04}"


@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_the_three_forms_of_the_rfc_name_one_moment(text: str) -> None:
    assert http_date(text, NOW) == MOMENT


def test_the_longest_date_there_is() -> None:
    assert http_date("Wednesday, 09-Nov-94 08:49:37 GMT", NOW) == MOMENT + 3 * 86_400


@given(moments)
def test_every_moment_is_read_back(moment: datetime) -> None:
    assert http_date(fixdate(moment), NOW) == moment.timestamp()
    assert http_date(asctime(moment), NOW) == moment.timestamp()


@pytest.mark.parametrize(
    ("digits", "year"),
    [("94", 1994), ("26", 2026), ("00", 2000), ("70", 2070), ("76", 2076), ("77", 1977), ("99", 1999)],
)
def test_two_digit_years_lie_at_most_fifty_years_ahead(digits: str, year: int) -> None:
    assert http_date(f"Monday, 15-Jun-{digits} 12:00:00 GMT", NOW) == calendar.timegm((year, 6, 15, 12, 0, 0))


def test_fifty_years_are_counted_to_the_second() -> None:
    assert http_date("Monday, 15-Jun-76 12:00:00 GMT", NOW) == calendar.timegm((2076, 6, 15, 12, 0, 0))
    assert http_date("Monday, 15-Jun-76 12:00:01 GMT", NOW) == calendar.timegm((1976, 6, 15, 12, 0, 1))


def test_a_two_digit_year_may_belong_to_the_next_century() -> None:
    late = calendar.timegm((2099, 12, 31, 0, 0, 0))
    assert http_date("Friday, 01-Jan-00 00:00:00 GMT", late) == calendar.timegm((2100, 1, 1, 0, 0, 0))


@pytest.mark.parametrize("wall", [float("nan"), float("inf"), float("-inf"), -1.0, 1e300])
def test_an_impossible_wall_clock_raises_nothing(wall: float) -> None:
    assert http_date("Sunday, 06-Nov-94 08:49:37 GMT", wall) is not None


def test_a_leap_second_counts_as_the_second_before() -> None:
    assert http_date("Sat, 31 Dec 2016 23:59:60 GMT", NOW) == calendar.timegm((2016, 12, 31, 23, 59, 59))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nvo 1994 08:49:37 GMT",
        "Sun, \uff10\uff16 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT" * 100,
        "Sun, 06 Nov 1994 08:49:37 GMT\n",
        "1994-11-06T08:49:37Z",
        "784111777",
    ],
)
def test_what_is_no_http_date_is_not_read(text: str) -> None:
    assert http_date(text, NOW) is None


@given(st.text(max_size=60), st.floats())
def test_no_text_raises(text: str, wall: float) -> None:
    http_date(text, wall)


@given(st.text(alphabet="SunNov0123456789, :-GMT", max_size=40))
def test_near_misses_do_not_raise(text: str) -> None:
    http_date(text, NOW)


def test_server_date_is_the_answers_own() -> None:
    assert server_date({"Date": " Sun, 06 Nov 1994 08:49:37 GMT "}, NOW) == MOMENT
    assert server_date({}, NOW) is None
    assert server_date({"Date": "yesterday"}, NOW) is None
