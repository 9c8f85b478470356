"""How clients are guarded: one adapter for each library, found by what it says it can wrap.

Third parties register theirs under the entry point group ``clever_guard.adapters``.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

from clever_guard.adapters import urllib3 as _urllib3
from clever_guard.call_options import CallOptions

if TYPE_CHECKING:
    from clever_guard.guard import Guard

GROUP = "clever_guard.adapters"


class Adapter(Protocol):
    """What an adapter offers. ``wraps`` names, for people, the classes it can wrap."""

    wraps: str

    def accepts(self, client: Any, /) -> bool: ...

    def wrap(self, client: Any, guard: Guard, options: CallOptions, /) -> None: ...

    def unwrap(self, client: Any, guard: Guard, /) -> None: ...


def adapter_for(client: Any) -> Adapter:
    """The adapter for ``client``. Raises TypeError naming what can be wrapped."""
    if _urllib3.ADAPTER.accepts(client):
        return _urllib3.ADAPTER
    adapters = (_urllib3.ADAPTER, *_third_party())
    for adapter in adapters[1:]:
        if adapter.accepts(client):
            return adapter
    known = ", ".join(adapter.wraps for adapter in adapters)
    raise TypeError(f"cannot wrap {type(client).__name__}: give an object (not a class) of one of {known}")


@lru_cache(maxsize=1)
def _third_party() -> tuple[Adapter, ...]:
    return tuple(point.load() for point in entry_points(group=GROUP))
