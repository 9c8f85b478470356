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

A record is changed only by the functions below, each given ``now``: integer milliseconds of the store's clock. They
change the record they are handed; ``record.transition`` hands them a copy. ``stores/ledger.lua`` says the same in Lua,
and one state machine in the tests compares the two answer by answer.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

from clever_guard.quota.store import Draw, Report, Sight, Terms, View

SCOUT_PATIENCE = 2_000
"""A scout that has not been reported by then is taken for lost, and another may go."""
SAME_RESET = 1_500
"""Two Reset numbers closer than this name the same window: servers round to whole seconds, either way."""
EARLY = 2_000
"""How much earlier than sent + Reset - Date a window can end: a second each for the rounding of Reset and of Date."""
LATE = 1_000
"""How much later than received + Reset - Date a window can end, by rounding; learned upward when a server does worse."""
NARROW = 8
"""A bracket of this width needs no probe."""
MAX_SLACK = 2_000
DRIFT = 60_000
"""One millisecond of drift is allowed for each so many."""


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
    """Permits that aged out unreported of late: they come back when calls prove slower than three slots."""
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
    stride: int = 0
    """Difference of the last two Reset numbers."""
    margin: int = LATE
    slack: int = 0
    """How early a carried bracket has proved to be; never lowered."""
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
    """What others than this fleet take of a window, as far as the last windows showed."""
    answered: int = 0
    refused: int = 0


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
    """A record of its own with the same numbers."""
    twin = copy.copy(ledger)
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


# --- time passes ------------------------------------------------------------------------------------------------------


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
    ledger.struck = ledger.seen = ledger.scout = 0
    ledger.adopted = ledger.last = now
    ledger.since = now + terms.ttl
    _rejuvenate(ledger)


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
    """Somebody remembers a later time than this record does: the store fell back to an older state."""
    ledger.since = max(ledger.since, now + terms.ttl)


def _rejuvenate(ledger: Ledger) -> None:
    ledger.out = [sum(ledger.out), 0, 0]


# --- reports ----------------------------------------------------------------------------------------------------------


def settle(ledger: Ledger, now: int, terms: Terms, stamp: int, answered: int, back: int) -> None:
    """Permits of the grant ``stamp`` leave ``outstanding``: ``answered`` with a reading, ``back`` unsent."""
    if stamp and stamp == ledger.scout:
        ledger.scout = 0
        ledger.flight = (ledger.flight + min(terms.ttl, max(0, now - stamp))) // 2
    if answered and stamp <= now:
        ledger.seen = max(ledger.seen, stamp)
    age = 0 if stamp > now else now // ledger.slot - stamp // ledger.slot
    if age < 3:
        ledger.out[age] -= min(ledger.out[age], answered + back)
    elif answered and stamp > 0:
        _lengthen_slots(ledger, now - stamp, terms)
    if terms.solo:
        ledger.r_min = max(0, ledger.r_min - answered)
    ledger.answered += answered
    ledger.spent += answered


def _lengthen_slots(ledger: Ledger, age: int, terms: Terms) -> None:
    """Calls are slower than three slots: an answer came to a permit that had already been given up."""
    slot = min(age // 2, max(terms.window, ledger.stride) // 2)
    if slot > ledger.slot:
        ledger.slot = slot
        _rejuvenate(ledger)
        ledger.out[0] += ledger.gone
        ledger.gone = 0


def refuse(ledger: Ledger, now: int, terms: Terms, report: Report) -> None:
    """Count refusals. One that told no window holds everybody: Retry-After, else a second, doubled each time."""
    ledger.refused += report.refused
    if report.refused and not report.sights:
        if report.stamp >= ledger.struck:
            ledger.strikes = min(ledger.strikes + 1, 20)
            ledger.struck = now
        wait = max(report.pause, min(terms.window, 500 * 2**ledger.strikes))
        ledger.pause = max(ledger.pause, now + wait)
        ledger.since = max(ledger.since, ledger.pause)
    elif report.answered > report.refused or report.blank:
        ledger.strikes = ledger.strikes if report.stamp < ledger.struck else 0


def hear_nothing(ledger: Ledger, now: int, terms: Terms, report: Report) -> None:
    """Answers below 400 without quota headers count as spent; where none were ever heard, keep small windows instead."""
    ledger.answered += report.blank
    if ledger.reset and not report.sights:
        ledger.r_min = max(0, ledger.r_min - report.blank)
    elif report.blank and not ledger.reset and not ledger.pace:
        ledger.pace = 1
        ledger.r_min = 0
        ledger.hi = now + _own_window(terms)[0]


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
        _carry(ledger, ledger.lo, ledger.hi, sight)
    else:
        _narrow(ledger, ledger.lo, ledger.hi, sight)


def _learn_we_were_early(ledger: Ledger, sight: Sight) -> None:
    """The old window answered a request sent after ``hi``: this answer alone says when it ends.

    A server whose own numbers were too early (a Date of another tick) widens ``margin``; a bracket that was carried
    too early (windows that open with the first request) widens ``slack``. A clock that was set does neither.
    """
    if ledger.lo and sight.sent - ledger.hi <= MAX_SLACK:
        ledger.slack = min(MAX_SLACK, max(ledger.slack, 2 * (sight.sent - ledger.hi) + NARROW))
    late = sight.sent - sight.high
    if late > 0:
        ledger.margin = max(ledger.margin, min(2 * late + LATE, 10 * LATE))
    _trust_only(ledger, sight)


def _hear_next(ledger: Ledger, now: int, terms: Terms, sight: Sight) -> None:
    """The next window: it ends as much later as its number is higher than the last."""
    ahead = sight.reset - ledger.reset
    _remember_stranger(ledger)
    exact = ahead % terms.window == 0 or ahead == ledger.stride
    doubt = ahead // DRIFT + 1 + (0 if exact else LATE)
    lo = min(ledger.lo, sight.received) + ahead - doubt
    hi = min(ledger.hi, sight.received) + ahead + doubt + ledger.slack
    known = ledger.lo > 0
    ledger.stride = ahead
    _adopt(ledger, now, terms, sight)
    if not known:
        _trust_only(ledger, sight)
    elif exact:
        _carry(ledger, lo, hi, sight)
    else:
        _narrow(ledger, lo, hi, sight)


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
    _trust_only(ledger, sight)


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


def _unexplained(ledger: Ledger) -> int:
    """What was taken of this window and is neither reported by us nor out."""
    return max(0, ledger.limit - ledger.r_min - ledger.spent - sum(ledger.out))


def _remember_stranger(ledger: Ledger) -> None:
    """Up at once, down by a quarter a window."""
    ledger.stranger = max(_unexplained(ledger), ledger.stranger * 3 // 4)


def _expected(ledger: Ledger, terms: Terms) -> int:
    """What a stranger takes that the newest Remaining does not show: no more than it usually does, and evenly."""
    if not ledger.stranger:
        return 0
    unseen = ledger.stranger * max(0, min(terms.window, ledger.hi - ledger.heard)) // terms.window
    return max(1, min(unseen, ledger.stranger - _unexplained(ledger)))


def _bounds(ledger: Ledger, sight: Sight) -> tuple[int, int]:
    low = max(sight.sent, sight.low - EARLY)
    return low, max(low, sight.high + ledger.margin)


def _trust_only(ledger: Ledger, sight: Sight) -> None:
    ledger.lo, ledger.hi = _bounds(ledger, sight)


def _carry(ledger: Ledger, lo: int, hi: int, sight: Sight) -> None:
    """A bracket that comes from a border which was seen: it is finer than any header, whose Date may be another machine's.

    Headers narrow it with a second to spare, and where they contradict it they are believed.
    """
    low, high = _bounds(ledger, sight)
    if low > hi or high + LATE < lo:
        _trust_only(ledger, sight)
    else:
        ledger.hi = min(hi, high + LATE)
        ledger.lo = min(ledger.hi, max(lo, sight.sent))


def _narrow(ledger: Ledger, lo: int, hi: int, sight: Sight) -> None:
    """The bracket that agrees with both; where they contradict each other, the newest answer's own."""
    low, high = _bounds(ledger, sight)
    gap = max(lo, low) - min(hi, high)
    if gap <= 0:
        ledger.lo, ledger.hi = max(lo, low), min(hi, high)
        return
    if gap <= MAX_SLACK:
        ledger.margin = max(ledger.margin, min(LATE + gap, 10 * LATE))
    _trust_only(ledger, sight)


# --- draws ------------------------------------------------------------------------------------------------------------


def count_drawer(ledger: Ledger, draw: Draw) -> None:
    """A book that did not draw since this window was adopted is one more that shares it."""
    if draw.previous < ledger.adopted or draw.previous == 0:
        ledger.drawers[0] += 1


def offer(ledger: Ledger, now: int, terms: Terms, draw: Draw) -> Offer:
    """What this ledger would grant; changes nothing."""
    if now < ledger.pause:
        return _wait(ledger.pause - now)
    if ledger.pace:
        return _offer_paced(ledger, now, terms, draw)
    if now < ledger.hi and ledger.seen >= ledger.since:
        return _offer_sure(ledger, now, terms, draw)
    return _offer_unsure(ledger, now, terms)


def _wait(hold: int, at_least: int | None = None) -> Offer:
    return Offer(0, hold=max(1, hold), at_least=max(0, hold) if at_least is None else at_least)


def _offer_sure(ledger: Ledger, now: int, terms: Terms, draw: Draw) -> Offer:
    available = ledger.r_min - sum(ledger.out)
    if available <= 0:
        return _offer_spent(ledger, now, terms)
    floor = draw.reserve * (ledger.hi - now) // terms.window + _expected(ledger, terms)
    if available <= floor:
        return _offer_floored(ledger, now, terms, draw)
    probing = floor == 0 and _worth_probing(ledger, terms)
    if probing and available == 1:
        return _offer_probe(ledger, now)
    spare = available - floor - probing - _kept_for_absent(ledger, now, terms, draw)
    if spare <= 0:
        return _wait(min(ledger.hi - now, terms.ttl // 8), 0)
    return Offer(min(draw.want, _portion(ledger, spare, draw)))


def _share(ledger: Ledger) -> int:
    return ledger.limit // drawers(ledger)


def _kept_for_absent(ledger: Ledger, now: int, terms: Terms, draw: Draw) -> int:
    """While a window is young, who comes again leaves the shares of those who drew in the last one and are still to come."""
    if draw.previous < ledger.adopted or now - ledger.adopted >= terms.ttl:
        return 0
    return max(0, ledger.drawers[1] - ledger.drawers[0]) * _share(ledger)


def _offer_floored(ledger: Ledger, now: int, terms: Terms, draw: Draw) -> Offer:
    """What is left is kept for others. The floor falls by a permit in so many ms; each waiter should find one."""
    falls = terms.window // max(1, draw.reserve + ledger.stranger)
    return _wait(min(ledger.hi - now, terms.ttl, max(terms.ttl // 8, falls * drawers(ledger))), 0)


def _portion(ledger: Ledger, spare: int, draw: Draw) -> int:
    """What one book may take of ``spare``: a fair share of the window at its first draw, then smaller ones.

    Sharing only what is left (``spare // drawers``) would shrink geometrically and end every window in leases of one.
    """
    share = _share(ledger)
    if draw.previous >= ledger.adopted:
        share //= 4
    return min(spare, max(1, spare // drawers(ledger), share))


def _worth_probing(ledger: Ledger, terms: Terms) -> bool:
    """A probe may slip into the next window, so it costs half a permit: worth it while more time than that is at stake."""
    return ledger.hi - ledger.lo > max(NARROW, terms.window // (4 * ledger.limit))


def _offer_probe(ledger: Ledger, now: int) -> Offer:
    due = (ledger.lo + ledger.hi) // 2
    if now >= due:
        return Offer(1, "probe")
    return _until(ledger, now, due)


def _until(ledger: Ledger, now: int, first: int) -> Offer:
    """One is told to come at ``first``, as probe or scout; the rest when its answer should have been reported."""
    if not ledger.appointed:
        return Offer(0, hold=max(1, first - now), at_least=first - now, appoints=True)
    left = ledger.hi - now
    return _wait(left + ledger.flight + 1, left)


def _offer_spent(ledger: Ledger, now: int, terms: Terms) -> Offer:
    """Nothing left: until the window is over, or sooner where permits that are out may come back unsent."""
    left = ledger.hi - now
    if _scout_is_out(ledger, now):
        return _wait(min(left, _scout_hold(ledger, now, terms)), 0)
    if ledger.r_min > 0 and sum(ledger.out) > 0:
        return _wait(min(left, terms.ttl, max(terms.ttl // 8, now - ledger.drawn)), 0)
    return _until(ledger, now, ledger.hi)


def _scout_is_out(ledger: Ledger, now: int) -> bool:
    return ledger.scout > 0 and now - ledger.scout < SCOUT_PATIENCE


def _offer_unsure(ledger: Ledger, now: int, terms: Terms) -> Offer:
    """One scout at a time. Before ``since`` leases that nobody remembers may still live: then only of a budget half full."""
    out = sum(ledger.out)
    if _scout_is_out(ledger, now):
        return _wait(_scout_hold(ledger, now, terms), 0)
    if now < ledger.hi and ledger.r_min - out <= _doubted(ledger):
        return _offer_spent(ledger, now, terms)
    if now >= ledger.hi and out >= ledger.limit:
        return _wait(terms.ttl, 0)
    if now < min(ledger.hi, ledger.since) and 2 * ledger.r_min <= ledger.limit:
        return _wait(min(ledger.hi, ledger.since) - now, 0)
    return Offer(1, "scout")


def _doubted(ledger: Ledger) -> int:
    """Permits given up in this window may have been spent: the very last ones are not worth a refusal."""
    return min(ledger.gone, 1 + ledger.limit // 100) if ledger.gone_at >= ledger.adopted else 0


def _scout_hold(ledger: Ledger, now: int, terms: Terms) -> int:
    """Until it should be back, then as long again as it has been out: the poll of a slow fleet thins out by itself."""
    out = now - ledger.scout
    return min(terms.ttl, max(5, drawers(ledger) // 8, ledger.flight - out if out < ledger.flight else out))


def _own_window(terms: Terms) -> tuple[int, int]:
    """Length and permits of a small window such that no server window, wherever it starts, sees more than the limit.

    A server window of length W can be hit by permits drawn in W + TTL. Small windows open with a draw; of length TTL, at
    most (W + 3 TTL) / TTL of them touch that span. Where less than one permit would fit, one permit a longer window.
    """
    permits = terms.limit * terms.ttl // (terms.window + 3 * terms.ttl)
    if permits:
        return terms.ttl, permits
    return max(terms.ttl, (terms.window + terms.ttl) // terms.limit + 1), 1


def _offer_paced(ledger: Ledger, now: int, terms: Terms, draw: Draw) -> Offer:
    left = _own_window(terms)[1] if now >= ledger.hi else ledger.r_min
    if left <= 0:
        return _wait(ledger.hi - now)
    return Offer(min(draw.want, max(1, left // drawers(ledger))))


def take(ledger: Ledger, now: int, terms: Terms, granted: Offer) -> None:
    """Enter a grant. ``now`` is its stamp."""
    if ledger.pace:
        _take_paced(ledger, now, terms, granted.count)
        return
    ledger.out[0] += granted.count
    ledger.drawn = now
    if granted.kind != "lease":
        ledger.scout = now
        ledger.appointed = 0


def _take_paced(ledger: Ledger, now: int, terms: Terms, count: int) -> None:
    """Paced permits are spent when drawn: nothing comes back and nothing is carried over."""
    if now >= ledger.hi:
        length, ledger.r_min = _own_window(terms)
        ledger.hi = now + length
        ledger.adopted = now
        ledger.drawers = [1, ledger.drawers[0]]
    ledger.r_min -= count
