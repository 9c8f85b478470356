"""The walk itself: one request a page, through whatever client the caller has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from clever_guard.errors import GuardError
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
    for page in pages(client, url, headers=headers, **request):
        yield from page["data"]


def pages(
    client: Any, url: str, *, headers: Mapping[str, str] | None = None, **request: Any
) -> Iterator[dict[str, Any]]:
    """Every page as decoded JSON, a dictionary with a list ``data``. Raises what ``paginate`` raises."""
    try:
        origin(urlsplit(url))
    except ValueError:
        raise ValueError("paginate needs an absolute http:// or https:// address to begin with") from None
    walked: set[bytes] = set()
    address: str | None = url
    while address is not None:
        _not_again(walked, address)
        page = _fetch(client, address, headers, request)
        yield page
        link = next_link(page) if page["data"] else None
        address = resolve(address, link) if link is not None else None


def _not_again(walked: set[bytes], address: str) -> None:
    """A link that was followed before never ends. Eight bytes a page are kept."""
    mark = hashlib.blake2b(address.encode("utf-8", "replace"), digest_size=8).digest()
    if mark in walked:
        raise PageError(f"the walk goes in circles: page {len(walked)} links to one that was read before")
    walked.add(mark)


def _fetch(client: Any, address: str, headers: Mapping[str, str] | None, request: dict[str, Any]) -> dict[str, Any]:
    response = client.request("GET", address, headers=None if headers is None else dict(headers), **request)
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
