"""Whether a shared store is asked: by everybody while it answers, by one caller at a time while it does not.

    Circuit   open since the first failure, closed by the first answer; decides, and knows no store, lock or clock
    Strict    the store of ``on_store_failure="raise"``: while the circuit is open nobody waits for a store that is down

What ``"local"`` does in its place is in ``fallback.py``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clever_guard.errors import StoreUnavailable
from clever_guard.quota.store import Answer, Command, Store
from clever_guard.stores.memory import monotonic_ms

FIRST_PATIENCE = 500
"""Milliseconds until the first look whether the store is back; doubled each time."""
STRICT_PATIENCE = 50
"""The same where calls are refused meanwhile: one lost packet should not cost half a second of them."""
MOST_PATIENCE = 5_000
log = logging.getLogger("clever_guard")
OnChange = Callable[[bool], None]
"""(degraded): told once for each change, under no lock."""
OnLoss = Callable[[Sequence[Command], float], None]
"""(commands, seconds): told each time the store was asked and did not answer, under no lock."""


@dataclass(slots=True)
class Circuit:
    """All times are milliseconds of its owner's clock, and its owner's lock is held while it is asked."""

    first: int = FIRST_PATIENCE
    open: bool = False
    patience: int = FIRST_PATIENCE
    look_at: int = 0

    def admits(self, now: int) -> bool:
        """Everybody while it is closed; one look at a time while it is open."""
        if not self.open:
            return True
        if now < self.look_at:
            return False
        self.patience = min(MOST_PATIENCE, 2 * self.patience)
        self.look_at = now + self.patience
        return True

    def failed(self, now: int) -> bool:
        """The store did not answer. True if that is news."""
        if self.open:
            return False
        self.open = True
        self.patience = self.first
        self.look_at = now + self.first
        return True

    def answered(self) -> bool:
        """The store answered. True if that is news."""
        news, self.open = self.open, False
        return news


def since(never: bool) -> str:
    """For the one WARNING: whether this store ever worked here, or its address may be wrong."""
    return "it has not answered since this process began" if never else "it answered before"


class Strict:
    """A shared store whose failure is the caller's: StoreUnavailable, and at once while the circuit is open."""

    shared = True

    def __init__(
        self, primary: Store, *, on_change: OnChange, on_loss: OnLoss, clock: Callable[[], int] = monotonic_ms
    ) -> None:
        self._primary = primary
        self._on_change = on_change
        self._on_loss = on_loss
        self._clock = clock
        self._lock = threading.RLock()  # a signal handler may ask while its own thread is here
        self._circuit = Circuit(STRICT_PATIENCE)
        self._answered_once = False
        self._said = ""

    @property
    def degraded(self) -> bool:
        """Whether the store is taken to be down."""
        return self._circuit.open

    def execute(self, commands: Sequence[Command], /) -> Sequence[Answer]:
        """The store's answers. Raises StoreUnavailable, whose ``retry_in`` says when the store is looked for again."""
        asked = self._clock()
        with self._lock:
            admitted, left = self._circuit.admits(asked), self._circuit.look_at - asked
        if not admitted:
            raise StoreUnavailable(self._said, retry_in=left / 1000)
        try:
            answers = self._primary.execute(commands)
        except StoreUnavailable as error:
            self._on_loss(commands, (self._clock() - asked) / 1000)
            raise self._failed(error) from None
        self._answered()
        return answers

    def fingerprint(self, mine: str, /) -> str | None:
        """The store's. Raises StoreUnavailable; the circuit is not asked, for this is said once a process."""
        return self._primary.fingerprint(mine)

    def close(self) -> None:
        self._primary.close()

    def _failed(self, error: StoreUnavailable) -> StoreUnavailable:
        with self._lock:
            now = self._clock()
            news = self._circuit.failed(now)
            self._said = str(error)
            left, never = max(0, self._circuit.look_at - now), not self._answered_once
        if news:
            log.warning("%s (%s); calls that need it are refused", error, since(never))
            self._on_change(True)
        return StoreUnavailable(str(error), retry_in=left / 1000)

    def _answered(self) -> None:
        with self._lock:
            news = self._circuit.answered()
            self._answered_once = True
        if news:
            log.warning("the store answers again; calls are served")
            self._on_change(False)
