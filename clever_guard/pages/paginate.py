"""The walk itself: one request a page, through whatever client the caller has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from itertools import chain
from operator import itemgetter
from typing import Any
from urllib.parse import urlsplit

from clever_guard.errors import GuardError
from clever_guard.frames import empty_frames
from clever_guard.pages.links import ForeignLink, next_link, origin, records, resolve


class PageError(GuardError):
    """A page could not be had or read, or the walk goes in circles.

    ``status`` is the status of an answer other than 200, else None; ``last`` the response.
    """

    def __init__(self, message: str = "", *, status: int | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.status = status

    def fields(self) -> dict[str, Any]:
        return super().fields() | {"status": self.status}


def paginate(client: Any, url: str, *, headers: Mapping[str, str] | None = None, **request: Any) -> Iterator[Any]:
    """Every record of a collection, page by page.

    ``client``: anything with ``request(method, url, headers=...)``: a urllib3 manager (guarded or bare) or a requests session.
    Raises PageError for an answer that is no page or a walk that goes in circles, ForeignLink (a ValueError) for a link to
    another origin. Ends on the last page or on an empty one.
    """
    walk = _Walk(client, url, headers, request)
    del url, headers, request
    yield from chain.from_iterable(map(itemgetter("data"), _pages(walk)))


def pages(
    client: Any, url: str, *, headers: Mapping[str, str] | None = None, **request: Any
) -> Iterator[dict[str, Any]]:
    """Every page as decoded JSON, a dictionary with a list ``data``. Raises what ``paginate`` raises."""
    walk = _Walk(client, url, headers, request)
    del url, headers, request
    yield from _pages(walk)


def _pages(walk: _Walk) -> Iterator[dict[str, Any]]:
    """An error leaves no headers and no address in the variables of its frames."""
    try:
        walk.check()
        while walk.address is not None:
            yield walk.fetch()
            walk.go_on()
    except BaseException as error:
        empty_frames(error)
        raise


class _Walk:
    """Where a walk is, and what it sends with every request. An object, for its ``repr`` shows nothing of it."""

    def __init__(
        self, client: Any, address: str, headers: Mapping[str, str] | None, request: Mapping[str, Any]
    ) -> None:
        self.address: str | None = address
        self._client = client
        self._headers = headers
        self._request = request
        self._walked: set[bytes] = set()
        self._page: dict[str, Any] = {}

    def check(self) -> None:
        try:
            origin(urlsplit(self.address or ""))
        except ValueError:
            raise ValueError("paginate needs an absolute http:// or https:// address to begin with") from None

    def fetch(self) -> dict[str, Any]:
        self._not_again(self.address or "")
        headers = None if self._headers is None else dict(self._headers)
        self._page = _page_of(self._client.request("GET", self.address, headers=headers, **self._request))
        return self._page

    def go_on(self) -> None:
        link = next_link(self._page) if self._page["data"] else None
        self.address = None if link is None else resolve(self.address or "", link)

    def _not_again(self, address: str) -> None:
        """A link that was followed before never ends. Eight bytes a page are kept."""
        mark = hashlib.blake2b(address.encode("utf-8", "replace"), digest_size=8).digest()
        if mark in self._walked:
            raise PageError(f"the walk goes in circles: page {len(self._walked)} links to one that was read before")
        self._walked.add(mark)


def _page_of(response: Any) -> dict[str, Any]:
    status = getattr(response, "status", None) or getattr(response, "status_code", None)
    body = response.data if hasattr(response, "data") else response.content
    if status != 200:
        raise PageError(f"a page was answered with status {status}", status=status, last=response, sent=True)
    try:
        page: dict[str, Any] = json.loads(body)
    except (ValueError, RecursionError):  # JSON may be nested deeper than Python's stack
        raise PageError("a page is no JSON", last=response, sent=True) from None
    if records(page) is None:  # a walk that took it for the last page would look finished
        raise PageError("a page has no list 'data'", last=response, sent=True)
    return page


__all__ = ["ForeignLink", "PageError", "pages", "paginate"]
