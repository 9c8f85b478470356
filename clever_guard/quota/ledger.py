"""The ledger of one bucket: a few integers that let a fleet spend one budget without knowing its own size.

    available = r_min - sum(outstanding)

``r_min`` is the lowest Remaining the server has said in this window; ``outstanding`` are the permits that were drawn
and not yet reported. Whatever is lost, repeated or late can only make ``available`` too small, never too large.

The end of the window is known as a bracket ``lo..hi`` of the store's clock, and the window is taken to be over at
``hi``. Each answer narrows the bracket: the window ends after the sending of any request it answered, before the
receipt of the first answer of the next, and about Reset - Date (both of the server's clock) after the exchange. The
bracket is carried from window to window by the difference of two Reset numbers, so no two clocks are compared and no
window length is assumed. While the bracket is wide the last permit of a window is kept as a *probe* and sent at its
middle: answered by the old window or by the new one, it halves the bracket and is spent on a real call either way.

A ledger is *sure* while the window lasts and a permit drawn at or after ``since`` has been answered. Unsure, it lets one
*scout* through at a time. That is the whole rule for the cold start, the reset, lost data, killed workers and idle hours.

A record is changed only by the functions of ``ageing``, ``settling``, ``hearing``, ``bracket``, ``granting`` and ``pace``, each given
``now``: integer milliseconds of the store's clock. They change the record they are handed; ``record.transition`` hands them a
copy. ``stores/ledger.lua`` says the same in Lua, and one state machine in the tests compares the two answer by answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter

from clever_guard.quota.store import Terms, View

LATE = 1_000
"""How much later than received + Reset - Date a window can end, by rounding; learned upward when a server does worse."""

EIGHTHS = 8


@dataclass(slots=True)
class Ledger:
    """The record. All times are store milliseconds, 0 where there is none."""

    limit: int
    last: int
    """Time of the last command."""
    slot: int
    """Length of an age class of ``out``."""
    since: int
    """A permit drawn at or after this must be answered before the ledger is sure."""
    r_min: int
    reset: int = 0
    """The last Reset number the server really sent."""
    lo: int = 0
    hi: int = 0
    out: list[int] = field(default_factory=lambda: [0, 0, 0])
    """Permits drawn and not reported, by the slot of their draw, youngest first."""
    gone: int = 0
    """Permits that aged out unreported of late: they come back when calls prove slower than two slots."""
    gone_at: int = 0
    drawers: list[int] = field(default_factory=lambda: [0, 0])
    """Books that drew in this window and in the one before."""
    adopted: int = 0
    """When the first reading of this window came in."""
    heard: int = 0
    """When the request was sent whose answer gave ``r_min``: what a stranger took later is not in it."""
    seen: int = 0
    """The newest stamp that was answered with a reading."""
    scout: int = 0
    """Stamp of the scout or probe that is out."""
    flight: int = 0
    """How long the last scouts took from draw to report."""
    drawn: int = 0
    """Time of the last grant."""
    appointed: int = 0
    """1: somebody has been told to come first when this window is over, so the rest may come when it is known."""
    awaited: int = 0
    """Until then those who drew in the last window may still come for their share of this one."""
    stride: int = 0
    """Difference of the last two Reset numbers."""
    opened: int = 0
    """The earliest receipt of an answer of this window."""
    fixed: int = 0
    """1: windows are known to open by the clock, not with the first request."""
    changed: int = 0
    """When the server last named another limit than before."""
    margin: int = LATE
    pause: int = 0
    """Nothing is granted before this: a refusal said so that told no window."""
    struck: int = 0
    """When the last such pause began."""
    strikes: int = 0
    pace: int = 0
    """1: the API sends no quota headers, and small windows of our own are kept instead."""
    spent: int = 0
    """Permits reported as answered in this window, or given up in it."""
    stranger: int = 0
    """Eighths of a permit that others than this fleet take of a window, as far as the last windows showed."""
    early: int = 0
    """Permits that others had taken of this window when it was first heard of."""
    answered: int = 0
    refused: int = 0


_numbers = attrgetter(*(one.name for one in fields(Ledger)))


@dataclass(frozen=True, slots=True)
class Offer:
    """What a ledger would grant now: ``count`` permits, or none for ``hold`` ms of which ``at_least`` are certain."""

    count: int
    kind: str = "lease"
    hold: int = 0
    at_least: int = 0
    appoints: bool = False
    """Whoever is told this hold is the one to come first."""


def birth(now: int, terms: Terms) -> Ledger:
    """A ledger that knows nothing. Leases of a record that was lost may still live for a TTL, hence ``since``."""
    return Ledger(
        limit=terms.limit,
        last=now,
        slot=max(terms.ttl, terms.window // 12),
        since=now + terms.ttl,
        r_min=terms.limit,
    )


def clone(ledger: Ledger) -> Ledger:
    """A record of its own with the same numbers. (Made as a whole: ``copy.copy`` takes four times as long.)"""
    twin = Ledger(*_numbers(ledger))
    twin.out = list(ledger.out)
    twin.drawers = list(ledger.drawers)
    return twin


def view(ledger: Ledger, bucket: str) -> View:
    """The numbers people look at."""
    return View(
        bucket=bucket,
        limit=ledger.limit,
        remaining=max(0, ledger.r_min),
        outstanding=sum(ledger.out),
        reset_at=ledger.hi,
        answered=ledger.answered,
        refused=ledger.refused,
        drawers=drawers(ledger),
    )


def drawers(ledger: Ledger) -> int:
    """How many books share this bucket: the larger count of this window and the last, at least 1."""
    return max(1, *ledger.drawers)


def unexplained(ledger: Ledger) -> int:
    """What was taken of this window and is neither reported by us nor out."""
    return max(0, ledger.limit - ledger.r_min - ledger.spent - sum(ledger.out))


def blame_nobody(ledger: Ledger) -> None:
    """The fleet spent of this window what was not counted, so the window teaches nothing about strangers."""
    ledger.spent = max(ledger.spent, ledger.limit)


def strangers(ledger: Ledger) -> int:
    """What others take of a window, in permits."""
    return -(-ledger.stranger // EIGHTHS)


def rejuvenate(ledger: Ledger) -> None:
    ledger.out = [sum(ledger.out), 0, 0]


def held(hold: int, at_least: int | None = None) -> Offer:
    return Offer(0, hold=max(1, hold), at_least=max(0, hold) if at_least is None else at_least)
