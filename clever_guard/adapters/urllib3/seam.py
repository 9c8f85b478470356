"""Which clients are wrapped: managers, with the pools they have and will have, and bare pools.

A manager's ``_new_pool``, which urllib3 documents for overriding, is patched on the instance. Nothing here owns a client or a
pool. A pool may be wrapped by itself and through its manager: it has one hook all the same, so that no call takes two permits.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from urllib3 import HTTPConnectionPool, PoolManager

from clever_guard.adapters.urllib3.hook import Hook, Watch, hooked, patch, unhook, unpatch
from clever_guard.call_options import CallOptions

if TYPE_CHECKING:
    from clever_guard.guard import Guard


@dataclass(slots=True, eq=False, weakref_slot=True)
class Seam:
    """One wrapped client: who watches it, and which pools were patched for it. Owned by the patches."""

    hook: Callable[[HTTPConnectionPool, Seam], None]
    before: Callable[..., Any] | None
    watches: list[Watch] = field(default_factory=list)
    pools: weakref.WeakSet[HTTPConnectionPool] = field(default_factory=weakref.WeakSet)

    def new_pool(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the patched ``_new_pool`` of a manager does. urllib3 calls it under the manager's lock."""
        pool = wrapped(*args, **kwargs)
        if self.watches:
            self.hook(pool, self)
        return pool


class Urllib3Adapter:
    """Wraps managers and pools. Its lock is never held while urllib3's own are taken."""

    wraps = "urllib3.PoolManager, urllib3.ProxyManager, urllib3.HTTPConnectionPool"

    def __init__(self) -> None:
        self._seams: weakref.WeakKeyDictionary[Any, weakref.ref[Seam]] = weakref.WeakKeyDictionary()
        self._hooks: weakref.WeakKeyDictionary[HTTPConnectionPool, weakref.ref[Hook]] = weakref.WeakKeyDictionary()
        self.start_anew()

    def start_anew(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.RLock()  # a signal handler may open a connection pool while its own thread does

    def accepts(self, client: Any, /) -> bool:
        return isinstance(client, PoolManager | HTTPConnectionPool)

    def wrap(self, client: Any, guard: Guard, options: CallOptions, /) -> None:
        pools = _pools_of(client)
        with self._lock:
            seam = self._seam_of(client)
            if seam is not None and any(watch.guard is guard for watch in seam.watches):
                return
            _check_disjoint(guard, [*(seam.watches if seam else ()), *self._watching(pools)])
            seam = seam or self._open(client)
            seam.watches.append(Watch(guard, options))
        for pool in _pools_of(client):
            self._hook(pool, seam)

    def unwrap(self, client: Any, guard: Guard, /) -> None:
        with self._lock:
            seam = self._seam_of(client)
            if seam is None:
                return
            seam.watches[:] = [watch for watch in seam.watches if watch.guard is not guard]
            for pool in list(seam.pools):
                self._renew(pool, seam)
            if not seam.watches:
                self._close(client, seam)

    def _open(self, client: Any) -> Seam:
        seam = Seam(self._hook, vars(client).get("_new_pool"))
        self._seams[client] = weakref.ref(seam)
        if not isinstance(client, HTTPConnectionPool):
            patch(client, "_new_pool", seam.new_pool)
        return seam

    def _close(self, client: Any, seam: Seam) -> None:
        """Under somebody else's later patch the seam stays, without watches, and may be taken up again."""
        if isinstance(client, HTTPConnectionPool) or unpatch(client, "_new_pool", seam.new_pool, seam.before):
            del self._seams[client]

    def _hook(self, pool: HTTPConnectionPool, seam: Seam) -> None:
        with self._lock:
            hook = self._hook_of(pool)
            if hook is None:
                hook = hooked(pool)
                self._hooks[pool] = weakref.ref(hook)
            if seam not in hook.seams:
                hook.seams.append(seam)
                seam.pools.add(pool)
            hook.refresh()

    def _renew(self, pool: HTTPConnectionPool, seam: Seam) -> None:
        hook = self._hook_of(pool)
        if hook is None:
            return
        if not seam.watches:
            hook.seams.remove(seam)
            seam.pools.discard(pool)
        hook.refresh()
        if not hook.seams and unhook(pool, hook):
            del self._hooks[pool]

    def _seam_of(self, client: Any) -> Seam | None:
        reference = self._seams.get(client)
        return reference() if reference is not None else None

    def _hook_of(self, pool: HTTPConnectionPool) -> Hook | None:
        reference = self._hooks.get(pool)
        return reference() if reference is not None else None

    def _watching(self, pools: list[HTTPConnectionPool]) -> list[Watch]:
        hooks = [self._hook_of(pool) for pool in pools]
        return [watch for hook in hooks if hook is not None for watch in hook.watches]


ADAPTER = Urllib3Adapter()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ADAPTER.start_anew)


def _pools_of(client: Any) -> list[HTTPConnectionPool]:
    if isinstance(client, HTTPConnectionPool):
        return [client]
    pools = [client.pools.get(key) for key in client.pools.keys()]  # noqa: SIM118  (its container cannot be iterated)
    return [pool for pool in pools if pool is not None]


def _check_disjoint(guard: Guard, watches: list[Watch]) -> None:
    for watch in watches:
        mine, theirs = guard.hosts, watch.guard.hosts
        if watch.guard is not guard and (mine is None or theirs is None or mine & theirs):
            raise ValueError(
                f"this client is wrapped by the guard {watch.guard.name!r} already: unwrap it first, "
                "or give both guards hosts=[...] that have none in common"
            )
