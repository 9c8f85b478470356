"""What an exception says about what the server may have seen, over real sockets: the permit depends on it."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trustme
import urllib3
from urllib3 import exceptions as x

from clever_guard.adapters.urllib3.failures import failure_of
from clever_guard.model import Failure
from tests.adapters.serving import Server, cut, in_turn, quick, says, serving


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: trustme.CA) -> Iterator[urllib3.PoolManager]:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with urllib3.PoolManager(ssl_context=context) as manager:
        yield manager


@contextmanager
def rude(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server below HTTP: ``behave`` gets each connection. Gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                behave(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def failure(manager: Any, url: str, **options: Any) -> Failure:
    """The same failure with and without MaxRetryError around it."""
    found = []
    for retries in (False, 0):
        with pytest.raises(x.HTTPError) as caught:
            manager.request("GET", url, retries=retries, **options)
        assert isinstance(caught.value, x.MaxRetryError) is (retries == 0 and retries is not False) or True
        found.append(failure_of(caught.value))
    assert _said(found[0]) == _said(found[1])
    return found[1]


def _said(failure: Failure) -> tuple[bool, str, bool]:
    return failure.sent, failure.reason, failure.retryable


NEVER_SENT = (False, "connect", True)
HOPELESS = (False, "connect", False)
MAYBE_SEEN = (True, "read", True)


def test_a_refused_connection_was_never_sent(http_: urllib3.PoolManager) -> None:
    assert _said(failure(http_, "http://127.0.0.1:1/")) == NEVER_SENT


def test_a_name_nobody_knows_was_never_sent(http_: urllib3.PoolManager) -> None:
    assert _said(failure(http_, "http://nobody.invalid/")) == NEVER_SENT


def test_a_read_timeout_may_have_been_seen(server: Server, http_: urllib3.PoolManager) -> None:
    server.script = lambda handler: time.sleep(0.5)
    assert _said(failure(http_, server.url, timeout=0.1)) == MAYBE_SEEN


def test_a_read_timeout_is_retried_for_get_and_not_for_post(server: Server, http_: urllib3.PoolManager) -> None:
    quick(max_retries=1).wrap(http_)
    server.script = lambda handler: time.sleep(0.5)
    for method, sent in (("GET", 2), ("POST", 1)):
        server.seen.clear()
        with pytest.raises(x.HTTPError):
            http_.request(method, server.url, timeout=0.1)
        assert len(server.seen) == sent, method


def test_a_cut_may_have_been_seen(server: Server, http_: urllib3.PoolManager) -> None:
    server.script = cut
    assert _said(failure(http_, server.url)) == MAYBE_SEEN


def test_a_reset_may_have_been_seen(http_: urllib3.PoolManager) -> None:
    def read_and_reset(connection: socket.socket) -> None:
        connection.recv(1)
        reset(connection)

    with rude(read_and_reset) as port:
        assert _said(failure(http_, f"http://127.0.0.1:{port}/")) == MAYBE_SEEN


def test_what_cannot_be_decoded_is_not_asked_for_again(server: Server, http_: urllib3.PoolManager) -> None:
    server.script = says(200, b"no gzip", Content_Encoding="gzip")
    assert _said(failure(http_, server.url)) == (True, "read", False)


def test_a_pool_in_no_state_to_send(server: Server) -> None:
    pool = urllib3.HTTPConnectionPool("127.0.0.1", server.server_port, maxsize=1, block=True)
    taken = pool.request("GET", "/", preload_content=False)
    assert _said(failure(pool, "/", pool_timeout=0.01)) == HOPELESS
    taken.drain_conn()
    taken.release_conn()
    pool.close()
    assert _said(failure(pool, "/")) == HOPELESS


# --- handshakes --------------------------------------------------------------------------------------------------------


def test_https_is_guarded(tls: ssl.SSLContext, trusting: urllib3.PoolManager) -> None:
    quick().wrap(trusting)
    with serving(in_turn(says(503), says(200, b"fine")), tls=tls) as server:
        assert trusting.request("GET", server.url.replace("http", "https")).data == b"fine"


def test_a_certificate_nobody_vouches_for_is_hopeless(tls: ssl.SSLContext, http_: urllib3.PoolManager) -> None:
    with serving(says(200), tls=tls) as server:
        assert _said(failure(http_, server.url.replace("http", "https"))) == HOPELESS


def test_plain_http_where_tls_was_meant_is_hopeless(server: Server, http_: urllib3.PoolManager) -> None:
    def speak_plainly(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with rude(speak_plainly) as port:
        assert _said(failure(http_, f"https://127.0.0.1:{port}/")) == HOPELESS


@pytest.mark.parametrize("gently", [True, False])
def test_a_handshake_broken_off_was_never_sent(http_: urllib3.PoolManager, gently: bool) -> None:
    def hear_hello(connection: socket.socket) -> None:
        connection.recv(65536)
        if not gently:
            reset(connection)

    with rude(hear_hello) as port:
        assert _said(failure(http_, f"https://127.0.0.1:{port}/")) == NEVER_SENT


def test_a_handshake_that_takes_too_long_was_never_sent(http_: urllib3.PoolManager) -> None:
    with rude(lambda connection: time.sleep(0.5)) as port:
        assert _said(failure(http_, f"https://127.0.0.1:{port}/", timeout=0.1)) == NEVER_SENT


def test_a_cut_after_the_handshake_may_have_been_seen(tls: ssl.SSLContext, trusting: urllib3.PoolManager) -> None:
    with serving(cut, tls=tls) as server:
        assert _said(failure(trusting, server.url.replace("http", "https"))) == MAYBE_SEEN


# --- proxies -----------------------------------------------------------------------------------------------------------


def test_a_proxy_that_is_not_there_was_sent_nothing() -> None:
    with urllib3.ProxyManager("http://127.0.0.1:1") as manager:
        assert _said(failure(manager, "http://api.example/")) == NEVER_SENT


def test_a_tunnel_that_was_refused_was_sent_nothing(server: Server) -> None:
    with urllib3.ProxyManager(server.url) as manager:
        assert _said(failure(manager, "https://api.example/")) == NEVER_SENT


def test_calls_through_a_proxy_are_known_by_their_own_host(server: Server) -> None:
    server.script = in_turn(says(503), says(200, b"fine"))
    with urllib3.ProxyManager(server.url) as manager:
        quick(hosts=["api.example"]).wrap(manager)
        assert manager.request("GET", "http://api.example/x").data == b"fine"
        assert [path for _, path, _, _ in server.seen] == ["http://api.example/x"] * 2
        server.script = says(503)
        assert manager.request("GET", "http://other.example/x", retries=False).status == 503
        assert len(server.seen) == 3
