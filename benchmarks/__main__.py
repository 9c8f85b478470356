"""Everything after another: tables on the way, JSON in benchmarks/results, pictures in docs/pictures.

python -m benchmarks [--full]
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.pictures import draw

QUICK = [
    ["wrapper", "--quick"],
    ["acquire", "--quick"],
    ["overhead", "--quick"],
    ["fleet", "--quick", "--store", "redis", "--contestants", "clever_guard", "urllib3 Retry"],
]
FULL = [
    ["wrapper"],
    ["acquire"],
    ["overhead"],
    ["fleet", "--contestants", "all", "--store", "redis", "--windows", "5", "--save-as", "fleet"],
    ["fleet", "--save-as", "scenarios"],
    ["fleet", "--scenarios", "base", "--limit", "1200", "--store", "redis", "--save-as", "large"],
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
    return failed


if __name__ == "__main__":
    sys.exit(main())
