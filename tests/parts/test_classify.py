"""Clever's table and RFC 9110 9.2.2, row by row."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clever_guard.model import Outcome, Request, Verdict
from clever_guard.parts.classify import StatusClassifier, idempotent, repeatable
from clever_guard.testing.transcripts import failure, make_request, reply

classify = StatusClassifier()
SAFE = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]
UNSAFE = ["POST", "PATCH", "CONNECT", "QUERY", "get", ""]


def verdict(outcome: Outcome) -> Verdict:
    return classify(make_request(), outcome)


@pytest.mark.parametrize("status", [100, 200, 201, 204, 206, 301, 302, 304, 307, 399])
def test_ok(status: int) -> None:
    assert verdict(reply(status)) is Verdict.OK


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 405, 408, 409, 410, 413, 422, 425, 451, 501, 505, 507, 599, 700]
)
def test_permanent(status: int) -> None:
    assert verdict(reply(status, {"Retry-After": "1"})) is Verdict.PERMANENT


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_transient(status: int) -> None:
    assert verdict(reply(status)) is Verdict.TRANSIENT


def test_throttled() -> None:
    assert verdict(reply(429)) is Verdict.THROTTLED


@pytest.mark.parametrize("sent", [True, False])
def test_failures_are_transient_unless_nothing_mends_them(sent: bool) -> None:
    assert verdict(failure(sent=sent)) is Verdict.TRANSIENT
    assert verdict(failure(sent=sent, retryable=False)) is Verdict.PERMANENT


def test_a_users_own_sets_rule() -> None:
    own = StatusClassifier(transient=frozenset({404}), throttled=frozenset({403}))
    verdicts = [own(make_request(), reply(status)) for status in (404, 403, 429, 503)]
    assert verdicts == [Verdict.TRANSIENT, Verdict.THROTTLED, Verdict.PERMANENT, Verdict.PERMANENT]


# -- may it be sent again? -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", SAFE)
def test_idempotent_methods(method: str) -> None:
    assert idempotent(make_request(method))


@pytest.mark.parametrize("method", UNSAFE)
def test_other_methods_are_not(method: str) -> None:
    assert not idempotent(make_request(method))


def test_a_key_makes_a_post_idempotent_and_an_empty_one_does_not() -> None:
    assert idempotent(make_request("POST", {"Idempotency-Key": '"8e03978e"'}))
    assert not idempotent(make_request("POST", {"Idempotency-Key": ""}))


def test_the_callers_word_is_the_last() -> None:
    assert idempotent(make_request("POST", idempotent=True))
    assert not idempotent(make_request("GET", idempotent=False))
    assert not idempotent(make_request("POST", {"Idempotency-Key": "k"}, idempotent=False))


def again(request: Request, outcome: Outcome) -> bool:
    return repeatable(request, outcome, classify(request, outcome))


@pytest.mark.parametrize("method", SAFE + UNSAFE)
def test_whatever_was_not_processed_may_be_repeated(method: str) -> None:
    assert again(make_request(method), reply(429))
    assert again(make_request(method), failure(sent=False))


@pytest.mark.parametrize(("method", "outcome"), list(product(SAFE + UNSAFE, [reply(503), failure(sent=True)])))
def test_what_may_have_been_processed_is_repeated_only_if_idempotent(method: str, outcome: Outcome) -> None:
    assert again(make_request(method), outcome) == (method in SAFE)


outcomes = st.sampled_from([reply(429), reply(503), reply(500), failure(sent=False), failure(sent=True)])


@given(st.sampled_from(SAFE + UNSAFE), outcomes, st.sampled_from([None, True, False]))
def test_a_body_that_cannot_be_rewound_is_never_sent_twice(method: str, outcome: Outcome, said: bool | None) -> None:
    assert not again(make_request(method, rewindable=False, idempotent=said), outcome)
