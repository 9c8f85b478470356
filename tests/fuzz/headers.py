"""Targets: what stands in headers."""

from __future__ import annotations

import math
import re
from email.utils import formatdate
from typing import Any

from urllib3 import HTTPHeaderDict

from clever_guard.dialects.dates import http_date, whole_date
from clever_guard.dialects.fields import MAX_DIGITS, any_case, field, members, whole
from clever_guard.dialects.retry_after import MAX_WAIT, RetryAfter
from clever_guard.dialects.x_ratelimit import MAX_BUCKETS, MAX_LIMIT, MAX_NAME, XRateLimit, _at_once, _in_full
from clever_guard.model import HeaderReport, Reading
from clever_guard.parts.keys import BearerToken, identity
from clever_guard.quota.names import plain
from clever_guard.testing.transcripts import make_request
from tests.fuzz.target import lines, target, timed

NAMES = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-Bucket", "Date", "Retry-After")
STATUSES = (200, 204, 301, 400, 429, 500, 503, 999)
WALLS = (1_700_000_000.0, 0.0, -1.0, 1e18, math.inf, math.nan)
WORD = re.compile("[a-z_]{1,40}")


def _said(data: bytes) -> tuple[dict[str, str], int, float]:
    """The first byte chooses status and wall clock; then one line for each header."""
    first = data[0] if data else 0
    texts = lines(data[1:], len(NAMES))
    headers = {name: text for name, text in zip(NAMES, texts, strict=True) if text is not None}
    return headers, STATUSES[first % 8], WALLS[first // 8 % 6]


def _wait_is_bounded(report: HeaderReport) -> None:
    assert report.retry_after is None or 0 <= report.retry_after <= MAX_WAIT
    assert all(WORD.fullmatch(word) for word in report.ignored)


@target
def x_ratelimit(data: bytes) -> None:
    """A bounded report for any headers; the same for every kind of mapping, the short way and the long; and what it read can be
    said again and is read alike."""
    headers, status, wall = _said(data)
    read = XRateLimit()
    report = timed(read, headers, status, wall, size=len(data))
    _wait_is_bounded(report)
    assert len(report.readings) + len(report.ignored) <= MAX_BUCKETS + 2
    assert len({reading.bucket for reading in report.readings}) == len(report.readings)
    mapping = HTTPHeaderDict(headers)
    assert _alike(read(mapping, status, wall), report)
    short = _at_once(mapping)
    if short is not None:
        assert _in_full(mapping, status, wall) == ((short,), ())
    for reading in report.readings:
        _reading_is_possible(reading)
        _is_read_back(reading, headers, wall)


def _alike(one: HeaderReport, other: HeaderReport) -> bool:
    """NaN, from a wall clock that is none, is no number to compare."""
    return repr(one) == repr(other)


def _reading_is_possible(reading: Reading) -> None:
    assert 0 <= reading.remaining <= reading.limit <= MAX_LIMIT
    assert len(reading.bucket) <= MAX_NAME
    assert re.fullmatch(r"[A-Za-z0-9_.-]{0,32}", plain(reading.bucket))
    assert reading.resets_in is None or math.isfinite(reading.resets_in)


def _is_read_back(reading: Reading, headers: dict[str, str], wall: float) -> None:
    if "," in reading.bucket:
        return
    again = {
        "x-ratelimit-limit": f" {reading.limit} ",
        "x-ratelimit-remaining": str(reading.remaining),
        "x-ratelimit-reset": str(int(reading.reset)),
        "x-ratelimit-bucket": reading.bucket,
    }
    if "Date" in headers:
        again["date"] = headers["Date"]
    assert XRateLimit()(again, 200, wall).readings == (reading,)


@target
def retry_after(data: bytes) -> None:
    """A wait from 0 to a day or none, and one word for what is refused."""
    headers, status, wall = _said(data[:1] + b"-\n-\n-\n-\n" + data[1:])
    report = timed(RetryAfter(), headers, status, wall, size=len(data))
    _wait_is_bounded(report)
    assert report.readings == () and len(report.ignored) <= 1
    assert not (report.ignored and report.retry_after is not None)
    text = headers.get("Retry-After", "")
    if re.fullmatch("[0-9]{1,5}", text) and int(text) <= MAX_WAIT:
        assert report.retry_after == int(text)


@target
def dates(data: bytes) -> None:
    """None, or a moment that is read alike when it is written in the form that may be sent."""
    wall = WALLS[data[0] % 6] if data else 0.0
    text = data[1:].decode("latin-1")
    seconds = timed(http_date, text, wall, size=len(data))
    if seconds is None:
        assert whole_date(text) is None
        return
    assert http_date(formatdate(seconds, usegmt=True), wall) == seconds
    if whole_date(text) is None and 0 <= wall < 2**35:
        assert seconds - wall < 51 * 366 * 86_400, "a century too late"


@target
def fields(data: bytes) -> None:
    """A plain dict of texts and bytes is looked up in any letter case; numbers are digits and nothing else."""
    parts = data.split(b"\n")
    headers: dict[Any, Any] = dict(zip(parts[::2], parts[1::2], strict=False))
    looked_up = timed(any_case, headers | {None: 5, "X": None}, size=len(data))
    for name in headers:
        text = field(looked_up, name.decode("latin-1").upper())
        assert text is None or len(text) <= 1_001
    text = data.decode("latin-1")
    number = timed(whole, text, size=len(data))
    assert (number is not None) == bool(re.fullmatch(f"[0-9]{{1,{MAX_DIGITS}}}", text))
    assert ",".join(members(text)).replace(" ", "").replace("\t", "") == text.replace(" ", "").replace("\t", "")


@target
def bearer(data: bytes) -> None:
    """A token without control characters, none, or one sentence that does not show it. The same token whatever the scheme's case."""
    value = data.decode("latin-1")
    request = make_request(headers={"Authorization": value})
    try:
        token = timed(BearerToken(), request, size=len(data))
    except ValueError as error:
        assert str(error) == "the bearer token contains a control character (a line end?); strip it before sending"
        return
    if token is None:
        return
    assert token in value and not re.search(r"[\x00-\x1f\x7f-\x9f]", token)
    assert BearerToken()(make_request(headers={"Authorization": f"bEARER {token} "})) == token
    assert re.fullmatch("[0-9a-f]{32}", timed(identity, token, b"secret", size=len(data)))
