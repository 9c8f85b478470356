"""What a guard runs on in this process: lease books, the store, the driver; made anew in a forked child."""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Callable, Sequence

from clever_guard.drivers.sync import SyncDriver
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
from clever_guard.parts.keys import fingerprint
from clever_guard.quota.books import Books, Trip
from clever_guard.quota.store import Answer, Store
from clever_guard.stores.fallback import Fallback

log = logging.getLogger("clever_guard")
_chance = random.SystemRandom().random


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
        self._bare = store
        self._observers = tuple(observers)
        self._secret = secret
        self._fleet = fleet
        self._local = on_store_failure == "local" and store.shared
        self._shadow = shadow
        self._ttl = ttl
        self._pid = os.getpid()
        self._broken: set[int] = set()
        self.start_anew()

    def start_anew(self) -> None:
        """Empty books, new locks. A store with ``after_fork()`` is told; it must not use what the parent has open."""
        after_fork = getattr(self._bare, "after_fork", None)
        if after_fork is not None and os.getpid() != self._pid:
            after_fork()
        self._pid = os.getpid()
        self._books = Books(self._ttl, _chance)
        self._store = Fallback(self._bare, fleet=self._fleet, on_change=self._changed) if self._local else self._bare
        self._introduced = not self._bare.shared
        self._introducing = threading.Lock()
        self.driver = SyncDriver(self._books, self._store, self.tell, on_trip=self._trip_made, shadow=self._shadow)

    def run_on(
        self,
        clock: Callable[[], float],
        wall: Callable[[], float],
        pause: Callable[[float, Ticket | None], None],
        store: Store,
    ) -> None:
        """For tests: another time, with a store that keeps it, until ``start_anew``."""
        self._books = Books(self._ttl)
        self._introduced = True
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

    def _trip_made(self, trip: Trip, answers: list[Answer] | None, seconds: float) -> None:
        if not self._introduced and answers is not None:
            self._introduce()
        if not self._observers:
            return
        op = "draw" if any(command.draw for command in trip.commands) else "report"
        self.tell(StoreAnswered(self._name, op, "error" if answers is None else "ok", seconds))
        for book, answer in zip(trip.books, answers or (), strict=False):
            self._tell_views(book.claim.label, answer)
        for label, bucket, moved, count in self._books.moves():
            self.tell(PermitsMoved(self._name, _bucket(label, bucket), moved, count))

    def _tell_views(self, label: str, answer: Answer) -> None:
        for view in answer.views:
            self.tell(
                LedgerSeen(
                    self._name,
                    _bucket(label, view.bucket),
                    view.limit,
                    view.remaining,
                    view.outstanding,
                    (view.reset_at - answer.now) / 1000,
                    view.answered,
                    view.refused,
                )
            )

    def _introduce(self) -> None:
        """Once a process: compare secrets with the fleet, for workers that differ would found a second one."""
        with self._introducing:
            first, self._introduced = not self._introduced, True
        if not first:
            return
        mine = fingerprint(self._secret)
        theirs = self._store.fingerprint(mine)
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


def _bucket(label: str, bucket: str) -> str:
    """How a bucket is shown: the identity's label, and the server's name for it."""
    return f"{label}:{bucket}" if bucket else label
