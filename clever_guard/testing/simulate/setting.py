"""What one schedule is like."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Fleet, server, network and faults of one schedule. Seconds, shares, and mean seconds between faults (0: never)."""

    limit: int = 60
    window: float = 6.0
    workers: int = 8
    threads: int = 1
    latency: tuple[float, float] = (0.002, 0.03)
    slow_latency: tuple[float, float] | None = None
    """Of every second worker."""
    phase: float = 0.0
    skew: float = 0.0
    rounding: str = "floor"
    windows: int = 9
    told_window: float | None = None
    """What the user said, where it is wrong."""
    at_completion: bool = False
    dated: bool = True
    other_tick: float = 0.0
    """Date comes from a clock that is off by up to this, anew for each answer."""
    first_hit: bool = False
    headerless: float = 0.0
    stranger: float = 0.0
    stranger_at: str = "spread"
    surges: bool = False
    idle: bool = False
    reserve: int = 0
    """Permits that the second half of the workers leaves to the first."""
    lost_requests: float = 0.0
    lost_replies: float = 0.0
    lost_commands: float = 0.0
    kill: float = 0.0
    stop: float = 0.0
    outage: float = 0.0
    """The store answers nobody for a while."""
    cut_off: float = 0.0
    """The store does not answer one worker for a while."""
    forget: float = 0.0
    failover: float = 0.0
    failover_step: float = 0.0
    """Largest step of the store's clock at a failover."""
    store_step: float = 0.0
    """Largest step of the store's clock, every two and a half windows."""
    set_back: bool = False
    limit_changes: bool = False


def common(chance: random.Random) -> dict[str, object]:
    """What every row varies: limits 60-300 per 6-20 s, 1-32 workers, phase, skew -300..+40 s, all roundings."""
    window = chance.choice([6.0, 10.0, 20.0])
    return {
        "limit": chance.choice([60, 100, 200, 300]),
        "window": window,
        "workers": chance.choice([1, 2, 4, 8, 16, 32]),
        "phase": chance.uniform(0, window),
        "skew": chance.uniform(-300, 40),
        "rounding": chance.choice(["floor", "ceil", "nearest"]),
    }
