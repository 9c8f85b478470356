"""The command line as a newcomer meets it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "clever_guard"]


def run(*words: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=timeout, check=False)


@pytest.mark.parametrize("words", [["--help"], ["demo", "--help"], ["emulate", "-h"], ["--version"]])
def test_help(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 0
    assert done.stdout.strip()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["emulate", "--limit", "0"], "x>=1"),
        (["emulate", "--window", "-6"], "x>0"),
        (["emulate", "--rounding", "up"], "floor"),
        (["demo", "--store", "mysql://x"], "sqlite:///"),
        (["demo", "--store", "redis://127.0.0.1:1/0"], "does not serve: no connection"),
        (["demo", "--store", "sqlite:////no/such/place/x.db"], "make the directory"),
        (["demo", "--limit", "none"], "integer"),
    ],
)
def test_bad_words_get_one_sentence(words: list[str], says: str) -> None:
    done = run(*words)
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("emulate", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "choose another --port" in done.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_emulate_serves_and_ends_quietly(how: signal.Signals) -> None:
    process: Any = subprocess.Popen(
        [*COMMAND, "emulate", "--port", "0", "--limit", "5"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    line = process.stdout.readline()
    assert "5 requests per 60 s" in line
    request = urllib.request.Request(line.split()[0] + "/v2.0/schools", headers={"Authorization": "Bearer TEST_TOKEN"})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["X-RateLimit-Remaining"] == "4"
    process.send_signal(how)
    _, errors = process.communicate(timeout=20)
    assert "Traceback" not in errors


def test_the_demo_ends_with_the_table() -> None:
    done = run("demo", "--limit", "40", "--window", "1", "--workers", "3", "--windows", "2")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "refused (429)" in done.stdout
    fetched = next(line for line in done.stdout.splitlines() if "records fetched" in line)
    assert fetched.count("780") == 2
