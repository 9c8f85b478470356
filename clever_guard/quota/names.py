"""Names that may be stored and shown: what the server or a user calls a bucket or a route, made harmless."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,32}")


@lru_cache(maxsize=1024)
def plain(name: str) -> str:
    """``name`` itself where it is a short plain word (or empty), else a digest of it. Total and deterministic."""
    if not name or _PLAIN.fullmatch(name):
        return name
    return "x" + hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def shown(label: str, bucket: str) -> str:
    """How a bucket is shown: the identity's label, and the server's name for it."""
    return f"{label}:{bucket}" if bucket else label
