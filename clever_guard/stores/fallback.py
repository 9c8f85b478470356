"""What a worker does while its shared store does not answer: it goes on with its share, and says so.

The circuit opens at the first failure. While it is open commands are answered by a ledger of this process alone, which
spends at most ``limit / fleet`` of every window, whatever Remaining says; headers still rule downwards. One caller at a time
looks whether the store is back. Grants made in the dark carry stamps of the store's clock, carried on from the last
contact, so their readings can be reported afterwards; their counts are not, for those permits were not drawn there.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from clever_guard.errors import StoreUnavailable
from clever_guard.quota.store import Answer, Command, Draw, Store, Terms
from clever_guard.stores.circuit import Circuit, OnChange, OnLoss, since
from clever_guard.stores.dark import Drawn, divided, remembered, share, uncounted
from clever_guard.stores.memory import MemoryStore, monotonic_ms

REMEMBERED = 4_096
log = logging.getLogger("clever_guard")


class Fallback:
    """A shared store with something to fall back on.

    ``fleet``: workers to assume until the store has told how many draw.
    """

    shared = True

    def __init__(
        self,
        primary: Store,
        *,
        fleet: int = 16,
        on_change: OnChange = lambda degraded: None,
        on_loss: OnLoss = lambda commands, seconds: None,
        clock: Callable[[], int] = monotonic_ms,
    ) -> None:
        self._primary = primary
        self._fleet = fleet
        self._on_change = on_change
        self._on_loss = on_loss
        self._clock = clock
        self._lock = threading.RLock()
        """Reentrant: a signal handler may draw while its own thread is here, and all of this is estimates."""
        self._offset: int | None = None
        self._drawers: deque[tuple[int, int]] = deque()
        self._dark = MemoryStore(self._store_time)
        self._drawn_dark: dict[int, None] = {}
        self._known: dict[str, Drawn] = {}
        """By identity, what the store said last: a window that was spent stays spent when the store goes dark."""
        self._circuit = Circuit()
        self._dark_since = self._light_since = 0

    @property
    def degraded(self) -> bool:
        """Whether the store is taken to be down."""
        return self._circuit.open

    def execute(self, commands: Sequence[Command], /) -> Sequence[Answer]:
        """The store's answers, or our own, marked ``dark``. Never raises StoreUnavailable."""
        if self._may_ask():
            asked = self._clock()
            try:
                answers = self._primary.execute([self._lit(command) for command in commands])
            except StoreUnavailable as error:
                self._on_loss(commands, (self._clock() - asked) / 1000)
                self._went_dark(error)
            else:
                self._answered(answers, commands)
                return answers
        return self._in_the_dark(commands)

    def fingerprint(self, mine: str, /) -> str | None:
        """The store's. Raises StoreUnavailable; the circuit is not asked, for this is said once a process."""
        return self._primary.fingerprint(mine)

    def close(self) -> None:
        self._primary.close()

    # -- the circuit -------------------------------------------------------------------------------------------------

    def _may_ask(self) -> bool:
        with self._lock:
            return self._circuit.admits(self._clock())

    def _went_dark(self, error: StoreUnavailable) -> None:
        with self._lock:
            changed = self._circuit.failed(self._clock())
            if changed:
                fleet, now = self._seen(), self._store_time()
                self._dark_since = self._clock()
                self._dark.restore({name: remembered(drawn, fleet, now) for name, drawn in list(self._known.items())})
            never = self._offset is None
        if changed:
            log.warning("%s (%s); working on with this worker's share of the budget", error, since(never))
            self._on_change(True)

    def _answered(self, answers: Sequence[Answer], commands: Sequence[Command]) -> None:
        with self._lock:
            changed = self._circuit.answered()
            if changed:
                self._light_since = self._clock()
                self._remember_drawers(self._light_since - self._dark_since)
            for answer, command in zip(answers, commands, strict=True):
                self._offset = answer.now - self._clock()
                self._note(command, answer)
                self._count(answer, command.terms)
            while len(self._known) > REMEMBERED:
                self._known.pop(next(iter(self._known)), None)
            if changed:
                self._dark.forget()
        if changed:
            log.warning("the store answers again; the fleet shares its budget")
            self._on_change(False)

    def _note(self, command: Command, answer: Answer) -> None:
        drawn = self._known.get(command.identity)
        if drawn is None:
            drawn = self._known[command.identity] = Drawn(command, answer)
        drawn.note(command, answer)

    def _seen(self) -> int:
        """How many workers share a budget, as far as the store has told."""
        return max((seen for _, seen in self._drawers), default=self._fleet)

    def _remember_drawers(self, dark: int) -> None:
        """What was told before ``dark`` ms without the store is not older for it: the count that begins now is small at first."""
        self._drawers = deque((at + dark, seen) for at, seen in self._drawers)

    def _count(self, answer: Answer, terms: Terms) -> None:
        """Remember the largest count of drawers of this window and the last."""
        now = self._clock()
        seen = max((view.drawers for view in answer.views), default=0)
        while self._drawers and (self._drawers[-1][1] <= seen or self._drawers[0][0] < now - 2 * terms.window):
            if self._drawers[-1][1] <= seen:
                self._drawers.pop()
            else:
                self._drawers.popleft()
        if seen:
            self._drawers.append((now, seen))

    # -- the dark ----------------------------------------------------------------------------------------------------

    def _store_time(self) -> int:
        return self._clock() + (self._offset or 0)

    def _in_the_dark(self, commands: Sequence[Command]) -> Sequence[Answer]:
        with self._lock:
            fleet = self._seen()
        answers = self._dark.execute([self._darkened(command, fleet) for command in commands])
        with self._lock:
            for answer in answers:
                if answer.granted:
                    self._drawn_dark[answer.now] = None
            while len(self._drawn_dark) > REMEMBERED:
                self._drawn_dark.pop(next(iter(self._drawn_dark)), None)
            look = self._next_look(commands, answers)
        return [_until_look(answer, look) for answer in answers]

    def _next_look(self, commands: Sequence[Command], answers: Sequence[Answer]) -> int:
        """Milliseconds from now. Who waits for a window looks when it opens, before it takes its share of the dark's."""
        now = self._clock()
        for command, answer in zip(commands, answers, strict=True):
            if answer.hold > command.terms.ttl:
                self._circuit.look_at = min(self._circuit.look_at, now + answer.hold)
        return max(1, self._circuit.look_at - now)

    def _darkened(self, command: Command, fleet: int) -> Command:
        reports = tuple(
            divided(report if report.stamp in self._drawn_dark else uncounted(report), command.terms, fleet)
            for report in command.reports
        )
        return replace(command, terms=share(command.terms, fleet), reports=reports)

    def _lit(self, command: Command) -> Command:
        """For the store: what was drawn in the dark is not its business, what was read there is."""
        if not self._dark_since:
            return command
        reports = tuple(uncounted(report) if report.stamp in self._drawn_dark else report for report in command.reports)
        return replace(command, reports=reports, draw=self._seen_before(command))

    def _seen_before(self, command: Command) -> Draw | None:
        """The draw, with the time when the dark began for the last one where that was in the dark."""
        draw, offset = command.draw, self._offset
        if draw is None or offset is None:
            return draw and replace(draw, previous=0)
        in_the_dark = self._circuit.open or draw.previous < self._light_since + offset
        return replace(draw, previous=min(draw.previous, self._dark_since + offset)) if in_the_dark else draw


def _until_look(answer: Answer, look: int) -> Answer:
    """Nobody is held for longer than it is to the next look at the store, for that may be back."""
    return replace(answer, dark=True, hold=min(answer.hold, look), at_least=min(answer.at_least, look))
