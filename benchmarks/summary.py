"""One table of everything: the best of the others, this guard, what it must reach and what it aims at.

    python -m benchmarks.summary [--six]     from the JSON in benchmarks/results, which `python -m benchmarks --full` leaves

The best of the others is of the same run. A star marks a row that reaches its aim, an exclamation mark one that misses what it must.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.contestants import SHARING
from benchmarks.report import RESULTS, options, save, table

OURS = "clever_guard"


@dataclass(frozen=True)
class Aim:
    """``least``: the figure must be at least ``must``; else at most."""

    quantity: str
    must: float
    aim: float
    ours: float | None
    peer: float | None = None
    least: bool = False

    def reaches(self, bound: float) -> bool:
        return self.ours is not None and (self.ours >= bound if self.least else self.ours <= bound)

    @property
    def mark(self) -> str:
        return "*" if self.reaches(self.aim) else "" if self.reaches(self.must) else "!"


def aims() -> list[Aim]:
    """The rows, from what the benchmarks have left."""
    return [*_costs(), *_trips(), *_refusals(), *_windows()]


def _costs() -> Iterable[Aim]:
    wrapper, overhead, acquire = _found("wrapper"), _found("overhead"), _found("acquire")
    shared, alone = acquire["redis"], acquire["process"]
    yield Aim(
        "CPU us added to a call around a stub", 12, 6, wrapper["flow: Retry, Quota, metrics"], wrapper["tenacity"]
    )
    yield Aim("the same, through the patched urllib3 pool", 12, 6, wrapper["urllib3: Retry, Quota, metrics"])
    yield Aim(
        "CPU of a request, ratio to bare urllib3, quota in Redis", 1.12, 1.05, overhead[OURS]["cpu ratio"],
        min(overhead[name]["cpu ratio"] for name in SHARING if name != OURS),
    )  # fmt: skip
    yield Aim(
        "permits a second from Redis, ratio to PING", 10, 25, shared[OURS]["to PING"],
        max(row["to PING"] for name, row in shared.items() if name not in (OURS, "PING")), least=True,
    )  # fmt: skip
    yield Aim(
        "permits a second in a process, ratio to lock and integer", 0.25, 0.5, alone[OURS + ", taken"]["to lock"],
        alone["limits, in memory"]["to lock"], least=True,
    )  # fmt: skip
    yield Aim("share of them lost with 16 threads", 0.2, 0.1, alone[OURS + ", taken"]["loss 16"])


def _trips() -> Iterable[Aim]:
    for name, limit, workers, must, aim in (
        ("fleet", 300, 8, 0.40, 0.20),
        ("large", 1200, 8, 0.15, 0.06),
        ("large", 1200, 32, 0.45, 0.25),
    ):
        of = [row for row in _found(name) if row["workers"] == workers and row["scenario"] == "base"]
        peers = [row["trips"] for row in of if row["contestant"] != OURS and row["store"] == "redis"]
        yield Aim(
            f"store trips a request, {limit} permits, {workers} workers", must, aim, _one(of, "trips"), min(peers, default=None)
        )  # fmt: skip
    sparse = _worst(_found("sparse"), lambda row: row["trips"])
    yield Aim("store trips a request, 40 workers, 300 tokens, sparse", 1.1, 1.0, sparse)


def _refusals() -> Iterable[Aim]:
    fleet, scenarios, borders = _found("fleet"), _found("scenarios"), _found("borders")
    ours = [row for row in [*fleet, *scenarios, *borders] if row["contestant"] == OURS]
    plain = [row for row in ours if row["scenario"].startswith(("base", "skew", "reset"))]
    strangers = [row for row in ours if row["scenario"].startswith("stranger")]
    others = [row for row in ours if row not in plain and row not in strangers]
    peers = [
        _rate(row) for row in fleet if row["contestant"] not in (OURS, "bare urllib3") and row["scenario"] == "base"
    ]
    yield Aim("429s of 1000, base, skews and roundings", 0, 0, _worst(plain, _rate), min(peers))
    yield Aim("429s of 1000, latency, surges, threads, 5xx, first-hit, sparse", 1, 0, _worst(others, _rate))
    yield Aim("429s of 1000 beside a stranger that takes 20 %", 4, 1, _worst(strangers, _rate))
    yield Aim("429s in all while the window is learned, cold fleet", 2, 0, _worst(plain, lambda row: row["refused"]))


def _windows() -> Iterable[Aim]:
    base = [row for row in _found("fleet") if row["scenario"] == "base"]
    ours = [row for row in base if row["contestant"] == OURS]
    borders = _found("borders")
    sharing = [row for row in base if row["contestant"] != OURS and row["store"] == "redis"]
    yield Aim("budget spent, median window", 0.99, 1.0, -_worst(ours, lambda row: -row["median"]),
              max(row["median"] for row in sharing), least=True)  # fmt: skip
    yield Aim("budget spent, worst window", 0.97, 0.99, -_worst(ours, lambda row: -row["worst"]),
              max(row["worst"] for row in sharing), least=True)  # fmt: skip
    yield Aim("ms from the reset to the first request, learned, any skew", 50, 15,
              _worst(borders, lambda row: row["reset_ms"]), min(row["reset_ms"] for row in sharing))  # fmt: skip
    yield Aim("s from the reset until 8 workers have spent 300 permits", 0.45, 0.30,
              _worst(borders, lambda row: row["last_s"]))  # fmt: skip
    for workers, must, aim in ((8, 0.90, 0.95), (32, 0.70, 0.80)):
        fair = {row["contestant"]: row["fair"] for row in base if row["workers"] == workers}
        yield Aim(f"slowest over fastest worker, {workers} workers", must, aim, fair.pop(OURS),
                  max(fair.values()), least=True)  # fmt: skip


SIX: tuple[tuple[str, str, Callable[[dict[str, Any]], float | None]], ...] = (
    ("refused (429) of 1000 requests", "{:.0f}", lambda row: _rate(row)),
    ("budget spent in the worst window, %", "{:.1f}", lambda row: 100 * row["worst"]),
    ("from the true reset to the first answer, ms", "{:.0f}", lambda row: row["reset_ms"]),
    ("slowest worker's share over the fastest's", "{:.2f}", lambda row: row["fair"]),
    ("store trips a request", "{:.2f}", lambda row: row["trips"] if row["store"] != "-" else None),
)


def six() -> str:
    """The rows a newcomer cares about, by contestant, as Markdown: with 8 / with 32 workers, and the CPU of one request."""
    base = [row for row in _found("fleet") if row["scenario"] == "base"]
    names = list(dict.fromkeys(row["contestant"] for row in base))
    overhead = _found("overhead")
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for title, form, what in SIX:
        cells = [" / ".join(_cells(base, name, form, what)) for name in names]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    ratios = [f"{overhead[name]['cpu ratio']:.2f}" for name in names]
    lines.append(f"| CPU of a request, bare urllib3 = 1 | {' | '.join(ratios)} |")
    return "\n".join(lines)


def _cells(
    base: list[dict[str, Any]], name: str, form: str, what: Callable[[dict[str, Any]], float | None]
) -> list[str]:
    values = [what(row) for row in sorted(base, key=lambda row: int(row["workers"])) if row["contestant"] == name]
    return [form.format(value) for value in values if value is not None]


def _found(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text())


def _one(rows: list[dict[str, Any]], what: str) -> float:
    return float(next(row[what] for row in rows if row["contestant"] == OURS))


def _worst(rows: list[dict[str, Any]], what: Callable[[dict[str, Any]], float]) -> float:
    return max(what(row) for row in rows)


def _rate(row: dict[str, Any]) -> float:
    return 1000 * float(row["refused"]) / max(1, row["sent"])


def summary() -> str:
    """The table; also kept as JSON."""
    rows = aims()
    save("summary", [{**asdict(row), "mark": row.mark} for row in rows])
    cells = [[row.quantity, row.peer, row.ours, row.mark, float(row.must), float(row.aim)] for row in rows]
    return table("Everything", ["", "best peer", OURS, "", "must", "aim"], cells)


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--six", action="store_true", help="the rows of the README, as Markdown")
    asked = parser.parse_args()
    try:
        print(six() if asked.six else summary())
    except FileNotFoundError as missing:
        print(f"{missing.filename} is not there: run python -m benchmarks --full first", file=sys.stderr)
        return 2
    return int(not asked.six and any(row.mark == "!" for row in aims()))


if __name__ == "__main__":
    sys.exit(main())
