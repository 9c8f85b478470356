"""The search for hostile inputs: ``python -m tests.fuzz --minutes 5``, and what it found, target by target.

    --minutes 5          in all, shared by the targets
    --runs 1000000       for each target, instead of minutes
    --only links,page    some of the targets
    --keep               afterwards, keep the inputs that reach something new (tests/fuzz/corpus)

Inputs that reach something new are collected under ``.fuzz``, so a second search goes on where the first one ended. An escape is
written there too, and is the exit status 1.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.distil import keep
from tests.fuzz.everything import TARGETS
from tests.fuzz.target import Target

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = ROOT / ".fuzz"
LONGEST = 4_096


@dataclass(frozen=True, slots=True)
class Found:
    """What one search came to."""

    inputs: int
    edges: int
    escaped: bool


def search(target: Target, limit: str) -> Found:
    """Run one target in a process of its own. ``limit``: libFuzzer's option that ends it."""
    folder, log = WORK / target.name, WORK / f"{target.name}.log"
    folder.mkdir(parents=True, exist_ok=True)
    options = [limit, f"-max_len={LONGEST}", "-timeout=10", "-print_final_stats=1", f"-artifact_prefix={WORK}/escape-"]
    command = [sys.executable, "-m", "tests.fuzz.search", target.name, *options, str(folder), str(target.folder)]
    with log.open("w") as out:
        done = subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, check=False)
    said = log.read_text("utf-8", "replace")
    return Found(_last(r"number_of_executed_units: +(\d+)", said), _last(r"cov: (\d+)", said), done.returncode != 0)


def _last(pattern: str, text: str) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def main() -> int:
    """The exit status."""
    given = _arguments()
    targets = [TARGETS[name] for name in given.only.split(",")] if given.only else list(TARGETS.values())
    limit = f"-max_total_time={max(1, round(60 * given.minutes / len(targets)))}"
    print(f"{'target':<14}{'inputs':>12}{'edges':>8}  escapes", flush=True)
    escapes = 0
    for target in targets:
        found = search(target, f"-runs={given.runs}" if given.runs else limit)
        escapes += found.escaped
        print(f"{target.name:<14}{found.inputs:>12,}{found.edges:>8}  {int(found.escaped)}", flush=True)
        if given.keep:
            keep(target, WORK / target.name)
    if escapes:
        print(f"what escaped: {WORK}/*.log")
    return 1 if escapes else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("tests.fuzz")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
