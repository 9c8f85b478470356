"""A request as it arrives, and what goes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Cut: TypeAlias = Literal["", "before", "upload", "after", "header", "body"]
"""Where a connection ends: before anything was processed, while the request's body was on its way, after the work in place of
the answer, within the answer's header, within its body; or not at all."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it arrived; ``headers`` in lower case."""

    method: str
    path: str
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    origin: str = "http://api.clever.com"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back, after ``delay`` seconds."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    delay: float = 0.0
    cut: Cut = ""
    kept: float = 0.0
    """Of a header or body that is cut: the share that gets through, 0 to 1."""
    worked: bool = False
    """Whether what was asked for was done, whatever the answer says."""
    late: bool = False
    """Whether it is held back for ``Knobs.stall`` seconds."""


def json_answer(status: int, body: Any, *, worked: bool = False) -> Answer:
    return Answer(status, [("Content-Type", "application/json")], json.dumps(body).encode(), worked=worked)


def error_answer(status: int, message: str) -> Answer:
    return json_answer(status, {"error": message})


def bearer_token(authorization: str | None) -> str | None:
    """The token of an Authorization header; None for a missing or malformed one."""
    scheme, _, token = (authorization or "").partition(" ")
    known = scheme.lower() == "bearer" and token and token.isascii() and token.isprintable() and " " not in token
    return token if known else None
