"""Nothing leaves this machine: what would connect elsewhere, or ask for a name elsewhere, is told that there is no network.

One address is played: urllib3's tests know an address that never answers, and connect to it to see their timeouts pass.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
import time
from typing import Any

TARPIT = "240.0.0.0"
"""``TARPIT_HOST`` of urllib3's tests."""
OWN_NAMES = ("localhost", "localhost.", socket.gethostname())


def keep_to_loopback() -> None:
    """For the rest of this process; audit hooks stay."""
    sys.addaudithook(_audit)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        _check_address(*args)
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        _check_name(args[0])


def _check_address(connecting: socket.socket, address: Any) -> None:
    if not isinstance(address, tuple):
        return
    if address[0] == TARPIT:
        _never_answer(connecting.gettimeout())
    if not is_here(address[0]):
        raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))


def _check_name(name: Any) -> None:
    text = name.decode("latin-1") if isinstance(name, bytes) else name
    if text is not None and not _is_address(text) and not is_here(text):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def _never_answer(timeout: float | None) -> None:
    if timeout is not None:
        time.sleep(timeout)
        raise TimeoutError("timed out")


def is_here(host: str) -> bool:
    """Whether ``host``, a name or an address, is this machine."""
    bare = host.partition("%")[0]
    if _is_address(bare):
        address = ipaddress.ip_address(bare)
        return address.is_loopback or address.is_unspecified
    return host.lower() in OWN_NAMES or not host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
