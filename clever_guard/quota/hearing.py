"""What readings teach: the same window, the next one, or one that follows from nothing."""

from __future__ import annotations

from clever_guard.quota.bracket import carry, doubt_dates, narrow, trust_only
from clever_guard.quota.ledger import EIGHTHS, LATE, Ledger, blame_nobody, unexplained
from clever_guard.quota.store import Report, Sight, Terms

SAME_RESET = 1_500
"""Two Reset numbers closer than this name the same window: servers round to whole seconds, either way."""
DRIFT = 60_000
"""One millisecond of drift is allowed for each so many."""
SOONER = 8
"""Milliseconds besides two flights by which an answer must come too soon for a window opened by its first request."""


def hear(ledger: Ledger, now: int, terms: Terms, report: Report, sight: Sight) -> None:
    """Learn from what answers said of one window."""
    if ledger.pace and report.answered == report.refused:
        ledger.pause = max(ledger.pause, sight.high + ledger.margin)
        return
    half = max(terms.window, ledger.stride) // 2
    ahead = sight.reset - ledger.reset
    if ledger.reset == 0 or ledger.pace:
        _hear_first(ledger, now, terms, sight)
    elif abs(ahead) <= min(SAME_RESET, half - 1):
        if sight.sent >= ledger.hi and sight.remaining > ledger.r_min:
            _hear_anew(ledger, now, terms, sight)
        else:
            _hear_same(ledger, now, terms, sight)
    elif ahead > 0 and sight.received >= ledger.hi - half:
        _hear_next(ledger, now, terms, sight)
    elif report.stamp > ledger.adopted or ledger.adopted < sight.sent <= now:
        _hear_anew(ledger, now, terms, sight)


def _hear_first(ledger: Ledger, now: int, terms: Terms, sight: Sight) -> None:
    """A worker that lost its store knows how much of the running window is still its own, and never takes more."""
    mine = ledger.r_min if terms.solo and sight.sent < ledger.hi else sight.remaining
    _begin_within(ledger, now, terms, sight)
    ledger.r_min = min(ledger.r_min, mine)


def _hear_same(ledger: Ledger, now: int, terms: Terms, sight: Sight) -> None:
    _hear_limit(ledger, now, terms, sight)
    ledger.opened = min(ledger.opened, sight.received)
    if sight.remaining <= ledger.r_min:
        ledger.r_min = sight.remaining
        ledger.heard = max(ledger.heard, sight.sent)
    if sight.sent >= ledger.hi:
        _learn_we_were_early(ledger, sight)
    elif ledger.stride:
        carry(ledger, ledger.lo, ledger.hi, sight)
    else:
        doubt_dates(ledger, sight)
        narrow(ledger, ledger.lo, ledger.hi, sight)


def _learn_we_were_early(ledger: Ledger, sight: Sight) -> None:
    """The old window answered a request sent after ``hi``: this answer alone says when it ends.

    A server whose own numbers were too early (a Date of another tick) widens ``margin``.
    """
    ledger.fixed = 0
    late = sight.sent - sight.high
    if late > 0:
        ledger.margin = max(ledger.margin, min(2 * late + LATE, 10 * LATE))
    trust_only(ledger, sight)


def _hear_next(ledger: Ledger, now: int, terms: Terms, sight: Sight) -> None:
    """The next window: it ends as much later as its number is higher than the last.

    One that is heard of late, or by a record that fell back to an older state, began when the fleet was idle, in the dark, or
    not counted: who spent what is gone is not known.
    """
    ahead = sight.reset - ledger.reset
    _remember_stranger(ledger, terms)
    exact = ahead % terms.window == 0 or ahead == ledger.stride
    doubt = ahead // DRIFT + 1 + (0 if exact else LATE)
    _learn_whether_fixed(ledger, ahead, terms, sight)
    lo = min(ledger.lo, sight.received) + ahead - doubt
    hi = (min(ledger.hi, sight.received) if ledger.fixed else sight.received) + ahead + doubt
    known, uncounted = ledger.lo > 0, now < ledger.since or sight.sent >= ledger.hi + terms.ttl
    ledger.awaited = max(now, min(ledger.hi, now + terms.window // 2)) + terms.ttl
    ledger.stride = ahead
    _adopt(ledger, now, terms, sight)
    if uncounted:
        blame_nobody(ledger)
    ledger.early = unexplained(ledger)
    if not known:
        trust_only(ledger, sight)
    elif exact:
        carry(ledger, lo, hi, sight)
    else:
        narrow(ledger, lo, hi, sight)


def _learn_whether_fixed(ledger: Ledger, ahead: int, terms: Terms, sight: Sight) -> None:
    """A window that its first request opens lasts a whole one from there: an earlier answer of the next tells the clock's.

    Until then each window is taken to have been opened by the answer that told of it: late by a round trip, never early.
    """
    soon = ledger.opened + ahead - 2 * ledger.flight - SOONER
    if ledger.opened and ahead == terms.window and sight.received < soon:
        ledger.fixed = 1


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
    _hear_limit(ledger, now, terms, sight)
    ledger.reset = sight.reset
    ledger.r_min = min(sight.remaining, max(0, ledger.limit - sight.answers) if terms.solo else ledger.limit)
    ledger.heard = sight.sent
    ledger.opened = sight.received
    ledger.adopted = ledger.last = now + 1  # later than the stamp of any draw before it, in the same millisecond too
    ledger.appointed = 0
    ledger.drawers = [0, ledger.drawers[0]]
    ledger.early = 0


def _hear_limit(ledger: Ledger, now: int, terms: Terms, sight: Sight) -> None:
    """The server's, but a worker that is cut off keeps to its share."""
    if terms.solo:
        ledger.limit = terms.limit
        return
    if ledger.reset and sight.limit != ledger.limit:
        ledger.changed = now
    ledger.limit = sight.limit


def _remember_stranger(ledger: Ledger, terms: Terms) -> None:
    """Up at once, down by a quarter a window; by half where nobody took anything.

    A window that was spent before its end shows only a part of what others would have taken, so what they took since it was
    first heard of counts for the rest of the window too: by half as much again at most, or one busy second reserved it all.
    To a worker in the dark its whole fleet would be strangers.
    """
    if terms.solo:
        return
    taken = unexplained(ledger)
    heard = max(terms.window * 2 // 3, min(terms.window, ledger.heard - ledger.opened))
    unheard = max(0, taken - ledger.early) * (EIGHTHS * (terms.window - heard) // heard)
    fades = ledger.stranger * 3 // 4 if taken else ledger.stranger // 2
    ledger.stranger = max(min(EIGHTHS * taken + unheard, EIGHTHS * ledger.limit), fades)
