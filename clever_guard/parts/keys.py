"""Whose budget a request draws on: the key (a token), and the identity made of it.

The token itself stays in this process. What leaves it (store keys, labels) is a keyed BLAKE2b digest; without a secret the
digest is only as hard to guess as the token is random.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from clever_guard.model import Request


class Key(Protocol):
    """The token of a request, or None when it draws on no budget."""

    def __call__(self, request: Request, /) -> str | None: ...


@dataclass(frozen=True, slots=True)
class BearerToken:
    """The token of ``Authorization: Bearer ...`` (RFC 6750 2.1; the scheme is compared without case, RFC 9110 11.1).

    None without such a header. Raises ValueError for a token with CR, LF or another control character: it cannot be sent,
    and the sentence does not show it.
    """

    def __call__(self, request: Request, /) -> str | None:
        value = request.headers.get("Authorization")
        if value is None:
            return None
        scheme, _, token = value.partition(" ")
        token = token.strip(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        if not token.isprintable():
            raise ValueError("the bearer token contains a control character (a line end?); strip it before sending")
        return token


@lru_cache(maxsize=4096)
def identity(token: str, secret: bytes) -> str:
    """32 hex digits that stand for ``token`` outside this process."""
    key = hashlib.blake2b(secret, digest_size=32).digest() if secret else b""
    return hashlib.blake2b(token.encode("utf-8", "surrogateescape"), digest_size=16, key=key).hexdigest()


def fingerprint(secret: bytes) -> str:
    """16 hex digits by which workers notice that their secrets differ."""
    return hashlib.blake2b(b"clever_guard fingerprint", digest_size=8, key=hashlib.blake2b(secret).digest()).hexdigest()
