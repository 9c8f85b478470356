"""Rare branches, counted: a proof that never went there proves little. Seen from outside, so the product holds no counter."""

from __future__ import annotations

from collections import Counter

from clever_guard.quota.ledger import Ledger
from clever_guard.quota.record import Record
from clever_guard.quota.store import Answer, Command

STORE = (
    "ledger born",
    "scout sent",
    "scout lost, another sent",
    "scout refused",
    "lone permit without a scout",
    "hold while a scout is out",
    "probe kept",
    "probe sent",
    "window adopted",
    "number that follows from nothing",
    "straggler's reading ignored",
    "early: the old window answered after its end",
    "margin widened",
    "windows known to be fixed",
    "permits aged out",
    "report in the last slot",
    "report of a slot that is gone",
    "slots lengthened",
    "permits doubted",
    "store behind (failover seen)",
    "clock followed back",
    "spent window recalled by a new ledger",
    "share kept for an absent worker",
    "limit lowered",
    "limit raised",
    "stranger noticed",
    "room kept for a stranger",
    "pause after a refusal that told no window",
    "pause doubled",
    "small windows of our own entered",
    "small windows of our own left",
    "bucket renamed",
    "old bucket forgotten",
    "draw from two buckets",
    "readings told again",
)
PROCESS = (
    "lease expired in hand",
    "lease dead on arrival",
    "permit taken back unsent",
    "permits voided by a reading",
    "report alone, for the fleet waits",
    "record unsure after a loss",
    "command lost",
    "reply of a command lost",
    "command executed after its worker gave up",
    "command delivered twice",
    "command in the queue of a stopped store",
    "dark mode entered",
    "dark mode left",
    "permit drawn in the dark",
    "answered in the dark, reported in the light",
    "permit blanked",
    "answer after the window's end",
    "request counted in a later window",
    "crashed with permits in hand",
    "crashed with requests on their way",
    "crashed while drawing",
    "stopped with permits in hand",
    "stopped over a window's end",
    "interrupted while it waited",
    "interrupted while it sent",
    "deadline ended a wait",
    "wait refused at once, for it could not end in time",
    "woken before its time",
    "waiter served with another's lease",
)
NAMES = STORE + PROCESS


class Branches(Counter[str]):
    """How often each was taken."""

    def sometimes(self, name: str, happened: object = True) -> None:
        if happened:
            self[name] += 1

    def after(self, before: Record, after: Record, now: int, command: Command, answer: Answer) -> None:
        """One command changed ``before`` into ``after``."""
        for name, ledger in after.ledgers.items():
            earlier = before.ledgers.get(name)
            if earlier is None:
                self._born(before, ledger, command)
            else:
                self._learnt(earlier, ledger, command)
                self._passed(earlier, ledger, now, command)
        self._told(before, now, command)
        if command.draw is not None:
            self._drawn(before, after, answer, command)
        self.sometimes("old bucket forgotten", len(before.ledgers.keys() - after.ledgers.keys()))

    def _born(self, before: Record, ledger: Ledger, command: Command) -> None:
        if before.ledgers:
            self["bucket renamed"] += 1
            paced = any(old.pace for old in before.ledgers.values())
            self.sometimes("small windows of our own left", paced and not ledger.pace)
            return
        self["ledger born"] += 1
        self.sometimes("spent window recalled by a new ledger", ledger.r_min == 0 and ledger.hi and not ledger.reset)
        draw = command.draw
        self.sometimes("record unsure after a loss", draw is not None and draw.previous)

    def _learnt(self, earlier: Ledger, ledger: Ledger, command: Command) -> None:
        if not command.reports:
            return
        if ledger.adopted != earlier.adopted and ledger.reset != earlier.reset and earlier.reset:
            self["window adopted" if ledger.stride else "number that follows from nothing"] += 1
        elif ledger.adopted == earlier.adopted:
            known = {sight.reset for report in command.reports for sight in report.sights}
            self.sometimes("straggler's reading ignored", any(abs(ledger.reset - reset) > 1500 for reset in known))
        sents = [sight.sent for report in command.reports for sight in report.sights]
        early = earlier.hi and ledger.adopted == earlier.adopted and any(sent >= earlier.hi for sent in sents)
        self.sometimes("early: the old window answered after its end", early and ledger.hi > earlier.hi)
        self.sometimes("margin widened", ledger.margin > earlier.margin)
        self.sometimes("windows known to be fixed", ledger.fixed > earlier.fixed)
        self.sometimes("slots lengthened", ledger.slot > earlier.slot)
        self.sometimes("limit lowered", ledger.limit < earlier.limit)
        self.sometimes("limit raised", ledger.limit > earlier.limit)
        self.sometimes("stranger noticed", ledger.stranger > earlier.stranger)
        self.sometimes("pause after a refusal that told no window", ledger.pause > earlier.pause)
        self.sometimes("pause doubled", ledger.strikes > max(1, earlier.strikes))
        self.sometimes("small windows of our own entered", ledger.pace > earlier.pace)
        self.sometimes("small windows of our own left", ledger.pace < earlier.pace)

    def _passed(self, earlier: Ledger, ledger: Ledger, now: int, command: Command) -> None:
        self.sometimes("permits aged out", ledger.gone > earlier.gone or ledger.gone_at > earlier.gone_at)
        back = now < earlier.last - command.terms.ttl
        self.sometimes("clock followed back", back)
        known = max((report.stamp for report in command.reports), default=0)
        known = max(known, command.draw.previous if command.draw else 0)
        self.sometimes("store behind (failover seen)", earlier.last < known <= now)

    def _told(self, before: Record, now: int, command: Command) -> None:
        for report in command.reports:
            ledger = before.ledgers.get(report.buckets[0])
            if ledger is None:
                continue
            age = now // ledger.slot - report.stamp // ledger.slot
            moved = report.answered or report.unsent
            self.sometimes("report in the last slot", moved and age == 2)
            self.sometimes("report of a slot that is gone", moved and report.stamp and age >= 3)
            self.sometimes("scout refused", report.refused and report.stamp == ledger.scout)
            self.sometimes("readings told again", report.sights and not report.answered and report.stamp)
            self.sometimes("answered in the dark, reported in the light", report.sights and not report.stamp)
            self.sometimes("permit blanked", report.blank)

    def _drawn(self, before: Record, after: Record, answer: Answer, command: Command) -> None:
        ledger = after.ledgers[answer.buckets[0]]
        earlier = before.ledgers.get(answer.buckets[0])
        self.sometimes("draw from two buckets", len(answer.buckets) > 1)
        if answer.granted:
            self._granted(earlier, ledger, answer)
            return
        now, spare = answer.now, ledger.r_min - sum(ledger.out)
        sure = now < ledger.hi and ledger.seen >= ledger.since
        self.sometimes("probe kept", sure and spare == 1 and not ledger.stranger)
        self.sometimes("share kept for an absent worker", sure and spare > 1 and now < ledger.awaited)
        self.sometimes("room kept for a stranger", sure and spare > 0 and ledger.stranger)
        self.sometimes("hold while a scout is out", ledger.scout and now - ledger.scout < 2000)
        doubt = 0 < spare <= ledger.gone and ledger.gone_at >= ledger.adopted
        self.sometimes("permits doubted", not sure and now < ledger.hi and doubt)

    def _granted(self, earlier: Ledger | None, ledger: Ledger, answer: Answer) -> None:
        self.sometimes("scout sent", answer.kind == "scout")
        self.sometimes("probe sent", answer.kind == "probe")
        late = earlier is not None and 0 < earlier.scout <= answer.now - 2000
        self.sometimes("scout lost, another sent", answer.kind == "scout" and late)
        unsure = answer.now >= ledger.hi or ledger.seen < ledger.since
        self.sometimes("lone permit without a scout", answer.kind == "lease" and unsure and not ledger.pace)
