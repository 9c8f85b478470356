"""The transcripts that the tests of flows stand on must themselves be able to fail."""

from __future__ import annotations

from typing import Any

import pytest

from clever_guard.errors import DeadlineExceeded
from clever_guard.flow import Flow, Proceed, Send, Wait
from clever_guard.model import Hold, Reply, Request
from clever_guard.policies.deadline import Deadline
from clever_guard.policies.quota import Quota
from clever_guard.policies.retry import Retry
from clever_guard.testing.transcripts import ScriptError, failure, make_request, play, reply

TOKEN = {"Authorization": "Bearer t"}


class Forgetful:
    """Sends twice, and forgets the first answer."""

    def around(self, request: Request, proceed: Proceed, /) -> Flow:
        yield from proceed(request)
        yield from Wait(2.0, "backoff")
        return (yield from proceed(request))


class Stubborn:
    """Returns although it was interrupted."""

    def around(self, request: Request, proceed: Proceed, /) -> Flow:
        try:
            return (yield from proceed(request))
        except BaseException:
            return reply(200)


class Endless:
    def around(self, request: Request, proceed: Proceed, /) -> Flow:
        while True:
            yield from Wait(1.0, "backoff")


def test_a_transcript_reads_like_the_call() -> None:
    assert str(play([Retry()], [503, 200], latency=0.5)).splitlines() == [
        "   0.00  Send GET",
        "   0.50  Emit RetryScheduled",
        "   0.50  Discard 503",
        "   0.50  Wait 1.00 s (backoff)",
        "   1.50  Send GET",
        "   2.00  returned 200",
    ]


def test_an_answer_that_was_forgotten_is_seen() -> None:
    first = reply(503)
    transcript = play([Forgetful()], [first, 200])
    assert transcript.undrained == [first]
    assert transcript.request.now == 2.0


def test_answers_are_stamped() -> None:
    transcript = play([Forgetful()], [200, failure()], latency=1.5)
    first, second = transcript.answered
    assert (first.sent_at, first.received_at, second.sent_at, second.received_at) == (0.0, 1.5, 3.5, 5.0)
    assert isinstance(first, Reply)
    assert first.wall == 1_800_000_001.5
    assert transcript.request.last is second


def test_a_script_that_is_too_short_is_no_ending() -> None:
    with pytest.raises(ScriptError, match="Send number 2"):
        play([Forgetful()], [200])
    with pytest.raises(ScriptError):
        play([Stubborn()], [])


def test_a_script_that_is_too_long_is_told() -> None:
    assert play([], [200, 200, 200]).unused == 2


def test_a_flow_without_end_is_ended() -> None:
    with pytest.raises(ScriptError, match="goes on"):
        play([Endless()], [])


def test_an_interruption_cannot_be_swallowed_but_an_exception_can() -> None:
    assert isinstance(play([Stubborn()], [KeyboardInterrupt()]).error, KeyboardInterrupt)
    assert play([Stubborn()], [OSError()]).error is None


def test_an_interrupted_send_counts_as_sent() -> None:
    transcript = play([Quota()], [200], request=make_request(headers=TOKEN), interrupt_at=1)
    assert transcript.request.sends == 1
    assert transcript.unused == 1
    assert transcript.names == ["Reserve", "Send", "Settle"]


def test_permits_and_holds_come_in_the_scripts_order() -> None:
    request = make_request(headers=TOKEN)
    transcript = play([Retry(), Quota()], [503, 200], request=request, permits=[None, Hold(3.0), OSError()])
    assert transcript.names == ["Reserve", "Send", "Settle", "Emit", "Discard", "Wait", "Reserve", "Wait", "Reserve"]
    assert isinstance(transcript.error, OSError)
    assert request.held == 3.0


def test_waits_are_judged_as_the_drivers_judge_them() -> None:
    transcript = play([Forgetful()], [200, 200], request=make_request(deadline=1.0))
    assert isinstance(transcript.error, DeadlineExceeded)
    assert transcript.request.now == 0.0


def test_an_answer_may_depend_on_the_request() -> None:
    transcript = play([Forgetful()], [lambda request: reply(200 + request.sends)] * 2)
    assert [answer.status for answer in transcript.answered if isinstance(answer, Reply)] == [201, 202]


def test_what_is_no_effect_is_a_type_error() -> None:
    class Odd:
        def around(self, request: Request, proceed: Proceed, /) -> Any:
            yield "Send"

    assert isinstance(play([Odd()], []).error, TypeError)


def test_effects_can_be_picked_by_kind() -> None:
    transcript = play([Forgetful()], [200, 200])
    assert [send.request for send in transcript.every(Send)] == [transcript.request] * 2
    assert transcript.waits == [2.0]


class Hasty:
    """A policy without its ``yield from``."""

    def around(self, request: Any, proceed: Any, /) -> Any:
        return proceed(request)
        yield


def test_a_policy_that_forgot_yield_from_is_told_so() -> None:
    transcript = play([Hasty()], [200])
    assert "did it forget 'yield from'" in str(transcript.error)
    assert "raised TypeError" in str(transcript)


def test_no_attempt_begins_after_the_deadline() -> None:
    """The first 429 needs no wait, so no wait is refused."""
    request = make_request(headers={"Authorization": "Bearer t"})
    transcript = play([Deadline(1), Retry(quota_window=60.0), Quota()], [429, 200], latency=2.0, request=request)
    assert transcript.names.count("Send") == 2
    assert isinstance(transcript.error, DeadlineExceeded)
    assert len(transcript.answered) == 1
    assert not transcript.unsettled
