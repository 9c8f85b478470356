"""A ledger as a line of integers, the same in sqlite and in Redis, and distrusted when it is read back."""

from __future__ import annotations

import json
import re
from typing import Any

from clever_guard.quota.ledger import Ledger
from clever_guard.quota.record import MAX_NAMES, MAX_ROUTES, Record

FIELDS = [
    "limit",
    "last",
    "slot",
    "since",
    "r_min",
    "reset",
    "lo",
    "hi",
    "out",
    "out",
    "out",
    "gone",
    "gone_at",
    "drawers",
    "drawers",
    "adopted",
    "heard",
    "seen",
    "scout",
    "flight",
    "drawn",
    "appointed",
    "awaited",
    "stride",
    "opened",
    "fixed",
    "changed",
    "margin",
    "pause",
    "struck",
    "strikes",
    "pace",
    "spent",
    "stranger",
    "early",
    "answered",
    "refused",
]
"""Order of the integers; ``stores/ledger.lua`` has the same."""
AHEAD = 400 * 86_400_000
"""No window and no pause ends so many milliseconds after the last command."""
BEHIND = 60_000
"""What has happened is not later than the last command, but for two buckets of one record whose times differ by a TTL at most."""
CEILINGS = {
    "slot": AHEAD,
    "drawers": 1_000_000,
    "flight": 60_000,
    "margin": 10_000,
    "strikes": 20,
    "appointed": 1,
    "fixed": 1,
    "pace": 1,
}
"""The most that each of these is ever set to; the least is 0. The Lua has the same."""
HAPPENED = ("adopted", "seen", "scout", "struck", "changed")
COMING = ("since", "lo", "hi", "awaited", "pause")
_LINE = re.compile(r"-?[0-9]{1,15}(?: -?[0-9]{1,15}){" + str(len(FIELDS) - 1) + "}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{0,32}")


def line_of(ledger: Ledger) -> str:
    """The integers, separated by spaces."""
    numbers: list[int] = []
    for name in dict.fromkeys(FIELDS):
        value = getattr(ledger, name)
        numbers.extend(value if isinstance(value, list) else [value])
    return " ".join(map(str, numbers))


def ledger_of(line: str) -> Ledger | None:
    """The ledger, or None for anything that is not one: then it starts anew."""
    if not _LINE.fullmatch(line):
        return None
    values: dict[str, list[int]] = {}
    for name, number in zip(FIELDS, line.split(" "), strict=True):
        values.setdefault(name, []).append(int(number))
    if not _is_possible(values):
        return None
    lists = ("out", "drawers")
    return Ledger(**{name: value if name in lists else value[0] for name, value in values.items()})  # type: ignore[arg-type]


def _is_possible(values: dict[str, list[int]]) -> bool:
    """Whether some ledger may hold these numbers. One that may not would hold a fleet up for years, or divide by zero."""
    last = values["last"][0]
    return (
        values["limit"][0] >= 1
        and values["slot"][0] >= 1
        and min(values["out"]) >= 0
        and all(0 <= number <= most for name, most in CEILINGS.items() for number in values[name])
        and all(values[name][0] <= last + BEHIND for name in HAPPENED)
        and all(values[name][0] <= last + AHEAD for name in COMING)
    )


def body_of(record: Record) -> str:
    """A record as JSON."""
    ledgers = {name: line_of(ledger) for name, ledger in record.ledgers.items()}
    return json.dumps({"routes": record.routes, "ledgers": ledgers}, separators=(",", ":"))


def record_of(body: str) -> Record:
    """The record; what is not understood in it is left out. Total: any text gives one."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):  # JSON may be nested deeper than Python's stack
        found = None
    record = Record()
    for name, line in _entries(found, "ledgers"):
        ledger = ledger_of(line) if isinstance(line, str) and _NAME.fullmatch(name) else None
        if ledger is not None:
            record.ledgers[name] = ledger
    for route, names in _entries(found, "routes")[:MAX_ROUTES]:
        if isinstance(names, list) and 0 < len(names) <= MAX_NAMES and all(_is_known(name, record) for name in names):
            record.routes[route] = tuple(names)
    return record


def _entries(found: Any, name: str) -> list[tuple[str, Any]]:
    """The entries of one JSON object in another; its names are texts."""
    entries = found.get(name) if isinstance(found, dict) else None
    return list(entries.items()) if isinstance(entries, dict) else []


def _is_known(name: Any, record: Record) -> bool:
    return isinstance(name, str) and name in record.ledgers
