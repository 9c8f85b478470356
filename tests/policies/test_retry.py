"""Retry as transcripts: every row of the table, and that nothing is forgotten however a call ends."""

from __future__ import annotations

import asyncio
import dataclasses
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clever_guard.errors import DeadlineExceeded, QuotaTimeout, RetriesExhausted
from clever_guard.events import HeadersIgnored, RetryScheduled
from clever_guard.flow import Flow, Proceed, Wait
from clever_guard.model import Hold, Reply, Request, Verdict
from clever_guard.parts.backoff import ExponentialBackoff
from clever_guard.parts.classify import StatusClassifier
from clever_guard.parts.keys import BearerToken
from clever_guard.policies.deadline import Deadline
from clever_guard.policies.quota import Quota
from clever_guard.policies.retry import Retry
from clever_guard.testing.transcripts import Transcript, failure, make_request, play, reply

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
NOW = 784111777
WITH_TOKEN = {"Authorization": "Bearer CANARY"}
SHOWN = ["Send", "Emit", "Discard", "Wait"]
"""One attempt that is not the last."""


def refusal(resets_in: int | None = 40, remaining: str = "0", limit: str = "1200", **more: str) -> Reply:
    """A 429 with Clever's headers; without a Date when ``resets_in`` is None."""
    ahead = 40 if resets_in is None else resets_in
    dated = {} if resets_in is None else {"Date": DATE}
    quota = {"X-RateLimit-Limit": limit, "X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": str(NOW + ahead)}
    return reply(429, {**dated, **quota, **more})


def one_wait(transcript: Transcript) -> tuple[float, str]:
    (wait,) = transcript.every(Wait)
    return wait.seconds, wait.reason


def fleet(*answers: Any, **more: Any) -> Transcript:
    """A call in a guard with a Quota of a minute."""
    more.setdefault("request", make_request(headers=WITH_TOKEN))
    return play([Retry().bound(lambda: 0.0, 60.0), Quota()], answers, **more)


# -- returned at once ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 204, 301, 304, 400, 401, 403, 404, 413, 422, 501])
def test_ok_and_permanent_answers_are_returned_at_once_even_with_retry_after(status: int) -> None:
    answer = reply(status, {"Retry-After": "1"})
    transcript = play([Retry()], [answer])
    assert transcript.names == ["Send"]
    assert transcript.outcome is answer
    assert not transcript.request.exhausted


def test_an_error_that_no_repetition_mends_is_returned_at_once() -> None:
    transcript = play([Retry()], [failure(sent=False, retryable=False)])
    assert transcript.names == ["Send"]
    assert not transcript.request.exhausted


@pytest.mark.parametrize("outcome", [reply(503), reply(429), failure(sent=False), failure(sent=True)])
def test_a_body_that_cannot_be_rewound_is_sent_once_and_its_outcome_comes_out_unchanged(outcome: Any) -> None:
    transcript = play([Retry(raise_on_exhausted=True)], [outcome], request=make_request(rewindable=False))
    assert transcript.names == ["Send"]
    assert transcript.outcome is outcome


@pytest.mark.parametrize("outcome", [reply(500), reply(502), reply(503), reply(504), failure(sent=True)])
def test_a_post_that_may_have_been_processed_is_not_repeated(outcome: Any) -> None:
    transcript = play([Retry()], [outcome], request=make_request("POST"))
    assert transcript.names == ["Send"]
    assert transcript.outcome is outcome


# -- repeated --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_clevers_failures_wait_1_2_4_8_16_and_no_longer_than_that(status: int) -> None:
    answers = [reply(status) for _ in range(6)]
    transcript = play([Retry()], answers)
    assert transcript.waits == [1, 2, 4, 8, 16]
    assert transcript.names == SHOWN * 5 + ["Send"]
    assert transcript.outcome is answers[-1]
    assert transcript.request.exhausted
    assert transcript.undrained == []


def test_jitter_comes_on_top() -> None:
    transcript = play([Retry().bound(lambda: 1.0, None)], [503] * 6)
    assert transcript.waits == [1.25, 2.5, 5, 10, 20]


@pytest.mark.parametrize(
    ("request_", "outcome"),
    [
        (make_request("POST"), failure(sent=False)),
        (make_request("POST"), reply(429)),
        (make_request("POST", {"Idempotency-Key": "k"}), failure(sent=True)),
        (make_request("POST", idempotent=True), reply(503)),
        (make_request("PUT"), failure(sent=True)),
    ],
)
def test_what_was_not_processed_or_may_be_repeated_is(request_: Request, outcome: Any) -> None:
    transcript = play([Retry()], [outcome, 200], request=request_)
    assert transcript.names == [*SHOWN, "Send"]
    assert not request_.exhausted


def test_each_retry_is_told_before_its_wait_with_its_cause() -> None:
    transcript = play([Retry()], [503, 429, failure(sent=False), failure(sent=True), 200])
    assert transcript.events == [
        RetryScheduled("test", "api.example", reason) for reason in ("status", "throttled", "connect", "read")
    ]


def test_a_later_outcome_is_judged_anew() -> None:
    assert play([Retry()], [503, 404]).outcome.status == 404  # type: ignore[union-attr]
    post = play([Retry()], [429, 500], request=make_request("POST"))
    assert post.names == [*SHOWN, "Send"]
    assert not post.request.exhausted


# -- how long --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7", (7.0, "retry_after")),
        ("0", (1.0, "backoff")),
        ("1", (1.0, "backoff")),
        ("Sun, 06 Nov 1994 08:50:37 GMT", (60.0, "retry_after")),
        ("86401", (1.0, "backoff")),
        ("NaN", (1.0, "backoff")),
    ],
)
def test_the_wait_is_the_longer_of_backoff_and_retry_after_never_their_sum(value: str, expected: Any) -> None:
    assert one_wait(play([Retry()], [reply(503, {"Retry-After": value, "Date": DATE}), 200])) == expected


def test_an_absurd_header_is_counted() -> None:
    transcript = play([Retry()], [reply(503, {"Retry-After": "1700000000000"}), 200])
    assert transcript.events[0] == HeadersIgnored("test", "api.example", "retry_after_far")


def test_a_reset_beside_a_failure_is_not_waited_for() -> None:
    headers = refusal(40).headers
    assert play([Retry()], [Reply(503, headers, None), 200]).waits == [1.0]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(40), (40.0, "retry_after")),
        (refusal(40, **{"Retry-After": "50"}), (50.0, "retry_after")),
        (refusal(40, **{"Retry-After": "30"}), (40.0, "retry_after")),
        (refusal(-5), (1.0, "backoff")),
        (reply(429, {"Retry-After": "9"}), (9.0, "retry_after")),
        (reply(429), (1.0, "backoff")),
    ],
)
def test_a_refusal_without_a_quota_waits_for_reset_or_retry_after_the_later(answer: Any, expected: Any) -> None:
    assert one_wait(play([Retry()], [answer, 200])) == expected


def test_only_buckets_with_nothing_left_are_waited_for() -> None:
    quota = {"X-RateLimit-Limit": "200, 1200", "X-RateLimit-Remaining": "0, 7", "X-RateLimit-Bucket": "all, none"}
    resets = {"X-RateLimit-Reset": f"{NOW + 10}, {NOW + 3000}", "Date": DATE}
    assert play([Retry()], [reply(429, quota | resets), 200]).waits == [10.0]


def test_if_no_bucket_is_empty_all_are_waited_for() -> None:
    assert play([Retry()], [refusal(40, remaining="7"), 200]).waits == [40.0]


def test_a_reset_more_than_a_day_away_is_refused_and_counted() -> None:
    transcript = play([Retry()], [refusal(90_000), 200])
    assert transcript.waits == [1.0]
    assert transcript.events[0] == HeadersIgnored("test", "api.example", "reset_far")


def test_without_a_date_our_own_clock_tells_the_distance() -> None:
    quota = {"X-RateLimit-Limit": "1200", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1800000025"}
    assert play([Retry()], [reply(429, quota), 200], latency=5.0).waits == [20.0]
    assert play([Retry()], [refusal(None), 200]).waits == [1.0]


# -- with a Quota in the guard ---------------------------------------------------------------------------------------

ATTEMPT = ["Reserve", "Send", "Settle"]


def test_the_first_refusal_goes_again_at_once_for_the_hold_is_the_wait() -> None:
    transcript = fleet(refusal(40, **{"Retry-After": "30"}), 200)
    assert transcript.names == [*ATTEMPT, "Emit", "Discard", *ATTEMPT]


def test_a_second_refusal_within_the_window_backs_off() -> None:
    transcript = fleet(refusal(), refusal(), 200)
    assert transcript.waits == [2.0]
    assert transcript.names == [*ATTEMPT, "Emit", "Discard", *ATTEMPT, "Emit", "Discard", "Wait", *ATTEMPT]


def test_a_second_refusal_may_ask_for_more_than_the_backoff() -> None:
    assert fleet(refusal(), reply(429, {"Retry-After": "9"}), 200).waits == [9.0]


def test_a_refusal_in_another_window_is_a_first_one_again() -> None:
    transcript = fleet(refusal(), refusal(), 200, latency=60.0)
    assert transcript.names == [*ATTEMPT, "Emit", "Discard"] * 2 + ATTEMPT


def test_a_hold_is_no_retry_and_a_refusal_is_one() -> None:
    transcript = fleet(200, permits=[Hold(1.0, 1.0)] * 20)
    assert (transcript.request.sends, transcript.waits) == (1, [1.0] * 20)
    refused = fleet(*[refusal() for _ in range(6)])
    assert refused.request.sends == 6
    assert refused.request.exhausted
    assert refused.waits == [2, 4, 8, 16]


def test_a_transient_failure_backs_off_with_a_quota_too() -> None:
    assert fleet(503, 200).waits == [1.0]


def test_a_call_without_a_permit_waits_by_itself() -> None:
    request = make_request(without_permit=True)
    assert fleet(refusal(40), 200, request=request).waits == [40.0]


def test_another_status_that_throttles_is_waited_for_here() -> None:
    """Quota takes only a 429 for a refusal, so no hold follows a 403."""
    retry = Retry(classifier=StatusClassifier(throttled=frozenset({403}))).bound(lambda: 0.0, 60.0)
    answers: list[Any] = [reply(403, {"Retry-After": "9"}), 200]
    transcript = play([retry, Quota()], answers, request=make_request(headers=WITH_TOKEN))
    assert transcript.waits == [9.0]


def test_every_permit_is_settled() -> None:
    transcript = fleet(refusal(), 503, failure(sent=False), failure(sent=True), 200)
    assert len(transcript.granted) == 5
    assert transcript.unsettled == []


# -- the end ---------------------------------------------------------------------------------------------------------


def test_no_wait_follows_the_last_retry() -> None:
    for retries in range(6):
        transcript = play([Retry(max_retries=retries)], [503] * 6)
        assert transcript.names == SHOWN * retries + ["Send"]
        assert transcript.request.exhausted == (retries > 0)


def test_the_original_exception_comes_out_with_a_note() -> None:
    errors = [ConnectionError(str(number)) for number in range(3)]
    transcript = play([Retry(max_retries=2)], [failure(error) for error in errors])
    assert transcript.outcome.error is errors[-1]  # type: ignore[union-attr]
    assert errors[-1].__notes__ == ["clever_guard gave up after 3 attempts"]
    assert [getattr(error, "__notes__", []) for error in errors[:2]] == [[], []]


def test_a_single_attempt_leaves_no_note() -> None:
    error = ConnectionError()
    play([Retry(max_retries=0)], [failure(error)])
    assert not hasattr(error, "__notes__")


def test_raise_on_exhausted_drains_the_response_and_carries_it() -> None:
    answers = [reply(503), reply(503, {"Retry-After": "7"})]
    transcript = play([Retry(max_retries=1, raise_on_exhausted=True)], answers)
    assert transcript.names == [*SHOWN, "Send", "Discard"]
    error = transcript.error
    assert isinstance(error, RetriesExhausted)
    assert (error.last, error.sent, error.retry_in) == (answers[-1].response, True, 7.0)
    assert error.retry_at == answers[-1].wall + 7
    assert str(error) == "gave up after 2 attempts, the last one: status 503"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert transcript.undrained == []


@pytest.mark.parametrize(("answer", "retry_in"), [(refusal(40), 40.0), (refusal(1), 1.0), (reply(429), None)])
def test_the_error_says_when_another_try_is_worth_it(answer: Any, retry_in: float | None) -> None:
    error = play([Retry(max_retries=0, raise_on_exhausted=True)], [answer]).error
    assert isinstance(error, RetriesExhausted)
    assert error.retry_in == retry_in
    assert error.retry_at == (None if retry_in is None else answer.wall + retry_in)


def test_raise_on_exhausted_says_whether_anything_was_sent() -> None:
    def end(*sent: bool) -> Any:
        return play([Retry(max_retries=1, raise_on_exhausted=True)], [failure(sent=one) for one in sent]).error

    assert not end(False, False).sent
    assert end(True, False).sent
    assert isinstance(end(True, True).last, ConnectionError)


def test_the_error_shows_neither_token_nor_address() -> None:
    secret = ConnectionError("Max retries exceeded with url: /CANARY")
    request = make_request(headers=WITH_TOKEN, target="/CANARY")
    error = play([Retry(max_retries=0, raise_on_exhausted=True)], [failure(secret)], request=request).error
    assert error is not None
    assert "CANARY" not in str(error) + repr(error) + repr(request)
    assert error.__cause__ is error.__context__ is None


def test_a_wait_that_does_not_fit_the_deadline_is_not_begun() -> None:
    transcript = play([Retry()], [503, 503, 503, 200], request=make_request(deadline=5.0))
    assert transcript.names == [*SHOWN, *SHOWN, *SHOWN]
    assert isinstance(transcript.error, DeadlineExceeded)
    assert (transcript.request.now, transcript.error.retry_in) == (3.0, 4.0)
    assert transcript.undrained == []


def test_a_hold_beyond_max_wait_ends_the_call_with_the_refusal_as_evidence() -> None:
    refused = refusal()
    request = make_request(headers=WITH_TOKEN, max_wait=5.0)
    transcript = fleet(refused, 200, request=request, permits=[None, Hold(40.0, 40.0)])
    assert transcript.names == [*ATTEMPT, "Emit", "Discard", "Reserve", "Wait"]
    assert isinstance(transcript.error, QuotaTimeout)
    assert (transcript.error.last, transcript.error.retry_in) == (refused.response, 40.0)


# -- interruptions ---------------------------------------------------------------------------------------------------

CALLS: list[list[Any]] = [[503, 429, 200], [failure(), 200], [refusal(), refusal(), 200], [503] * 6]
INTERRUPTIONS = [KeyboardInterrupt(), asyncio.CancelledError(), SystemExit()]


@pytest.mark.parametrize("interruption", INTERRUPTIONS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("answers", CALLS, ids=["mixed", "failure", "refused twice", "exhausted"])
def test_an_interruption_at_each_effect_comes_out_and_forgets_nothing(
    answers: list[Any], interruption: BaseException
) -> None:
    """Only the permit whose own Settle was cut off stays unsettled: it ages in the ledger."""
    whole = fleet(*answers).names
    for place, name in enumerate(whole):
        transcript = fleet(*answers, interrupt_at=place, interruption=interruption)
        assert transcript.error is interruption
        assert transcript.unsettled == (transcript.granted[-1:] if name == "Settle" else [])
        assert transcript.names[place + 1 :] == (["Settle"] if name == "Send" else [])


# -- anything --------------------------------------------------------------------------------------------------------

scripted = st.one_of(
    st.sampled_from([200, 302, 400, 404, 429, 500, 501, 503]),
    st.builds(failure, sent=st.booleans(), retryable=st.booleans()),
    st.builds(refusal, st.integers(-10, 100), st.sampled_from(["0", "7"])),
    st.builds(lambda value: reply(503, {"Retry-After": value}), st.integers(0, 10**6).map(str)),
)


@given(
    st.lists(scripted, min_size=6, max_size=6),
    st.sampled_from(["GET", "POST"]),
    st.integers(0, 5),
    st.sampled_from([None, 60.0]),
    st.floats(0, 1),
    st.booleans(),
)
def test_promises_that_hold_for_every_script(
    answers: list[Any], method: str, retries: int, window: float | None, chance: float, strict: bool
) -> None:
    retry = Retry(max_retries=retries, raise_on_exhausted=strict).bound(lambda: chance, window)
    transcript = play([retry, Quota()], answers, request=make_request(method, WITH_TOKEN))
    assert 1 <= transcript.request.sends <= retries + 1
    assert transcript.undrained == []
    assert transcript.unsettled == []
    assert all(wait.seconds <= 86_400 for wait in transcript.every(Wait))
    names = [name for name in transcript.names if name in ("Send", "Discard", "Wait")]
    assert all(names[n - 1] == "Discard" for n, name in enumerate(names) if name == "Wait")
    assert names[-1] != "Wait"
    if method == "POST":
        answered = transcript.answered[:-1]
        assert all(one.status == 429 if isinstance(one, Reply) else not one.sent for one in answered)


# -- its settings ----------------------------------------------------------------------------------------------------


def test_plain_functions_will_do_for_parts() -> None:
    def stubborn(request: Request, outcome: Any) -> Verdict:
        return Verdict.OK if outcome.status == 200 else Verdict.TRANSIENT

    transcript = play([Retry(classifier=stubborn, backoff=lambda retry, chance: 3.0 * retry)], [404, 418, 200])
    assert transcript.waits == [3.0, 6.0]


def test_a_classifier_that_forgets_to_answer_repeats_nothing() -> None:
    forgetful: Any = lambda request, outcome: None  # noqa: E731
    assert play([Retry(classifier=forgetful)], [503]).names == ["Send"]


def test_no_backoff_no_wait() -> None:
    transcript = play([Retry(backoff=ExponentialBackoff(initial=0))], [503, 200])
    assert transcript.names == ["Send", "Emit", "Discard", "Send"]


@pytest.mark.parametrize("wrong", [-1, 1.5, True, None, "5"])
def test_a_number_of_retries_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="max_retries"):
        Retry(max_retries=wrong)


def test_an_unknown_dialect_is_refused_when_the_policy_is_made() -> None:
    with pytest.raises(ValueError, match="no dialect is called 'nonsense'"):
        Retry(dialect="nonsense")


@pytest.mark.parametrize("thing", [Retry(), Deadline(1), StatusClassifier(), ExponentialBackoff(), BearerToken()])
def test_configuration_is_frozen(thing: Any) -> None:
    name = next(iter(getattr(thing, "__dataclass_fields__", {})), "anything")
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        setattr(thing, name, None)


def test_binding_leaves_the_users_policy_as_it_was() -> None:
    mine = Retry(max_retries=2)
    bound = mine.bound(lambda: 0.5, 60.0)
    assert (mine.quota_window, bound.quota_window, bound.max_retries) == (None, 60.0, 2)


def test_it_composes_with_a_strangers_policy() -> None:
    class Twice:
        """Sends everything twice."""

        def around(self, request: Request, proceed: Proceed, /) -> Flow:
            yield from proceed(request)
            return (yield from proceed(request))

    assert play([Retry(), Twice()], [200, 503, 200, 200]).waits == [1.0]
