"""What an answer says about its budgets: the four headers Clever documents, and Date."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from clever_guard.testing.emulator.budget import Window
from clever_guard.testing.emulator.knobs import Knobs

_ROUND: dict[str, Callable[[float], int]] = {"floor": math.floor, "ceil": math.ceil, "nearest": round}


def quota_headers(knobs: Knobs, windows: dict[str, Window]) -> list[tuple[str, str]]:
    """X-RateLimit-*, as comma lists where several budgets are named."""
    resets = [_ROUND[knobs.rounding](window.end + knobs.skew) for window in windows.values()]
    return [
        ("X-RateLimit-Limit", ", ".join(str(window.limit) for window in windows.values())),
        ("X-RateLimit-Remaining", ", ".join(str(max(0, window.left)) for window in windows.values())),
        ("X-RateLimit-Reset", ", ".join(map(str, resets))),
        ("X-RateLimit-Bucket", ", ".join(windows)),
    ]


def date_header(knobs: Knobs, now: float) -> list[tuple[str, str]]:
    """The server's clock, in whole seconds (RFC 9110 6.6.1)."""
    if not knobs.dated:
        return []
    return [("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(math.floor(now + knobs.skew))))]
