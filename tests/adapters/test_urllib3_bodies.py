"""Bodies, redirects and draining: the same bytes each time, nothing to another origin, no connection held in a wait."""

from __future__ import annotations

import io
import os
import time
from functools import partial
from typing import Any

import pytest
import urllib3
from urllib3.util.retry import Retry as Urllib3Retry

from clever_guard import Deadline, Guard, Quota, Retry, options
from clever_guard.adapters.urllib3 import transport
from clever_guard.adapters.urllib3.bodies import start_of
from tests.adapters.serving import TOKEN, Handler, Server, in_turn, quick, says, serving


def pipe() -> Any:
    reader, writer = os.pipe()
    os.write(writer, b"piped")
    os.close(writer)
    return os.fdopen(reader, "rb")


class Told:
    """Tells where it is and cannot go back: another response, for one."""

    def __init__(self) -> None:
        self._inner = io.BytesIO(b"told")

    def read(self, amount: int = -1) -> bytes:
        return self._inner.read(amount)

    def tell(self) -> int:
        return self._inner.tell()


@pytest.mark.parametrize(("make", "bytes_"), [(pipe, b"piped"), (Told, b"told"), (lambda: iter([b"a", b"b"]), b"ab")])
def test_what_cannot_go_back_is_sent_once(server: Server, http_: urllib3.PoolManager, make: Any, bytes_: bytes) -> None:
    quick().wrap(http_)
    server.script = says(503)
    body = make()
    assert http_.request("PUT", server.url, body=body).status == 503
    assert [sent for _, _, _, sent in server.seen] == [bytes_]
    getattr(body, "close", lambda: None)()


@pytest.mark.parametrize(
    ("make", "bytes_"),
    [
        (lambda: b"plain", b"plain"),
        (lambda: bytearray(b"array"), b"array"),
        (lambda: "text", b"text"),
        (lambda: [b"a", b"b"], b"ab"),
        (lambda: io.BytesIO(b"file"), b"file"),
        (lambda: io.StringIO("words"), b"words"),
    ],
)
def test_what_can_go_back_is_sent_whole_each_time(
    server: Server, http_: urllib3.PoolManager, make: Any, bytes_: bytes
) -> None:
    quick(max_retries=2).wrap(http_)
    server.script = says(503)
    assert http_.request("PUT", server.url, body=make(), timeout=5).status == 503
    assert [sent for _, _, _, sent in server.seen] == [bytes_] * 3


def test_a_callers_own_position_counts() -> None:
    assert start_of(io.BytesIO(b"abc"), 2) == (True, 2)


# --- redirects ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("status", [307, 308])
def test_a_bare_pool_sends_the_file_again_to_where_it_is_told(server: Server, guarded: bool, status: int) -> None:
    server.script = in_turn(says(status, Location="/there"), says(200))
    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port) as pool:
        if guarded:
            quick().wrap(pool)
        file = io.BytesIO(b"skipped the body")
        file.seek(8)
        assert pool.request("PUT", "/here", body=file).status == 200
    assert [(path, body) for _, path, _, body in server.seen] == [("/here", b"the body"), ("/there", b"the body")]


def test_after_a_303_what_described_the_body_is_gone(server: Server) -> None:
    server.script = in_turn(says(303, Location="/got"), says(200))
    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port) as pool:
        quick().wrap(pool)
        pool.request("POST", "/", body=iter([b"x"]), headers={"Content-Type": "text/plain", **TOKEN}, chunked=True)
    _, (method, _, headers, body) = server.seen
    assert (method, body) == ("GET", b"")
    assert {"Content-Type", "Transfer-Encoding"}.isdisjoint(headers)
    assert headers["Authorization"] == TOKEN["Authorization"]


def test_after_a_303_what_framed_the_body_is_gone_whoever_wrote_it(server: Server) -> None:
    server.script = in_turn(says(303, Location="/got"), says(200))
    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port) as pool:
        quick().wrap(pool)
        pool.urlopen("POST", "/", body=iter([b"x"]), headers={"Transfer-Encoding": "chunked"})
    assert [method for method, *_ in server.seen] == ["POST", "GET"]
    assert "Transfer-Encoding" not in server.seen[1][2]


class Telling:
    """``read`` and ``tell``, and no ``seek``."""

    def __init__(self) -> None:
        file = io.BytesIO(b"told")
        self.read, self.tell = file.read, file.tell


class Dumb(io.BytesIO):
    def tell(self) -> int:
        raise OSError


@pytest.mark.parametrize("make", [Telling, partial(Dumb, b"dumb")])
def test_a_body_that_cannot_go_back_is_not_sent_empty_to_where_it_is_redirected(server: Server, make: Any) -> None:
    server.script = in_turn(says(307, Location="/there"), says(200))
    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port) as pool:
        quick().wrap(pool)
        with pytest.raises(urllib3.exceptions.UnrewindableBodyError):
            pool.urlopen("PUT", "/", body=make(), headers={"Content-Length": "4"}, timeout=2)
    assert [path for _, path, *_ in server.seen] == ["/"]


def elsewhere(server: Server, other: Server) -> list[str]:
    """Other origins: another port, another host, another scheme."""
    port = server.server_port
    return [f"http://127.0.0.1:{other.server_port}/", f"http://localhost:{port}/", f"https://127.0.0.1:{port}/"]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_bare_pool_strips_the_token_for_another_origin(server: Server, which: int) -> None:
    with serving(says(200)) as other, urllib3.HTTPConnectionPool("127.0.0.1", server.server_port) as pool:
        quick().wrap(pool)
        server.script = in_turn(says(302, Location=elsewhere(server, other)[which]), says(200))
        pool.urlopen("GET", "/", headers=TOKEN | {"Cookie": "c", "X-Kept": "k"}, assert_same_host=False)
        first, *later = [headers for _, _, headers, _ in server.seen + other.seen]
        assert first["Authorization"] == TOKEN["Authorization"]
        for headers in later:
            assert {"Authorization", "Cookie"}.isdisjoint(headers)
            assert headers["X-Kept"] == "k"
        assert later


def test_a_bare_pool_refuses_another_host_as_it_always_did(server: Server) -> None:
    server.script = says(302, Location="http://other.invalid/")
    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port) as pool:
        guard = quick()
        for wrap in (guard.unwrap, guard.wrap):
            wrap(pool)
            with pytest.raises(urllib3.exceptions.HostChangedError):
                pool.request("GET", "/", headers=TOKEN)
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    "retries", [None, False, 0, 1, Urllib3Retry(0), Urllib3Retry(3, redirect=1), Urllib3Retry(3, redirect=False)]
)
@pytest.mark.parametrize("kind", ["manager", "pool"])
def test_a_callers_own_redirect_limit_holds(server: Server, retries: Any, kind: str) -> None:
    """Sends and outcome are those of a bare client."""
    server.script = says(302, Location="/again")

    def outcome(guarded: bool) -> tuple[Any, int]:
        server.seen.clear()
        maker: Any = (
            urllib3.PoolManager
            if kind == "manager"
            else lambda: urllib3.HTTPConnectionPool("127.0.0.1", server.server_port)
        )
        with maker() as client:
            if guarded:
                quick().wrap(client)
            try:
                found: Any = client.request(
                    "GET", server.url + "/" if kind == "manager" else "/", retries=retries
                ).status
            except urllib3.exceptions.MaxRetryError as error:
                found = type(error.reason)
        return found, len(server.seen)

    assert outcome(True) == outcome(False)


@pytest.mark.parametrize(
    "policy", [Retry(max_retries=0), Quota(), Deadline(10)], ids=lambda policy: type(policy).__name__
)
@pytest.mark.parametrize("status", [413, 429, 503])
def test_a_bare_guarded_pool_makes_no_hidden_retries(server: Server, status: int, policy: Any) -> None:
    server.script = says(status, Retry_After="0")
    with urllib3.HTTPConnectionPool("127.0.0.1", server.server_port) as pool:
        Guard(policy).wrap(pool)
        assert pool.request("GET", "/").status == status
    assert len(server.seen) == 1


# --- letting go --------------------------------------------------------------------------------------------------------


def trickle(handler: Handler) -> None:
    handler.send_response(503)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    try:
        for _ in range(50):
            handler.wfile.write(b"x")
            time.sleep(0.1)
    except OSError:
        handler.close_connection = True


def stall(handler: Handler) -> None:
    handler.send_response(503)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"1\r\nx\r\n")
    time.sleep(5)
    handler.close_connection = True


@pytest.mark.parametrize("script", [trickle, stall])
def test_a_body_that_does_not_end_is_cut_off(
    server: Server, http_: urllib3.PoolManager, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "PATIENCE", 0.2)
    quick().wrap(http_)
    server.script = in_turn(script, says(200))
    begun = time.monotonic()
    answer = http_.request("GET", server.url, preload_content=False)
    assert answer.status == 200
    assert time.monotonic() - begun < 3
    answer.drain_conn()
    answer.release_conn()


def response_of(manager: urllib3.PoolManager, server: Server, size: int) -> Any:
    server.script = says(503, b"x" * size)
    return manager.request("GET", server.url, preload_content=False, timeout=7.0)


def test_a_small_body_leaves_its_connection_open_with_the_timeout_it_had(
    server: Server, http_: urllib3.PoolManager
) -> None:
    response = response_of(http_, server, 1000)
    connection = response.connection
    transport.let_go(response)
    assert response.tell() == 1000
    assert connection.sock.gettimeout() == 7.0
    response_of(http_, server, 0).release_conn()
    assert http_.connection_from_url(server.url).num_connections == 1


def test_a_large_body_is_not_read(server: Server, http_: urllib3.PoolManager) -> None:
    response = response_of(http_, server, transport.SMALL + 1)
    connection = response.connection
    transport.let_go(response)
    assert response.tell() == 0
    assert connection.sock is None


def test_a_deadline_of_centuries_overflows_no_socket(server: Server, http_: urllib3.PoolManager) -> None:
    quick().wrap(http_)
    with options(deadline=float("inf")):
        assert http_.request("GET", server.url).status == 200
