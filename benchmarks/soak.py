"""A soak: a fleet of real processes while workers are killed and stopped and their store is restarted, emptied and stopped.

    python -m benchmarks.soak                                   ten minutes, 16 workers, a Redis of its own, every fault
    python -m benchmarks.soak --store sqlite --minutes 5        kills and stops; a file cannot be hurt otherwise
    python -m benchmarks.soak --faults kill flush --seed 7
    python -m benchmarks.soak --journal soak.txt                keeps what workers saw, and each of their journeys to the store

Faults come at random times (the same for the same seed) until three windows before the end. The emulator's log is the judge: 429s
in every window against the bound of docs/ledger.md, the share of the budget that was used, and how it is after the last fault.
The exit status is 1 where one of these is missed, or where a call ended otherwise than with its answer.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.faults import KINDS, OF_STORE, OF_WORKERS, plan
from benchmarks.soaking import Found, Terms, soak

QUIET = 3
"""Windows at the end without a fault."""


def main() -> int:
    asked = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    kinds = asked.faults or [kind for kind in KINDS if asked.store == "redis" or kind in OF_WORKERS]
    seconds = asked.minutes * 60
    terms = Terms(
        seconds=seconds,
        workers=asked.workers,
        threads=asked.threads,
        limit=asked.limit,
        window=asked.window,
        latency=asked.latency,
        store=asked.store,
        faults=tuple(plan(kinds, 2 * asked.window, seconds - QUIET * asked.window - 1, asked.workers, asked.seed)),
    )
    out = sys.stderr if asked.json else sys.stdout
    print(_title(terms, asked.seed), file=out, flush=True)
    try:
        with tempfile.TemporaryDirectory(prefix="clever-guard-soak-") as folder:
            journal = Path(asked.journal or f"{folder}/journal")
            found = soak(terms, journal, _Line(out, terms), thorough=bool(asked.journal))
    except KeyboardInterrupt:
        print("\ninterrupted; everything is ended", file=out)
        return 130
    if asked.json:
        print(json.dumps(asdict(found) | {"verdict": found.verdict.as_data(), "seed": asked.seed}))
    else:
        print(_report(found))
    return 1 if found.missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1, help="of each worker")
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--window", type=float, default=6.0, help="seconds")
    parser.add_argument("--latency", type=float, default=0.005, help="seconds")
    parser.add_argument("--store", default="redis", choices=["redis", "sqlite"])
    parser.add_argument("--faults", nargs="+", choices=KINDS, help="default: every one that the store can have")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--journal", help="a new file that keeps what workers saw")
    parser.add_argument("--json", action="store_true", help="the verdict as JSON; progress goes to stderr")
    asked = parser.parse_args()
    if asked.store == "sqlite" and set(asked.faults or ()) & set(OF_STORE):
        parser.error(f"--store sqlite: a file can have no other faults than {' and '.join(OF_WORKERS)}")
    if asked.minutes * 60 < (QUIET + 4) * asked.window:
        parser.error(f"--minutes {asked.minutes:g}: at least {QUIET + 4} windows are needed")
    if asked.journal and Path(asked.journal).exists():
        parser.error(f"--journal {asked.journal} exists: name a new file")
    return asked


def _title(terms: Terms, seed: int) -> str:
    return (
        f"{terms.seconds / 60:g} min, {terms.workers} workers, {terms.limit} requests per {terms.window:g} s, "
        f"{terms.latency * 1000:g} ms latency, {terms.store}, {len(terms.faults)} faults (seed {seed})"
    )


class _Line:
    """Progress: a line for each window; on a terminal the running window too, in place."""

    def __init__(self, out: Any, terms: Terms) -> None:
        self._out = out
        self._terms = terms
        self._number = 0

    def __call__(self, window: dict[str, Any], over: bool, faults: list[str]) -> None:
        number, of = self._number + 1, int(self._terms.seconds // self._terms.window) + 1
        self._number += over
        text = f"window {number:4} of {of}  {window['admitted']:5} admitted  {window['refused']:3} refused  {', '.join(faults)}"
        if self._out.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{text[:width]:{width}}", end="\n" if over else "", file=self._out, flush=True)
        elif over:
            print(text.rstrip(), file=self._out, flush=True)


def _report(found: Found) -> str:
    verdict = found.verdict
    worst = verdict.worst
    lines = [
        "",
        f"faults           {', '.join(f'{count} {kind}' for kind, count in found.faults.items()) or 'none'}; "
        f"workers were without their store for {found.seconds_dark:.0f} s together",
        f"windows judged   {len(verdict.windows)}",
        f"refused (429)    {verdict.refused} of {verdict.admitted + verdict.refused}: "
        f"{verdict.refused_per_1000:.2f} per 1000; the bound allows {verdict.allowed:.0f}",
        f"worst window     {f'{worst.refused} refused, the bound allows {worst.allowed}' if worst else '-'}",
        f"budget used      {verdict.share:.1%} in all; after the last fault "
        f"{', '.join(f'{share:.1%}' for share in verdict.after) or '-'}",
        f"calls that failed {sum(found.failed.values())}",
        *(f"MISSED           {sentence}" for sentence in found.missed),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
