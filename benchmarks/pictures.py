"""Two pictures of the contestants in one fleet: 429s per 1000 requests, and seconds lost at the start of each window.

    python -m benchmarks.pictures     from benchmarks/results/fleet.json into docs/pictures

Bars on no background, in greys and one blue that can be read on white and on black.
"""

from __future__ import annotations

import json
import sys
from html import escape
from pathlib import Path

from benchmarks.report import RESULTS

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
WIDTH, NAMES, ROW = 720, 210, 30
OURS, OTHERS, INK = "#3b82f6", "#9ca3af", "#808890"


def draw() -> None:
    rows = json.loads((RESULTS / "fleet.json").read_text())
    workers = max(row["workers"] for row in rows)
    rows = [
        row for row in rows if row["scenario"] == "base" and row["workers"] == workers and row["median"] is not None
    ]
    PICTURES.mkdir(parents=True, exist_ok=True)
    refused = [(row["contestant"], 1000 * row["refused"] / max(1, row["sent"])) for row in rows]
    lost = [(row["contestant"], row["reset_ms"] / 1000) for row in rows]
    _write("refused.svg", f"429s per 1000 requests, {workers} workers, one token", refused, 1)
    _write(
        "lost.svg",
        f"seconds from the true reset to the first answer, windows of {rows[0]['window']:g} s, {workers} workers",
        lost,
        2,
    )


def _write(name: str, title: str, bars: list[tuple[str, float]], digits: int) -> None:
    (PICTURES / name).write_text(_svg(title, bars, digits))


def _svg(title: str, bars: list[tuple[str, float]], digits: int) -> str:
    height = 44 + ROW * len(bars)
    scale = (WIDTH - NAMES - 80) / (max(value for _, value in bars) or 1.0)
    parts = [_bar(number, bar, scale, digits) for number, bar in enumerate(bars)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}" '
        f'font-family="system-ui, sans-serif" font-size="14" fill="{INK}">\n'
        f'<text x="0" y="20" font-weight="600">{escape(title)}</text>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _bar(number: int, bar: tuple[str, float], scale: float, digits: int) -> str:
    name, value = bar
    y = 36 + number * ROW
    colour = OURS if name == "clever_guard" else OTHERS
    width = max(1.0, value * scale)
    return (
        f'<text x="{NAMES - 10}" y="{y + 15}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{NAMES}" y="{y}" width="{width:.1f}" height="20" rx="2" fill="{colour}"/>'
        f'<text x="{NAMES + width + 8:.1f}" y="{y + 15}">{value:.{digits}f}</text>'
    )


def main() -> int:
    draw()
    return 0


if __name__ == "__main__":
    sys.exit(main())
