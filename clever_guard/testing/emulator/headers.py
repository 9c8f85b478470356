"""What an answer says about its budgets: the four headers Clever documents, and Date."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from clever_guard.testing.emulator.budget import Window
from clever_guard.testing.emulator.knobs import Knobs

_YEAR_9999 = 253_370_764_800
_ODD: dict[str, Callable[[int], int]] = {
    "": lambda reset: reset,
    "past": lambda reset: reset - 7_200,
    "milliseconds": lambda reset: reset * 1_000,
    "year 9999": lambda reset: _YEAR_9999,
    "negative": lambda reset: -reset,
    "far": lambda reset: reset + 604_800,
}
"""What stands in the header in place of the epoch at which the window ends."""
_ROUND: dict[str, Callable[[float], int]] = {"floor": math.floor, "ceil": math.ceil, "nearest": round}


def quota_headers(knobs: Knobs, windows: dict[str, Window]) -> list[tuple[str, str]]:
    """X-RateLimit-*, as comma lists where several budgets are named."""
    odd, rounded = _ODD[knobs.odd_reset], _ROUND[knobs.rounding]
    resets = [odd(rounded(window.end + knobs.skew + knobs.reset_off)) for window in windows.values()]
    return [
        ("X-RateLimit-Limit", ", ".join(str(window.limit) for window in windows.values())),
        ("X-RateLimit-Remaining", ", ".join(str(max(0, window.left)) for window in windows.values())),
        ("X-RateLimit-Reset", ", ".join(map(str, resets))),
        ("X-RateLimit-Bucket", ", ".join(windows)),
    ]


def asks_to_wait(knobs: Knobs) -> list[tuple[str, str]]:
    """What a 429 or 503 says besides. Clever documents no Retry-After."""
    return [("Retry-After", knobs.retry_after)] if knobs.retry_after else []


def date_header(knobs: Knobs, now: float) -> list[tuple[str, str]]:
    """The server's clock, in whole seconds (RFC 9110 6.6.1)."""
    if not knobs.dated:
        return []
    return [("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(math.floor(now + knobs.skew))))]
