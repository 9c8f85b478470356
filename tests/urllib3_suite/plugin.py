"""The pytest plugin of the runs: guards every manager and pool as it is made, and writes every outcome down.

It runs in the environment of ``prepare``, where urllib3's tests live, with this repository on the path.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from clever_guard import Guard, presets
from clever_guard.events import AttemptFinished, Event, RetryScheduled
from clever_guard.testing import no_waiting
from tests.urllib3_suite.loopback import keep_to_loopback
from tests.urllib3_suite.server import extend_hypercorn

PLENTY = 10_000_000
"""A budget that no suite uses up."""
TIMEOUT = (1.0, 2.0)
"""Connect and read seconds where a test says nothing: the preset's minute, six times over, would be six."""
BROKEN = ("error", "failed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--guarding", choices=("bare", "passive", "shadow", "clever"), default="bare")
    parser.addoption("--outcomes", type=Path, help="the file that outcomes are written to")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    keep_to_loopback()
    extend_hypercorn()
    counts: Counter[str] = Counter()
    stack = ExitStack()
    config.add_cleanup(stack.close)
    guarding = config.getoption("--guarding")
    if guarding != "bare":
        guard_all(_guard(guarding, counts, stack))
    config.pluginmanager.register(Outcomes(config.getoption("--outcomes"), counts))


def _guard(guarding: str, counts: Counter[str], stack: ExitStack) -> Guard:
    def observe(event: Event) -> None:
        counts["attempts"] += isinstance(event, AttemptFinished)
        counts["retries"] += isinstance(event, RetryScheduled)

    if guarding == "passive":
        return stack.enter_context(Guard(observers=[observe], store="memory://"))
    mode = "shadow" if guarding == "shadow" else "enforce"
    guard = stack.enter_context(
        presets.clever("memory://", limit=PLENTY, observers=[observe], mode=mode, timeout=TIMEOUT)
    )
    stack.enter_context(no_waiting(guard))
    return guard


def guard_all(guard: Guard) -> None:
    """Every manager and pool that is made from now on, by whatever subclass."""
    import urllib3

    for kind in (urllib3.PoolManager, urllib3.HTTPConnectionPool):
        kind.__init__ = _wrapping(kind.__init__, guard)  # type: ignore[method-assign]


def _wrapping(init: Callable[..., None], guard: Guard) -> Callable[..., None]:
    @functools.wraps(init)
    def make(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        guard.wrap(self)

    return make


class Outcomes:
    """Test id -> how it ended, and what was said of a failure."""

    def __init__(self, file: Path | None, counts: Counter[str]) -> None:
        self._file = file
        self._counts = counts
        self._tests: dict[str, tuple[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        before = self._tests.get(report.nodeid, ("passed", ""))[0]
        if before not in BROKEN:
            self._tests[report.nodeid] = (_outcome(report, before), _said(report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.outcome != "passed":
            self._tests[report.nodeid] = (_outcome(report, "passed"), _said(report))

    def pytest_sessionfinish(self) -> None:
        if self._file is not None:
            self._file.write_text(json.dumps({"counts": self._counts, "tests": self._tests}, indent=1))


def _outcome(report: Any, before: str) -> str:
    if report.failed:
        return "failed" if getattr(report, "when", "") == "call" else "error"
    return "skipped" if report.skipped else before


def _said(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return "" if report.passed else str(crash.message if crash else report.longrepr)[:2000]
