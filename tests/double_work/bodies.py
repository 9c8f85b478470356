"""What an operation may carry. Each maker is given the payload and says how to send it, and whether that can be done twice."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SKIPPED = b"what stands before the offset "
PIPE_HOLDS = 32_768
"""Bytes that fit into a pipe that nobody reads yet."""


@dataclass(frozen=True)
class Body:
    """Arguments of ``request``. ``once``: a stream that cannot go back. ``framed``: the payload stands among other bytes."""

    arguments: dict[str, Any]
    once: bool = False
    framed: bool = False

    def close(self) -> None:
        close = getattr(self.arguments.get("body"), "close", None)
        if close is not None:
            close()


def _pipe(payload: bytes) -> Body:
    reader, writer = os.pipe()
    os.write(writer, payload[:PIPE_HOLDS])
    os.close(writer)
    return Body({"body": os.fdopen(reader, "rb")}, once=True)


def _file(payload: bytes) -> Body:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the operation is over
    file.write(SKIPPED + payload)
    file.seek(len(SKIPPED))
    return Body({"body": file})


def _memory_file(payload: bytes) -> Body:
    file = io.BytesIO(SKIPPED + payload)
    file.seek(len(SKIPPED))
    return Body({"body": file})


def _parts(payload: bytes) -> list[bytes]:
    return [payload[start : start + 1_000] for start in range(0, len(payload), 1_000)]


KINDS: dict[str, Callable[[bytes], Body]] = {
    "bytes": lambda payload: Body({"body": payload}),
    "bytearray": lambda payload: Body({"body": bytearray(payload)}),
    "text": lambda payload: Body({"body": payload.decode()}),
    "list": lambda payload: Body({"body": _parts(payload)}),
    "chunked": lambda payload: Body({"body": payload, "chunked": True}),
    "generator": lambda payload: Body({"body": (part for part in _parts(payload))}, once=True),
    "chunked iterator": lambda payload: Body({"body": iter(_parts(payload)), "chunked": True}, once=True),
    "pipe": _pipe,
    "file at an offset": _file,
    "memory file at an offset": _memory_file,
    "text file": lambda payload: Body({"body": io.StringIO(payload.decode())}),
    "multipart": lambda payload: Body({"fields": {"file": ("name.txt", payload.decode())}}, framed=True),
    "form": lambda payload: Body({"fields": {"field": payload.decode()}, "encode_multipart": False}, framed=True),
    "json": lambda payload: Body({"json": {"field": payload.decode()}}, framed=True),
}
WITHOUT_FIELDS = tuple(kind for kind in KINDS if kind not in ("multipart", "form"))
"""Of a DELETE: urllib3 writes its fields into the address."""
