"""urllib3's own retry layer: what the caller asked for, and one that repeats nothing."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from urllib3 import HTTPConnectionPool
from urllib3.util.retry import Retry

NO_RETRIES = Retry(0)


def own_retries(pool: HTTPConnectionPool, arguments: dict[str, Any]) -> Retry:
    """The caller's Retry, else the pool's, as ``urlopen`` reads its arguments."""
    retries = arguments.get("retries")
    if isinstance(retries, Retry):
        return retries
    return Retry.from_int(retries, redirect=arguments.get("redirect", True), default=pool.retries)


@lru_cache(maxsize=64)
def silenced(retries: Retry) -> Retry | bool:
    """A Retry that repeats nothing; where the caller's lets the bare exception out instead of MaxRetryError, so does this.

    Remembered by identity: urllib3 never changes a Retry, it makes new ones.
    """
    if retries.total is False:
        return False
    connect, read, other = (
        None if given is not False else given for given in (retries.connect, retries.read, retries.other)
    )
    if connect is read is other is None and retries.allowed_methods == Retry.DEFAULT_ALLOWED_METHODS:
        return NO_RETRIES
    return Retry(0, connect=connect, read=read, other=other, allowed_methods=retries.allowed_methods)
