"""The end of a window, between ``lo`` and ``hi``: what narrows the bracket, and what is believed when it contradicts."""

from __future__ import annotations

from clever_guard.quota.ledger import LATE, Ledger
from clever_guard.quota.store import Sight

EARLY = 2_000
"""How much earlier than sent + Reset - Date a window can end: a second each for the rounding of Reset and of Date."""
TICK = 1_000
"""Dates are whole seconds."""
ROUNDING = 2_000
"""Contradictions of more than this are no rounding: a clock was set."""


def _bounds(ledger: Ledger, sight: Sight) -> tuple[int, int]:
    low = max(sight.sent, sight.low - EARLY)
    return low, max(low, sight.high + ledger.margin)


def trust_only(ledger: Ledger, sight: Sight) -> None:
    ledger.lo, ledger.hi = _bounds(ledger, sight)


def carry(ledger: Ledger, lo: int, hi: int, sight: Sight) -> None:
    """A bracket that comes from a border which was seen: it is finer than any header, whose Date may be another machine's.

    Headers narrow it with a second to spare, and where they contradict it they are believed.
    """
    low, high = _bounds(ledger, sight)
    if low > hi or high + LATE < lo:
        trust_only(ledger, sight)
    else:
        ledger.hi = min(hi, high + LATE)
        ledger.lo = min(ledger.hi, max(lo, sight.sent))


def doubt_dates(ledger: Ledger, sight: Sight) -> None:
    """Sent + Reset - Date of one window differ by a second at most, or its Dates come from clocks that disagree.

    By how much they disagree ``margin`` grows, and ``hi``, which such answers gave, with it.
    """
    excess = sight.low - min(ledger.hi - ledger.margin, sight.high) - TICK
    if 0 < excess <= ROUNDING:
        grown = max(ledger.margin, LATE + excess)
        ledger.hi += grown - ledger.margin
        ledger.margin = grown


def narrow(ledger: Ledger, lo: int, hi: int, sight: Sight) -> None:
    """The bracket that agrees with both; where they contradict each other, the newest answer's own."""
    low, high = _bounds(ledger, sight)
    gap = max(lo, low) - min(hi, high)
    if gap <= 0:
        ledger.lo, ledger.hi = max(lo, low), min(hi, high)
        return
    if gap <= ROUNDING:
        ledger.margin = max(ledger.margin, min(LATE + gap, 10 * LATE))
    trust_only(ledger, sight)
