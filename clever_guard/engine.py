"""What a guard runs on in this process: lease books, the store, the driver; made anew in a forked child."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence

from clever_guard.drivers.sync import SyncDriver
from clever_guard.errors import StoreUnavailable
from clever_guard.events import (
    Event,
    LedgerSeen,
    Observer,
    PermitsMoved,
    SecretMismatch,
    StoreAnswered,
    StoreChanged,
)
from clever_guard.given import check_seconds, check_whole
from clever_guard.model import Ticket
from clever_guard.order import chance
from clever_guard.parts.keys import fingerprint
from clever_guard.quota.books import Books, Trip
from clever_guard.quota.names import shown
from clever_guard.quota.store import Answer, Command, Store
from clever_guard.stores.circuit import Strict
from clever_guard.stores.fallback import Fallback

INTRODUCTIONS = 3
"""Trips on which a worker tries to compare its secret with the fleet's."""
log = logging.getLogger("clever_guard")


class Engine:
    """The running parts of one guard. ``driver`` is all that calls need."""

    def __init__(
        self,
        *,
        name: str,
        store: Store,
        observers: Sequence[Observer],
        secret: bytes,
        fleet: int,
        on_store_failure: str,
        shadow: bool,
        ttl: float,
    ) -> None:
        if on_store_failure not in ("local", "raise"):
            raise ValueError(f"on_store_failure={on_store_failure!r}: write 'local' or 'raise'")
        check_whole("fleet", fleet, "workers", least=1)
        check_seconds("ttl", ttl, least=0.05, most=60)
        self._name = name
        self._bare = self._store = store
        self._observers = tuple(observers)
        self._secret = secret
        self._fleet = fleet
        self._local = on_store_failure == "local"
        self._shadow = shadow
        self._ttl = ttl
        self._pid = os.getpid()
        self._broken: set[int] = set()
        self.start_anew()

    def start_anew(self) -> None:
        """Empty books, new locks. A store or an observer with ``after_fork()`` is told; it must not use what the parent has open."""
        if os.getpid() != self._pid:
            for part in (self._bare, *self._observers):
                after_fork = getattr(part, "after_fork", None)
                if after_fork is not None:
                    after_fork()
        self._pid = os.getpid()
        self._books = Books(self._ttl, chance)
        was_dark = isinstance(self._store, Fallback | Strict) and self._store.degraded
        self._store = self._watched() if self._bare.shared else self._bare
        self._introductions = INTRODUCTIONS if self._bare.shared else 0
        self._introducing = threading.Lock()
        self.driver = SyncDriver(self._books, self._store, self.tell, on_trip=self._trip_made, shadow=self._shadow)
        if was_dark:
            self._changed(False)

    def run_on(
        self,
        clock: Callable[[], float],
        wall: Callable[[], float],
        pause: Callable[[float, Ticket | None], None],
        store: Store,
    ) -> None:
        """For tests: another time, with a store that keeps it, until ``start_anew``."""
        self._books = Books(self._ttl)
        self._introductions = 0
        self.driver = SyncDriver(
            self._books,
            store,
            self.tell,
            on_trip=self._trip_made,
            shadow=self._shadow,
            clock=clock,
            wall=wall,
            pause=pause,
        )

    def close(self) -> None:
        self.driver.close()
        self._store.close()

    def tell(self, event: Event) -> None:
        """Tell every observer. What one raises is logged once and never reaches a request."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:
                if id(observer) not in self._broken:
                    self._broken.add(id(observer))
                    log.exception("an observer of guard %r raised; it will not be reported again", self._name)

    # -- the store -----------------------------------------------------------------------------------------------------

    def _watched(self) -> Fallback | Strict:
        """The shared store, with what is done when it does not answer."""
        if self._local:
            return Fallback(self._bare, fleet=self._fleet, on_change=self._changed, on_loss=self._lost)
        return Strict(self._bare, on_change=self._changed, on_loss=self._lost)

    def _trip_made(self, trip: Trip, answers: list[Answer] | None, seconds: float) -> None:
        """``answers``: None where the store did not answer; the dark ones are our own, and no news of the store."""
        lit = answers is not None and not any(answer.dark for answer in answers)
        if lit and self._introductions:
            self._introduce()
        moves = self._books.moves()
        if not self._observers:
            return
        if answers is None and self._store is self._bare:
            self._lost(trip.commands, seconds)
        elif answers is not None and lit:
            self.tell(StoreAnswered(self._name, _op(trip.commands), "ok", seconds))
            for book, answer in zip(trip.books, answers, strict=True):
                self._tell_views(book.claim.label, answer)
        for label, bucket, moved, count in moves:
            self.tell(PermitsMoved(self._name, shown(label, bucket), moved, count))

    def _lost(self, commands: Sequence[Command], seconds: float) -> None:
        self.tell(StoreAnswered(self._name, _op(commands), "error", seconds))

    def _tell_views(self, label: str, answer: Answer) -> None:
        for view in answer.views:
            self.tell(
                LedgerSeen(
                    self._name,
                    shown(label, view.bucket),
                    view.limit,
                    view.remaining,
                    view.outstanding,
                    (view.reset_at - answer.now) / 1000,
                    view.answered,
                    view.refused,
                    answer.now,
                )
            )

    def _introduce(self) -> None:
        """Once a process: compare secrets with the fleet, for workers that differ would found a second one."""
        with self._introducing:
            left, self._introductions = self._introductions, 0
        if not left:
            return
        mine = fingerprint(self._secret)
        try:
            theirs = self._store.fingerprint(mine)
        except StoreUnavailable as error:
            self._introductions = left - 1
            if left == 1:
                log.warning(
                    "guard %r: this worker's secret could not be compared with the fleet's: %s", self._name, error
                )
            return
        if theirs is not None and theirs != mine:
            log.warning(
                "guard %r: this worker's secret is not the fleet's, so it does not share its budget", self._name
            )
        elif not self._secret:
            log.info(
                "guard %r: no secret is set, so digests are only as hard to guess as tokens are random", self._name
            )
        self.tell(SecretMismatch(self._name, theirs is not None and theirs != mine))

    def _changed(self, degraded: bool) -> None:
        self.tell(StoreChanged(self._name, degraded))


def _op(commands: Sequence[Command]) -> str:
    return "draw" if any(command.draw for command in commands) else "report"
