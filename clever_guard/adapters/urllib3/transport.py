"""The attempts of one call on the wire, and letting go of an answer that will not be returned."""

from __future__ import annotations

import time
from typing import Any

from urllib3 import HTTPConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.util.request import _FAILEDTELL

from clever_guard.adapters.urllib3.bodies import start_of
from clever_guard.adapters.urllib3.failures import failure_of
from clever_guard.adapters.urllib3.request import answer_headers
from clever_guard.adapters.urllib3.timeouts import bounded
from clever_guard.model import Outcome, Reply, Request

SMALL = 65_536
"""A body up to this size is read to the end, so that its connection can be used again; a larger one is cut off."""
PATIENCE = 1.0
"""Seconds a body that trickles in is read, before its connection is given up instead."""


class Exchange:
    """Sends the attempts of one call: the pool's own ``urlopen``, its retries and redirects switched off in ``arguments``."""

    __slots__ = ("_body_start", "_urlopen", "arguments", "pool", "rewindable")

    def __init__(self, pool: HTTPConnectionPool, urlopen: Any, arguments: dict[str, Any]) -> None:
        self.pool = pool
        self.arguments = arguments
        self._urlopen = urlopen
        self.rewindable, self._body_start = start_of(arguments.get("body"), arguments.get("body_pos"))

    def send(self, request: Request, /) -> Outcome:
        arguments = self.arguments
        if request.deadline is not None:
            arguments = arguments | {"timeout": bounded(arguments["timeout"], request.deadline - request.now)}
        if request.sends > 1 and self._body_start is not None:
            arguments = arguments | {"body_pos": self._body_start}
        try:
            response = self._urlopen(**arguments)
        except HTTPError as error:
            return failure_of(error)
        status = response.status
        return Reply(status if status.__class__ is int else _number(status), answer_headers(response), response)

    def discard(self, outcome: Outcome, /) -> None:
        if isinstance(outcome, Reply):
            let_go(outcome.response)

    @property
    def body_start(self) -> Any:
        """Where the body began, for a hop that sends it again. urllib3 refuses to where it cannot go back there."""
        if self._body_start is None and hasattr(self.arguments.get("body"), "tell"):
            return _FAILEDTELL
        return self._body_start


def _number(status: Any) -> int:
    """0 for what is none: a stand-in for a response may have any status, and is returned as it is."""
    return int(status) if isinstance(status, int) else 0


def let_go(response: Any) -> None:
    """Give the connection back before the wait: held through it, a pool of one would starve."""
    try:
        if not _read_to_end(response):
            response.close()
    except HTTPError:
        response.close()
    response.release_conn()


def _read_to_end(response: Any) -> bool:
    """Whether the body ended within SMALL bytes and PATIENCE seconds."""
    known = response.length_remaining
    if _is_over(response):
        return True
    if known is not None and known > SMALL:
        return False
    impatient = _Impatience(response)
    try:
        return _drain(response, time.monotonic() + PATIENCE)
    finally:
        impatient.end()


def _drain(response: Any, until: float) -> bool:
    left = SMALL
    read_some = getattr(response, "read1", response.read)  # urllib3 2.0 has no read1
    while left > 0 and time.monotonic() < until:
        read = len(read_some(left, decode_content=False))
        if not read or _is_over(response):
            return True
        left -= read
    return False


def _is_over(response: Any) -> bool:
    return bool(response.closed or response.length_remaining == 0)


class _Impatience:
    """The timeout of a response's socket, shortened for a while: a read timeout of a minute would be kept for each read."""

    def __init__(self, response: Any) -> None:
        self._socket = getattr(getattr(response, "connection", None), "sock", None)
        if self._socket is not None:
            self._before = self._socket.gettimeout()
            self._socket.settimeout(PATIENCE if self._before is None else min(PATIENCE, self._before))

    def end(self) -> None:
        if self._socket is not None and self._socket.fileno() >= 0:
            self._socket.settimeout(self._before)
