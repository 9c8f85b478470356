"""What readings teach: the same window, the next one, or one that follows from nothing."""

from __future__ import annotations

from clever_guard.quota.bracket import MAX_SLACK, carry, narrow, trust_only
from clever_guard.quota.ledger import LATE, Ledger, unexplained
from clever_guard.quota.store import Report, Sight, Terms

SAME_RESET = 1_500
"""Two Reset numbers closer than this name the same window: servers round to whole seconds, either way."""
DRIFT = 60_000
"""One millisecond of drift is allowed for each so many."""
EARLY_SPARE = 8
"""Milliseconds more than twice what a carried bracket was early by."""


def hear(ledger: Ledger, now: int, terms: Terms, report: Report, sight: Sight) -> None:
    """Learn from what answers said of one window."""
    if ledger.pace and report.answered == report.refused:
        ledger.pause = max(ledger.pause, sight.high + ledger.margin)
        return
    half = max(terms.window, ledger.stride) // 2
    ahead = sight.reset - ledger.reset
    if ledger.reset == 0 or ledger.pace:
        _begin_within(ledger, now, terms, sight)
    elif abs(ahead) <= min(SAME_RESET, half - 1):
        if sight.sent >= ledger.hi and sight.remaining > ledger.r_min:
            _hear_anew(ledger, now, terms, sight)
        else:
            _hear_same(ledger, terms, sight)
    elif ahead > 0 and sight.received >= ledger.hi - half:
        _hear_next(ledger, now, terms, sight)
    elif report.stamp > ledger.adopted:
        _hear_anew(ledger, now, terms, sight)


def _hear_same(ledger: Ledger, terms: Terms, sight: Sight) -> None:
    ledger.limit = terms.limit if terms.solo else sight.limit
    if sight.remaining <= ledger.r_min:
        ledger.r_min = sight.remaining
        ledger.heard = max(ledger.heard, sight.sent)
    if sight.sent >= ledger.hi:
        _learn_we_were_early(ledger, sight)
    elif ledger.stride:
        carry(ledger, ledger.lo, ledger.hi, sight)
    else:
        narrow(ledger, ledger.lo, ledger.hi, sight)


def _learn_we_were_early(ledger: Ledger, sight: Sight) -> None:
    """The old window answered a request sent after ``hi``: this answer alone says when it ends.

    A server whose own numbers were too early (a Date of another tick) widens ``margin``; a bracket that was carried
    too early (windows that open with the first request) widens ``slack``. A clock that was set does neither.
    """
    if ledger.lo and sight.sent - ledger.hi <= MAX_SLACK:
        ledger.slack = min(MAX_SLACK, max(ledger.slack, 2 * (sight.sent - ledger.hi) + EARLY_SPARE))
    late = sight.sent - sight.high
    if late > 0:
        ledger.margin = max(ledger.margin, min(2 * late + LATE, 10 * LATE))
    trust_only(ledger, sight)


def _hear_next(ledger: Ledger, now: int, terms: Terms, sight: Sight) -> None:
    """The next window: it ends as much later as its number is higher than the last."""
    ahead = sight.reset - ledger.reset
    _remember_stranger(ledger)
    exact = ahead % terms.window == 0 or ahead == ledger.stride
    doubt = ahead // DRIFT + 1 + (0 if exact else LATE)
    lo = min(ledger.lo, sight.received) + ahead - doubt
    hi = min(ledger.hi, sight.received) + ahead + doubt + ledger.slack
    known = ledger.lo > 0
    ledger.awaited = max(now, min(ledger.hi, now + terms.window // 2)) + terms.ttl
    ledger.stride = ahead
    _adopt(ledger, now, terms, sight)
    if not known:
        trust_only(ledger, sight)
    elif exact:
        carry(ledger, lo, hi, sight)
    else:
        narrow(ledger, lo, hi, sight)


def _hear_anew(ledger: Ledger, now: int, terms: Terms, sight: Sight) -> None:
    """A number that follows from nothing: the server's clock was set, or its window changed. Remaining only falls.

    Set back by a whole window, the clock even gives the old number again; a Remaining that rose tells the windows apart.
    """
    r_min = ledger.r_min
    over = now >= ledger.hi or (sight.sent >= ledger.lo and sight.remaining > ledger.r_min)
    ledger.stride = 0
    _begin_within(ledger, now, terms, sight)
    if not over:
        ledger.r_min = min(r_min, ledger.r_min)


def _begin_within(ledger: Ledger, now: int, terms: Terms, sight: Sight) -> None:
    """A window that is heard of when it is under way: who spent what is gone is not known, so no stranger is blamed."""
    _adopt(ledger, now, terms, sight)
    ledger.spent = max(0, ledger.limit - ledger.r_min)
    trust_only(ledger, sight)


def _adopt(ledger: Ledger, now: int, terms: Terms, sight: Sight) -> None:
    ledger.pace = 0
    ledger.spent = sight.answers
    ledger.reset = sight.reset
    ledger.limit = terms.limit if terms.solo else sight.limit
    ledger.r_min = min(sight.remaining, max(0, ledger.limit - sight.answers) if terms.solo else ledger.limit)
    ledger.heard = sight.sent
    ledger.adopted = now
    ledger.appointed = 0
    ledger.drawers = [0, ledger.drawers[0]]


def _remember_stranger(ledger: Ledger) -> None:
    """Up at once, down by a quarter a window."""
    ledger.stranger = max(unexplained(ledger), ledger.stranger * 3 // 4)
