"""Prometheus: every event becomes a count, a time or a gauge, with bounded labels.

Observers that share a registry share one set of numbers (``counting``), told apart by the label ``guard``. Cells are looked up
once and kept, for a look-up costs more than the counting. Series with a label ``bucket`` come from the process only where it asks
for them (``buckets=True``): forty workers with 300 tokens would be 100,000 series.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from prometheus_client import REGISTRY, CollectorRegistry

from clever_guard import events
from clever_guard.observe.counting import ChildTally, Tally, numbers_of

MAX_HOSTS = 50
LONGEST_HOST = 253
"""Characters a name in DNS has at most (RFC 1035 2.3.4); a redirect may name a longer one, and every series would repeat it."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE"})
"""RFC 9110 9.3."""
OUTCOMES = frozenset({"ok", "permanent", "exhausted", "rejected", "error", "cancelled"})
RETRIES = frozenset({"throttled", "status", "connect", "read"})
REASONS = frozenset({"quota", "backoff", "retry_after", "breaker"})
OPS = frozenset({"granted", "used", "returned", "expired"})
OTHER = "other"
DISORDER = 10_000
"""Milliseconds by which an event may come late."""
MAX_WORDS = 64
"""Different reasons of refused headers; third-party dialects choose their own words."""
_WORD = re.compile(r"[a-z_]{1,40}")
Tallies: TypeAlias = dict[tuple[Any, ...], Tally | ChildTally]
"""By the four words of an event: what counts and times it."""


class PrometheusObserver:
    """An observer for one or many guards. Never raises into a request.

    ``registry``: prometheus_client's default one, or yours. ``buckets``: also export each bucket's ledger from this process, the
    first ``max_buckets`` of them; counters of the rest add up in ``other``. ``wall``: epoch seconds.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        *,
        buckets: bool = False,
        max_buckets: int = 1000,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._numbers = numbers_of(REGISTRY if registry is None else registry)
        self.buckets = buckets
        self._max_buckets = max_buckets
        self._wall = wall
        self._cells: dict[tuple[str, ...], Any] = {}
        self._tallies: Tallies = {}
        self._names: dict[str, dict[str, None]] = {"host": {}, "bucket": {}, "word": {}}
        self._totals: dict[tuple[str, str, str], int] = {}
        self._stamps: dict[tuple[str, str], int] = {}
        self.after_fork()
        self._handlers: dict[type, Callable[[Any], None]] = {
            events.CallFinished: self._call,
            events.AttemptFinished: self._attempt,
            events.Waited: self._waited,
            events.RetryScheduled: self._retry,
            events.HeadersIgnored: self._ignored,
            events.StoreAnswered: self._store,
            events.StoreChanged: self._degraded,
            events.SecretMismatch: self._mismatch,
            events.LedgerSeen: self._ledger,
            events.PermitsMoved: self._permits,
        }

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._following = threading.RLock()  # a signal handler may emit while its own thread is here
        self._numbers.after_fork()

    def __call__(self, event: events.Event) -> None:
        tally = self._tallies.get(event[:4])  # of calls and attempts: no other event has a method in its third place
        if tally is not None:
            tally.add(event[4])  # type: ignore[misc]
            return
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    # -- one method per event ------------------------------------------------------------------------------------------

    def _call(self, event: events.CallFinished) -> None:
        labels = event.guard, self._host(event.host), _known(event.method, METHODS), _known(event.outcome, OUTCOMES)
        self._tally(event, labels, "calls", "call_duration")

    def _attempt(self, event: events.AttemptFinished) -> None:
        labels = event.guard, self._host(event.host), _known(event.method, METHODS), _code(event.code)
        self._tally(event, labels, "attempts", "attempt_duration")
        if event.code == 429:
            self._cell("throttled", event.guard, labels[1]).inc()

    def _waited(self, event: events.Waited) -> None:
        self._cell("wait", event.guard, self._host(event.host), _known(event.reason, REASONS)).observe(event.seconds)

    def _retry(self, event: events.RetryScheduled) -> None:
        self._cell("retries", event.guard, self._host(event.host), _known(event.reason, RETRIES)).inc()

    def _ignored(self, event: events.HeadersIgnored) -> None:
        word = event.reason if _WORD.fullmatch(event.reason) else OTHER
        self._cell("ignored", event.guard, self._host(event.host), self._bounded("word", word, MAX_WORDS)).inc()

    def _store(self, event: events.StoreAnswered) -> None:
        self._cell("store_requests", event.guard, event.op, event.outcome).inc()
        self._cell("store_duration", event.guard, event.op, event.outcome).observe(event.seconds)

    def _degraded(self, event: events.StoreChanged) -> None:
        self._cell("degraded", event.guard).set(int(event.degraded))

    def _mismatch(self, event: events.SecretMismatch) -> None:
        self._cell("mismatch", event.guard).set(int(event.mismatch))

    def _ledger(self, event: events.LedgerSeen) -> None:
        if not self.buckets:
            return
        with self._following:
            if self._is_news(event):
                self._show(event)

    def _is_news(self, event: events.LedgerSeen) -> bool:
        """Threads tell out of order; a clock that is behind by more than that was set."""
        last = self._stamps.get((event.guard, event.bucket), 0)
        if last - DISORDER < event.stamp < last:
            return False
        if len(self._stamps) < 20 * self._max_buckets or last:
            self._stamps[event.guard, event.bucket] = event.stamp
        return True

    def _show(self, event: events.LedgerSeen) -> None:
        bucket = self._bounded("bucket", event.bucket, self._max_buckets)
        self._follow("bucket_attempts", event.guard, event.bucket, bucket, event.answered)
        self._follow("bucket_refused", event.guard, event.bucket, bucket, event.refused)
        if bucket != OTHER:
            self._cell("limit", event.guard, bucket).set(event.limit)
            self._cell("remaining", event.guard, bucket).set(event.remaining)
            self._cell("outstanding", event.guard, bucket).set(event.outstanding)
            self._cell("reset", event.guard, bucket).set(math.floor(self._wall() + event.resets_in))

    def _permits(self, event: events.PermitsMoved) -> None:
        if self.buckets and event.op in OPS:
            bucket = self._bounded("bucket", event.bucket, self._max_buckets)
            self._cell("permits", event.guard, bucket, event.op).inc(event.permits)

    # -- labels --------------------------------------------------------------------------------------------------------

    def _follow(self, name: str, guard: str, bucket: str, label: str, total: int) -> None:
        """A counter that follows the ledger's running total; a ledger that began anew counts from 0."""
        key = (name, guard, bucket)
        before = self._totals.get(key, 0)
        if len(self._totals) < 20 * self._max_buckets or key in self._totals:
            self._totals[key] = total
            self._cell(name, guard, label).inc(total - before if total >= before else total)

    def _host(self, host: str) -> str:
        return self._bounded("host", host, MAX_HOSTS) if len(host) <= LONGEST_HOST else OTHER

    def _bounded(self, kind: str, name: str, most: int) -> str:
        """The first ``most`` names keep their own label. ``dict`` operations are atomic; a lost race is one name more."""
        known = self._names[kind]
        if name not in known:
            if len(known) >= most:
                return OTHER
            known[name] = None
        return name

    def _tally(
        self, event: events.CallFinished | events.AttemptFinished, labels: tuple[str, ...], number: str, times: str
    ) -> None:
        """Count and time ``event``, and those like it from now on; unless a label is ``other``, for there may be any number
        of these, or it is a 429, which counts twice."""
        found = self._numbers.tally(self._cell(number, *labels), self._cell(times, *labels[:2]))
        found.add(event.seconds)
        if OTHER not in labels and labels[3] != "429":
            self._tallies[event[:4]] = found

    def _cell(self, name: str, *labels: str) -> Any:
        key = (name, *labels)
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = self._numbers.cell(name, labels)
        return cell


def _known(word: str, words: frozenset[str]) -> str:
    return word if word in words else OTHER


def _code(code: int | None) -> str:
    if code is None:
        return "error"
    return str(code) if 100 <= code <= 599 else OTHER
