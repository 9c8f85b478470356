"""Every example runs without an argument and prints what it is there to show."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from clever_guard.quota.store import Store
from clever_guard.testing import StoreContract

FOLDER = Path(__file__).resolve().parent.parent / "examples"
SHOWS = {
    "celery_job": r"\A50 jobs done, [1-9]\d* came back later\n\Z",
    "own_dialect": r"(?s)remaining=7, .*quota_impossible.*quota_unreadable.*Settle\n.*returned 200\n\Z",
    "own_policy": r"\A\{200: 1, 404: 1\} of 3 attempts\n\Z",
    "own_store": r"\A15 answered, 0 refused\n\Z",
    "plain_urllib3": r"\A250 students\n\Z",
    "worker_fleet": r"\A( *\d+ of 100 answered, \d+ refused\n)+\Z",
}


@lru_cache
def run(name: str) -> str:
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_every_example_is_expected_to_show_something() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SHOWS)


@pytest.mark.parametrize("name", SHOWS)
def test_it_shows(name: str) -> None:
    assert re.search(SHOWS[name], printed := run(name)), printed


def test_the_fleet_does_all_its_calls() -> None:
    windows = re.findall(r"(\d+) of 100 answered", run("worker_fleet"))
    assert sum(map(int, windows)) == 8 * 25


@pytest.mark.parametrize("name", SHOWS)
def test_it_is_short(name: str) -> None:
    lines = (FOLDER / f"{name}.py").read_text().splitlines()
    assert sum(1 for line in lines if line.strip()) <= 40


class TestOwnStore(StoreContract):
    """The example keeps the contract of all stores."""

    def make_store(self, clock: Callable[[], int]) -> Store:
        self.folder = tempfile.TemporaryDirectory()
        store: Store = runpy.run_path(str(FOLDER / "own_store.py"))["FileStore"](self.folder.name, clock)
        return store

    def teardown_method(self) -> None:
        super().teardown_method()
        self.folder.cleanup()
