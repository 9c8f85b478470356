"""Which store a user means: nothing, a URL, a client, or a store object."""

from __future__ import annotations

import inspect
import os
import re
from typing import Any

from clever_guard.frames import empty_frames
from clever_guard.quota.store import Store
from clever_guard.stores.memory import MemoryStore

REDIS = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel")
KNOWN = (
    "memory://, sqlite:///path/to/file, redis://host:6379/0, rediss://host:6379/0, unix:///path/to/socket, "
    "redis+cluster://host:6379 or redis+sentinel://host:26379/service/0"
)


class StoreUrl(str):
    """A URL whose ``repr`` shows its scheme only: a traceback with locals would show the password in it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"StoreUrl({_scheme(self)}...)"


def chosen(what: Any) -> Any:
    """What the user named, else what ``CLEVER_GUARD_STORE`` names."""
    named = os.environ.get("CLEVER_GUARD_STORE") or None if what is None else what
    return StoreUrl(named) if isinstance(named, str) else named


def open_store(what: Any = None) -> Store:
    """The store for ``what``. None and ``memory://`` are this process alone.

    Raises ValueError with what is wrong and what to write instead; the sentence never shows a password. No Redis is spoken to
    here: one that is down is met at the first call, not at import. A sqlite file is made and opened.
    """
    if what is None:
        return MemoryStore()
    if isinstance(what, str):
        what = StoreUrl(what)
        return _opened(what)
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


def _opened(url: StoreUrl) -> Store:
    """An error leaves no parts of the URL in the variables of its frames."""
    try:
        return _from_url(url)
    except ValueError as error:
        empty_frames(error)
        raise


def _from_url(url: str) -> Store:
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme == "memory":
        return MemoryStore()
    if scheme == "sqlite":
        from clever_guard.stores.sqlite import SqliteStore

        return SqliteStore(_path(url))
    if scheme in REDIS:
        from clever_guard.stores.redis import RedisStore

        return RedisStore.from_url(url)
    raise ValueError(f"no store is called {_scheme(url) or 'that'}: write {KNOWN}")


def _scheme(url: str) -> str:
    """With its ``://``, for people; nothing where it might be anything else, such as the half of a password."""
    match = re.match(r"[a-z][a-z0-9+]{1,15}://", url)
    return match.group() if match else ""


def _path(url: str) -> str:
    path = url.removeprefix("sqlite://")
    if not path.startswith("/") or path == "/":
        raise ValueError(
            "a sqlite store needs the file after three slashes: sqlite:///relative.db or sqlite:////absolute.db"
        )
    if not path.isprintable():
        raise ValueError("the path of the sqlite store holds characters that no file's name should have")
    return path[1:]
