"""``python -m tests.mutation [modules]``: run mutmut, count, show what survived without a reason."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests._redis import find_server
from tests.mutation.equivalent import EQUIVALENT

ROOT = Path(__file__).resolve().parent.parent.parent
JOBS = os.environ.get("JOBS", "2")
NOTICED = ("killed", "timeout", "suspicious", "segfault", "caught by type check")


def main(modules: Sequence[str]) -> int:
    modules = modules or configured()
    done = mutmut("run", "--max-children", JOBS, *(f"{module}.*" for module in modules), shown=True)
    if done.returncode:
        return done.returncode
    survivors: dict[str, list[str]] = defaultdict(list)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for mutant, status in results():
        module = module_of(mutant)
        if module in modules:
            counts[module][kind_of(mutant, status)] += 1
            if kind_of(mutant, status) == "survived":
                survivors[module].append(mutant)
    for mutants in survivors.values():
        for mutant in mutants:
            print(mutmut("show", mutant).stdout)
    print(table(counts))
    return int(any(survivors.values()))


def configured() -> list[str]:
    """The modules that pyproject.toml names, as modules."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    return [name.removesuffix(".py").replace("/", ".") for name in config["only_mutate"]]


def mutmut(*arguments: str, shown: bool = False) -> subprocess.CompletedProcess[str]:
    binary, environment = find_server()
    environment = {**os.environ, **environment, "CLEVER_GUARD_TEST_REDIS_BIN": binary}
    command = [str(Path(sys.executable).parent / "mutmut"), *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, text=True, check=False, capture_output=not shown)


def results() -> list[tuple[str, str]]:
    """Every mutant and its status, as mutmut knows them."""
    lines = mutmut("results", "--all", "true").stdout.splitlines()
    return [(name, status) for name, _, status in (line.strip().rpartition(": ") for line in lines) if name]


def module_of(mutant: str) -> str:
    return mutant.rpartition(".")[0]


def kind_of(mutant: str, status: str) -> str:
    if status in NOTICED:
        return "killed"
    return "equivalent" if is_equivalent(mutant) else "survived"


def is_equivalent(mutant: str) -> bool:
    """By the function and the changed line, for mutants are numbered anew when a function changes."""
    lines = {changed for function, changed, _ in EQUIVALENT if function == function_of(mutant)}
    return bool(lines) and changed_line(mutmut("show", mutant).stdout) in lines


def function_of(mutant: str) -> str:
    """``clever_guard.quota.pace.pace``, ``clever_guard.quota.lease.Lease.take``."""
    module, _, name = mutant.rpartition(".")
    plain = re.sub(r"__mutmut_\d+$", "", name)
    return f"{module}.{'.'.join(part for part in plain.removeprefix('x').removeprefix('_').split('ǁ') if part)}"


def changed_line(diff: str) -> str:
    """The first line that a mutant brings in, without its indentation."""
    added = [line[1:].strip() for line in diff.splitlines() if line.startswith("+") and not line.startswith("+++")]
    return added[0] if added else ""


def table(counts: dict[str, Counter[str]]) -> str:
    lines = [f"{'module':40} {'mutants':>8} {'killed':>8} {'equivalent':>10} {'survived':>8}"]
    for module, found in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        cells = (found.total(), found["killed"], found["equivalent"], found["survived"])
        lines.append(f"{module:40} {cells[0]:8} {cells[1]:8} {cells[2]:10} {cells[3]:8}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
