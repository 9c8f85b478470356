"""The patched ``urlopen`` of one pool.

Patched is the *instance*: a subclass, or a proxy object around a manager, is silently bypassed by most SDKs. The patch belongs
to its pool and must not own it, for a cycle would keep evicted pools and their sockets until the collector comes; so it looks
the pool's own ``urlopen`` up through the class, each time. That also keeps whoever patches the class (tracers do) in the
chain, before us or after. An instance attribute that is there already is kept, called, and put back.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import wrapt
from urllib3 import HTTPConnectionPool

from clever_guard.adapters.urllib3.call import guarded_urlopen
from clever_guard.call_options import CallOptions
from clever_guard.frames import empty_frames

if TYPE_CHECKING:
    from clever_guard.adapters.urllib3.seam import Seam
    from clever_guard.guard import Guard


@dataclass(frozen=True, slots=True)
class Watch:
    """A guard that watches a client, and the options that hold for all its calls."""

    guard: Guard
    options: CallOptions


@dataclass(slots=True, eq=False, weakref_slot=True)
class Hook:
    """What one pool's patch knows: through which clients it is wrapped (itself, its manager), and by whom."""

    owner: weakref.ref[HTTPConnectionPool]
    before: Callable[..., Any] | None
    seams: list[Seam] = field(default_factory=list)
    watches: tuple[Watch, ...] = ()

    def refresh(self) -> None:
        """Take over what the seams say now. A guard that watches through two clients is asked once."""
        self.watches = tuple(watch for seam in self.seams for watch in seam.watches)

    def urlopen(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the patch does. ``wrapped`` is the pool's own ``urlopen``."""
        pool = self.owner()
        if pool is None or not self.watches:
            return wrapped(*args, **kwargs)
        try:
            return guarded_urlopen(self.watches, pool, wrapped, args, kwargs)
        except BaseException as error:
            del args, kwargs
            empty_frames(error)
            raise


def hooked(pool: HTTPConnectionPool) -> Hook:
    """Patch ``pool``."""
    hook = Hook(weakref.ref(pool), vars(pool).get("urlopen"))
    patch(pool, "urlopen", hook.urlopen)
    return hook


def unhook(pool: HTTPConnectionPool, hook: Hook) -> bool:
    """Undo it. Under somebody else's later patch it stays where it is, and passes everything on: False."""
    return unpatch(pool, "urlopen", hook.urlopen, hook.before)


def patch(owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Put ``wrapper`` before the method ``name`` of this one object."""
    before = vars(owner).get(name)
    setattr(owner, name, wrapt.FunctionWrapper(before or _own(owner, name), wrapper))


def unpatch(owner: Any, name: str, wrapper: Callable[..., Any], before: Any) -> bool:
    """Whether ``wrapper`` was outermost, and so is gone."""
    if getattr(vars(owner).get(name), "_self_wrapper", None) != wrapper:
        return False
    if before is None:
        delattr(owner, name)
    else:
        setattr(owner, name, before)
    return True


def _own(owner: Any, name: str) -> Callable[..., Any]:
    """The method that ``owner``'s class has when it is called. Not wrapt's weak proxy, which dies with a tracer's patch."""
    weak = weakref.ref(owner)
    method = getattr(owner, name)

    @functools.wraps(method)
    def own(*args: Any, **kwargs: Any) -> Any:
        instance = weak()
        if instance is None:
            raise ReferenceError(f"the owner of this {name} is gone: keep the client, not only its method")
        return getattr(type(instance), name)(instance, *args, **kwargs)

    own.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    del own.__wrapped__  # it would own the client
    return own
