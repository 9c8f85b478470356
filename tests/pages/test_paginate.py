"""Pages: every record once, never to a foreign origin, never for ever."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from clever_guard.pages import PageError, paginate
from clever_guard.pages.links import ForeignLink, next_link, origin, resolve
from clever_guard.testing import Emulator

BASE = "https://api.clever.com/v2.0/students?limit=2"
HEADERS = {"Authorization": "Bearer TEST_TOKEN"}


class Scripted:
    """A client that answers from a dictionary and remembers what was asked."""

    def __init__(self, pages: dict[str, Any]) -> None:
        self.pages, self.asked = pages, list[str]()

    def request(self, method: str, url: str, headers: Any = None) -> Any:
        self.asked.append(url)
        page = self.pages[url]
        status, body = page if isinstance(page, tuple) else (200, json.dumps(page).encode())
        return type("Answer", (), {"status": status, "data": body})()


def page(*records: int, link: str | None = None) -> dict[str, Any]:
    return {"data": list(records), "links": [{"rel": "next", "uri": link}] if link else []}


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("records", [0, 1, 99, 100, 250])
def test_every_record_once(absolute: bool, records: int) -> None:
    with Emulator(records=records, absolute_links=absolute).serve() as served, urllib3.PoolManager() as http:
        found = [item["data"]["number"] for item in paginate(http, served.url + "/v2.0/teachers", headers=HEADERS)]
    assert found == list(range(records))


@pytest.mark.parametrize(
    "link",
    [
        "//evil.example/v2.0/students",
        "https://evil.example/",
        "http://api.clever.com/v2.0/students",
        "https://api.clever.com:444/",
        "https://api.clever.com@evil.example/",
        "https://user:pass@api.clever.com/",
        "https://api.clever.com.evil.example/",
        "javascript:alert(1)",
        "ftp://api.clever.com/",
        "\\\\evil.example\\x",
        "/\\evil.example",
        "/v2.0/\r\nX: y",
        "https://[::1",
        "x" * 9000,
    ],
)
def test_a_link_to_elsewhere_is_refused(link: str) -> None:
    client = Scripted({BASE: page(1, link=link)})
    with pytest.raises(ForeignLink) as caught:
        list(paginate(client, BASE))
    assert client.asked == [BASE]
    assert "starting_after" not in str(caught.value)


@given(st.text(max_size=60))
def test_no_link_whatever_leaves_the_origin(link: str) -> None:
    from urllib.parse import urlsplit

    for text in (link, "//" + link, "https://" + link, "/" + link):
        try:
            address = resolve(BASE, text)
        except ForeignLink:
            continue
        assert origin(urlsplit(address)) == ("https", "api.clever.com", 443)


@pytest.mark.parametrize(
    "link", ["/v2.0/students?starting_after=5", "?starting_after=5", "https://API.clever.com:443/v2.0/students?a"]
)
def test_links_of_the_same_origin_are_followed(link: str) -> None:
    there = resolve(BASE, link)
    client = Scripted({BASE: page(1, link=link), there: page(2)})
    assert list(paginate(client, BASE)) == [1, 2]


def test_a_walk_in_circles_ends() -> None:
    other = "https://api.clever.com/other"
    with pytest.raises(PageError, match="in circles"):
        list(paginate(Scripted({BASE: page(1, link=other), other: page(2, link=BASE)}), BASE))


def test_an_empty_page_ends_the_walk() -> None:
    assert list(paginate(Scripted({BASE: page(link="/more")}), BASE)) == []


@pytest.mark.parametrize("answer", [(404, b"{}"), (503, b""), (200, b"<html>")])
def test_what_is_no_page_is_an_error_that_pickles(answer: tuple[int, bytes]) -> None:
    with pytest.raises(PageError) as caught:
        list(paginate(Scripted({BASE: answer}), BASE))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert copy.status == caught.value.status
    assert "api.clever.com" not in str(copy)


@pytest.mark.parametrize("found", [None, [], "text", {"links": 5}, {"links": [1, {"rel": "next", "uri": 7}]}])
def test_pages_of_any_shape_have_a_link_or_none(found: Any) -> None:
    assert next_link(found) is None


def test_the_first_address_must_be_absolute() -> None:
    with pytest.raises(ValueError, match="absolute"):
        list(paginate(Scripted({}), "/v2.0/students"))


@pytest.mark.parametrize("body", [{"message": "maintenance"}, [1, 2], None, {"data": {"id": 1}}, {"data": None}, 7])
def test_a_walk_that_breaks_off_does_not_look_finished(body: Any) -> None:
    client = Scripted({BASE: page(1, link="/v2.0/students?starting_after=1"), RESOLVED: body})
    walk = paginate(client, BASE)
    assert next(walk) == 1
    with pytest.raises(PageError, match="a page has no list 'data'") as caught:
        next(walk)
    assert caught.value.status is None
    assert caught.value.last is not None


RESOLVED = "https://api.clever.com/v2.0/students?starting_after=1"
