"""Ledgers of a fleet: one Redis hash for each identity, one Lua script for each command, Redis TIME as the clock.

One server, a cluster (an identity is one key, so one slot) or whatever sentinels name; Redis or Valkey. How the server fails is
the same to the guard in every case, StoreUnavailable with a reason; only what is done about the connection differs:

    NOSCRIPT           the script is sent along, for a call refused so did nothing
    READONLY           connections are dropped: the name may lead to another server by now
    MOVED, ASK         the cluster client follows; nothing was done
    a late answer      its connection is closed, never pooled (redis-py does that at a timeout)
    anything else      LOADING, BUSY, OOM, CLUSTERDOWN, NOAUTH, NOPERM, ...: said in words, and nothing is sent again
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

from clever_guard.errors import StoreUnavailable
from clever_guard.quota.store import Answer, Command
from clever_guard.stores.redis_clients import client_maker, family_of, place_of, unlock
from clever_guard.stores.wire import answer_of, arguments, text_of

PREFIX = "cg:1:"
"""The schema's version is in the key: two versions of the library keep out of each other's ledgers."""
DEADLINE = 0.25
FINGERPRINT_LIFE = 30 * 86_400
SCRIPT = (files("clever_guard.stores") / "ledger.lua").read_text("utf-8")
SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
log = logging.getLogger("clever_guard")
_parents: list[Any] = []
"""Clients of the parent, in a forked child: never used, and never let go, for that would close their connections."""
Call = tuple[str, list[str]]
"""Key and arguments."""


class RedisStore:
    """A store for a fleet. Thread-safe; a forked child opens connections of its own.

    ``client``: a client of redis-py or valkey-py, also for a cluster or of a sentinel; its timeouts and retries are the owner's
    business. ``from_url`` makes one with ``deadline`` seconds for connecting and for each answer, when it is first needed.
    Raises nothing but StoreUnavailable, whose sentence names hosts and ports only.
    """

    shared = True

    def __init__(self, client: Any, *, clock: Any = None) -> None:
        self._client = client
        self._make: Callable[[], Any] | None = None
        self._making = threading.RLock()  # a signal handler may come here while its own thread connects
        self._clock = clock
        self._script_failed = False
        self._pid = os.getpid()
        self._family = family_of(client)
        self.place = "" if client is None else place_of(client)

    @classmethod
    def from_url(cls, url: str, *, deadline: float = DEADLINE) -> RedisStore:
        """A store with a client of its own. Raises ValueError for a URL that cannot be meant."""
        store = cls(None)
        store._make, store.place = client_maker(url, deadline)
        return store

    def __repr__(self) -> str:
        return f"RedisStore({self.place})"

    def execute(self, commands: Sequence[Command], /) -> Sequence[Answer]:
        """Apply ``commands`` in one round trip (a cluster: one for each). Raises StoreUnavailable."""
        calls = [(key_of(command.identity), self._arguments(command)) for command in commands]
        try:
            client = self._connected()
            replies = self._send(client, calls)
            for n, reply in enumerate(replies):
                if isinstance(reply, self._family.no_script):
                    key, arguments = calls[n]
                    replies[n] = client.eval(SCRIPT, 1, key, *arguments)
        except self._family.failures as error:
            raise self._unavailable(error) from None
        except BaseException:
            self._drop_idle()
            raise
        for reply in replies:
            if isinstance(reply, Exception):
                raise self._unavailable(reply) from None
        return [answer_of(reply) for reply in replies]

    def fingerprint(self, mine: str, /) -> str | None:
        """Leave the fleet's secret fingerprint if none is there; return the one that is. Raises StoreUnavailable."""
        key = PREFIX + "{fleet}:fingerprint"
        try:
            client = self._connected()
            client.set(key, mine, nx=True, ex=FINGERPRINT_LIFE)
            return text_of(client.get(key) or mine)
        except self._family.failures as error:
            raise self._unavailable(error) from None
        except BaseException:
            self._drop_idle()
            raise

    def close(self) -> None:
        """Close the client if it is our own. Idempotent; a later command connects anew."""
        if self._make is not None and self._client is not None:
            self._client.close()

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held any lock, the client's too. Our own is made anew."""
        self._making = threading.RLock()
        if self._make is None:
            unlock(self._client)
        else:
            _parents.append(self._client)
            self._client = None

    def _connected(self) -> Any:
        """The client, made when it is first needed: a cluster's asks a node for its slots at once.

        After a fork the parent's sockets are its own: an answer read here would be missing there.
        """
        if self._client is None and self._make is not None:
            with self._making:
                self._client = self._client or self._make()
        if self._pid != os.getpid():
            self._pid = os.getpid()
            pool = getattr(self._client, "connection_pool", None)
            if self._make is None and pool is not None:
                pool.reset()
        return self._client

    def _send(self, client: Any, calls: list[Call]) -> list[Any]:
        """The replies, errors among them. A cluster has no pipeline over slots that never sends anything twice."""
        if len(calls) == 1 or hasattr(client, "nodes_manager"):
            return [self._send_one(client, *call) for call in calls]
        pipeline = client.pipeline(transaction=False)
        for key, words in calls:
            pipeline.evalsha(SHA, 1, key, *words)
        replies: list[Any] = pipeline.execute(raise_on_error=False)
        return replies

    def _send_one(self, client: Any, key: str, arguments: list[str]) -> Any:
        try:
            return client.evalsha(SHA, 1, key, *arguments)
        except self._family.no_script as error:
            return error

    def _arguments(self, command: Command) -> list[str]:
        return [str(self._clock()) if self._clock is not None else "", *arguments(command)]

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        if isinstance(error, self._family.read_only):
            self._drop_connections()
        elif isinstance(error, self._family.response) and "script" in str(error).lower():
            if not self._script_failed:
                log.error("the ledger script failed in %s: %s", self.place, error)
            self._script_failed = True
        return StoreUnavailable(f"{self.place} does not serve: {self._reason(error)}")

    def _drop_connections(self) -> None:
        pool = getattr(self._client, "connection_pool", None)
        if pool is not None:
            with contextlib.suppress(*self._family.failures):
                pool.disconnect()

    def _drop_idle(self) -> None:
        """The client was interrupted: the connection it had may be half open, and is back in the pool. Others' are let be."""
        pool = getattr(self._client, "connection_pool", None)
        if pool is not None:
            with contextlib.suppress(TypeError, *self._family.failures):
                pool.disconnect(inuse_connections=False)

    def _reason(self, error: Exception) -> str:
        """What went wrong, without the addresses and credentials that messages of a client may hold."""
        if isinstance(error, self._family.timeout | TimeoutError):
            return "no answer in time"
        if isinstance(error, self._family.authentication):
            return "it does not accept the user or password (AuthenticationError)"
        if isinstance(error, self._family.response):
            return f"{type(error).__name__}: {str(error)[:120]}"
        if isinstance(error, OSError) or type(error) is self._family.connection:
            return "no connection"
        return type(error).__name__


def key_of(identity: str) -> str:
    """The braces are the hash tag: all that belongs to one identity is in one slot of a cluster."""
    return PREFIX + "{" + identity + "}"
