"""Everything after another: tables on the way, JSON in benchmarks/results; with --full pictures in docs/pictures and one table of all.

python -m benchmarks [--full]
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.fleet import SCENARIOS as EVERY
from benchmarks.pictures import draw
from benchmarks.summary import summary

QUICK = [
    ["wrapper", "--quick"],
    ["acquire", "--quick"],
    ["overhead", "--quick"],
    ["fleet", "--quick", "--store", "redis", "--contestants", "clever_guard", "urllib3 Retry"],
]
SCENARIOS = [name for name in EVERY if name != "sparse"]
BORDERS = ["base", "skew +1.5", "skew -1.5", "reset floored", "reset nearest"]
FULL = [
    ["wrapper"],
    ["pieces"],
    ["acquire"],
    ["overhead"],
    ["growth"],
    ["fleet", "--contestants", "all", "--store", "redis", "--windows", "5"],
    ["fleet", "--scenarios", *BORDERS, "--store", "redis", "--workers", "8", "--windows", "14", "--save-as", "borders"],
    [
        "fleet",
        "--scenarios",
        "base",
        "--limit",
        "1200",
        "--window",
        "60",
        "--windows",
        "4",
        "--store",
        "redis",
        "--save-as",
        "large",
    ],
    ["fleet", "--scenarios", *SCENARIOS, "--windows", "5", "--save-as", "scenarios"],
    ["fleet", "--scenarios", "sparse", "--save-as", "sparse"],
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="every contestant and every scenario: about an hour")
    failed = 0
    full = parser.parse_args().full
    for words in FULL if full else QUICK:
        print(f"\n== python -m benchmarks.{' '.join(words)}", flush=True)
        failed |= subprocess.run([sys.executable, "-m", f"benchmarks.{words[0]}", *words[1:]], check=False).returncode
    if full:
        draw()
        print("\n" + summary(), flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
