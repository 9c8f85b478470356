"""What a guard runs on: the store's news as observers are told, secrets compared once, nothing kept for nobody."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

from clever_guard import Guard, Quota, StoreUnavailable
from clever_guard.events import LedgerSeen, SecretMismatch, StoreAnswered, StoreChanged
from clever_guard.model import Outcome, Reply, Request
from clever_guard.quota.books import Trip
from clever_guard.stores import MemoryStore


class Answering:
    """A transport whose answers say that nothing is left."""

    def send(self, request: Request, /) -> Outcome:
        headers = {
            "X-RateLimit-Limit": "1",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(int(time.time()) + 3600),
            "Date": formatdate(usegmt=True),
        }
        return Reply(200, headers, object())

    def discard(self, outcome: Outcome, /) -> None:
        raise AssertionError("a 200 is returned")


class Shared:
    """A shared store that can be down, and whose fleet has another secret."""

    shared = True

    def __init__(self) -> None:
        self.down = True
        self.asked = 0
        self.inner = MemoryStore()

    def execute(self, commands: Any, /) -> Any:
        if self.down:
            raise StoreUnavailable("the store does not answer")
        return self.inner.execute(commands)

    def fingerprint(self, mine: str, /) -> str:
        self.asked += 1
        if self.down:
            raise StoreUnavailable("the store does not answer")
        return "another"

    def close(self) -> None:
        pass


def called(guard: Guard) -> None:
    guard.call(Request("GET", "https", "api.example", None, "/", {"Authorization": "Bearer t"}), Answering())


def test_secrets_are_compared_when_a_store_that_was_down_is_back(caplog: pytest.LogCaptureFixture) -> None:
    store, told = Shared(), list[Any]()
    guard = Guard(Quota(limit=1000, window=0.2), store=store, observers=[told.append])
    called(guard)
    assert [one for one in told if isinstance(one, SecretMismatch)] == []
    store.down = False
    guard.engine._store._circuit.look_at = 0
    called(guard)
    assert SecretMismatch("clever", True) in told
    assert "this worker's secret is not the fleet's" in caplog.text
    guard.close()


def test_a_store_that_never_compares_is_asked_three_times_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    store = Shared()
    store.down = False
    guard = Guard(Quota(limit=10**6, window=3600), store=store, on_store_failure="raise")

    def refuse(mine: str) -> str:
        store.asked += 1
        raise StoreUnavailable("no right to do that")

    store.fingerprint = refuse  # type: ignore[method-assign]
    for _ in range(20):
        guard.engine._trip_made(Trip((), ()), [], 0.0)
    assert store.asked == 3
    assert caplog.text.count("could not be compared") == 1


def test_trips_in_the_dark_are_no_trips_and_those_that_failed_are_told() -> None:
    store, told = Shared(), list[Any]()
    guard = Guard(Quota(limit=1000, window=0.2), store=store, observers=[told.append])
    for _ in range(3):
        called(guard)
    answered = [one.outcome for one in told if isinstance(one, StoreAnswered)]
    assert set(answered) == {"error"}
    assert not any(isinstance(one, LedgerSeen) for one in told)
    guard.close()


def test_a_guard_without_observers_keeps_no_count_of_moves() -> None:
    guard = Guard(Quota(limit=1000, window=60))
    for number in range(150):
        headers = {"Authorization": f"Bearer t{number}"}
        guard.call(Request("GET", "https", "api.example", None, "/", headers), Answering())
    assert len(guard.engine._books._moves) <= 4


def test_a_child_of_a_dark_parent_does_not_say_degraded_for_ever() -> None:
    store, told = Shared(), list[Any]()
    guard = Guard(Quota(limit=1000, window=60), store=store, observers=[told.append])
    called(guard)
    assert StoreChanged("clever", True) in told
    guard.start_anew()
    assert told[-1] == StoreChanged("clever", False)
    guard.close()
