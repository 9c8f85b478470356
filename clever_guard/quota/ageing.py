"""How time passes for a ledger: permits grow old, and a clock may be set back."""

from __future__ import annotations

from clever_guard.quota.ledger import Ledger, blame_nobody, rejuvenate
from clever_guard.quota.store import Terms


def tick(ledger: Ledger, now: int, terms: Terms) -> int:
    """Bring the record to ``now``; return the time to work with, which never runs backwards by jitter."""
    if now < ledger.last - terms.ttl:
        _follow_clock_back(ledger, now, terms)
    now = max(now, ledger.last)
    _age(ledger, now, terms)
    ledger.last = now
    return now


def _follow_clock_back(ledger: Ledger, now: int, terms: Terms) -> None:
    """The store's clock was set back. Shifting by the visible step errs late by the time that passed unseen."""
    step = ledger.last - now
    ledger.lo = max(0, ledger.lo - step)
    ledger.hi = max(0, ledger.hi - step)
    ledger.pause = max(0, ledger.pause - step)
    ledger.awaited = max(0, ledger.awaited - step)
    ledger.opened = max(0, ledger.opened - step)
    ledger.changed = max(0, ledger.changed - step)
    ledger.struck = ledger.seen = ledger.scout = 0
    ledger.adopted = ledger.last = now
    ledger.since = now + terms.ttl
    rejuvenate(ledger)


def _age(ledger: Ledger, now: int, terms: Terms) -> None:
    """Move permits to older slots. A slot that drops out unreported leaves us unsure of what it spent."""
    current = ledger.last // ledger.slot
    passed = now // ledger.slot - current
    for _ in range(min(passed, 3)):
        dropped = ledger.out.pop()
        ledger.out.insert(0, 0)
        if dropped:
            _give_up(ledger, dropped, (current - 1) * ledger.slot, terms)
        current += 1


def _give_up(ledger: Ledger, dropped: int, end: int, terms: Terms) -> None:
    """``end`` is when the slot ended. Its leases were alive for a TTL more: only a permit drawn later tells the truth."""
    ledger.since = max(ledger.since, end + terms.ttl)
    kept = ledger.gone if end - ledger.gone_at <= max(terms.window, ledger.stride) // 2 else 0
    ledger.gone = kept + dropped
    ledger.spent += dropped
    ledger.gone_at = end


def regress(ledger: Ledger, now: int, terms: Terms) -> None:
    """Somebody remembers a later time than this record does: the store fell back to an older state.

    Permits that were drawn and reported meanwhile are not in it.
    """
    ledger.since = max(ledger.since, now + terms.ttl)
    blame_nobody(ledger)
