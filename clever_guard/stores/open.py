"""Which store a user means: nothing, a URL, a client, or a store object."""

from __future__ import annotations

import inspect
import os
from typing import Any
from urllib.parse import urlsplit

from clever_guard.quota.store import Store
from clever_guard.stores.memory import MemoryStore

KNOWN = "memory://, sqlite:///path/to/file, redis://host:6379/0, rediss://host:6379/0 or unix:///path/to/socket"


def chosen(what: Any) -> Any:
    """What the user named, else what ``CLEVER_GUARD_STORE`` names."""
    return os.environ.get("CLEVER_GUARD_STORE") or None if what is None else what


def open_store(what: Any = None) -> Store:
    """The store for ``what``. None and ``memory://`` are this process alone.

    Raises ValueError with what is wrong and what to write instead; the sentence never shows a password. No Redis is spoken to
    here: one that is down is met at the first call, not at import. A sqlite file is made and opened.
    """
    if what is None:
        return MemoryStore()
    if isinstance(what, str):
        return _from_url(what)
    if isinstance(what, Store):
        return what
    if inspect.iscoroutinefunction(getattr(what, "execute_command", None)):
        raise ValueError(f"{type(what).__name__} is an asyncio client: hand in redis.Redis, or a URL ({KNOWN})")
    if hasattr(what, "evalsha") and hasattr(what, "pipeline"):
        from clever_guard.stores.redis import RedisStore

        return RedisStore(what)
    raise ValueError(
        f"{type(what).__name__} is no store: give a URL ({KNOWN}), a redis client, or an object with execute()"
    )


def _from_url(url: str) -> Store:
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme == "memory":
        return MemoryStore()
    if scheme == "sqlite":
        from clever_guard.stores.sqlite import SqliteStore

        return SqliteStore(_path(url))
    if scheme in ("redis", "rediss", "unix"):
        from clever_guard.stores.redis import RedisStore

        _check_redis(url, scheme)
        return RedisStore.from_url(url)
    if scheme in ("redis+cluster", "redis+sentinel"):
        raise ValueError(f"{scheme}:// is not understood yet: hand in a redis client, or write redis://host:6379/0")
    raise ValueError(f"no store is called {scheme + '://' if scheme else 'that'}: write {KNOWN}")


def _path(url: str) -> str:
    path = url.removeprefix("sqlite://")
    if not path.startswith("/") or path == "/":
        raise ValueError(
            "a sqlite store needs the file after three slashes: sqlite:///relative.db or sqlite:////absolute.db"
        )
    return path[1:]


def _check_redis(url: str, scheme: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(
            f"the port of the {scheme}:// URL is no number from 0 to 65535: write {scheme}://host:6379/0"
        ) from None
    if scheme == "unix":
        if not parts.path:
            raise ValueError("the unix:// URL names no socket: write unix:///path/to/redis.sock")
        return
    if not parts.hostname or port == 0:
        raise ValueError(f"the {scheme}:// URL names no host or port: write {scheme}://host:6379/0")
    database = parts.path.strip("/")
    if database and not database.isdecimal():
        raise ValueError(f"the database of the {scheme}:// URL is no number: write {scheme}://host:6379/0")
