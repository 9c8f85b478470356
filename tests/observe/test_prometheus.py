"""Prometheus: every series by scraping, bounded labels, and nothing lost between threads or processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from clever_guard import events as e
from clever_guard.observe.prometheus import PrometheusObserver


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def scraped(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


EVERY = [
    (e.CallFinished("g", "h", "GET", "ok", 0.3), 'calls_total{guard="g",host="h",method="GET",outcome="ok"} 1.0'),
    (e.CallFinished("g", "h", "GET", "ok", 0.3), 'call_duration_seconds_bucket{guard="g",host="h",le="0.5"} 1.0'),
    (e.AttemptFinished("g", "h", "GET", 200, 0.3), 'attempts_total{code="200",guard="g",host="h",method="GET"} 1.0'),
    (e.AttemptFinished("g", "h", "GET", None, 0.3), 'attempts_total{code="error",guard="g",host="h",method="GET"} 1.0'),
    (e.AttemptFinished("g", "h", "GET", 200, 0.3), 'attempt_duration_seconds_count{guard="g",host="h"} 1.0'),
    (e.AttemptFinished("g", "h", "GET", 429, 0.3), 'throttled_total{guard="g",host="h"} 1.0'),
    (e.RetryScheduled("g", "h", "status"), 'retries_total{guard="g",host="h",reason="status"} 1.0'),
    (e.Waited("g", "h", "quota", 4.0), 'wait_seconds_bucket{guard="g",host="h",le="5.0",reason="quota"} 1.0'),
    (e.HeadersIgnored("g", "h", "reset_far"), 'ignored_headers_total{guard="g",host="h",reason="reset_far"} 1.0'),
    (e.StoreAnswered("g", "draw", "ok", 0.002), 'store_requests_total{guard="g",op="draw",outcome="ok"} 1.0'),
    (
        e.StoreAnswered("g", "draw", "ok", 0.002),
        'store_request_duration_seconds_count{guard="g",op="draw",outcome="ok"} 1.0',
    ),
    (e.StoreChanged("g", True), 'store_degraded{guard="g"} 1.0'),
    (e.SecretMismatch("g", True), 'store_secret_mismatch{guard="g"} 1.0'),
    (e.LedgerSeen("g", "b", 10, 4, 2, 30.0, 6, 1), 'quota_limit{bucket="b",guard="g"} 10.0'),
    (e.LedgerSeen("g", "b", 10, 4, 2, 30.0, 6, 1), 'quota_remaining{bucket="b",guard="g"} 4.0'),
    (e.LedgerSeen("g", "b", 10, 4, 2, 30.0, 6, 1), 'quota_outstanding{bucket="b",guard="g"} 2.0'),
    (e.LedgerSeen("g", "b", 10, 4, 2, 30.0, 6, 1), 'quota_reset_timestamp_seconds{bucket="b",guard="g"} 1030.0'),
    (e.LedgerSeen("g", "b", 10, 4, 2, 30.0, 6, 1), 'bucket_attempts_total{bucket="b",guard="g"} 6.0'),
    (e.LedgerSeen("g", "b", 10, 4, 2, 30.0, 6, 1), 'bucket_refused_total{bucket="b",guard="g"} 1.0'),
    (e.PermitsMoved("g", "b", "granted", 7), 'permits_total{bucket="b",guard="g",op="granted"} 7.0'),
]


@pytest.mark.parametrize(("event", "line"), EVERY, ids=[line.split("{")[0] for _, line in EVERY])
def test_every_series(registry: CollectorRegistry, event: e.Event, line: str) -> None:
    PrometheusObserver(registry, buckets=True, wall=lambda: 1000.0)(event)
    assert f"clever_guard_{line}" in scraped(registry)


def test_bucket_series_only_where_asked_for(registry: CollectorRegistry) -> None:
    observe = PrometheusObserver(registry)
    observe(e.LedgerSeen("g", "b", 10, 4, 2, 30.0, 6, 1))
    observe(e.PermitsMoved("g", "b", "granted", 7))
    assert 'bucket="b"' not in scraped(registry)


def test_labels_are_bounded(registry: CollectorRegistry) -> None:
    observe = PrometheusObserver(registry, buckets=True, max_buckets=3)
    for number in range(200):
        observe(e.AttemptFinished("g", f"host{number}", f"M{number}", 1000 + number, 0.1))
        observe(e.CallFinished("g", 'a"b\nc\\', "GET", f"o{number}", 0.1))
        observe(e.Waited("g", "h", f"r{number}", 0.1))
        observe(e.HeadersIgnored("g", "h", f"WORD {number}"))
        observe(e.HeadersIgnored("g", "h", "w" * (number % 40 + 1) + "_x" * (number // 40)))
        observe(e.LedgerSeen("g", f"b{number}", 10, 4, 2, 30.0, 5, 0))
    text = scraped(registry)
    assert text.count("clever_guard_attempts_total{") <= 51
    assert 'clever_guard_attempts_total{code="other",guard="g",host="other",method="other"}' in text
    assert text.count("clever_guard_ignored_headers_total{") <= 66
    assert 'clever_guard_bucket_attempts_total{bucket="other",guard="g"}' in text
    assert 'clever_guard_quota_limit{bucket="other"' not in text


def test_counters_follow_the_ledger_and_never_fall(registry: CollectorRegistry) -> None:
    observe = PrometheusObserver(registry, buckets=True)
    for answered in (5, 9, 9, 2, 4):
        observe(e.LedgerSeen("g", "b", 10, 4, 2, 30.0, answered, 0))
    assert 'clever_guard_bucket_attempts_total{bucket="b",guard="g"} 13.0' in scraped(registry)


def test_guards_share_one_set_of_series(registry: CollectorRegistry) -> None:
    for guard in ("one", "two"):
        PrometheusObserver(registry)(e.StoreChanged(guard, False))
    text = scraped(registry)
    assert 'clever_guard_store_degraded{guard="one"} 0.0' in text
    assert 'clever_guard_store_degraded{guard="two"} 0.0' in text


def test_threads_lose_nothing(registry: CollectorRegistry) -> None:
    observe = PrometheusObserver(registry)

    def work() -> None:
        for _ in range(500):
            observe(e.AttemptFinished("g", "h", "GET", 200, 0.1))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 'attempts_total{code="200",guard="g",host="h",method="GET"} 8000.0' in scraped(registry)


PREFORK = """
import os
from clever_guard import events as e
from clever_guard.observe.prometheus import PrometheusObserver
observe = PrometheusObserver()
for worker in (1, 2):
    if os.fork() == 0:
        for _ in range(worker):
            observe(e.AttemptFinished("g", "h", "GET", 200, 0.1))
        observe(e.StoreChanged("g", worker == 1))
        os._exit(0)
os.wait(); os.wait()
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


def test_multiprocess_mode_adds_up(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PREFORK],
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert 'clever_guard_attempts_total{code="200",guard="g",host="h",method="GET"} 3.0' in done.stdout
    assert 'clever_guard_store_degraded{guard="g"} 1.0' in done.stdout


def seen(answered: int, stamp: int, bucket: str = "b") -> e.LedgerSeen:
    return e.LedgerSeen("g", bucket, 10, 4, 2, 30.0, answered, 0, stamp)


def test_ledgers_that_are_told_out_of_order_count_once(registry: CollectorRegistry) -> None:
    observe = PrometheusObserver(registry, buckets=True)
    for answered, stamp in ((1000, 50_000), (1010, 50_020), (1005, 50_010), (1020, 50_030)):
        observe(seen(answered, stamp))
    assert 'bucket_attempts_total{bucket="b",guard="g"} 1020.0' in scraped(registry)


def test_a_ledger_that_began_anew_counts_on(registry: CollectorRegistry) -> None:
    """Also where its clock was set back."""
    observe = PrometheusObserver(registry, buckets=True)
    for answered, stamp in ((100, 50_000), (3, 50_020), (4, 60_000), (5, 20_000)):
        observe(seen(answered, stamp))
    assert 'bucket_attempts_total{bucket="b",guard="g"} 105.0' in scraped(registry)


def test_threads_that_tell_of_one_ledger_count_each_answer_once(registry: CollectorRegistry) -> None:
    observe = PrometheusObserver(registry, buckets=True)
    total = iter(range(1, 4001))
    lock = threading.Lock()

    def tell() -> None:
        for _ in range(1000):
            with lock:
                event = seen(number := next(total), 50_000 + number)
            observe(event)

    crew = [threading.Thread(target=tell) for _ in range(4)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert 'bucket_attempts_total{bucket="b",guard="g"} 4000.0' in scraped(registry)
