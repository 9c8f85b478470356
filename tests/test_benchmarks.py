"""The benchmarks start, and their pictures show what they are given. What they measure is no matter for a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import pictures, report

ROOT = Path(__file__).resolve().parent.parent
NAMES = sorted(
    path.stem
    for path in (ROOT / "benchmarks").glob("*.py")
    if "ArgumentParser" in path.read_text() or "options(" in path.read_text()
)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "report"])
def test_each_says_what_it_does(name: str) -> None:
    module = "benchmarks" if name == "__main__" else f"benchmarks.{name}"
    told = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "python -m benchmarks" in told.stdout


def test_a_picture_has_a_bar_for_each_contestant() -> None:
    svg = pictures._svg("429s <per> 1000", [("clever_guard", 0.0), ("somebody & else", 400.0)], 1)
    root = ElementTree.fromstring(svg)
    bars = root.findall(".//{*}rect")
    assert [bar.get("fill") for bar in bars] == [pictures.OURS, pictures.OTHERS]
    assert float(bars[0].get("width") or 0) == 1.0
    assert "somebody & else" in "".join(root.itertext())


def test_a_table_is_aligned() -> None:
    lines = report.table("Title", ["", "us"], [["one", 1.0], ["three", 12345.0]]).splitlines()
    assert lines == ["Title", "", "           us", "one         1", "three  12,345"]


def test_rounds_take_turns() -> None:
    order: list[str] = []

    def measure(name: str, figure: float) -> float:
        order.append(name)
        return figure

    found = report.medians({"a": lambda: measure("a", 1.0), "b": lambda: measure("b", 2.0)}, 3)
    assert (found, order) == ({"a": 1.0, "b": 2.0}, ["a", "b"] * 3)
