"""The end of a process while calls wait: prompt, with the right exit code, without noise, and without asking a store that hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clever_guard.testing import Emulator
from tests._redis import RedisServer

ROOT = Path(__file__).parents[1]
PATH = "/v2.0/students?limit=1"
SCRIPT = r"""
import os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import urllib3
from clever_guard import GuardError, presets

url, store, window, daemon, ending = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4] == "daemon", sys.argv[5]
guard = presets.clever(store, limit=1, window=window, max_wait=10_000)
http = guard.wrap(urllib3.PoolManager(4))
headers = {"Authorization": "Bearer t"}

def call():
    try:
        say(str(http.request("GET", url, headers=headers).status))
    except GuardError as error:
        say(type(error).__name__)

def say(line):
    os.write(1, line.encode() + b"\n")

call()
waiters = [threading.Thread(target=call, daemon=daemon) for _ in range(3)]
for thread in waiters:
    thread.start()
books = guard.engine._books
while sum(len(book.waiting) for book in list(books._books.values())) < 3:
    time.sleep(0.01)
say("waiting")
if "frozen" in ending:
    sys.stdin.readline()
if "close" in ending:
    guard.close()
if ending == "exit":
    sys.exit(3)
if ending == "raise":
    raise ValueError("the end")
if ending == "hang":
    time.sleep(600)
"""


class Script:
    """The program, up to the moment where three of its threads wait for the budget."""

    def __init__(self, url: str, store: str, window: float, kind: str, ending: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-c", SCRIPT, url + PATH, store, str(window), kind, ending],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # what was read ahead would be lost to communicate()
            env=os.environ | {"PYTHONWARNINGS": "ignore::ResourceWarning"},
        )
        assert self._process.stdout is not None
        begun = [self._process.stdout.readline() for _ in range(2)]
        if begun != [b"200\n", b"waiting\n"]:
            self._process.kill()
            raise AssertionError(begun, self._process.communicate())
        self._begun = time.monotonic()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self, patience: float = 60.0) -> tuple[int, str, str, float]:
        """Exit code, what it said further, what it complained of, seconds."""
        try:
            said, complaint = self._process.communicate(b"go on\n", timeout=patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise
        return self._process.returncode, said.decode(), complaint.decode(), time.monotonic() - self._begun


@pytest.mark.parametrize(
    ("ending", "code", "complaint"), [("return", 0, ""), ("exit", 3, ""), ("raise", 1, "ValueError: the end\n")]
)
def test_waiting_daemons_do_not_hold_the_end_up(ending: str, code: int, complaint: str) -> None:
    with Emulator(limit=1, window=3600).serve() as served:
        found = Script(served.url, "memory://", 3600, "daemon", ending).end()
        assert found[0] == code
        assert found[1] == ""
        assert found[2].endswith(complaint) and ("ValueError" in found[2] or not found[2])
        assert "clever_guard" not in found[2]
        assert found[3] < 20


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)])
@pytest.mark.parametrize("kind", ["daemon", "not"])
def test_a_signal_ends_it_at_once(number: int, code: int, kind: str) -> None:
    with Emulator(limit=1, window=3600).serve() as served:
        script = Script(served.url, "memory://", 3600, kind, "hang")
        script.signal(number)
        assert script.end()[:3] == (code, "", "")


def test_threads_that_are_no_daemons_end_their_calls_first() -> None:
    """As Python has it: their work is not thrown away. It is the budget that they wait for, and nothing else."""
    with Emulator(limit=1, window=2).serve() as served:
        code, said, complaint, _ = Script(served.url, "memory://", 2, "not", "exit").end()
        assert (code, said, complaint) == (3, "200\n" * 3, "")
        assert served.emulator.refused == 0


def test_a_guard_that_is_closed_lets_them_go() -> None:
    with Emulator(limit=1, window=3600).serve() as served:
        code, said, complaint, seconds = Script(served.url, "memory://", 3600, "not", "close").end()
        assert (code, said, complaint) == (0, "GuardError\n" * 3, "")
        assert seconds < 20


@pytest.mark.parametrize("ending", ["frozen", "frozen close"])
def test_a_store_that_hangs_does_not_hang_the_end(own_redis: RedisServer, ending: str) -> None:
    """Nothing is asked at exit; ``close`` waits as long as any command does, and no longer."""
    with Emulator(limit=1, window=3600).serve() as served:
        script = Script(served.url, own_redis.url, 3600, "daemon", ending)
        own_redis.pause()
        try:
            code, said, complaint, seconds = script.end()
        finally:
            own_redis.resume()
        assert (code, set(said.split())) in [(0, set()), (0, {"GuardError"})]
        assert complaint.count("\n") <= ("close" in ending), complaint
        assert "Traceback" not in complaint
        assert seconds < 20
