"""For APIs that say nothing: small windows of our own, such that no window of theirs sees more than the limit."""

from __future__ import annotations

from clever_guard.quota.ledger import Ledger, Offer, drawers, held
from clever_guard.quota.store import Draw, Terms


def own_window(terms: Terms) -> tuple[int, int]:
    """Length and permits of a small window such that no server window, wherever it starts, sees more than the limit.

    A server window of length W can be hit by permits drawn in W + TTL. Small windows open with a draw; of length TTL, at
    most (W + 3 TTL) / TTL of them touch that span. Where less than one permit would fit, one permit a longer window.
    """
    permits = terms.limit * terms.ttl // (terms.window + 3 * terms.ttl)
    if permits:
        return terms.ttl, permits
    return max(terms.ttl, (terms.window + terms.ttl) // terms.limit + 1), 1


def offer_paced(ledger: Ledger, now: int, terms: Terms, draw: Draw) -> Offer:
    left = own_window(terms)[1] if now >= ledger.hi else ledger.r_min
    if left <= 0:
        return held(ledger.hi - now)
    return Offer(min(draw.want, max(1, left // drawers(ledger))))


def take_paced(ledger: Ledger, now: int, terms: Terms, count: int) -> None:
    """Paced permits are spent when drawn: nothing comes back and nothing is carried over.

    They are outstanding all the same, for the first headers may be heard while they are on their way.
    """
    if now >= ledger.hi:
        length, ledger.r_min = own_window(terms)
        ledger.hi = now + length
        ledger.adopted = now
        ledger.drawers = [1, ledger.drawers[0]]
    ledger.r_min -= count
    ledger.out[0] += count
