"""What observers are told: one frozen record per happening.

The driver emits calls, attempts and waits; policies emit only what the driver cannot know. An observer is any
callable that takes an event. It is never called under a lock, and what it raises is logged once and dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias


class CallFinished(NamedTuple):
    """A call ended. ``outcome``: ok, permanent, exhausted, rejected, error, cancelled."""

    guard: str
    host: str
    method: str
    outcome: str
    seconds: float


class AttemptFinished(NamedTuple):
    """One send ended. ``code`` is the status, or None when there was no answer."""

    guard: str
    host: str
    method: str
    code: int | None
    seconds: float


class Waited(NamedTuple):
    """A wait ended. ``reason``: quota, backoff, retry_after, breaker."""

    guard: str
    host: str
    reason: str
    seconds: float


class RetryScheduled(NamedTuple):
    """Another attempt will follow. ``reason``: throttled, status, connect, read."""

    guard: str
    host: str
    reason: str


class HeadersIgnored(NamedTuple):
    """A value in an answer's headers was refused as impossible. ``reason`` is a bounded word."""

    guard: str
    host: str
    reason: str


class LedgerSeen(NamedTuple):
    """One bucket as the store last told it. ``resets_in`` is seconds from now; ``bucket`` is the label."""

    guard: str
    bucket: str
    limit: int
    remaining: int
    outstanding: int
    resets_in: float
    answered: int
    refused: int
    stamp: int = 0
    """The store's clock at that moment, in milliseconds: events of several threads come out of order."""


class PermitsMoved(NamedTuple):
    """Permits changed hands. ``op``: granted, used, returned, expired."""

    guard: str
    bucket: str
    op: str
    permits: int


class StoreAnswered(NamedTuple):
    """A store round trip ended. ``op``: draw, report. ``outcome``: ok, error."""

    guard: str
    op: str
    outcome: str
    seconds: float


class StoreChanged(NamedTuple):
    """The store went dark (``degraded``) or came back."""

    guard: str
    degraded: bool


class SecretMismatch(NamedTuple):
    """This worker's secret is (``mismatch``) or is not another than the fleet's."""

    guard: str
    mismatch: bool


Event: TypeAlias = (
    CallFinished
    | AttemptFinished
    | Waited
    | RetryScheduled
    | HeadersIgnored
    | LedgerSeen
    | PermitsMoved
    | StoreAnswered
    | StoreChanged
    | SecretMismatch
)
Observer: TypeAlias = Callable[[Event], None]
