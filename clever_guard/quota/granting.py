"""What a ledger grants: while it is sure a portion, while it is not one scout, and else a hold."""

from __future__ import annotations

from clever_guard.quota.ledger import EIGHTHS, Ledger, Offer, drawers, held, strangers, unexplained
from clever_guard.quota.pace import offer_paced, take_paced
from clever_guard.quota.store import Draw, Terms

SCOUT_PATIENCE = 2_000
"""A scout that has not been reported by then is taken for lost, and another may go."""
STEADY = 10
"""For so many windows after a change of the limit no probe is kept."""
NARROW = 8
"""A bracket of this width needs no probe."""


def count_drawer(ledger: Ledger, draw: Draw) -> None:
    """A book that did not draw since this window was adopted is one more that shares it."""
    if draw.previous < ledger.adopted or draw.previous == 0:
        ledger.drawers[0] += 1


def recall(ledger: Ledger, now: int, terms: Terms, draw: Draw) -> None:
    """A ledger that knows nothing believes a book that was told of a spent window before the store lost its data."""
    if now < draw.end <= now + 2 * terms.window:
        ledger.hi = draw.end
        ledger.r_min = 0


def offer(ledger: Ledger, now: int, terms: Terms, draw: Draw) -> Offer:
    """What this ledger would grant; changes nothing."""
    if now < ledger.pause:
        return held(ledger.pause - now)
    if ledger.pace:
        return offer_paced(ledger, now, terms, draw)
    if now < ledger.hi and ledger.seen >= ledger.since:
        return _offer_sure(ledger, now, terms, draw)
    return _offer_unsure(ledger, now, terms, draw)


def _offer_sure(ledger: Ledger, now: int, terms: Terms, draw: Draw) -> Offer:
    available = ledger.r_min - sum(ledger.out)
    if available <= 0:
        return _offer_spent(ledger, now, terms)
    floor = draw.reserve * (ledger.hi - now) // terms.window + _expected(ledger, terms)
    if available <= floor:
        return _offer_floored(ledger, now, terms, draw)
    probing = floor == 0 and _worth_probing(ledger, now, terms)
    if probing and available == 1:
        return _offer_probe(ledger, now, terms)
    spare = available - floor - probing - _kept_for_absent(ledger, now, draw)
    if spare <= 0:
        return held(min(ledger.hi - now, terms.ttl // 8), 0)
    return Offer(min(draw.want, _portion(ledger, now, spare, draw)))


def _share(ledger: Ledger) -> int:
    return -(-ledger.limit // drawers(ledger))


def _still_to_come(ledger: Ledger, now: int) -> int:
    """While a window is young, those who drew in the last one and not yet in this."""
    return max(0, ledger.drawers[1] - ledger.drawers[0]) if now < ledger.awaited else 0


def _kept_for_absent(ledger: Ledger, now: int, draw: Draw) -> int:
    """Who comes again leaves the shares of those who are still to come."""
    return 0 if _is_first(ledger, draw) else _still_to_come(ledger, now) * _share(ledger)


def _is_first(ledger: Ledger, draw: Draw) -> bool:
    return draw.previous < ledger.adopted


def _offer_floored(ledger: Ledger, now: int, terms: Terms, draw: Draw) -> Offer:
    """What is left is kept for others. The floor falls by a permit in so many ms; each waiter should find one."""
    falls = terms.window // max(1, draw.reserve + strangers(ledger))
    return held(min(ledger.hi - now, terms.ttl, max(terms.ttl // 8, falls * drawers(ledger))), 0)


def _portion(ledger: Ledger, now: int, spare: int, draw: Draw) -> int:
    """What one book may take of ``spare``: a fair share of the window at its first draw, then smaller ones.

    Sharing only what is left (``spare // drawers``) would shrink geometrically and end every window in leases of one.
    """
    if _is_first(ledger, draw):
        return max(1, min(_share(ledger), spare // (1 + _still_to_come(ledger, now))))
    return min(spare, max(1, spare // drawers(ledger), _share(ledger) // 4))


def _worth_probing(ledger: Ledger, now: int, terms: Terms) -> bool:
    """A probe may slip into the next window, so it costs half a permit: worth it while more time than that is at stake.

    Where the limit was changed of late it may be lowered again, and the probe would be the request that is refused. Workers that
    are cut off would all send one.
    """
    if terms.solo:
        return False
    if ledger.changed and now - ledger.changed < STEADY * terms.window:
        return False
    return ledger.hi - ledger.lo > max(NARROW, terms.window // (4 * ledger.limit))


def _offer_probe(ledger: Ledger, now: int, terms: Terms) -> Offer:
    due = (ledger.lo + ledger.hi) // 2
    if now >= due:
        return Offer(1, "probe")
    if EIGHTHS * sum(ledger.out) > ledger.limit:
        return held(min(due - now, _until_given_up(ledger, now), max(terms.ttl, now - ledger.drawn)), 0)
    return _until(ledger, now, due)


def _until_given_up(ledger: Ledger, now: int) -> int:
    """When the oldest of the permits that are out will be given up, should they not be reported before."""
    oldest = max(age for age, count in enumerate(ledger.out) if count)
    return (now // ledger.slot + 3 - oldest) * ledger.slot - now


def _until(ledger: Ledger, now: int, first: int) -> Offer:
    """One is told to come at ``first``, as probe or scout; the rest when its answer should have been reported."""
    if not ledger.appointed:
        return Offer(0, hold=max(1, first - now), at_least=first - now, appoints=True)
    left = ledger.hi - now
    return held(left + ledger.flight + 1, left)


def _offer_spent(ledger: Ledger, now: int, terms: Terms) -> Offer:
    """Nothing left: until the window is over, or sooner where permits that are out may come back unsent."""
    left = ledger.hi - now
    if _scout_is_out(ledger, now):
        return held(min(left, _scout_hold(ledger, now, terms)), 0)
    if ledger.r_min > 0 and sum(ledger.out) > 0:
        return held(min(left, terms.ttl, max(terms.ttl // 8, now - ledger.drawn)), 0)
    return _until(ledger, now, ledger.hi)


def _scout_is_out(ledger: Ledger, now: int) -> bool:
    return ledger.scout > 0 and now - ledger.scout < SCOUT_PATIENCE


def _offer_unsure(ledger: Ledger, now: int, terms: Terms, draw: Draw) -> Offer:
    """One scout at a time. Before ``since`` leases that nobody remembers may still live: then only of a budget half full.

    Until then many go one after the other: whoever had the last one lets somebody else come first.
    """
    out = sum(ledger.out)
    if _scout_is_out(ledger, now):
        return held(_scout_hold(ledger, now, terms), 0)
    if now < ledger.hi and ledger.r_min - out <= _doubted(ledger):
        return _offer_spent(ledger, now, terms)
    if now >= ledger.hi and out >= ledger.limit:
        return held(terms.ttl, 0)
    if now < min(ledger.hi, ledger.since) and 2 * ledger.r_min <= ledger.limit:
        return held(min(ledger.hi, ledger.since) - now, 0)
    if now < ledger.since and draw.previous == ledger.drawn and drawers(ledger) > 1:
        return held(max(5, ledger.flight), 0)
    return Offer(1, "lease" if _is_calm(ledger, now, terms) else "scout")


def _is_calm(ledger: Ledger, now: int, terms: Terms) -> bool:
    """A known ledger with half a window left, and nobody is about: no one would wait for a scout's report.

    A lone permit risks no more than a scout does, and its report may travel with the next draw: one trip a request. Known is what
    was sure when its window ended, and what the first scout of all told, once leases that a lost ledger forgot are dead.
    """
    new = not ledger.gone_at and not ledger.pause
    known = new and now >= ledger.since if now < ledger.hi else ledger.hi > 0 and ledger.seen >= ledger.since
    return known and 2 * ledger.r_min > ledger.limit and now - ledger.drawn >= terms.ttl and sum(ledger.out) == 0


def _doubted(ledger: Ledger) -> int:
    """Permits given up in this window may have been spent: the very last ones are not worth a refusal."""
    return min(ledger.gone, 1 + ledger.limit // 100) if ledger.gone_at >= ledger.adopted else 0


def _scout_hold(ledger: Ledger, now: int, terms: Terms) -> int:
    """Until it should be back, then as long again as it has been out: the poll of a slow fleet thins out by itself.

    Before ``since`` many scouts go one after the other, and all who wait together ask about once for each of them.
    """
    out = now - ledger.scout
    hold = max(5, drawers(ledger) // 8, ledger.flight - out if out < ledger.flight else out)
    if now < ledger.since:
        hold = max(hold, min(ledger.since - now, drawers(ledger) * max(5, ledger.flight)))
    return min(terms.ttl, hold)


def take(ledger: Ledger, now: int, terms: Terms, granted: Offer) -> None:
    """Enter a grant. ``now`` is its stamp."""
    if ledger.pace:
        take_paced(ledger, now, terms, granted.count)
        return
    ledger.out[0] += granted.count
    ledger.drawn = now
    if granted.kind != "lease":
        ledger.scout = now
        ledger.appointed = 0


def _expected(ledger: Ledger, terms: Terms) -> int:
    """What a stranger takes that the newest Remaining does not show: no more than it usually does, and evenly."""
    usual = strangers(ledger)
    if not usual:
        return 0
    unseen = usual * max(0, min(terms.window, ledger.hi - ledger.heard)) // terms.window
    return max(1, min(unseen, usual - unexplained(ledger)))
