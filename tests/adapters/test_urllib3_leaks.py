"""Answers that are not returned are read or closed: a pool of one serves a thousand calls, and no descriptor stays behind."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator

import pytest
import urllib3

from clever_guard import Guard
from tests.adapters.serving import TOKEN, Handler, Server, cut, quick, serving

SMALL, LARGE = b"s" * 2_000, b"l" * 200_000


def chunked(handler: Handler, status: int) -> None:
    handler.send_response(status)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"5\r\nhello\r\n0\r\n\r\n")


def endless(handler: Handler, status: int) -> None:
    """Without a length: it ends when the connection does."""
    handler.close_connection = True
    handler.send_response(status)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(SMALL)


ANSWERS = [
    lambda handler: handler.answer(503, SMALL),
    lambda handler: handler.answer(429, b""),
    lambda handler: handler.answer(500, LARGE),
    lambda handler: chunked(handler, 502),
    lambda handler: endless(handler, 503),
    cut,
]


class Moody:
    """Every call is answered well at last, after one of all kinds of answers that are discarded."""

    def __init__(self) -> None:
        self.number = 0
        self._lock = threading.Lock()

    def __call__(self, handler: Handler) -> None:
        with self._lock:
            self.number += 1
            number = self.number
        if number % 2:
            ANSWERS[number // 2 % len(ANSWERS)](handler)
        else:
            handler.answer(200, b"fine")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Moody()) as running:
        yield running


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("preload", [True, False])
def test_a_pool_of_one_serves_a_thousand_calls_and_leaks_nothing(server: Server, preload: bool) -> None:
    """It blocks: a connection that did not come back would be missed at once."""
    guard = quick(max_retries=5)
    pool = urllib3.HTTPConnectionPool("127.0.0.1", server.server_port, maxsize=1, block=True, timeout=10)
    guard.wrap(pool)
    one_call(pool, preload)
    before = descriptors()
    for _ in range(1000):
        one_call(pool, preload)
    assert pool.pool is not None
    assert pool.pool.qsize() == 1
    assert abs(descriptors() - before) <= 2, "the server closes the other end of a cut connection when it notices"
    assert pool.num_requests >= 2000
    pool.close()
    guard.close()


def one_call(pool: urllib3.HTTPConnectionPool, preload: bool) -> None:
    response = pool.request("GET", "/", headers=TOKEN, preload_content=preload, pool_timeout=5)
    assert response.status == 200
    assert response.read() == (b"" if preload else b"fine")
    response.release_conn()


def test_guards_and_pools_that_come_and_go_leave_nothing(server: Server) -> None:
    """A thread for each job, with a guard and a pool of its own, never closed."""
    for count in (20, 100):
        for _ in range(count):
            job = threading.Thread(target=one_job, args=(server.server_port,))
            job.start()
            job.join()
        if count == 20:
            before = descriptors()
    assert abs(descriptors() - before) <= 4


def one_job(port: int) -> None:
    guard: Guard = quick()
    pool = guard.wrap(urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=1, block=True, timeout=10))
    one_call(pool, True)
