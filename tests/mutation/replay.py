"""A quick first judge of the pure ledger's mutants: minutes instead of hours.

    python -m tests.mutation.replay [pace bracket ...]       # after mutmut has made the mutants, in its folder ``mutants``

The commands of ``tests/stores/test_fleet_alike.py`` are recorded once and given to each mutant, in one process. A mutant that answers
or keeps anything else than the original fails that test, for there the script in Redis answers like the original. What is left
is printed: for ``python -m tests.mutation`` to judge with all other tests.
"""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

ROOMS = ("ageing", "bracket", "granting", "hearing", "ledger", "pace", "record", "settling")
MADE = re.compile(r"x_(.+)__mutmut_(\d+|orig)")
Heard = list[tuple[Any, str]]


class Slow(BaseException):
    """A mutant that does not come to its end."""


def main(rooms: Sequence[str]) -> None:
    functions = {room: found(importlib.import_module(f"clever_guard.quota.{room}")) for room in ROOMS}
    for mutants in functions.values():
        for name, made in mutants.items():
            put(name, made.pop("orig"))
    scripts = recorded()
    begin = time.process_time()
    expected = list(play(scripts))
    patience = 2 + 8 * (time.process_time() - begin)
    signal.signal(signal.SIGVTALRM, _give_up)
    counts: Counter[tuple[str, bool]] = Counter()
    for room in rooms or ROOMS:
        for name, made in functions[room].items():
            for number, mutant in made.items():
                original = put(name, mutant)
                noticed = differs(scripts, expected, patience)
                put(name, original)
                counts[room, noticed] += 1
                if not noticed:
                    print(f"clever_guard.quota.{room}.x_{name}__mutmut_{number}", flush=True)
        print(f"{room}: {counts[room, True]} noticed, {counts[room, False]} left", flush=True)


def found(module: ModuleType) -> dict[str, dict[str, Any]]:
    """Function -> number of the mutant, or ``orig`` -> what mutmut made of it."""
    made: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, value in vars(module).items():
        match = MADE.fullmatch(name)
        if match:
            made[match[1]][match[2]] = value
    return made


def put(name: str, function: Any) -> Any:
    """Wherever the ledger's modules know ``name``, they know ``function`` now. What it was before."""
    before = None
    for module in [value for key, value in sys.modules.items() if key.startswith("clever_guard.quota")]:
        if callable(vars(module).get(name)):
            before = getattr(module, name)
            setattr(module, name, function)
    return before


def recorded() -> list[list[Any]]:
    """The commands of each schedule, with their times; None where the store lost its data."""
    from clever_guard.stores.memory import MemoryStore
    from clever_guard.testing.simulate.world import World
    from tests.stores.asking import Asking
    from tests.stores.test_fleet_alike import ASKED, ROWS, SEEDS, setting

    class Recording(MemoryStore):
        def __init__(self, clock: Any) -> None:
            super().__init__(clock)
            self.script: list[Any] = []

        def execute(self, commands: Any, /) -> Any:
            self.script += [(self._clock(), command) for command in commands]
            return super().execute(commands)

        def forget(self) -> None:
            super().forget()
            self.script.append(None)

    scripts = []
    for seed in SEEDS:
        asking = Asking(seed)
        store = Recording(lambda asking=asking: asking.now)
        for _ in range(ASKED):
            _, command = asking.ask()
            asking.hear(command, store.execute([command])[0])
        scripts.append(store.script)
    for name, seed in ROWS:
        world = World(setting(name, seed), f"{name}/{seed}/alike")
        world.store = store = Recording(world.store._clock)
        world.run()
        scripts.append(store.script)
    return scripts


def play(scripts: list[list[Any]]) -> Iterator[tuple[Any, str]]:
    """What is answered and what is kept, command by command."""
    from clever_guard.quota import record

    for script in scripts:
        records: dict[str, Any] = {}
        for entry in script:
            if entry is None:
                records.clear()
                continue
            now, command = entry
            before = records.get(command.identity) or record.Record()
            records[command.identity], answer = record.transition(before, now, command)
            yield answer, repr(records[command.identity])


def differs(scripts: list[list[Any]], expected: Heard, patience: float) -> bool:
    signal.setitimer(signal.ITIMER_VIRTUAL, patience)
    try:
        return any(heard != known for heard, known in zip(play(scripts), expected, strict=True))
    except (Exception, Slow):  # whatever a mutant raises is noticed
        return True
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _give_up(*anything: Any) -> None:
    raise Slow


def _in_the_folder_of_the_mutants(rooms: Sequence[str]) -> int:
    root = Path(__file__).resolve().parent.parent.parent
    if not (root / "mutants").exists():
        print("there are no mutants yet: make mutate MODULE=clever_guard.parts.classify makes them")
        return 2
    code = "import sys; sys.path.insert(0, ''); from tests.mutation.replay import main; main(sys.argv[1:])"
    environment = {**os.environ, "MUTANT_UNDER_TEST": ""}
    return subprocess.run(
        [sys.executable, "-c", code, *rooms], cwd=root / "mutants", env=environment, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(_in_the_folder_of_the_mutants(sys.argv[1:]))
