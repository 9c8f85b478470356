"""Targets: what a store holds and answers, and what names one."""

from __future__ import annotations

import re
from dataclasses import fields
from urllib.parse import urlsplit

from clever_guard.quota.record import MAX_NAMES, MAX_ROUTES, Record, lifetime, transition
from clever_guard.quota.store import Answer, Command, Draw, Report, Sight, Terms, View
from clever_guard.stores.codec import FIELDS, body_of, ledger_of, line_of, record_of
from clever_guard.stores.open import REDIS, _from_url, _path
from clever_guard.stores.redis_clients import client_maker
from clever_guard.stores.redis_urls import PORTS, parsed
from clever_guard.stores.wire import answer_of, arguments
from tests.fuzz.target import refused, target, timed

NOW = 1_700_000_000_000
TERMS = Terms(100, 10_000, 1_000)
SIGHT = Sight("", 100, 40, NOW + 5_000, NOW + 5_000, NOW + 5_020, NOW - 20, NOW)
COMMANDS = (
    Command("id", "", TERMS, (), Draw(5)),
    Command("id", "x", TERMS, (Report(NOW - 50, ("",), 1, sights=(SIGHT,)),), Draw(5, NOW - 50, 10)),
)


@target
def ledger(data: bytes) -> None:
    """Nothing, or a ledger that is written alike; and whatever numbers it has, the rules answer within their bounds."""
    found = timed(ledger_of, data.decode("latin-1"), size=len(data))
    if found is None:
        return
    again = ledger_of(line_of(found))
    assert again == found
    _is_answered(Record({"": ("",)}, {"": found}), len(data))


@target
def record(data: bytes) -> None:
    """A record for any text. What is understood of it is written alike, and answered within bounds."""
    found = timed(record_of, data.decode("utf-8", "replace"), size=len(data))
    assert len(found.routes) <= MAX_ROUTES
    assert all(0 < len(names) <= MAX_NAMES and set(names) <= set(found.ledgers) for names in found.routes.values())
    assert record_of(body_of(found)) == found
    _is_answered(found, len(data))


def _is_answered(found: Record, size: int) -> None:
    for command in COMMANDS:
        found, answer = timed(transition, found, NOW, command, size=min(size, 600))
        assert 0 <= answer.granted <= command.draw.want  # type: ignore[union-attr]
        assert answer.granted or answer.hold > 0
        assert lifetime(found, NOW, command) > 0
        record_of(body_of(found))


@target
def wire(data: bytes) -> None:
    """An answer of bounded numbers and harmless names, or ValueError, whatever a server replies."""
    reply = [b"7", *data.split(b"\n")]
    try:
        answer = timed(answer_of, reply, "7", size=len(data))
    except ValueError as error:
        assert "\n" not in str(error)
        return
    assert answer == answer_of([word.decode() for word in reply], "7")
    _is_bounded(answer)


def _is_bounded(answer: Answer) -> None:
    assert all(0 <= number < 10**16 for number in (answer.now, answer.granted, answer.hold))
    for view in answer.views:
        numbers = [getattr(view, field.name) for field in fields(View) if field.name != "bucket"]
        assert all(abs(number) < 10**16 for number in numbers)
    for name in (*answer.buckets, *(view.bucket for view in answer.views)):
        assert re.fullmatch(r"[A-Za-z0-9_.-]{0,32}", name)


@target
def words(data: bytes) -> None:
    """Whatever stands in a route or in a bucket's name is one word of a command: words are counted, never joined."""
    text = data.decode("latin-1")
    command = Command("id", text, TERMS, (Report(NOW, (text,), sights=(SIGHT,)),), None)
    found = timed(arguments, command, size=len(data))
    assert found.count(text) >= 2 and len(found) == len(arguments(COMMANDS[1])) - 4
    assert len(FIELDS) == 37


@target
def store_url(data: bytes) -> None:
    """A store's place, or one sentence; and neither shows anything of what stands before an '@'."""
    url = data.decode("utf-8", "surrogateescape")
    scheme = url.partition("://")[0]
    if scheme == "sqlite":
        said = refused(_path, url, size=0)
    elif scheme in PORTS:
        said = refused(parsed, url, size=len(data)) or parsed(url).place
    elif scheme in REDIS:
        said = refused(client_maker, url, 0.25, size=USUAL_NOT) or client_maker(url, 0.25)[1]
    elif scheme == "memory":
        return
    else:
        said = refused(_from_url, url, size=len(data))
    for secret in _secrets(url):
        assert secret not in (said or ""), "a part of the password is shown"


USUAL_NOT = 1_000_000
"""redis-py makes a client and a connection for it: no parser of ours."""


def _secrets(url: str) -> list[str]:
    """Pieces of what stands before the last '@' that are long and odd enough not to be a word of the sentence."""
    before = url.partition("://")[2].rpartition("@")[0]
    pieces = re.split(r"[:/?#@,&=%;.\[\]\s\x00-\x20]+", before)[1:]
    host = _host(url)
    return [piece for piece in pieces if len(piece) >= 6 and re.search("[0-9A-Z]", piece) and piece.lower() not in host]


def _host(url: str) -> str:
    """A host is shown, and may be spelt like a part of the password."""
    try:
        return (urlsplit(url).hostname or "") + url.rpartition("@")[2].lower()
    except ValueError:
        return ""
