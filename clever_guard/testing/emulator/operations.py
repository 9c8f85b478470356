"""The operation log: which request did work, told by a name that the caller gave it.

A caller names an operation in the header ``X-Operation-Id``, or in the field ``operation_id`` of a JSON body. Every request that
bears a name is entered with what became of it, so that a test can tell what its client's answers and exceptions cannot:
whether the work behind a cut connection, a timeout or a 500 was done, how often, and with which bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from clever_guard.testing.emulator.exchange import Answer, Arrival, Cut

HEADER = "x-operation-id"
FIELD = "operation_id"
KEPT = 100_000
"""Entries; ``unlogged`` counts what came after."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One request that bore a name. ``status`` is what was answered, 0 where nothing was."""

    operation: str
    method: str
    path: str
    body: bytes
    worked: bool
    status: int
    cut: Cut
    late: bool

    @property
    def fate(self) -> str:
        """What became of it, in words: ``503 after work``, ``cut header after work``, ``429``."""
        if self.late or self.cut == "after":  # only what did work is ever late, or answered by a cut
            return f"late {self.status}" if self.late else "cut after"
        said = f"cut {self.cut}" if self.cut else str(self.status)
        return f"{said} after work" if self.worked and (self.cut or self.status >= 400) else said

    def plain(self) -> dict[str, Any]:
        """For JSON: the body as Latin-1, which keeps every byte."""
        return {
            "operation": self.operation,
            "method": self.method,
            "path": self.path,
            "body": self.body.decode("latin-1"),
            "worked": self.worked,
            "status": self.status,
            "cut": self.cut,
            "late": self.late,
            "fate": self.fate,
        }


class Operations:
    """The log, in order of arrival."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self.unlogged = 0

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def enter(self, arrival: Arrival, answer: Answer) -> None:
        """Note a request, if it bears a name."""
        name = operation_of(arrival)
        if name is None:
            return
        if len(self._entries) >= KEPT:
            self.unlogged += 1
            return
        said = answer.worked, answer.status, answer.cut, answer.late
        self._entries.append(Entry(name, arrival.method, arrival.path, arrival.body, *said))

    def worked(self) -> Counter[str]:
        """How often each operation was done; those that never were are absent."""
        return Counter(entry.operation for entry in self._entries if entry.worked)

    def fates(self) -> Counter[str]:
        """How many requests met each fate."""
        return Counter(entry.fate for entry in self._entries)


def operation_of(arrival: Arrival) -> str | None:
    """The name a request bears: 1 to 200 characters."""
    name: Any = arrival.headers.get(HEADER) or _field(arrival)
    return name if isinstance(name, str) and 0 < len(name) <= 200 else None


def _field(arrival: Arrival) -> Any:
    if not arrival.headers.get("content-type", "").startswith("application/json"):
        return None
    try:
        found = json.loads(arrival.body)
    except ValueError:
        return None
    return found.get(FIELD) if isinstance(found, dict) else None
