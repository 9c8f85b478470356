"""``python -m clever_guard.testing.simulate exhaustive``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from clever_guard.testing.simulate.exhaustive.search import BEGINNINGS, Found, Search, warmed
from clever_guard.testing.simulate.exhaustive.state import Size
from clever_guard.testing.simulate.quiet import quiet

TOLD_EVERY = 10.0


@quiet()
def main(arguments: list[str]) -> int:
    """Exit status 0 when nothing is violated."""
    options = _parser().parse_args(arguments)
    size = Size(options.workers, options.calls, options.limit, options.faults, options.naps)
    begun = time.monotonic()
    begin = warmed(size) if options.begin == "warm" else None
    found = Search(size, options.depth, options.states, begin).run(_telling(begun))
    print(report(size, found, time.monotonic() - begun))
    return 1 if found.violations else 0


def report(size: Size, found: Found, seconds: float) -> str:
    """As people read it."""
    lines = [
        f"fleet       {size.workers} workers, {size.calls} calls each, {size.limit} requests in {size.window / 1000:.0f} s, "
        f"up to {size.faults} faults and {size.naps} naps on each way",
        f"states      {found.states:,}, {found.steps:,} steps between them, all ways up to {found.depth} steps long",
        f"            {'every state there is' if found.whole else 'stopped there: not every state'}",
        f"ends        {found.ends:,} in which everybody was served; from {found.walks:,} others the way there was walked",
        f"seconds     {seconds:,.0f}",
    ]
    kinds: dict[str, int] = {}
    for what, count in found.moves.items():
        name = "time passes" if what.startswith("is ") else what
        kinds[name] = kinds.get(name, 0) + count
    lines += [f"  {what:48}{count:12,}" for what, count in sorted(kinds.items(), key=lambda one: -one[1])]
    for what, way in found.violations:
        lines += ["", f"VIOLATION   {what}, after", *(f"  {step}" for step in way)]
    return "\n".join([*lines, f"violations  {len(found.violations)}"])


def _telling(begun: float) -> Callable[[Found], None]:
    told = begun

    def tell(found: Found) -> None:
        nonlocal told
        if time.monotonic() - told > TOLD_EVERY:
            told = time.monotonic()
            print(
                f"{found.states:,} states, depth {found.depth}, {found.walks:,} walked to the end, {told - begun:.0f} s",
                file=sys.stderr,
                flush=True,
            )

    return tell


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m clever_guard.testing.simulate exhaustive", description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--calls", type=int, default=2, help="of each worker")
    parser.add_argument("--limit", type=int, default=2)
    parser.add_argument("--faults", type=int, default=1, help="on each way")
    parser.add_argument(
        "--begin", choices=BEGINNINGS, default="cold", help="what the store knows: nothing, or the window"
    )
    parser.add_argument("--naps", type=int, default=1, help="on each way: time passes while a caller could ask")
    parser.add_argument("--depth", type=int, default=14, help="steps of the longest way")
    parser.add_argument("--states", type=int, default=1_000_000, help="stop after so many")
    return parser
