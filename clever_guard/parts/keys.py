"""Whose budget a request draws on: the key (a token), and the identity made of it.

The token itself stays in this process. What leaves it (store keys, labels) is a keyed BLAKE2b digest; without a
secret the key is one that everybody has, and the digest is only as hard to guess as the token is random.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from clever_guard.model import Request

KEPT = 1024
"""Tokens and identities that are remembered instead of read and digested anew; both stay in this process."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Key(Protocol):
    """The token of a request, or None when it draws on no budget. A plain function will do."""

    def __call__(self, request: Request, /) -> str | None: ...


@dataclass(frozen=True, slots=True)
class BearerToken:
    """The token of ``Authorization: Bearer ...`` (RFC 6750 2.1; the scheme is compared without case, RFC 9110 11.1).

    None without such a header. Raises ValueError for a token with CR, LF or another control character: it cannot be
    sent, and the sentence does not show it.
    """

    def __call__(self, request: Request, /) -> str | None:
        value = request.headers.get("Authorization")
        return _bearer(value) if isinstance(value, str) else None


@lru_cache(maxsize=KEPT)
def _bearer(value: str) -> str | None:
    scheme, _, token = value.strip(" ").partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    if _CONTROL.search(token):
        raise ValueError("the bearer token contains a control character (a line end?); strip it before sending")
    return token


@lru_cache(maxsize=KEPT)
def identity(token: str, secret: bytes) -> str:
    """32 hex digits that stand for ``token`` outside this process. ``secret`` may have any length, 0 too."""
    return _keyed(token.encode("utf-8", "surrogatepass"), secret, 16)


def fingerprint(secret: bytes) -> str:
    """16 hex digits by which workers notice that their secrets differ."""
    return _keyed(b"clever_guard fingerprint", secret, 8)


def _keyed(text: bytes, secret: bytes, size: int) -> str:
    """A BLAKE2b key has at most 64 bytes and a secret may have more, so the key is the secret's own digest."""
    return hashlib.blake2b(text, digest_size=size, key=hashlib.blake2b(secret).digest()).hexdigest()
