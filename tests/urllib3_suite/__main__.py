"""``python -m tests.urllib3_suite [what pytest is told]``: prepare, run four times, compare, print."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.urllib3_suite.compare import Difference, Run, differences, no_longer_seen, read
from tests.urllib3_suite.prepare import ROOT, CannotPrepare, Place, prepare

GUARDINGS = ("bare", "passive", "shadow", "clever")
COLUMNS = ("passed", "failed", "error", "skipped")
AGAIN = 2
"""How often a difference is looked at again: many of these tests race against timeouts of milliseconds."""
PATIENCE = 60
"""Seconds a test may take."""


class BrokenOff(RuntimeError):
    """A run that did not come to its end."""


def main(told: Sequence[str]) -> int:
    try:
        place = prepare()
        runs = {guarding: run(place, guarding, told or ["test"]) for guarding in GUARDINGS}
    except (CannotPrepare, BrokenOff) as error:
        print(f"the tests of urllib3 cannot be run: {error}")
        return 2
    seen = [each for guarding in GUARDINGS[1:] for each in differences(runs["bare"], runs[guarding])]
    steady = _steady(place, seen)
    print(table(runs, steady))
    print(account(seen, steady))
    stale = [] if told else no_longer_seen(steady)
    for entry in stale:
        print(f"explained, but not seen: {entry.test} ({', '.join(entry.guarding)})")
    return int(bool(stale) or any(each.reason() is None for each in steady))


def run(place: Place, guarding: str, told: Sequence[str]) -> Run:
    """One run of the tests that ``told`` names. Raises BrokenOff."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outcomes.json"
        status = _pytest(place, ["--guarding", guarding, "--outcomes", str(file), *told])
        if status > 1 or not file.exists():
            raise BrokenOff(f"the run {guarding} did not come to its end (pytest's status {status})")
        result = read(guarding, file)
    print(f"{guarding}: {len(result.tests)} tests in {time.monotonic() - begin:.0f} s", flush=True)
    return result


def _pytest(place: Place, told: Sequence[str]) -> int:
    """pytest's exit status. Outcomes are read from the file, so a failing test (1) is no failure of the run."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLEVER_GUARD_")}
    plugin = ["-p", "tests.urllib3_suite.plugin", "-p", "no:cacheprovider", "-q", f"--timeout={PATIENCE}"]
    done = subprocess.run(
        [str(place.python), "-m", "pytest", *plugin, *told],
        cwd=place.suite,
        env={**environment, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode


def _steady(place: Place, seen: list[Difference]) -> list[Difference]:
    """Those of ``seen`` that show each time they are looked at again."""
    for guarding in GUARDINGS[1:]:
        for _ in range(AGAIN):
            tests = [each.test for each in seen if each.guarding == guarding]
            if tests:
                pair = [run(place, again, tests) for again in ("bare", guarding)]
                left = {each.test for each in differences(*pair)}
                seen = [each for each in seen if each.guarding != guarding or each.test in left]
    return seen


def table(runs: dict[str, Run], steady: Sequence[Difference]) -> str:
    """One line for each run."""
    head = ("run", *COLUMNS, "differ", "attempts guarded", "retries")
    lines = ["  ".join(f"{name:>9}" for name in head)]
    for guarding, made in runs.items():
        differ = sum(each.guarding == guarding for each in steady)
        cells = (
            guarding,
            *(made.outcomes[name] for name in COLUMNS),
            differ,
            made.counts.get("attempts", 0),
            made.counts.get("retries", 0),
        )
        lines.append("  ".join(f"{cell!s:>{max(9, len(name))}}" for cell, name in zip(cells, head, strict=True)))
    return "\n".join(lines)


def account(seen: Sequence[Difference], steady: Sequence[Difference]) -> str:
    """Every difference with its reason, and those that went away."""
    lines = []
    for each in seen:
        reason = "it did not show again" if each not in steady else each.reason() or f"UNEXPLAINED: {each.said}"
        lines.append(f"{each.guarding}: {each.test}: {each.bare} -> {each.guarded}: {reason}")
    unexplained = sum(each.reason() is None for each in steady)
    return "\n".join([*lines, f"{len(steady)} differences, {unexplained} unexplained"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
