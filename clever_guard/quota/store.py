"""What a store must do: answer commands about ledgers, atomically, on its own clock.

A command speaks of one identity (a keyed digest) and one route. It may carry reports (what became of earlier permits),
a draw (a wish for permits), or both; several commands may travel in one round trip. All numbers are integers: permits,
or milliseconds of the *store's* clock. A store never raises anything but StoreUnavailable, and never repeats a command
by itself: a report that is counted twice frees permits that are still in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Terms:
    """What the user said about a bucket; a ledger uses it until the server's own numbers are heard."""

    limit: int
    window: int
    """Milliseconds."""
    ttl: int
    """Milliseconds a lease lives."""
    solo: bool = False
    """True for the ledger of a worker that is cut off from its fleet: ``limit`` is its share of every window, and each
    answer counts against it whatever Remaining says."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What ``answers`` answers of one window said about a bucket.

    ``low``..``high`` bracket the end of the window in store milliseconds before any allowance for rounding: the latest
    sent + (Reset - Date) and the earliest received + (Reset - Date). ``sent`` and ``received`` are the newest sending and
    the earliest receipt among these answers, in store milliseconds. Without a Date ``low`` is ``sent``.
    """

    bucket: str
    limit: int
    remaining: int
    reset: int
    """The server's number, in milliseconds."""
    low: int
    high: int
    sent: int
    received: int
    answers: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """What became of permits of one lease: ``stamp`` and ``buckets`` are those of the grant.

    ``answered`` counts answers with quota headers, refusals among them; the sights' ``answers`` say which bucket each
    named. A report whose fate was unknown may be sent again with counts of 0: its sights are true whenever they come.
    """

    stamp: int
    buckets: tuple[str, ...]
    answered: int = 0
    refused: int = 0
    """429s, with or without quota headers."""
    unsent: int = 0
    pause: int = 0
    """Milliseconds a refusal without quota headers asked for (0: it said nothing)."""
    blank: int = 0
    """Answers below 400 that carried no quota headers at all."""
    sights: tuple[Sight, ...] = ()


@dataclass(frozen=True, slots=True)
class Draw:
    """A wish for ``want`` permits. ``previous`` is the stamp of this book's last draw: it makes counting drawers O(1).

    ``end`` is when the window ends that this book was last told is spent: a store that lost its data need not ask the server.
    """

    want: int
    previous: int = 0
    reserve: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Command:
    identity: str
    route: str
    terms: Terms
    reports: tuple[Report, ...] = ()
    draw: Draw | None = None


@dataclass(frozen=True, slots=True)
class View:
    """One bucket, for gauges."""

    bucket: str
    limit: int
    remaining: int
    outstanding: int
    reset_at: int
    """Store milliseconds at which the window is taken to be over."""
    answered: int
    refused: int
    drawers: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The store's answer to one command.

    ``now`` is the store's clock: the stamp of the grant. ``granted`` permits were drawn from ``buckets``; when it is 0
    and a draw was asked for, ``hold`` says in how many milliseconds to ask again and ``at_least`` how much of that is
    certain. ``kind``: ``lease``, ``scout`` or ``probe`` (the fleet waits for the answer to the last two).
    """

    now: int
    granted: int = 0
    kind: str = "lease"
    buckets: tuple[str, ...] = ("",)
    hold: int = 0
    at_least: int = 0
    views: tuple[View, ...] = ()
    dark: bool = False
    """The store is down: this worker's own ledger answered for its share."""


@runtime_checkable
class Store(Protocol):
    """Where ledgers live. ``shared`` tells whether other processes may use the same ledgers."""

    shared: bool

    def execute(self, commands: Sequence[Command], /) -> Sequence[Answer]:
        """Apply the commands in order in one round trip. Raises StoreUnavailable, and nothing else."""
        ...

    def fingerprint(self, mine: str, /) -> str | None:
        """Leave the fleet's secret fingerprint if none is there; return the one that is. None: not shared.

        Raises StoreUnavailable, and nothing else.
        """
        ...

    def close(self) -> None:
        """Release sockets and files. Idempotent."""
        ...
