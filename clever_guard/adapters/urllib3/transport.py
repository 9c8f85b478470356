"""One attempt on the wire, and letting go of an answer that will not be returned."""

from __future__ import annotations

from typing import Any

from urllib3.exceptions import HTTPError

from clever_guard.adapters.urllib3.failures import failure_of
from clever_guard.adapters.urllib3.request import Native
from clever_guard.adapters.urllib3.timeouts import bounded
from clever_guard.model import Outcome, Reply, Request

SMALL = 65_536
"""A body up to this size is read to the end, so that its connection can be used again; a larger one is cut off."""


class Urllib3Transport:
    """Sends with the pool's own ``urlopen``, its retries and redirects switched off. Stateless."""

    def send(self, request: Request, /) -> Outcome:
        native: Native = request.native
        arguments = dict(native.arguments)
        left = None if request.deadline is None else request.deadline - request.now
        arguments["timeout"] = bounded(native.pool, arguments["timeout"], native.timeout, left)
        try:
            response = native.urlopen(**arguments)
        except HTTPError as error:
            return failure_of(error)
        return Reply(response.status, response.headers, response)

    def discard(self, outcome: Outcome, /) -> None:
        if isinstance(outcome, Reply):
            _let_go(outcome.response)


TRANSPORT = Urllib3Transport()


def _let_go(response: Any) -> None:
    """Give the connection back before the wait: held through it, a pool of one would starve."""
    try:
        response.read(SMALL, decode_content=False)
        if not _at_end(response):
            response.close()
    except HTTPError:
        response.close()
    response.release_conn()


def _at_end(response: Any) -> bool:
    if response.closed or response.length_remaining == 0:
        return True
    return response.length_remaining is None and not response.read(1, decode_content=False)
