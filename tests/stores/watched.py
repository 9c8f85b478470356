"""One worker under observation: a guard with a client, what it told and logged, and the truth of the API it calls."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

import urllib3
import valkey
from prometheus_client import CollectorRegistry
from valkey.backoff import NoBackoff
from valkey.retry import Retry

import clever_guard
from clever_guard import Guard, Quota, QuotaTimeout, StoreUnavailable
from clever_guard.events import LedgerSeen, StoreAnswered, StoreChanged
from clever_guard.observe.prometheus import PrometheusObserver
from clever_guard.stores.redis import DEADLINE
from clever_guard.testing.emulator.serving import Served

TOKEN = "TEST_TOKEN"
MARGIN = 5.0
"""A call waits for a store a quarter of a second to connect and as long for each answer; the rest is for a busy machine."""
PATIENCE = 30.0


def store_at(url: str) -> Any:
    """The URL, or where ``CLEVER_GUARD_TEST_CLIENT`` says so a client of valkey-py for it, as patient as our own are."""
    if os.environ.get("CLEVER_GUARD_TEST_CLIENT") != "valkey":
        return url
    patience: Any = {"socket_timeout": DEADLINE, "socket_connect_timeout": DEADLINE, "retry": Retry(NoBackoff(), 0)}
    return valkey.Valkey.from_url(url, **patience)


class Watched:
    """``mode``: what the guard does when its store fails, and its name. Leases live for 50 ms, so nearly every call asks the store.

    The circuit looks for a lost store five times as soon as it does elsewhere.
    """

    def __init__(self, store: Any, api: Served, *, mode: str = "local", limit: int = 100_000, **options: Any) -> None:
        self.api = api
        self.mode = mode
        self.told: list[Any] = []
        self.registry = CollectorRegistry()
        self.guard = Guard(
            clever_guard.Retry(),
            Quota(limit=limit, window=3600),
            store=store,
            observers=[PrometheusObserver(self.registry), self.told.append],
            on_store_failure=mode,
            name=mode,
            **({"fleet": 2, "ttl": 0.05, "max_wait": 2} | options),
        )
        watched: Any = self.guard.engine._store
        watched._circuit.first = min(100, watched._circuit.first)
        self.http = self.guard.wrap(urllib3.PoolManager())

    def get(self) -> str:
        """One call: ``served``, ``raised`` (the store's error) or ``held`` (the quota's); never later than it may be."""
        begun = time.monotonic()
        try:
            url = self.api.url + "/v2.0/students?limit=1"
            answer = self.http.request("GET", url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10)
            assert answer.status == 200
            return "served"
        except StoreUnavailable:
            return "raised"
        except QuotaTimeout:
            return "held"
        finally:
            assert time.monotonic() - begun < MARGIN

    def calls_until(self, condition: Callable[[], Any]) -> list[str]:
        """Call until it holds; how each call ended."""
        ended: list[str] = []
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"not within {PATIENCE:g} s; calls ended {ended[-5:]}"
            ended.append(self.get())
            time.sleep(0.01)
        return ended

    def fresh_lease(self) -> None:
        """Until the lease in hand is dead, so that the next call asks the store."""
        time.sleep(0.06)

    @property
    def changes(self) -> list[bool]:
        return [one.degraded for one in self.told if isinstance(one, StoreChanged)]

    @property
    def losses(self) -> int:
        """How often the store was asked and did not answer."""
        return sum(isinstance(one, StoreAnswered) and one.outcome == "error" for one in self.told)

    @property
    def gauge(self) -> float | None:
        return self.registry.get_sample_value("clever_guard_store_degraded", {"guard": self.mode})

    @property
    def remaining(self) -> int:
        """What the store's ledger last said is left."""
        return [one.remaining for one in self.told if isinstance(one, LedgerSeen)][-1]

    def close(self) -> None:
        self.guard.close()
        self.http.clear()


def left_of(api: Served) -> int:
    """What the API really has left of its window."""
    (budgets,) = api.emulator.budgets.values()
    (budget,) = budgets.values()
    return int(budget.windows[-1].left)


def lines(records: list[logging.LogRecord]) -> list[str]:
    """What was logged at WARNING and above."""
    return [record.getMessage() for record in records if record.levelno >= logging.WARNING]
