"""Collections, records and links, in the forms the API document shows."""

from __future__ import annotations

import bisect
import hashlib
from typing import Any
from urllib.parse import parse_qsl, urlencode

from clever_guard.testing.emulator.knobs import COLLECTIONS, Knobs

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
VERSIONS = ("v1.1", "v1.2", "v2.0")
FIRST = 0x530E5961


class BadRequest(Exception):
    """``status``: 400, 404 or 413."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def record_id(collection: str, number: int) -> str:
    """24 hex digits, ascending with ``number`` (0 or more)."""
    tail = hashlib.blake2b(collection.encode(), digest_size=8).hexdigest()
    return f"{FIRST + number:08x}{tail}"


def record(version: str, collection: str, number: int) -> dict[str, Any]:
    """One record with its uri."""
    identity = record_id(collection, number)
    data = {"id": identity, "name": f"{collection[:-1]} {number}", "number": number}
    return {"data": data, "uri": f"/{version}/{collection}/{identity}"}


def answer(knobs: Knobs, path: str, query: str, origin: str) -> dict[str, Any]:
    """The JSON of a page or of a record. Raises BadRequest."""
    parts = path.strip("/").split("/")
    if len(parts) not in (2, 3) or parts[0] not in VERSIONS or parts[1] not in COLLECTIONS:
        raise BadRequest(404, "Resource not available")
    if len(parts) == 3:
        return _one(knobs, parts[0], parts[1], parts[2])
    return _page(knobs, parts[0], parts[1], dict(parse_qsl(query, keep_blank_values=True)), origin)


def _one(knobs: Knobs, version: str, collection: str, identity: str) -> dict[str, Any]:
    number = _position(knobs, collection, identity)
    if number >= knobs.records or record_id(collection, number) != identity:
        raise BadRequest(404, "Resource not available")
    return record(version, collection, number) | {
        "links": [{"rel": "self", "uri": f"/{version}/{collection}/{identity}"}]
    }


def _position(knobs: Knobs, collection: str, identity: str) -> int:
    """Of the first record that is not before ``identity``."""
    return bisect.bisect_left(range(knobs.records), identity, key=lambda number: record_id(collection, number))


def _page(knobs: Knobs, version: str, collection: str, query: dict[str, str], origin: str) -> dict[str, Any]:
    limit = _limit(query.get("limit"))
    first, last = _span(knobs, collection, query, limit)
    shown = [record(version, collection, number) for number in range(first, last)]
    links = _Links(knobs, f"/{version}/{collection}", query, origin)
    found = [links.to("self", query)]
    if "ending_before" in query or last < knobs.records:
        found.append(links.after("next", _edge(collection, shown, query, last=True)))
    if "starting_after" in query or first > 0:
        found.append(links.before("prev", _edge(collection, shown, query, last=False)))
    return {"data": shown, "links": found}


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not text.isascii() or not text.isdigit() or int(text[:9]) < 1:
        raise BadRequest(400, "limit must be a whole number of 1 or more")
    if len(text) > 9 or int(text) > MAX_LIMIT:
        raise BadRequest(413, "limit may not be over 10000")
    return int(text)


def _span(knobs: Knobs, collection: str, query: dict[str, str], limit: int) -> tuple[int, int]:
    if "ending_before" in query:
        last = _position(knobs, collection, query["ending_before"])
        return max(0, last - limit), last
    first = 0
    if "starting_after" in query:
        mark = query["starting_after"]
        first = _position(knobs, collection, mark)
        first += first < knobs.records and record_id(collection, first) == mark
    return first, min(knobs.records, first + limit)


def _edge(collection: str, shown: list[dict[str, Any]], query: dict[str, str], *, last: bool) -> str:
    """The id a link goes on from; on an empty page, where the query stood."""
    if shown:
        return str(shown[-1 if last else 0]["data"]["id"])
    return query.get("starting_after") or query.get("ending_before") or record_id(collection, 0)


class _Links:
    def __init__(self, knobs: Knobs, path: str, query: dict[str, str], origin: str) -> None:
        self._base = (origin if knobs.absolute_links else "") + path
        self._kept = {"limit": query["limit"]} if "limit" in query else {}

    def to(self, rel: str, query: dict[str, str]) -> dict[str, str]:
        return {"rel": rel, "uri": self._base + ("?" + urlencode(query) if query else "")}

    def after(self, rel: str, mark: str) -> dict[str, str]:
        return self.to(rel, self._kept | {"starting_after": mark})

    def before(self, rel: str, mark: str) -> dict[str, str]:
        return self.to(rel, self._kept | {"ending_before": mark})
