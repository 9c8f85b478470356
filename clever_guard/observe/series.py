"""The series this project exports: names, labels, buckets. The contract of dashboards and alerts."""

from __future__ import annotations

from typing import NamedTuple

WAITS = (0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 75.0, 90.0, 120.0, 300.0)
TRIPS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Series(NamedTuple):
    """One series. ``kind``: counter, histogram (with upper ``bounds``, seconds) or gauge.

    ``mode`` says how processes of a gauge add up in multiprocess mode. By default the newest value counts: a parent that merely
    made the gauge would count as 0 in a minimum.
    """

    kind: str
    name: str
    text: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...] = ()
    mode: str = "livemostrecent"


def _counter(name: str, text: str, *labels: str) -> Series:
    return Series("counter", f"clever_guard_{name}", text, ("guard", *labels))


def _histogram(name: str, text: str, *labels: str, bounds: tuple[float, ...] = WAITS) -> Series:
    return Series("histogram", f"clever_guard_{name}", text, ("guard", *labels), bounds)


def _gauge(name: str, text: str, *labels: str, mode: str = "livemostrecent") -> Series:
    return Series("gauge", f"clever_guard_{name}", text, ("guard", *labels), mode=mode)


SERIES = {
    "calls": _counter("calls_total", "Finished calls.", "host", "method", "outcome"),
    "attempts": _counter("attempts_total", "Sends.", "host", "method", "code"),
    "retries": _counter("retries_total", "Scheduled retries.", "host", "reason"),
    "throttled": _counter("throttled_total", "Answers 429 received.", "host"),
    "ignored": _counter("ignored_headers_total", "Header values refused as impossible.", "host", "reason"),
    "permits": _counter("permits_total", "Permits that changed hands.", "bucket", "op"),
    "bucket_attempts": _counter("bucket_attempts_total", "Answered attempts of the fleet.", "bucket"),
    "bucket_refused": _counter("bucket_refused_total", "Refused attempts of the fleet.", "bucket"),
    "store_requests": _counter("store_requests_total", "Store round trips.", "op", "outcome"),
    "call_duration": _histogram("call_duration_seconds", "A whole call, waits included.", "host"),
    "attempt_duration": _histogram("attempt_duration_seconds", "One send.", "host"),
    "wait": _histogram("wait_seconds", "Time spent waiting.", "host", "reason"),
    "store_duration": _histogram(
        "store_request_duration_seconds", "One store round trip.", "op", "outcome", bounds=TRIPS
    ),
    "limit": _gauge("quota_limit", "Requests of a window.", "bucket"),
    "remaining": _gauge("quota_remaining", "Remaining as last seen.", "bucket"),
    "reset": _gauge("quota_reset_timestamp_seconds", "When the window is over.", "bucket"),
    "outstanding": _gauge("quota_outstanding", "Permits drawn and not yet reported.", "bucket"),
    "degraded": _gauge("store_degraded", "1 while working without the store.", mode="livemax"),
    "mismatch": _gauge("store_secret_mismatch", "1 when this worker's secret is not the fleet's.", mode="livemax"),
}
