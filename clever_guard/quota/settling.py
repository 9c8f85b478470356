"""What became of permits: they leave ``outstanding``, refusals make everybody pause, silence makes a pace."""

from __future__ import annotations

from clever_guard.quota.ledger import Ledger, rejuvenate
from clever_guard.quota.pace import own_window
from clever_guard.quota.store import Report, Terms


def settle(ledger: Ledger, now: int, terms: Terms, stamp: int, answered: int, refused: int, back: int) -> None:
    """Permits of the grant ``stamp`` leave ``outstanding``: ``answered`` with a reading (``refused`` of them), ``back`` unsent."""
    if stamp and stamp == ledger.scout:
        ledger.scout = 0
        ledger.flight = (ledger.flight + min(terms.ttl, max(0, now - stamp))) // 2
    if answered and stamp <= now:
        ledger.seen = max(ledger.seen, stamp)
    age = 0 if stamp > now else now // ledger.slot - stamp // ledger.slot
    if age < 3:
        ledger.out[age] -= min(ledger.out[age], answered + back)
    if answered and stamp > 0 and age >= 2:
        _lengthen_slots(ledger, now, now - stamp, terms)
    if terms.solo:
        ledger.r_min = max(0, ledger.r_min - answered)
    ledger.answered += answered
    ledger.spent += max(0, answered - refused)


def _lengthen_slots(ledger: Ledger, now: int, age: int, terms: Terms) -> None:
    """Calls are slower than two slots: an answer came to a permit that was given up already, or soon would have been.

    Those that were given up of late may be on their way still; what was given up long ago is not.
    """
    half = max(terms.window, ledger.stride) // 2
    slot = min(age // 2, half)
    if slot > ledger.slot:
        ledger.slot = slot
        rejuvenate(ledger)
        ledger.out[0] += ledger.gone if now - ledger.gone_at <= half else 0
        ledger.gone = 0


def refuse(ledger: Ledger, now: int, terms: Terms, report: Report) -> None:
    """Count refusals. One that told no window holds everybody: Retry-After, else a second, doubled each time."""
    ledger.refused += report.refused
    if report.refused and not report.sights:
        if report.stamp >= ledger.struck:
            ledger.strikes = min(ledger.strikes + 1, 20)
            ledger.struck = now
        wait = report.pause or min(terms.window, 500 * 2**ledger.strikes)
        ledger.pause = max(ledger.pause, now + wait)
        ledger.since = max(ledger.since, ledger.pause)
    elif report.answered > report.refused or report.blank:
        ledger.strikes = ledger.strikes if report.stamp < ledger.struck else 0


def hear_nothing(ledger: Ledger, now: int, terms: Terms, report: Report) -> None:
    """Answers below 400 without quota headers count as spent; where none were ever heard, keep small windows instead.

    So too where none are heard any more: not in a whole window after the last that was known. Else one scout after the other
    would spend each window until it is refused.
    """
    ledger.answered += report.blank
    mute = not report.sights and now >= ledger.hi + max(terms.window, ledger.stride)
    if ledger.reset and not mute:
        ledger.r_min = ledger.r_min if report.sights else max(0, ledger.r_min - report.blank)
    elif report.blank and not ledger.pace:
        ledger.pace = 1
        ledger.reset = ledger.r_min = 0
        ledger.hi = now + own_window(terms)[0]
