"""Prometheus: every event becomes a count, a time or a gauge, with bounded labels.

Observers that share a registry share one set of series, told apart by the label ``guard``. Children are looked up once and
kept, for a look-up costs four times the increment. Series with a label ``bucket`` come from the process only where it asks for
them (``buckets=True``): forty workers with 300 tokens would be 100,000 series.

No lock of ours is held while prometheus_client is called, so a signal handler that emits cannot deadlock on us.
"""

from __future__ import annotations

import math
import re
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from clever_guard import events

WAITS = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10, 20, 30, 45, 60, 75, 90, 120, 300)
MAX_HOSTS = 50
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE"})
"""RFC 9110 9.3."""
OUTCOMES = frozenset({"ok", "permanent", "exhausted", "rejected", "error", "cancelled"})
RETRIES = frozenset({"throttled", "status", "connect", "read"})
REASONS = frozenset({"quota", "backoff", "retry_after", "breaker"})
OPS = frozenset({"granted", "used", "returned", "expired"})
OTHER = "other"
MAX_WORDS = 64
"""Different reasons of refused headers; third-party dialects choose their own words."""
_WORD = re.compile(r"[a-z_]{1,40}")
T = TypeVar("T")


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
        self._series = _series_of(REGISTRY if registry is None else registry)
        self.buckets = buckets
        self._max_buckets = max_buckets
        self._wall = wall
        self._children: dict[tuple[Any, ...], Any] = {}
        self._names: dict[str, dict[str, None]] = {"host": {}, "bucket": {}, "word": {}}
        self._totals: dict[tuple[str, str, str], int] = {}
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

    def __call__(self, event: events.Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    # -- one method per event ------------------------------------------------------------------------------------------

    def _call(self, event: events.CallFinished) -> None:
        host, method = self._host(event.host), _known(event.method, METHODS)
        self._child("calls", event.guard, host, method, _known(event.outcome, OUTCOMES)).inc()
        self._child("call_duration", event.guard, host).observe(event.seconds)

    def _attempt(self, event: events.AttemptFinished) -> None:
        host, method = self._host(event.host), _known(event.method, METHODS)
        self._child("attempts", event.guard, host, method, _code(event.code)).inc()
        self._child("attempt_duration", event.guard, host).observe(event.seconds)
        if event.code == 429:
            self._child("throttled", event.guard, host).inc()

    def _waited(self, event: events.Waited) -> None:
        self._child("wait", event.guard, self._host(event.host), _known(event.reason, REASONS)).observe(event.seconds)

    def _retry(self, event: events.RetryScheduled) -> None:
        self._child("retries", event.guard, self._host(event.host), _known(event.reason, RETRIES)).inc()

    def _ignored(self, event: events.HeadersIgnored) -> None:
        word = event.reason if _WORD.fullmatch(event.reason) else OTHER
        self._child("ignored", event.guard, self._host(event.host), self._bounded("word", word, MAX_WORDS)).inc()

    def _store(self, event: events.StoreAnswered) -> None:
        self._child("store_requests", event.guard, event.op, event.outcome).inc()
        self._child("store_duration", event.guard, event.op, event.outcome).observe(event.seconds)

    def _degraded(self, event: events.StoreChanged) -> None:
        self._child("degraded", event.guard).set(int(event.degraded))

    def _mismatch(self, event: events.SecretMismatch) -> None:
        self._child("mismatch", event.guard).set(int(event.mismatch))

    def _ledger(self, event: events.LedgerSeen) -> None:
        if not self.buckets:
            return
        bucket = self._bounded("bucket", event.bucket, self._max_buckets)
        self._follow("bucket_attempts", event.guard, event.bucket, bucket, event.answered)
        self._follow("bucket_refused", event.guard, event.bucket, bucket, event.refused)
        if bucket != OTHER:
            self._child("limit", event.guard, bucket).set(event.limit)
            self._child("remaining", event.guard, bucket).set(event.remaining)
            self._child("outstanding", event.guard, bucket).set(event.outstanding)
            self._child("reset", event.guard, bucket).set(math.floor(self._wall() + event.resets_in))

    def _permits(self, event: events.PermitsMoved) -> None:
        if self.buckets and event.op in OPS:
            bucket = self._bounded("bucket", event.bucket, self._max_buckets)
            self._child("permits", event.guard, bucket, event.op).inc(event.count)

    # -- labels --------------------------------------------------------------------------------------------------------

    def _follow(self, name: str, guard: str, bucket: str, label: str, total: int) -> None:
        """A counter that follows the ledger's running total; a ledger that began anew counts from 0."""
        key = (name, guard, bucket)
        before = self._totals.get(key, 0)
        if len(self._totals) < 20 * self._max_buckets or key in self._totals:
            self._totals[key] = total
            self._child(name, guard, label).inc(total - before if total >= before else total)

    def _host(self, host: str) -> str:
        return self._bounded("host", host, MAX_HOSTS)

    def _bounded(self, kind: str, name: str, most: int) -> str:
        """The first ``most`` names keep their own label. ``dict`` operations are atomic; a lost race is one name more."""
        known = self._names[kind]
        if name not in known:
            if len(known) >= most:
                return OTHER
            known[name] = None
        return name

    def _child(self, name: str, *labels: str) -> Any:
        key = (name, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._series[name].labels(*labels)
        return child


def _known(word: str, words: frozenset[str]) -> str:
    return word if word in words else OTHER


def _code(code: int | None) -> str:
    if code is None:
        return "error"
    return str(code) if 100 <= code <= 599 else OTHER


_made: weakref.WeakKeyDictionary[CollectorRegistry, dict[str, Any]] = weakref.WeakKeyDictionary()


def _series_of(registry: CollectorRegistry) -> dict[str, Any]:
    """The series of a registry, made once: prometheus_client refuses to register a name twice."""
    if registry not in _made:
        _made[registry] = _counters(registry) | _histograms(registry) | _gauges(registry)
    return _made[registry]


def _counters(registry: CollectorRegistry) -> dict[str, Any]:
    def counter(name: str, text: str, *labels: str) -> Counter:
        return Counter(f"clever_guard_{name}", text, ("guard", *labels), registry=registry)

    return {
        "calls": counter("calls_total", "Finished calls.", "host", "method", "outcome"),
        "attempts": counter("attempts_total", "Sends.", "host", "method", "code"),
        "retries": counter("retries_total", "Scheduled retries.", "host", "reason"),
        "throttled": counter("throttled_total", "Answers 429 received.", "host"),
        "ignored": counter("ignored_headers_total", "Header values refused as impossible.", "host", "reason"),
        "permits": counter("permits_total", "Permits that changed hands.", "bucket", "op"),
        "bucket_attempts": counter("bucket_attempts_total", "Answered attempts of the fleet.", "bucket"),
        "bucket_refused": counter("bucket_refused_total", "Refused attempts of the fleet.", "bucket"),
        "store_requests": counter("store_requests_total", "Store round trips.", "op", "outcome"),
    }


def _histograms(registry: CollectorRegistry) -> dict[str, Any]:
    def histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...] = WAITS) -> Histogram:
        return Histogram(f"clever_guard_{name}", text, ("guard", *labels), registry=registry, buckets=buckets)

    quick = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
    return {
        "call_duration": histogram("call_duration_seconds", "A whole call, waits included.", "host"),
        "attempt_duration": histogram("attempt_duration_seconds", "One send.", "host"),
        "wait": histogram("wait_seconds", "Time spent waiting.", "host", "reason"),
        "store_duration": histogram(
            "store_request_duration_seconds", "One store round trip.", "op", "outcome", buckets=quick
        ),
    }


def _gauges(registry: CollectorRegistry) -> dict[str, Any]:
    """``livemostrecent``: in multiprocess mode a parent that merely made the gauge would count as 0 in a minimum."""

    def gauge(name: str, text: str, *labels: str, mode: Any = "livemostrecent") -> Gauge:
        return Gauge(f"clever_guard_{name}", text, ("guard", *labels), registry=registry, multiprocess_mode=mode)

    return {
        "limit": gauge("quota_limit", "Requests of a window.", "bucket"),
        "remaining": gauge("quota_remaining", "Remaining as last seen.", "bucket"),
        "reset": gauge("quota_reset_timestamp_seconds", "When the window is over.", "bucket"),
        "outstanding": gauge("quota_outstanding", "Permits drawn and not yet reported.", "bucket"),
        "degraded": gauge("store_degraded", "1 while working without the store.", mode="livemax"),
        "mismatch": gauge("store_secret_mismatch", "1 when this worker's secret is not the fleet's.", mode="livemax"),
    }
