"""``python -m tests.double_work --operations 100000``: rounds of 2500 operations, each crew in turn. Exit status 1 where a rule broke."""

from __future__ import annotations

import argparse
import sys
import time

from tests.double_work.crews import CREWS
from tests.double_work.referee import DOUBLED, RULES
from tests.double_work.rounds import Tally, play

ROUND = 2_500


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.double_work", description=__doc__)
    options.add_argument("--operations", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=0, help="of the first round; each further round adds one")
    given = options.parse_args()
    tally, begun = Tally(), time.monotonic()
    crews = list(CREWS)
    for number, start in enumerate(range(0, given.operations, ROUND)):
        crew = crews[number % len(crews)]
        play(crew, min(ROUND, given.operations - start), given.seed + number, tally)
        seconds = time.monotonic() - begun
        print(f"{tally.operations:8} operations  {tally.sends:8} sends  {seconds:6.0f} s  {crew}", file=sys.stderr)
    report(tally)
    return 1 if tally.broken else 0


def report(tally: Tally) -> None:
    print(f"operations {tally.operations}, reported done {tally.done}, sent more than once {tally.repeated}")
    print(f"sends      {tally.sends}")
    for title, counts in (
        ("what became of the sends", tally.fates),
        ("methods", tally.methods),
        ("bodies", tally.bodies),
        ("what callers were told", tally.answers),
    ):
        print(f"\n{title}")
        for name, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
            print(f"{count:9}  {name}")
    print(f"\ndoubled {tally.broken[DOUBLED]}")
    for rule in RULES:
        print(f"{tally.broken[rule]:9}  {rule}")


if __name__ == "__main__":
    sys.exit(main())
