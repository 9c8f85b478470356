"""Deadline only writes down when a call must be over; the driver keeps it."""

from __future__ import annotations

from typing import Any

import pytest

from clever_guard.errors import DeadlineExceeded, QuotaTimeout
from clever_guard.model import Hold
from clever_guard.policies.deadline import Deadline
from clever_guard.policies.quota import Quota
from clever_guard.policies.retry import Retry
from clever_guard.testing.transcripts import make_request, play

TOKEN = {"Authorization": "Bearer t"}


@pytest.mark.parametrize(("own", "expected"), [(None, 110.0), (105.0, 105.0), (200.0, 110.0)])
def test_the_earlier_deadline_holds(own: float | None, expected: float) -> None:
    request = make_request(deadline=own, now=100.0)
    transcript = play([Deadline(10.0)], [200], request=request)
    assert transcript.names == ["Send"]
    assert request.deadline == expected


def test_retries_and_their_waits_share_it() -> None:
    transcript = play([Deadline(3.9), Retry()], [503] * 6, latency=0.5)
    assert transcript.waits == [1.0, 2.0]
    assert isinstance(transcript.error, DeadlineExceeded)
    assert transcript.request.sends == 2


def test_a_hold_that_ends_later_is_not_begun() -> None:
    transcript = play([Deadline(4.0), Quota()], [200], request=make_request(headers=TOKEN), permits=[Hold(5.0, 5.0)])
    assert isinstance(transcript.error, QuotaTimeout)
    assert transcript.request.sends == 0
    assert not transcript.error.sent


@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_no_time_at_all_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Deadline(wrong)
