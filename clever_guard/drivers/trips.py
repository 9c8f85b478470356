"""Journeys to the store, for blocking clients: the lease book says what should travel, this makes the trip and tells how it went."""

from __future__ import annotations

import threading
from collections.abc import Callable

from clever_guard.errors import GuardError, StoreUnavailable
from clever_guard.model import Claim, Hold, Permit, Ticket
from clever_guard.quota.books import AFTER_LOSS, Books, Trip
from clever_guard.quota.store import Answer, Store

OnTrip = Callable[[Trip, list[Answer] | None, float], None]
"""(trip, answers or None when the store did not answer, seconds): told after each trip, under no lock."""


class Trips:
    """The lease books of one guard, with the store they draw on."""

    def __init__(self, books: Books, store: Store, clock: Callable[[], float], on_trip: OnTrip | None) -> None:
        self._books = books
        self._store = store
        self._clock = clock
        self._on_trip = on_trip
        self._closed = False

    def reserve(self, claim: Claim, ticket: Ticket | None) -> Permit | Hold:
        """A permit or a hold. Raises StoreUnavailable when the store must be asked and does not answer."""
        while True:
            self._check_open()
            answer = self._books.reserve(claim, self._clock(), ticket, threading.get_ident())
            if isinstance(answer, Permit):
                return answer
            if isinstance(answer, Hold):
                self._check_open()  # whoever closes now will find this ticket in the queue and wake it
                return answer
            self._make(answer)

    def _check_open(self) -> None:
        if self._closed:
            raise GuardError("the guard was closed while this call waited")

    def report(self) -> None:
        """Say what should not wait for company. What the store does not hear ages there by itself."""
        if self._closed:
            return
        trip = self._books.due(self._clock())
        if trip is not None:
            self._try(trip)

    def close(self) -> None:
        """Give unspent permits back, and draw no more. Those who wait look again at once, and learn that it is over."""
        self._closed = True
        self._books.wake_everybody()
        while (trip := self._books.closing(self._clock())) is not None:
            if not self._try(trip):
                return

    def _try(self, trip: Trip) -> bool:
        try:
            self._make(trip)
        except StoreUnavailable:
            return False
        return True

    def _make(self, trip: Trip) -> None:
        asked = self._clock()
        try:
            answers = list(self._store.execute(trip.commands))
        except StoreUnavailable as error:
            patience = (
                AFTER_LOSS if error.retry_in is None else 0.0
            )  # who knows when to look again asks nobody meanwhile
            self._books.lost(trip, self._clock(), patience)
            self._told(trip, None, asked)
            raise
        except BaseException:
            self._books.lost(trip, self._clock())
            raise
        self._books.landed(trip, answers, asked, self._clock())
        self._told(trip, answers, asked)

    def _told(self, trip: Trip, answers: list[Answer] | None, asked: float) -> None:
        if self._on_trip is not None:
            self._on_trip(trip, answers, self._clock() - asked)
