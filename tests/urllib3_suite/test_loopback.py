"""What is here and what is elsewhere. The audit hook itself cannot be taken out of a process, so it is tried in another."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.urllib3_suite.loopback import is_here
from tests.urllib3_suite.prepare import ROOT


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::1%lo", "localhost", "LOCALHOST.", "0.0.0.0", ""])
def test_this_machine(host: str) -> None:
    assert is_here(host)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "fe80::1%lo", "name.example", "localhost.example"])
def test_elsewhere(host: str) -> None:
    assert not is_here(host)


def test_nothing_leaves_a_process_that_keeps_to_the_loopback() -> None:
    code = (
        "import socket\n"
        "from tests.urllib3_suite.loopback import TARPIT, keep_to_loopback\n"
        "keep_to_loopback()\n"
        "def told(act, *args, **options):\n"
        "    try: act(*args, **options)\n"
        "    except OSError as error: return type(error).__name__, error.errno\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(('localhost', listener.getsockname()[1])).close()\n"
        "print(told(socket.create_connection, ('192.0.2.1', 80)))\n"
        "print(told(socket.create_connection, ('name.example', 80)))\n"
        "print(told(socket.create_connection, (TARPIT, 80), timeout=0.01))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["('OSError', 101)", "('gaierror', -2)", "('TimeoutError', None)"], done.stderr
