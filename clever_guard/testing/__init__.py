"""For tests, ours and our users': an emulated API, transcripts of flows, a contract for stores, the simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clever_guard.testing.clock import VirtualTime, no_waiting
    from clever_guard.testing.contracts import StoreContract
    from clever_guard.testing.emulator import Emulator, Knobs
    from clever_guard.testing.transcripts import Transcript, play

_HOMES = {
    "Emulator": "clever_guard.testing.emulator",
    "Knobs": "clever_guard.testing.emulator",
    "StoreContract": "clever_guard.testing.contracts",
    "Transcript": "clever_guard.testing.transcripts",
    "VirtualTime": "clever_guard.testing.clock",
    "no_waiting": "clever_guard.testing.clock",
    "play": "clever_guard.testing.transcripts",
}
__all__ = ["Emulator", "Knobs", "StoreContract", "Transcript", "VirtualTime", "no_waiting", "play"]


def __getattr__(name: str) -> Any:
    """Found when asked for, so that importing this package needs no extra."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
