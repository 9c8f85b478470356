"""Where ledgers live: memory (one process), sqlite (one host), redis (a fleet)."""

from clever_guard.stores.memory import MemoryStore
from clever_guard.stores.open import open_store

__all__ = ["MemoryStore", "open_store"]
