"""Tokens in, digests out, and no token anywhere else."""

from __future__ import annotations

import contextlib
import hashlib
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clever_guard.parts import keys
from clever_guard.parts.keys import BearerToken, fingerprint, identity
from clever_guard.testing.transcripts import make_request


def token(authorization: str | None) -> str | None:
    headers = {} if authorization is None else {"Authorization": authorization}
    return BearerToken()(make_request(headers=headers))


@pytest.mark.parametrize(
    "value", ["Bearer abc.DEF-1~", "bearer abc.DEF-1~", "BEARER   abc.DEF-1~  ", " Bearer abc.DEF-1~"]
)
def test_the_token_whatever_the_schemes_letter_case(value: str) -> None:
    assert token(value) == "abc.DEF-1~"


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearerabc", "Token abc"])
def test_no_bearer_token_no_key(value: str | None) -> None:
    assert token(value) is None


@pytest.mark.parametrize("bad", ["\n", "\r", "\r\n", "\x00", "\t", "\x1b", "\x7f", "\x85", "\x9f"])
@pytest.mark.parametrize("place", ["CANARY{}", "{}CANARY", "CAN{}CANARY"])
def test_a_token_with_a_control_character_is_refused_without_showing_it(bad: str, place: str) -> None:
    with pytest.raises(ValueError, match="control character") as caught:
        token("Bearer " + place.format(bad))
    assert "CANARY" not in "".join(traceback.format_exception_only(caught.value)) + repr(caught.value.args)


def test_letters_beyond_ascii_are_no_control_characters() -> None:
    assert token("Bearer tökén\xa0x") == "tökén\xa0x"


@pytest.mark.parametrize("value", [5, b"Bearer x", ["Bearer x"], object()])
def test_a_header_that_is_no_text_is_no_token(value: Any) -> None:
    """http.client sends a number as it is, and refuses the rest itself."""
    assert token(value) is None


@given(st.text())
def test_any_header_gives_a_token_or_none_or_one_sentence(value: str) -> None:
    with contextlib.suppress(ValueError):
        found = token(value)
        assert found is None or found in value


# -- identities ------------------------------------------------------------------------------------------------------


def test_an_identity_is_the_same_in_every_process_and_version() -> None:
    """A change of these founds a second fleet beside the running one."""
    assert identity("TEST_TOKEN", b"secret") == "92c297cee30f0334a5cd695b7c9ee9ab"
    assert identity("TEST_TOKEN", b"") == "dac1ee24cb49f3b17996cc0fe23d97ef"


@given(st.text(min_size=1), st.binary(max_size=200))
def test_an_identity_is_32_hex_digits_that_depend_on_token_and_secret(text: str, secret: bytes) -> None:
    digest = identity(text, secret)
    assert len(digest) == 32
    assert set(digest) <= set("0123456789abcdef")
    assert len({digest, identity(text + "x", secret), identity(text, secret + b"x")}) == 3


def test_no_digest_is_an_unkeyed_one() -> None:
    for size in range(16, 65):
        assert not hashlib.blake2b(b"TEST_TOKEN", digest_size=size).hexdigest().startswith(identity("TEST_TOKEN", b""))
    assert identity("TEST_TOKEN", b"") not in hashlib.sha256(b"TEST_TOKEN").hexdigest()


def test_a_lone_surrogate_does_not_show_the_token_in_an_error() -> None:
    assert identity("CANARY\ud800", b"") != identity("CANARY\udc80", b"")


def test_identities_are_remembered_to_a_bound() -> None:
    for number in range(keys.KEPT + 500):
        identity(f"token {number}", b"")
    assert identity.cache_info().currsize == keys.KEPT


def test_a_fingerprint_tells_secrets_apart_and_no_identity() -> None:
    assert fingerprint(b"one") == fingerprint(b"one") != fingerprint(b"two")
    assert len(fingerprint(b"")) == 16
    assert fingerprint(b"one") != identity("clever_guard fingerprint", b"one")[:16]


@pytest.mark.parametrize("thing", [BearerToken(), identity])
def test_nothing_shows_a_token(thing: Any) -> None:
    token("Bearer CANARY")
    identity("CANARY", b"")
    assert "CANARY" not in repr(thing)
