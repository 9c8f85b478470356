"""Targets: links and pages."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from urllib3.util import parse_url

from clever_guard.errors import GuardError
from clever_guard.pages.links import PORTS, ForeignLink, next_link, origin, records, resolve
from clever_guard.pages.paginate import pages
from tests.fuzz.target import refused, target, timed

BASES = (
    "https://api.clever.com/v2.0/students?limit=2",
    "http://api.clever.com:8080/v1.1/",
    "https://[::1]:8443/a/b;c",
    "http://user:pass@api.clever.com",
)
REFUSED = (ForeignLink, GuardError)


@target
def links(data: bytes) -> None:
    """ForeignLink, or an address of the base's origin: by Python's reading of addresses and by that of the client who sends it."""
    base = BASES[data[0] % len(BASES)] if data else BASES[0]
    link = data[1:].decode("utf-8", "surrogateescape")
    if refused(resolve, base, link, size=len(data), by=ForeignLink) is not None:
        return
    address = resolve(base, link)
    home = origin(urlsplit(base))
    assert origin(urlsplit(address)) == home
    sent = parse_url(address)
    assert sent.scheme in PORTS
    assert (sent.scheme, (sent.host or "").strip("[]"), sent.port or PORTS[sent.scheme]) == home
    assert sent.auth in (None, parse_url(base).auth)


class Scripted:
    """Answers everything with one body."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def request(self, method: str, url: str, headers: Any = None) -> Any:
        return type("Answer", (), {"status": 200, "data": self.body})()


@target
def page(data: bytes) -> None:
    """A walk over pages that hold anything ends soon: with its records, PageError or ForeignLink."""
    try:
        found = timed(lambda: list(islice(pages(Scripted(data), BASES[0]), 3)), size=len(data))
    except REFUSED as error:
        assert "\n" not in str(error) and "http://" not in str(error)
        return
    for one in found:
        assert records(one) is not None
    assert len(found) == 3 or next_link(json.loads(data)) is None or not found[-1]["data"]
