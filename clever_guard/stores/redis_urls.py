"""What the URL of a Redis says, and what to write instead of one that cannot be meant.

    redis://      rediss://      unix://      one server (redis-py reads these itself; they are only checked here)
    redis+cluster://host:6379,host:6379       a cluster; any of its nodes will do to begin with
    redis+sentinel://host:26379,host:26379/service/0     the primary that the sentinels name
    rediss+cluster://, rediss+sentinel://     the same over TLS

Every sentence leaves out the URL itself, for it may hold a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

PORTS = {"redis+cluster": 6379, "rediss+cluster": 6379, "redis+sentinel": 26379, "rediss+sentinel": 26379}
TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_password", "ssl_cert_reqs", "ssl_check_hostname")
SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
SINGLE_OPTIONS = (
    "db",
    "username",
    "password",
    "protocol",
    "client_name",
    "decode_responses",
    "max_connections",
    "socket_timeout",
    "socket_connect_timeout",
    "socket_keepalive",
    "health_check_interval",
    *TLS_OPTIONS,
)
"""Of redis-py's, those that make sense here. It takes any name, and finds out at the first call."""


@dataclass(frozen=True, slots=True)
class Address:
    """What the URL of a cluster or of sentinels says."""

    scheme: str
    nodes: tuple[tuple[str, int], ...]
    username: str | None
    password: str | None = field(repr=False)
    service: str
    database: int
    options: Mapping[str, Any] = field(repr=False)

    @property
    def place(self) -> str:
        """For people: hosts and ports, and the service."""
        nodes = ", ".join(f"{host}:{port}" for host, port in self.nodes)
        return f"redis cluster at {nodes}" if "cluster" in self.scheme else f"redis {self.service!r} of {nodes}"


def parsed(url: str) -> Address:
    """The parts of a cluster's or sentinel's URL. Raises ValueError with what to write instead, never showing a password."""
    scheme, _, rest = url.partition("://")
    example = f"{scheme}://host:{PORTS[scheme]}" + ("/service/0" if "sentinel" in scheme else "")
    place, _, query = rest.partition("?")
    netloc, _, path = place.partition("/")
    user, _, hosts = netloc.rpartition("@")
    username, _, password = user.partition(":")
    service, _, database = path.partition("/")
    if "sentinel" in scheme and not service:
        raise ValueError(f"the {scheme}:// URL names no service: write {example}")
    if "cluster" in scheme and path:
        raise ValueError(f"a cluster has no databases and no services: write {example}")
    if "@" in service:  # or the half of a password would be shown as the service's name
        raise ValueError(f"the {scheme}:// URL has an unescaped '/' before '@': write it as %2F")
    if not _is_database(database):
        raise ValueError(f"the database of the {scheme}:// URL is no number: write {example}")
    return Address(
        scheme,
        tuple(_node(host, scheme, example) for host in hosts.split(",")),
        unquote(username) or None,
        unquote(password) or None,
        unquote(service),
        int(database or 0),
        _options(query, scheme),
    )


def _is_database(text: str) -> bool:
    return not text or (text.isascii() and text.isdecimal() and len(text) <= 9)


def _node(text: str, scheme: str, example: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0:
        raise ValueError(f"the {scheme}:// URL names no host or port: write {example}")
    return host, port or PORTS[scheme]


def _options(query: str, scheme: str) -> dict[str, Any]:
    known = TLS_OPTIONS + (SENTINEL_OPTIONS if "sentinel" in scheme else ())
    options: dict[str, Any] = dict(parse_qsl(query))
    _check_options(options, known, scheme)
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = options["ssl_check_hostname"].lower() in ("1", "true", "yes")
    return options


def _check_options(options: Iterable[str], known: Sequence[str], scheme: str) -> None:
    for name in options:
        if name not in known:
            word = f"an option {name!r}" if re.fullmatch("[a-z_]{1,30}", name) else "an option of no known name"
            raise ValueError(f"the {scheme}:// URL has {word}: it may have {', '.join(known)}")


def check_single(url: str, scheme: str) -> None:
    """Raise ValueError for the URL of one server that cannot be meant."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise ValueError(
            f"the host of the {scheme}:// URL cannot be read, or its port is no number from 0 to 65535: write "
            f"{scheme}://host:6379/0, and what is odd in a password as %2F for '/'"
        ) from None
    _check_options(dict(parse_qsl(parts.query)), SINGLE_OPTIONS, scheme)
    if scheme == "unix":
        _check_socket(parts)
        return
    if not host or port == 0 or parts.fragment:
        raise ValueError(f"the {scheme}:// URL names no host or port: write {scheme}://host:6379/0")
    if not _is_database(parts.path.strip("/")):
        raise ValueError(f"the database of the {scheme}:// URL is no number: write {scheme}://host:6379/0")


def _check_socket(parts: SplitResult) -> None:
    if not parts.path or "@" in parts.path or (parts.netloc and "@" not in parts.netloc):
        raise ValueError("the unix:// URL names no socket: write unix:///path/to/redis.sock")
