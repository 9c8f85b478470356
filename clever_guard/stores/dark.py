"""What a worker may do by itself while its store is down: decided here, without a store, a lock or a clock.

    Drawn       what this worker has had of each budget's current window, by the store's word
    remembered  the record it begins the dark with
    share       its part of a budget
    divided     what it may believe of the readings it gets there

No worker sees the others in the dark, so each takes for its own a fleet's part of whatever is left: of the window that was running, of
every later one, and of the Remaining that an answer tells. Their parts together are never more than the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from clever_guard.quota.ledger import birth
from clever_guard.quota.record import Record
from clever_guard.quota.store import Answer, Command, Report, Terms


@dataclass(slots=True)
class Drawn:
    """The last word of the store about one identity, and how much was drawn of the window it spoke of."""

    command: Command
    answer: Answer
    reset_at: int = 0
    permits: int = 0

    def note(self, command: Command, answer: Answer) -> None:
        """The store answered ``command``. A window's end is learned to be sooner by seconds, the next one's is later by far."""
        self.command, self.answer = replace(command, reports=()), answer
        reset_at = max((view.reset_at for view in answer.views), default=0)
        if reset_at > self.reset_at + command.terms.window // 2 or answer.now >= self.reset_at:
            self.permits = 0
        self.reset_at = reset_at
        self.permits += answer.granted - sum(report.unsent for report in command.reports)


def remembered(drawn: Drawn, fleet: int, now: int) -> Record:
    """A fleet's part of what the store last saw left, and no more than a whole share with what was drawn already."""
    answer, terms = drawn.answer, drawn.command.terms
    record = Record({drawn.command.route: answer.buckets})
    for view in answer.views:
        ledger = birth(now, terms)
        ledger.hi = view.reset_at
        left = max(0, view.remaining - view.outstanding) // fleet
        ledger.r_min = min(left, max(0, view.limit // fleet - max(0, drawn.permits)))
        record.ledgers[view.bucket] = ledger
    return record


def share(terms: Terms, fleet: int) -> Terms:
    """One worker's part of a budget: ``limit // fleet`` a window, or one permit in as many windows as it takes."""
    each = terms.limit // fleet
    if each:
        return replace(terms, limit=each, solo=True)
    return replace(terms, limit=1, window=terms.window * -(-fleet // terms.limit), solo=True)


def divided(report: Report, terms: Terms, fleet: int) -> Report:
    """The others see the same Remaining. Where less than one permit a window is a worker's, its windows are not the server's:
    it keeps a pace of its own, and nothing but a refusal is news."""
    if terms.limit >= fleet:
        sights = tuple(replace(sight, remaining=sight.remaining // fleet) for sight in report.sights)
        return replace(report, sights=sights)
    return replace(report, answered=0, blank=report.answered + report.blank, sights=())


def uncounted(report: Report) -> Report:
    """Its readings are true wherever they are told; its counts belong to the ledger its permits were drawn from."""
    sights = tuple(replace(sight, answers=0) for sight in report.sights)
    return replace(report, stamp=0, answered=0, refused=0, unsent=0, blank=0, sights=sights)
