"""A token goes to the origin it was sent to and to no other, whatever a server says.

Two servers: *home*, to which the token belongs, and an emulator that is *foreign*. What it was sent is read in its own log.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import trustme
import urllib3
from urllib3.exceptions import HTTPError

from clever_guard import Guard, PageError, Quota, Retry, paginate
from clever_guard.pages.links import ForeignLink
from clever_guard.testing import Emulator, no_waiting
from clever_guard.testing.emulator.core import Answer, Arrival
from tests.adapters.serving import Handler, Server, serving

SECRET = {"Authorization": "Bearer secret-token", "Cookie": "session=secret", "Proxy-Authorization": "Basic c2VjcmV0"}
STATUSES = (301, 302, 303, 307, 308)
ABROAD = {
    "another host": "http://127.0.0.2:{foreign}/x",
    "another port": "http://127.0.0.1:{foreign}/x",
    "another name": "http://localhost:{foreign}/x",
    "without a scheme": "//127.0.0.1:{foreign}/x",
    "capitals": "HTTP://LOCALHOST:{foreign}/x",
    "userinfo like home": "http://127.0.0.1:{home}@127.0.0.1:{foreign}/x",
    "userinfo like a host": "http://127.0.0.1@localhost:{foreign}/x",
    "password in userinfo": "http://user:pass@127.0.0.1:{foreign}/x",
    "backslashes": "\\\\127.0.0.1:{foreign}\\x",
    "backslash and slash": "/\\127.0.0.1:{foreign}/x",
    "backslash in the host": "http://127.0.0.1:{foreign}\\@127.0.0.1:{home}/x",
    "a tab": "http://127.0.0.1:\t{foreign}/x",
    "a tab in the scheme": "ht\ttp://127.0.0.1:{foreign}/x",
    "three slashes": "///127.0.0.1:{foreign}/x",
    "fullwidth dots": "http://127\u30020\u30020\u30021:{foreign}/x".encode().decode("latin-1"),
    "dots above": "/../..//127.0.0.1:{foreign}/x",
    "a fragment like home": "http://127.0.0.1:{foreign}#@127.0.0.1:{home}/x",
    "a query like home": "http://127.0.0.1:{foreign}?@127.0.0.1:{home}/x",
    "leading zeros": "http://127.0.0.1:0{foreign}/x",
    "a number for a host": "http://2130706433:{foreign}/x",
}
HOME = ("/x", "x?y=1", "http://127.0.0.1:{home}/x", "//127.0.0.1:{home}/x", "HTTP://127.0.0.1:{home}")


class Witness(Emulator):
    """An emulator that keeps what it is sent."""

    def reset(self) -> None:
        super().reset()
        self.arrivals: list[Arrival] = []

    def handle(self, arrival: Arrival, now: float) -> Answer:
        self.arrivals.append(arrival)
        return super().handle(arrival, now)

    def told(self) -> list[str]:
        """Every secret in any header or query."""
        said = [f"{arrival.query} {arrival.path} {dict(arrival.headers)}" for arrival in self.arrivals]
        return [one for one in said if "secret" in one.lower() or "c2VjcmV0" in one]


@pytest.fixture(scope="module")
def foreign() -> Iterator[tuple[Witness, int]]:
    """It listens on every address of the loopback."""
    witness = Witness()
    with witness.serve(host="0.0.0.0") as served:
        yield witness, served.port


@contextmanager
def guarded() -> Iterator[Guard]:
    with Guard(Retry(max_retries=0), Quota(limit=10_000, window=60), observers=[]) as guard, no_waiting(guard):
        yield guard


def sends_away(handler: Handler) -> None:
    """``/STATUS`` is answered by that redirect; anything else is home."""
    if handler.path.startswith("/3"):
        handler.answer(int(handler.path[1:4]), Location=handler.server.location)  # type: ignore[attr-defined]
    else:
        handler.answer(200)


def arrived_at_home(home: Server) -> list[dict[str, str]]:
    """What came after the first hop."""
    return [headers for _, path, headers, _ in home.seen if not path.startswith("/3")]


@pytest.mark.parametrize("where", ABROAD)
def test_a_redirect_takes_no_token_abroad(where: str, foreign: tuple[Witness, int]) -> None:
    witness, port = foreign
    witness.reset()
    with serving(sends_away) as home, guarded() as guard, urllib3.PoolManager(timeout=5) as http:
        guard.wrap(http)
        home.location = ABROAD[where].format(foreign=port, home=home.server_port)  # type: ignore[attr-defined]
        for status in STATUSES:
            with suppress(HTTPError):
                http.request("GET", f"{home.url}/{status}", headers=SECRET, retries=3)
    assert witness.told() == []
    assert witness.arrivals or where.startswith(("backslash", "a tab", "three", "dots", "fullwidth"))


def test_it_does_take_it_home(foreign: tuple[Witness, int]) -> None:
    """Else nothing above would be shown."""
    with serving(sends_away) as home, guarded() as guard, urllib3.PoolManager(timeout=5) as http:
        guard.wrap(http)
        for location in HOME:
            home.location = location.format(home=home.server_port)  # type: ignore[attr-defined]
            for status in STATUSES:
                http.request("GET", f"{home.url}/{status}", headers=SECRET, retries=3)
        arrived = arrived_at_home(home)
    assert len(arrived) == len(HOME) * len(STATUSES)
    assert all(headers["Authorization"] == SECRET["Authorization"] for headers in arrived)


@pytest.mark.parametrize("same_host", [True, False])
@pytest.mark.parametrize("where", ABROAD)
def test_nor_does_that_of_a_bare_pool(where: str, same_host: bool, foreign: tuple[Witness, int]) -> None:
    """It knows one host: a hop to another is refused, or sent to its own host without the token."""
    witness, port = foreign
    witness.reset()
    with serving(sends_away) as home, guarded() as guard:
        pool = guard.wrap(urllib3.HTTPConnectionPool("127.0.0.1", home.server_port, timeout=5))
        home.location = ABROAD[where].format(foreign=port, home=home.server_port)  # type: ignore[attr-defined]
        for status in STATUSES:
            with suppress(HTTPError):
                pool.request("GET", f"/{status}", headers=SECRET, retries=3, assert_same_host=same_host)
        pool.close()
        lines = [path for _, path, headers, _ in home.seen if "Authorization" in headers and "://" in path]
    assert witness.arrivals == []
    assert lines == [], "no token in a request that names another host"


def test_nor_does_that_of_a_proxy(foreign: tuple[Witness, int]) -> None:
    """The proxy sees all requests: those for another origin carry no token."""
    _, port = foreign

    def through(handler: Handler) -> None:
        if "api.example" in handler.path:
            handler.answer(302, Location=f"http://evil.example:{port}/x")
        else:
            handler.answer(200)

    with serving(through) as proxy, guarded() as guard, urllib3.ProxyManager(proxy.url, timeout=5) as http:
        guard.wrap(http)
        assert http.request("GET", "http://api.example/x", headers=SECRET, retries=3).status == 200
        seen = [(path, headers) for _, path, headers, _ in proxy.seen]
    assert [path.split("/")[2] for path, _ in seen] == ["api.example", f"evil.example:{port}"]
    assert "Authorization" in seen[0][1]
    assert not {"Authorization", "Cookie"} & seen[1][1].keys()


def test_nor_does_a_step_down_to_plain_http(foreign: tuple[Witness, int]) -> None:
    witness, port = foreign
    witness.reset()
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with (
        serving(sends_away, tls=context) as home,
        guarded() as guard,
        urllib3.PoolManager(timeout=5, ssl_context=trusting) as http,
    ):
        guard.wrap(http)
        home.location = f"http://127.0.0.1:{port}/x"  # type: ignore[attr-defined]
        for status in STATUSES:
            http.request("GET", f"https://127.0.0.1:{home.server_port}/{status}", headers=SECRET, retries=3)
        assert all("Authorization" in headers for _, _, headers, _ in home.seen)
    assert len(witness.arrivals) == len(STATUSES)
    assert witness.told() == []


@pytest.mark.parametrize("where", ABROAD)
def test_nor_does_the_link_of_a_page(where: str, foreign: tuple[Witness, int]) -> None:
    """Followed at home, or refused; abroad nothing arrives at all."""
    witness, port = foreign
    witness.reset()
    with serving(lambda handler: handler.answer(200, handler.server.body)) as home, guarded() as guard:  # type: ignore[attr-defined]
        link = ABROAD[where].format(foreign=port, home=home.server_port)
        home.body = json_page(link)  # type: ignore[attr-defined]
        with guard.wrap(urllib3.PoolManager(timeout=5)) as http, suppress(ForeignLink, HTTPError, PageError):
            for number, _ in enumerate(paginate(http, home.url + "/v2.0/students", headers=SECRET)):
                assert number < 5
    assert witness.arrivals == []
    assert home.seen


def json_page(link: str) -> bytes:
    return json.dumps({"data": [1], "links": [{"rel": "next", "uri": link}]}).encode()
