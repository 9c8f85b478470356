"""What can be turned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

COLLECTIONS = ("students", "teachers", "schools", "sections", "districts", "contacts", "courses", "terms", "events")

SHARES = (
    "headerless",
    "stranger",
    "error_rate",
    "error_after",
    "drop_before",
    "drop_upload",
    "drop_after",
    "drop_header",
    "drop_body",
    "stall_after",
)
"""Knobs from 0 to 1."""
OddReset: TypeAlias = Literal["", "past", "milliseconds", "year 9999", "negative", "far"]
"""Two hours ago, a thousandfold, the end of time, with a minus, a week ahead."""
MOST = 10**9
"""Of anything: a clock that is set by more has no date."""
SHORTEST = 0.001
"""Seconds of a window."""


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """Every default is Clever's documentation. Times in seconds. Raises ValueError in one sentence for what cannot be."""

    limit: int = 1200
    window: float = 60.0
    phase: float = 0.0
    """Where in the epoch the windows begin."""
    skew: float = 0.0
    """How far the server's clock is ahead of the true time."""
    rounding: Literal["floor", "ceil", "nearest"] = "ceil"
    """Of X-RateLimit-Reset, to whole seconds."""
    dated: bool = True
    """Whether answers carry a Date."""
    first_hit: bool = False
    """Windows open with the first request instead of at fixed times."""
    headerless: float = 0.0
    """Share of the 200s that carry no quota headers."""
    latency: float | tuple[float, float] = 0.0
    reset_off: float = 0.0
    """Seconds by which X-RateLimit-Reset is later than the end of the window."""
    odd_reset: OddReset = ""
    """What it says instead."""
    retry_after: str = ""
    """The text of a Retry-After on every 429 and 503."""
    error_rate: float = 0.0
    """Share of requests answered with one of ``error_codes`` in place of any work."""
    error_after: float = 0.0
    """Share of those that did their work and are answered so all the same."""
    error_codes: tuple[int, ...] = (500, 502, 503)
    drop_before: float = 0.0
    """Share of requests whose connection is cut before anything is processed or counted."""
    drop_upload: float = 0.0
    """Share of requests with a body whose connection is cut while the body is on its way: nothing is processed or counted."""
    drop_after: float = 0.0
    """Share whose connection is cut after the work was done, in place of the answer."""
    drop_header: float = 0.0
    """Share of answers that break off within the header."""
    drop_body: float = 0.0
    """Share of answers that break off within the body."""
    stall_after: float = 0.0
    """Share of those that did their work and are answered ``stall`` seconds late, when a client has given up waiting."""
    stall: float = 1.0
    stranger: float = 0.0
    """Share of each window that somebody else takes with the same token."""
    stranger_at: Literal["spread", "reset"] = "spread"
    buckets: Mapping[str, int] = field(default_factory=dict)
    """Several budgets in one header, name to limit (Clever has answered ``all, none`` with ``200, 1200``)."""
    bucket: str = ""
    """The name of the one bucket there is; default: six hex digits made of the token. Turned in mid-run, it is renamed."""
    one_budget: bool = False
    """All tokens draw on one budget."""
    records: int = 1000
    """In each collection."""
    absolute_links: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _whole("limit", self.limit, 1)
        _whole("records", self.records, 0)
        _whole("seed", self.seed, -MOST)
        self._check_buckets()
        self._check_codes()
        for name in ("window", "phase", "skew"):
            _seconds(name, getattr(self, name), -MOST)
        if not self.window >= SHORTEST:
            raise ValueError(f"window={self.window}: give a number of seconds of {SHORTEST} or more")
        if self.rounding not in ("floor", "ceil", "nearest"):
            raise ValueError(f"rounding={self.rounding!r}: write floor, ceil or nearest")
        if self.stranger_at not in ("spread", "reset"):
            raise ValueError(f"stranger_at={self.stranger_at!r}: write spread or reset")
        if self.odd_reset not in get_args(OddReset):
            raise ValueError(
                f"odd_reset={self.odd_reset!r}: write one of {', '.join(filter(None, get_args(OddReset)))}"
            )
        if not self.stall >= 0:
            raise ValueError(f"stall={self.stall}: give seconds of 0 or more")
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)}: give a share from 0 to 1")
        if isinstance(self.latency, list):  # as JSON has it
            object.__setattr__(self, "latency", tuple(self.latency))
        if len(self.latencies) != 2 or not 0 <= self.latencies[0] <= self.latencies[1] <= MOST:
            raise ValueError(f"latency={self.latency}: give seconds of 0 or more, or (low, high)")

    def _check_buckets(self) -> None:
        if not isinstance(self.buckets, Mapping):
            raise ValueError("buckets: give names and their limits")
        for name, limit in self.buckets.items():
            if not name.isascii() or not name.isprintable():
                raise ValueError(f"the bucket {name!r} cannot stand in a header")
            _whole(f"the limit of bucket {name!r}", limit, 1)

    def _check_codes(self) -> None:
        if isinstance(self.error_codes, list):  # as JSON has it
            object.__setattr__(self, "error_codes", tuple(self.error_codes))
        if not isinstance(self.error_codes, tuple) or not self.error_codes:
            raise ValueError(f"error_codes={self.error_codes!r}: give one or more")
        for code in self.error_codes:
            _whole("error_codes", code, 200, most=599)

    @property
    def latencies(self) -> tuple[float, float]:
        return self.latency if isinstance(self.latency, tuple) else (self.latency, self.latency)


def _whole(name: str, value: int, least: int, most: int = MOST) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name}={value}: give a whole number of {least} or more, and at most {most}")


def _seconds(name: str, value: float, least: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= MOST:
        raise ValueError(f"{name}={value}: give a number of seconds up to {MOST}")
