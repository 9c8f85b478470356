"""X-RateLimit as Clever documents it: one vector for each rule, then anything at all."""

from __future__ import annotations

import time
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from clever_guard.dialects import XRateLimit, dialect_named
from clever_guard.dialects.dates import http_date
from clever_guard.dialects.x_ratelimit import MAX_BUCKETS, _at_once, _in_full
from clever_guard.model import NOTHING_READ, HeaderReport, Reading

DATE = "Tue, 11 Mar 2014 02:50:34 GMT"
NOW = int(http_date(DATE, 0.0) or 0)
RESET = NOW + 40
NAMES = ("Limit", "Remaining", "Reset", "Bucket")
WORDS = {
    "limit_missing",
    "remaining_missing",
    "reset_missing",
    "header_long",
    "lists_unequal",
    "buckets_many",
    "bucket_twice",
    "limit_impossible",
    "remaining_impossible",
    "reset_impossible",
    "bucket_impossible",
    "retry_after_unreadable",
    "retry_after_far",
}
read = XRateLimit()


def headers(
    limit: Any = "1200", remaining: Any = "1199", reset: Any = RESET, bucket: Any = "abc123", **more: str
) -> Any:
    values = zip(NAMES, (limit, remaining, reset, bucket), strict=True)
    fields = {f"X-RateLimit-{name}": str(value) for name, value in values if value is not None}
    return {"Date": DATE} | fields | more


def only(report: HeaderReport) -> Reading:
    (reading,) = report.readings
    return reading


def refused(**fields: Any) -> tuple[str, ...]:
    report = read(headers(**fields), 200, NOW)
    assert report.readings == ()
    return report.ignored


# -- what Clever sends -----------------------------------------------------------------------------------------------


def test_clevers_documented_answer() -> None:
    assert read(headers(), 200, 0.0) == HeaderReport((Reading(1200, 1199, RESET, 40.0, "abc123"),))


def test_clevers_documented_refusal() -> None:
    assert only(read(headers(remaining="0"), 429, 0.0)).remaining == 0


def test_two_buckets_in_one_header_are_paired() -> None:
    report = read(headers("200, 1200", "0, 7", f"{RESET}, {RESET + 5}", "all, none"), 429, 0.0)
    assert report.readings == (Reading(200, 0, RESET, 40.0, "all"), Reading(1200, 7, RESET + 5, 45.0, "none"))
    assert report.ignored == ()


def test_retry_after_is_read_with_it() -> None:
    report = read(headers(**{"Retry-After": "17"}), 429, 0.0)
    assert (len(report.readings), report.retry_after) == (1, 17.0)
    assert read({"Retry-After": "17"}, 429, 0.0) == HeaderReport((), 17.0, ())


def test_answers_without_any_of_it_say_nothing() -> None:
    assert read({}, 200, 0.0) is NOTHING_READ
    assert read({"Date": DATE, "Content-Type": "text/html"}, 500, 0.0) is NOTHING_READ


# -- letter case and mappings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [str.lower, str.upper, lambda name: name.replace("RateLimit", "Ratelimit")])
def test_a_plain_dict_may_have_any_letter_case(change: Any) -> None:
    changed = {change(name): value for name, value in headers().items()}
    assert read(changed, 200, 0.0) == read(headers(), 200, 0.0)


def test_urllib3s_mapping_and_bytes_are_read_alike() -> None:
    expected = read(headers(), 200, 0.0)
    assert read(HTTPHeaderDict(headers()), 200, 0.0) == expected
    assert read({k.encode(): v.encode() for k, v in headers().items()}, 200, 0.0) == expected


# -- the Date --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("date", [None, "", "yesterday", f"{DATE}, {DATE}"])
def test_without_a_usable_date_the_distance_is_unknown(date: str | None) -> None:
    fields = headers()
    del fields["Date"]
    if date is not None:
        fields["Date"] = date
    assert only(read(fields, 200, float(NOW))).resets_in is None


@pytest.mark.parametrize("ahead", [-100_000, -1, 0, 60, 10**9])
def test_the_distance_is_given_as_it_is(ahead: int) -> None:
    assert only(read(headers(reset=NOW + ahead), 200, 0.0)).resets_in == ahead


def test_our_own_clock_is_not_asked() -> None:
    assert read(headers(), 200, 0.0) == read(headers(), 200, 5e9)


# -- a Remaining that is missing -------------------------------------------------------------------------------------


def test_a_refusal_without_remaining_counts_as_none_left() -> None:
    assert only(read(headers(remaining=None), 429, 0.0)).remaining == 0
    two = read(headers("200, 1200", None, f"{RESET}, {RESET}", "all, none"), 429, 0.0)
    assert [reading.remaining for reading in two.readings] == [0, 0]


def test_another_answer_without_remaining_says_nothing() -> None:
    assert refused(remaining=None) == ("remaining_missing",)


def test_fields_without_their_partners_are_counted() -> None:
    assert refused(limit=None) == ("limit_missing",)
    assert refused(reset=None) == ("reset_missing",)


# -- lists -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"limit": "200, 1200"},
        {"bucket": "all, none"},
        {"remaining": "1, 2", "limit": "200, 1200"},
        {"limit": "1, 2, 3", "remaining": "1, 2", "reset": f"{RESET}, {RESET}", "bucket": "a, b"},
        {"limit": "1200,"},
    ],
)
def test_lists_of_unequal_length_are_refused_whole(fields: dict[str, str]) -> None:
    assert refused(**fields) == ("lists_unequal",)


def _many(count: int) -> Any:
    names = ", ".join(f"b{n}" for n in range(count))
    return headers(", ".join(["9"] * count), ", ".join(["1"] * count), ", ".join([str(RESET)] * count), names)


def test_buckets_are_counted_to_a_bound() -> None:
    assert len(read(_many(MAX_BUCKETS), 200, 0.0).readings) == MAX_BUCKETS
    assert read(_many(MAX_BUCKETS + 1), 200, 0.0) == HeaderReport((), None, ("buckets_many",))


@pytest.mark.parametrize("bucket", ["abc, abc", None])
def test_fields_doubled_by_a_proxy_count_once_with_the_smaller_remaining(bucket: str | None) -> None:
    report = read(headers("1200, 1200", "7, 5", f"{RESET}, {RESET}", bucket), 200, 0.0)
    assert only(report).remaining == 5
    assert report.ignored == ()


@pytest.mark.parametrize("fields", [{"limit": "200, 1200"}, {"reset": f"{RESET}, {RESET + 60}"}])
def test_one_name_for_two_budgets_says_nothing(fields: dict[str, str]) -> None:
    doubled = {"limit": "1200, 1200", "remaining": "5, 5", "reset": f"{RESET}, {RESET}", "bucket": "a, a"}
    assert refused(**(doubled | fields)) == ("bucket_twice",)


def test_one_impossible_bucket_does_not_hide_the_other() -> None:
    report = read(headers("0, 1200", "0, 7", f"{RESET}, {RESET}", "all, none"), 200, 0.0)
    assert (only(report).bucket, report.ignored) == ("none", ("limit_impossible",))


# -- values that cannot be -------------------------------------------------------------------------------------------

NO_NUMBERS = ["", "+1", "-1", "1_000", "1.0", "1e3", "0x10", "NaN", "inf", "\uff11\uff12", "9" * 16, "9" * 5000]


@pytest.mark.parametrize("value", [*NO_NUMBERS, "0", "1000000001"])
def test_impossible_limits(value: str) -> None:
    assert refused(limit=value) == ("limit_impossible",)


@pytest.mark.parametrize("value", [*NO_NUMBERS, "1201"])
def test_impossible_remainders(value: str) -> None:
    assert refused(remaining=value) == ("remaining_impossible",)


@pytest.mark.parametrize("value", [*NO_NUMBERS, "0", "60", "1394506274000", "253402300799"])
def test_impossible_resets(value: str) -> None:
    """Seconds from now, milliseconds, the year 9999."""
    assert refused(reset=value) == ("reset_impossible",)


@pytest.mark.parametrize("value", [10**4, 10**11])
def test_the_first_and_the_last_reset_that_can_be(value: int) -> None:
    assert only(read(headers(reset=value), 200, 0.0)).reset == value
    assert refused(reset=value - 1 if value == 10**4 else value + 1) == ("reset_impossible",)


@pytest.mark.parametrize("value", ["x" * 201, "a\x00b", "a\r\nb", "a\x7fb", "\u202eb", "\ud800"])
def test_impossible_bucket_names(value: str) -> None:
    assert refused(bucket=value) == ("bucket_impossible",)


@pytest.mark.parametrize("value", ["x" * 200, "all students", "学区", "cg:1:{x}", "'; DROP TABLE"])
def test_odd_bucket_names_are_only_names(value: str) -> None:
    assert only(read(headers(bucket=value), 200, 0.0)).bucket == value


@pytest.mark.parametrize("name", ["limit", "remaining", "reset", "bucket"])
def test_long_lists_are_refused_unread(name: str) -> None:
    assert refused(**{name: "1," * 5000}) == ("header_long",)


# -- anything at all -------------------------------------------------------------------------------------------------

anything = st.one_of(
    st.text(),
    st.binary(),
    st.text(alphabet="0123456789, ", max_size=40),
    st.integers(0, 10**12).map(str),
    st.lists(st.integers(0, 10**12).map(str), max_size=12).map(", ".join),
)
FIELDS = (*(f"X-RateLimit-{name}" for name in NAMES), "Date", "Retry-After")


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, anything)), st.sampled_from([200, 429]), st.floats())
def test_any_headers_give_a_report_within_its_bounds(fields: Any, status: int, wall: float) -> None:
    report = read(fields, status, wall)
    assert set(report.ignored) <= WORDS
    assert len(report.readings) + len(report.ignored) <= MAX_BUCKETS + 2
    assert len({reading.bucket for reading in report.readings}) == len(report.readings)
    for reading in report.readings:
        assert 0 <= reading.remaining <= reading.limit <= 10**9
        assert len(reading.bucket) <= 200


@given(st.integers(1, 10**9), st.data())
def test_what_a_server_may_say_is_read_back(limit: int, data: st.DataObject) -> None:
    remaining = data.draw(st.integers(0, limit))
    ahead = data.draw(st.integers(0, 3600))
    reading = only(read(headers(limit, remaining, NOW + ahead), 200, 0.0))
    assert (reading.limit, reading.remaining, reading.resets_in) == (limit, remaining, ahead)


NEARLY = {
    "X-RateLimit-Limit": [None, "100", "0", " 100", "100,200", "1e2", ""],
    "X-RateLimit-Remaining": [None, "5", "100", "101", " 5", "5,5", "-1", ""],
    "X-RateLimit-Reset": [None, "1700000060", "60", "1700000060,1700000060", "1700000060.5"],
    "X-RateLimit-Bucket": [None, "all", "", "all, none", "all ", "a\tb"],
    "Date": [None, "Tue, 14 Nov 2023 22:13:20 GMT", "Tuesday, 14-Nov-23 22:13:20 GMT", "yesterday", ""],
}
"""Answers that are, or nearly are, the usual one."""


def test_the_short_way_reads_what_the_long_way_reads() -> None:
    """For mappings that are looked up as they are, as those of clients. All of them: a few thousand."""
    taken = 0
    for values in product(*NEARLY.values()):
        said = HTTPHeaderDict({name: value for name, value in zip(NEARLY, values, strict=True) if value is not None})
        short = _at_once(said)
        if short is not None:
            assert _in_full(said, 200, NOW) == ((short,), ())
            taken += 1
    assert taken > 10


@given(st.dictionaries(st.sampled_from(FIELDS), st.one_of(st.none(), st.binary(), st.lists(st.text()), st.integers())))
@example({"X-RateLimit-Limit": b"", "X-RateLimit-Remaining": []})
@example({"X-RateLimit-Limit": [], "X-RateLimit-Remaining": ""})
def test_a_mapping_that_gives_anything_is_read_all_the_same(fields: dict[str, Any]) -> None:
    class Odd:
        def get(self, name: str, /) -> Any:
            return fields.get(name)

    assert set(read(Odd(), 200, NOW).ignored) <= WORDS


@pytest.mark.parametrize("letter", ["9", ",", " ", "a", "\x00", "Sun, 06 "])
def test_megabytes_cost_no_more_than_a_line(letter: str) -> None:
    """A quadratic reading of these would take minutes; processor time, so that a busy machine does not matter."""
    huge = dict.fromkeys(FIELDS, letter * 2_000_000)
    begun = time.process_time()
    for _ in range(20):
        read(huge, 429, 0.0)
    assert time.process_time() - begun < 5


# -- by name ---------------------------------------------------------------------------------------------------------


def test_it_is_found_by_name() -> None:
    assert isinstance(dialect_named("x-ratelimit"), XRateLimit)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'x-rate-limit'; known: retry-after, x-ratelimit") as caught:
        dialect_named("x-rate-limit")
    assert caught.value.__suppress_context__
