"""A fleet of real processes against an emulator in a process of its own: for tests, benchmarks and the demo.

    with EmulatorProcess(limit=300, window=6) as server:
        result = Fleet(server.url, store="redis://...", workers=8).run(seconds=30)
        truth = server.truth()

What a fleet did is judged by the emulator's log; what the workers count themselves is only for comparison.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

TOKEN = "TEST_TOKEN"


class EmulatorProcess:
    """``clever-guard emulate`` on a free port. Options as on its command line: ``EmulatorProcess(limit=300, drop_after=0.1)``."""

    def __init__(self, **options: Any) -> None:
        words = [word for name, value in options.items() for word in _option(name, value)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "clever_guard", "emulate", "--port", "0", *words],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            self.url = self._told()
        except BaseException:
            self.close()
            raise

    def _told(self) -> str:
        """Its address, which is the first thing it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("http://"):
            raise RuntimeError("the emulator did not start")
        return line.split()[0]

    def truth(self) -> dict[str, Any]:
        """What really happened, from the emulator's own log."""
        with urllib.request.urlopen(self.url + "/_emulator/truth", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def windows(self) -> list[dict[str, Any]]:
        """The windows of the one token, oldest first."""
        budgets = self.truth()["budgets"]
        return list(next(iter(budgets.values()))) if budgets else []

    def reset(self) -> None:
        urllib.request.urlopen(self.url + "/_emulator/reset", timeout=30).close()

    def close(self) -> None:
        self._process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> EmulatorProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _option(name: str, value: Any) -> list[str]:
    flag = "--" + name.replace("_", "-")
    if value is True:
        return [flag]
    return [] if value is False else [flag, str(value)]


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """``workers`` processes of ``threads`` threads that call ``url`` as fast as they may.

    ``client`` makes what sends in each process, given a Counter whose counts come back with the others; default: a PoolManager,
    guarded or not.
    """

    url: str
    store: str = field(repr=False)
    """A URL may hold a password."""
    limit: int
    window: float
    workers: int = 8
    threads: int = 1
    path: str = "/v2.0/students?limit=1"
    guarded: bool = True
    client: Callable[[Counter[str]], Any] | None = None

    def run(
        self, seconds: float, disturb: Callable[[list[multiprocessing.Process]], None] | None = None
    ) -> Counter[str]:
        """Hammer for ``seconds``; ``disturb`` may kill or stop processes meanwhile. Returns the workers' own counts."""
        context = multiprocessing.get_context("fork")
        results: Any = context.SimpleQueue()
        begin = time.time() + 0.5
        crew = [self._worker(context, number, begin, begin + seconds, results) for number in range(self.workers)]
        if disturb is not None:
            disturb(crew)
        total: Counter[str] = Counter()
        for process in crew:
            process.join(seconds + 60)
            if process.is_alive():
                process.kill()
                process.join()
        while not results.empty():
            total.update(results.get())
        results.close()
        return total

    def start_one(self, number: int, until: float) -> multiprocessing.Process:
        """One more worker, in place of one that was killed."""
        context = multiprocessing.get_context("fork")
        process: multiprocessing.Process = self._worker(context, number, time.time(), until, None)
        return process

    def _worker(self, context: Any, number: int, begin: float, until: float, results: Any) -> Any:
        process = context.Process(target=_work, args=(self, number, begin, until, results), daemon=True)
        process.start()
        return process


@dataclass(slots=True)
class _Tally:
    counts: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)


def _work(fleet: Fleet, number: int, begin: float, until: float, results: Any) -> None:
    """One worker process, until ``until``."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    tally = _Tally()
    http, guard = _client(fleet, tally.counts)
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Worker": str(number)}
    time.sleep(max(0.0, begin - time.time()))
    threads = [
        threading.Thread(target=_hammer, args=(http, fleet, headers, until, tally)) for _ in range(fleet.threads - 1)
    ]
    for thread in threads:
        thread.start()
    _hammer(http, fleet, headers, until, tally)
    for thread in threads:
        thread.join()
    if guard is not None:
        guard.close()
    if results is not None:
        results.put(dict(tally.counts))
    os._exit(0)


def _client(fleet: Fleet, counts: Counter[str]) -> tuple[Any, Any]:
    """What sends, and the guard to close at the end."""
    import urllib3

    from clever_guard import presets

    if fleet.client is not None:
        return fleet.client(counts), None
    http = urllib3.PoolManager(maxsize=fleet.threads)
    if not fleet.guarded:
        return http, None
    guard = presets.clever(fleet.store, limit=fleet.limit, window=fleet.window, observers=[], max_wait=3600)
    return guard.wrap(http), guard


def _hammer(http: Any, fleet: Fleet, headers: dict[str, str], until: float, tally: _Tally) -> None:
    from clever_guard import QuotaTimeout, options

    while (left := until - time.time()) > 0:
        try:
            with options(max_wait=left) if fleet.guarded else contextlib.nullcontext():
                what = str(http.request("GET", fleet.url + fleet.path, headers=headers).status)
        except QuotaTimeout:
            return
        except Exception as error:
            what = type(error).__name__
        with tally.lock:
            tally.counts[what] += 1
