"""Targets: the command line, the emulator, and the names of hosts."""

from __future__ import annotations

import contextlib
import json
import math

import click
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import LocationParseError

from clever_guard.adapters.urllib3.request import place_of
from clever_guard.cli.commands import commands
from clever_guard.guard import _hosts
from clever_guard.testing.emulator import Emulator, Knobs
from clever_guard.testing.emulator.core import Arrival
from tests.fuzz.target import refused, target, timed

NOW = 1_700_000_000.0
SERVED = ("limit", "window", "phase", "skew", "rounding", "latency", "error_rate", "drop_before", "drop_after")


@target
def command_line(data: bytes) -> None:
    """Words are refused in words, or give an emulator that answers: no number, however spelt, breaks it later."""
    command = commands.commands["emulate"]
    typed = [f"--{word}" for word in data.decode("utf-8", "surrogateescape").split("\n")]
    with contextlib.suppress(click.ClickException, click.exceptions.Exit), contextlib.redirect_stdout(None):
        given = command.make_context("emulate", typed).params
        turned = {name: given[name] for name in SERVED if given[name] is not None}
        with contextlib.suppress(ValueError):
            _is_served(Emulator(Knobs(**turned), records=10), len(data))


def _is_served(emulator: Emulator, size: int) -> None:
    arrival = Arrival("GET", "/v2.0/students", "limit=1", {"authorization": "Bearer T"})
    answer = timed(emulator.handle, arrival, NOW, size=size)
    assert answer.cut or 200 <= answer.status < 600
    assert math.isfinite(answer.delay)


@target
def knobs(data: bytes) -> None:
    """A body for the control path turns knobs or is refused with 400; afterwards every request is answered."""
    emulator = Emulator(limit=5, records=10)
    answer = timed(emulator.handle, Arrival("POST", "/_emulator/knobs", "", {}, data), NOW, size=len(data))
    assert answer.status in (200, 400)
    if emulator.knobs.records <= 100:
        _is_served(emulator, len(data))
        emulator.handle(Arrival("POST", "/_emulator/reset", "", {}), NOW)
        _is_served(emulator, len(data))


@target
def emulator(data: bytes) -> None:
    """Any request is answered: a status of the documentation, JSON, and no header that ends a line."""
    method, path, query, token, host, body, *_ = [*data.split(b"\n"), b"", b"", b"", b"", b"", b""]
    headers = {"authorization": token.decode("latin-1"), "x-worker": host.decode("latin-1")}
    arrival = Arrival(
        method.decode("latin-1").upper() or "GET",
        "/" + path.decode("utf-8", "replace"),
        query.decode("latin-1"),
        headers,
        body,
        "http://" + host.decode("latin-1"),
    )
    served = Emulator(limit=3, records=50, absolute_links=bool(len(body) % 2))
    for _ in range(2):
        answer = timed(served.handle, arrival, NOW, size=len(data))
        assert answer.status in (200, 201, 400, 401, 404, 413, 429, 501)
        if answer.body:
            json.loads(answer.body)
        for name, value in answer.headers:
            assert not set("\r\n") & set(name + value)
            (name + value).encode("latin-1")
    served.truth()


@target
def hosts(data: bytes) -> None:
    """``hosts=`` takes names and nothing else; the place of a request is found, or urllib3's own error comes out."""
    text = data.decode("utf-8", "replace")
    if refused(_hosts, text.split("\n"), size=len(data)) is None:
        assert all(name and "/" not in name for name in _hosts(text.split("\n")))
    pool = HTTPConnectionPool("api.clever.com", 8080)
    with contextlib.suppress(LocationParseError):
        scheme, host, port = timed(place_of, pool, text, size=0)
        assert host and scheme and (port is None or 0 <= port <= 65_535)
