"""Where the next page is, decided without I/O.

Clever: "follow the rel:next link contained with every set of results"; the link is relative ("/v1.1/students?starting_after=...").
A token goes with every request, so a link to another origin (scheme, host and port) is refused, however it is spelt.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

PORTS = {"http": 80, "https": 443}
LONGEST = 8_000
"""Characters of an address that is followed."""
_PLACE = re.compile(r"(?:[^@]*@)?(?:\[[^\[\]@]+\]|[^\[\]:@]+)(?::[0-9]*)?")
"""Userinfo, host and port. ``urlsplit`` of older Pythons overlooks what stands around the brackets of an IPv6 address."""


class ForeignLink(ValueError):
    """A next link that leaves the origin of the first page, or is no link at all."""


def next_link(page: Any) -> str | None:
    """The ``uri`` of the link whose rel is ``next``, as the page has it; None on the last page."""
    links = page.get("links") if isinstance(page, dict) else None
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == "next" and isinstance(link.get("uri"), str):
            return str(link["uri"])
    return None


def resolve(base: str, link: str) -> str:
    """The absolute address of ``link`` found on the page ``base``. Raises ForeignLink."""
    if not link or not link.isprintable() or "\\" in link or " " in link or len(link) > LONGEST:
        raise ForeignLink("the next link is no address that may be followed")
    try:
        address = urljoin(base, link)
        there = urlsplit(address)
        same = origin(there) == origin(urlsplit(base)) and "@" not in there.netloc
    except ValueError:
        raise ForeignLink("the next link is no address that may be followed") from None
    if not same:
        place = f"{there.scheme}://{there.hostname}"
        raise ForeignLink(f"the next link leads to {place:.80}, away from the first page's origin")
    if len(address) > LONGEST:  # a relative link can make each page's address longer than the last, for ever
        raise ForeignLink("the next link is no address that may be followed")
    return address


def origin(address: SplitResult) -> tuple[str, str, int]:
    """Scheme, host and port (RFC 9110 4.3.1). Raises ValueError for an address that has none."""
    scheme = address.scheme.lower()
    if scheme not in PORTS or not address.hostname or not _PLACE.fullmatch(address.netloc):
        raise ValueError("not an http address with a host")
    return scheme, address.hostname.lower(), PORTS[scheme] if address.port is None else address.port


def records(page: Any) -> list[Any] | None:
    """The items of ``data``; None for what is no page."""
    data = page.get("data") if isinstance(page, dict) else None
    return data if isinstance(data, list) else None
