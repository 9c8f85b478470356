"""``clever-guard demo``: the main job for a newcomer.

An emulated API in a process of its own, a fleet of worker processes that sync one paged collection with one token: first
bare (urllib3 with its own Retry), then guarded. What happened is told by the emulator, not by the workers.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from clever_guard.errors import StoreUnavailable
from clever_guard.quota.store import Command, Terms
from clever_guard.stores import open_store
from clever_guard.testing.emulator.pages import record_id
from clever_guard.testing.fleet import TOKEN, EmulatorProcess

PAGE = 10
PATIENCE = 6
"""A run that takes so many times the windows it needs is ended."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the fleet is to do: fetch as many pages as ``windows`` windows allow."""

    limit: int
    window: float
    store: str | None = field(repr=False)
    """A URL may hold a password."""
    workers: int
    windows: int

    @property
    def pages_each(self) -> int:
        return max(1, self.limit * self.windows // self.workers)

    @property
    def records(self) -> int:
        return self.pages_each * self.workers * PAGE


@dataclass(slots=True)
class Outcome:
    """What the emulator saw of one run, and how long it took."""

    seconds: float
    fetched: int
    gave_up: int
    windows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def admitted(self) -> int:
        return sum(window["admitted"] for window in self.windows)

    @property
    def refused(self) -> int:
        return sum(window["refused"] for window in self.windows)

    def spent(self) -> float | None:
        """Share of the budget used in the windows that were open from beginning to end of the work."""
        whole = self.windows[1:-1]
        return sum(window["admitted"] for window in whole) / sum(window["limit"] for window in whole) if whole else None


def run(plan: Plan) -> None:
    """Both runs and the table. Ctrl-C ends everything and says so in one line."""
    _check(plan.store)
    console = Console()
    try:
        with _store(plan) as store:
            bare = _sync(console, plan, None)
            guarded = _sync(console, plan, store)
        console.print(_table(plan, bare, guarded))
    except KeyboardInterrupt:
        console.print("interrupted; everything is ended")
        raise SystemExit(130) from None


def _check(store: str | None) -> None:
    """A demo in the dark shows nothing, so a store that is down is said at once. Raises ValueError."""
    opened = open_store(store)
    try:
        opened.execute([Command("0" * 32, "", Terms(limit=1, window=1_000, ttl=1_000))])
    except StoreUnavailable as error:
        raise ValueError(f"{error}; start it, or leave --store away for a sqlite file") from None
    finally:
        opened.close()


@contextlib.contextmanager
def _store(plan: Plan) -> Iterator[str]:
    if plan.store is not None:
        yield plan.store
        return
    with tempfile.TemporaryDirectory(prefix="clever-guard-") as folder:
        yield f"sqlite:///{Path(folder) / 'quota.db'}"


def _sync(console: Console, plan: Plan, store: str | None) -> Outcome:
    """One run of the fleet against an emulator of its own."""
    name = "guarded" if store else "bare"
    with EmulatorProcess(limit=plan.limit, window=plan.window, phase=0.3, records=plan.records) as server:
        context = multiprocessing.get_context("spawn")
        fetched = [context.Value("q", 0) for _ in range(plan.workers)]
        gave_up = context.Value("q", 0)
        crew = [
            context.Process(
                target=_worker, args=(plan, server.url, store, number, fetched[number], gave_up), daemon=True
            )
            for number in range(plan.workers)
        ]
        begun = time.monotonic()
        try:
            for process in crew:
                process.start()
            _watch(console, plan, name, crew, fetched, server, begun)
        finally:
            _end(crew)
        seconds = time.monotonic() - begun
        return Outcome(seconds, sum(one.value for one in fetched), gave_up.value, server.windows())


def _watch(
    console: Console, plan: Plan, name: str, crew: list[Any], fetched: list[Any], server: EmulatorProcess, begun: float
) -> None:
    """Progress until all workers are done: a live table in a terminal, a line a second where the output is piped."""
    until = begun + PATIENCE * plan.windows * plan.window + 30
    with (
        Live(console=console, auto_refresh=False, transient=True)
        if console.is_terminal
        else contextlib.nullcontext() as live
    ):
        while any(process.is_alive() for process in crew) and time.monotonic() < until:
            line = _line(plan, name, sum(one.value for one in fetched), server, time.monotonic() - begun)
            if live is not None:
                live.update(line, refresh=True)
            else:
                console.print(line, highlight=False)
            _wait(crew, 0.2 if live is not None else 2.0)


def _wait(crew: list[Any], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(process.is_alive() for process in crew):
        time.sleep(0.05)


def _line(plan: Plan, name: str, fetched: int, server: EmulatorProcess, seconds: float) -> str:
    windows = server.windows()
    admitted, refused = (sum(window[what] for window in windows) for what in ("admitted", "refused"))
    return (
        f"{name:>8}  {seconds:5.1f} s  {fetched:6d} of {plan.records} records  "
        f"{admitted:5d} answered  {refused:4d} refused (429)"
    )


def _end(crew: list[Any]) -> None:
    for process in crew:
        if process.is_alive():
            process.terminate()
    for process in crew:
        process.join(5)
        if process.is_alive():
            process.kill()
            process.join()


def _table(plan: Plan, bare: Outcome, guarded: Outcome) -> Table:
    title = f"{plan.records} records in pages of {PAGE}, {plan.workers} processes, one token, {plan.limit} requests per {plan.window:g} s"
    table = Table(title=title)
    table.add_column("judged by the server")
    table.add_column("urllib3 with Retry", justify="right")
    table.add_column("with clever_guard", justify="right")
    both = (bare, guarded)
    table.add_row("records fetched", *(f"{one.fetched}" for one in both))
    table.add_row("workers that gave up", *(f"{one.gave_up}" for one in both))
    table.add_row("windows used", *(f"{len(one.windows)}" for one in both))
    table.add_row("budget spent in full windows", *(_percent(one.spent()) for one in both))
    table.add_row("refused (429)", *(f"{one.refused}" for one in both))
    table.add_row("seconds", *(f"{one.seconds:.1f}" for one in both))
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _worker(plan: Plan, url: str, store: str | None, number: int, fetched: Any, gave_up: Any) -> None:
    """One process: its stretch of the collection, page by page."""
    import urllib3
    from urllib3.util.retry import Retry

    from clever_guard import PageError, presets
    from clever_guard.pages import pages

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    http = urllib3.PoolManager(retries=Retry(total=5, backoff_factor=1, status_forcelist=(429, 500, 502, 503)))
    guard = presets.clever(store, limit=plan.limit, window=plan.window, observers=[])
    if store is not None:
        guard.wrap(http)
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Worker": str(number)}
    first = number * plan.pages_each * PAGE
    mark = f"&starting_after={record_id('students', first - 1)}" if first else ""
    try:
        for count, page in enumerate(pages(http, f"{url}/v2.0/students?limit={PAGE}{mark}", headers=headers), 1):
            fetched.value += len(page["data"])
            if count == plan.pages_each:
                break
    except (PageError, urllib3.exceptions.HTTPError):
        with gave_up.get_lock():
            gave_up.value += 1
    guard.close()
