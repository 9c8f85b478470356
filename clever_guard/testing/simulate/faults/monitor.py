"""What must hold of a ledger after every command, whatever happened around it."""

from __future__ import annotations

from collections.abc import Iterator

from clever_guard.quota.granting import SCOUT_PATIENCE
from clever_guard.quota.ledger import Ledger
from clever_guard.quota.record import Record
from clever_guard.quota.store import Answer, Command


def broken(before: Record, after: Record, now: int, command: Command, answer: Answer) -> Iterator[str]:
    """Each invariant that one command broke, in a sentence. ``now``: the store's clock, not yet kept from running backwards."""
    for name, ledger in after.ledgers.items():
        yield from _impossible(ledger, answer.now)
        earlier = before.ledgers.get(name)
        if earlier is not None:
            yield from _unordered(earlier, ledger, now, command.terms.ttl)
    if answer.granted:
        yield from _overdrawn(before, after, now, command, answer)


def _impossible(ledger: Ledger, now: int) -> Iterator[str]:
    if min(ledger.out) < 0:
        yield f"outstanding is negative: {ledger.out}"
    if not 0 <= ledger.r_min <= ledger.limit:
        yield f"r_min is {ledger.r_min} of {ledger.limit}"
    if ledger.lo > ledger.hi and not ledger.pace:
        yield f"the bracket is inside out: {ledger.lo}..{ledger.hi}"
    if max(ledger.seen, ledger.scout) > now:
        yield f"a stamp lies ahead of {now}: seen {ledger.seen}, scout {ledger.scout}"


def _unordered(earlier: Ledger, ledger: Ledger, now: int, ttl: int) -> Iterator[str]:
    if ledger.last < earlier.last and now >= earlier.last - ttl:
        yield f"the record's time went back from {earlier.last} to {ledger.last}, and the store's clock did not"
    if ledger.margin < earlier.margin or ledger.slot < earlier.slot:
        yield f"margin {earlier.margin} -> {ledger.margin}, slot {earlier.slot} -> {ledger.slot}"
    if ledger.answered < earlier.answered or ledger.refused < earlier.refused:
        yield "a total fell"
    same = ledger.adopted == earlier.adopted and ledger.reset == earlier.reset and not (ledger.pace or earlier.pace)
    if same and ledger.r_min > earlier.r_min:
        yield f"r_min rose within a window: {earlier.r_min} -> {ledger.r_min}"


def _overdrawn(before: Record, after: Record, now: int, command: Command, answer: Answer) -> Iterator[str]:
    if command.draw is None or answer.granted > command.draw.want:
        yield f"{answer.granted} granted and {command.draw.want if command.draw else 0} wished for"
    for name in answer.buckets:
        ledger = after.ledgers[name]
        room = ledger.r_min if answer.now < ledger.hi else ledger.limit
        if sum(ledger.out) > room and not ledger.pace:
            yield f"{sum(ledger.out)} are out and {room} were left"
        earlier = before.ledgers.get(name)
        lonely = earlier is None or command.reports or answer.now - earlier.scout >= SCOUT_PATIENCE
        lonely = lonely or (earlier is not None and now < earlier.last)  # set back: nobody is out any more
        if (answer.kind == "scout" and not lonely) or (answer.kind != "lease" and answer.granted != 1):
            yield f"a {answer.kind} of {answer.granted} beside another"
