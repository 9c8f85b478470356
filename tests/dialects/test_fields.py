"""Looking headers up, and reading numbers more strictly than Python does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from clever_guard.dialects.fields import MAX_FIELD, any_case, field, members, whole


@pytest.mark.parametrize("text", ["0", "7", "0007", "1200", "9" * 15])
def test_digits_are_a_number(text: str) -> None:
    assert whole(text) == int(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "+1",
        "-1",
        "1_000",
        "1,000",
        "1.0",
        "1e3",
        "0x10",
        "NaN",
        "inf",
        "\uff11\uff12",
        "\u00b2",
        "\u0663",
        "9" * 16,
        "9" * 5000,
    ],
)
def test_what_python_would_take_for_a_number_is_none(text: str) -> None:
    assert whole(text) is None


@given(st.text())
def test_a_number_is_exactly_a_run_of_ascii_digits(text: str) -> None:
    digits = 0 < len(text) <= 15 and all(letter in "0123456789" for letter in text)
    assert (whole(text) is not None) == digits


@pytest.mark.parametrize(
    "headers", [{"x-name": "v"}, {"X-NAME": "v"}, {b"X-name": b"v"}, HTTPHeaderDict({"x-Name": "v"})]
)
def test_any_mapping_is_looked_up_in_any_letter_case(headers: Any) -> None:
    assert field(any_case(headers), "X-Name") == "v"


def test_doubled_fields_of_a_plain_dict_are_joined() -> None:
    assert field(any_case({"X-A": "1", "x-a": "2"}), "X-A") == "1, 2"


def test_a_clients_own_mapping_is_not_copied() -> None:
    headers = HTTPHeaderDict({"a": "b"})
    assert any_case(headers) is headers


@pytest.mark.parametrize("value", [None, 5, 1.5, ["1"], object()])
def test_values_that_are_no_text_are_not_there(value: Any) -> None:
    assert field(any_case({"X-A": value}), "X-A") is None


def test_a_long_value_is_cut_and_stays_too_long() -> None:
    for value in ("5" * 10_000, " " * 10_000, "5" * MAX_FIELD + " " * 10, b"\xff" * 10_000):
        headers: Any = {"X-A": value}
        text = field(any_case(headers), "X-A")
        assert text is not None
        assert len(text) == MAX_FIELD + 1


def test_members_lose_the_white_space_around_them() -> None:
    assert members("all,\tnone , x") == ["all", "none", "x"]
    assert members("") == [""]


@given(st.dictionaries(st.one_of(st.text(), st.binary(), st.none()), st.one_of(st.text(), st.binary(), st.integers())))
def test_no_dict_raises(headers: Mapping[Any, Any]) -> None:
    field(any_case(headers), "X-RateLimit-Limit")
