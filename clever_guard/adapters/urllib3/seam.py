"""Which objects are patched.

A pool's ``urlopen`` and a manager's ``_new_pool`` (which urllib3 documents for overriding) are patched on the *instance*,
through weak proxies: a wrapper that owned its pool would keep evicted pools and their sockets alive. A subclass or a proxy
object around a manager is silently bypassed by most SDKs; the instance is not. Undone by deleting the instance attribute.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import wrapt
from urllib3 import HTTPConnectionPool, PoolManager

from clever_guard.adapters.urllib3.call import guarded_urlopen
from clever_guard.call_options import CallOptions

if TYPE_CHECKING:
    from clever_guard.guard import Guard


Owner = Callable[[], HTTPConnectionPool | None]
"""A weak reference to the pool: wrapt hands a weakly held method over without its instance."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A guard that watches a client, and the options that hold for all its calls."""

    guard: Guard
    options: CallOptions


@dataclass(slots=True, eq=False, weakref_slot=True)
class Seam:
    """What is patched for one wrapped client. Does not own the client or its pools."""

    watches: list[Watch] = field(default_factory=list)
    pools: weakref.WeakSet[HTTPConnectionPool] = field(default_factory=weakref.WeakSet)

    def urlopen(self, owner: Owner, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        pool = owner()
        assert pool is not None, "a pool's urlopen was called after the pool was gone"
        return guarded_urlopen(self.watches, pool, wrapped, args, kwargs)

    def new_pool(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        pool = wrapped(*args, **kwargs)
        self.patch(pool)
        return pool

    def patch(self, pool: HTTPConnectionPool) -> None:
        if pool not in self.pools:
            self.pools.add(pool)
            _patch(pool, "urlopen", partial(self.urlopen, weakref.ref(pool)))


class Urllib3Adapter:
    """Wraps managers (with the pools they have and will have) and bare pools."""

    wraps = "urllib3.PoolManager, urllib3.ProxyManager, urllib3.HTTPConnectionPool"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seams: weakref.WeakKeyDictionary[Any, Seam] = weakref.WeakKeyDictionary()

    def accepts(self, client: Any, /) -> bool:
        return isinstance(client, PoolManager | HTTPConnectionPool)

    def wrap(self, client: Any, guard: Guard, options: CallOptions, /) -> None:
        with self._lock:
            seam = self._seams.get(client)
            if seam is None:
                seam = self._seams[client] = Seam()
                seam.watches.append(Watch(guard, options))
                _open_seam(client, seam)
            elif all(watch.guard is not guard for watch in seam.watches):
                _check_disjoint(guard, seam.watches)
                seam.watches.append(Watch(guard, options))

    def unwrap(self, client: Any, guard: Guard, /) -> None:
        with self._lock:
            seam = self._seams.get(client)
            if seam is None:
                return
            seam.watches[:] = [watch for watch in seam.watches if watch.guard is not guard]
            if not seam.watches:
                _close_seam(client, seam)
                del self._seams[client]


ADAPTER = Urllib3Adapter()


def _open_seam(client: Any, seam: Seam) -> None:
    if isinstance(client, HTTPConnectionPool):
        seam.patch(client)
        return
    _patch(client, "_new_pool", seam.new_pool)
    for key in client.pools.keys():  # noqa: SIM118  (a RecentlyUsedContainer cannot be iterated)
        pool = client.pools.get(key)
        if pool is not None:
            seam.patch(pool)


def _close_seam(client: Any, seam: Seam) -> None:
    for pool in list(seam.pools):
        vars(pool).pop("urlopen", None)
    vars(client).pop("_new_pool", None)


def _patch(owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
    setattr(owner, name, wrapt.FunctionWrapper(wrapt.WeakFunctionProxy(getattr(owner, name)), wrapper))


def _check_disjoint(guard: Guard, watches: list[Watch]) -> None:
    for watch in watches:
        mine, theirs = guard.hosts, watch.guard.hosts
        if mine is None or theirs is None or mine & theirs:
            raise ValueError(
                f"this client is wrapped by the guard {watch.guard.name!r} already: unwrap it first, "
                "or give both guards hosts=[...] that have none in common"
            )
