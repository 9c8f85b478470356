"""Rounds, medians, tables and JSON."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tests._redis import RedisServer

RESULTS = Path(__file__).parent / "results"


@contextlib.contextmanager
def a_store(kind: str) -> Iterator[str]:
    """A fresh store of this kind: its URL."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/quota.db"
        return
    server = RedisServer()
    try:
        yield server.url
    finally:
        server.stop()


def medians(measure: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of each over ``rounds`` rounds in which all take turns, so that a disturbed second hits nobody alone."""
    figures: dict[str, list[float]] = {name: [] for name in measure}
    for number in range(rounds):
        for name, once in measure.items():
            figures[name].append(once())
        _progress(number + 1, rounds)
    return {name: median(taken) for name, taken in figures.items()}


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\rround {done} of {of} ", end="\n" if done == of else "", file=sys.stderr, flush=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Plain text, columns as wide as they need to be; the first one to the left, numbers to the right."""
    texts = [list(columns), *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[place]) for row in texts) for place in range(len(columns))]
    lines = ["  ".join(_cell(text, widths[place], place) for place, text in enumerate(row)).rstrip() for row in texts]
    return "\n".join([title, "", *lines])


def _cell(text: str, width: int, place: int) -> str:
    return text.ljust(width) if place == 0 else text.rjust(width)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)


def save(name: str, found: Any) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")


def options(text: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    return parser


def show(asked: argparse.Namespace, name: str, found: Any, text: str) -> None:
    """Print what was found, and keep it."""
    save(name, found)
    print(json.dumps(found) if asked.json else text, flush=True)
