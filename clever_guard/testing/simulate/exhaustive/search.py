"""Breadth first over all states that were not seen before."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from clever_guard.testing.simulate.exhaustive.moves import Broken, moves, settled, started
from clever_guard.testing.simulate.exhaustive.state import Size, State, frozen, thawed

BEGINNINGS = ("cold", "warm")
PATIENCE = 12
"""Windows after which a fleet without further faults must have served everybody: more than its calls take."""
MOST_STEPS = 2_000


@dataclass(slots=True)
class Found:
    """What a search saw. ``whole``: no state was left out, neither by depth nor by number."""

    states: int = 0
    steps: int = 0
    depth: int = 0
    ends: int = 0
    """States in which everybody is served and nothing is on its way."""
    walks: int = 0
    """States from which the way to the end was walked step by step; from the others it leads to one of these."""
    whole: bool = True
    moves: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[str, list[str]]] = field(default_factory=list)
    """What is broken, and the moves that lead there."""


class Search:
    """``depth`` and ``states``: where to stop. ``begin``: the state to begin with, a cold start by default."""

    def __init__(self, size: Size, depth: int, states: int, begin: State | None = None) -> None:
        self.size = size
        self.found = Found()
        self._depth = depth
        self._most = states
        self._seen: dict[bytes, int] = {}
        self._parents: list[tuple[int, str]] = []
        self._good: set[bytes] = set()
        self._begin = started(size) if begin is None else begin

    def run(self, tell: Callable[[Found], None] = lambda found: None) -> Found:
        """Every state within the bounds; then the way to the end from each that was not followed further."""
        level = list(filter(None, [self._enter(frozen(self._begin), -1, "")]))
        while level and self.found.depth < self._depth and not self._enough:
            following: list[tuple[int, bytes]] = []
            for place, (number, value) in enumerate(level):
                if self._enough:
                    following += level[place:]
                    break
                following += self._expand(number, value)
            else:
                self.found.depth += 1
            level = following
            tell(self.found)
        self.found.whole = not level
        for number, value in level:
            if not self.found.violations:
                self._walk(number, value)
                tell(self.found)
        return self.found

    @property
    def _enough(self) -> bool:
        return self.found.states >= self._most or bool(self.found.violations)

    def _expand(self, number: int, value: bytes) -> Iterator[tuple[int, bytes]]:
        state = thawed(value, self.size)
        self.found.ends += settled(state)
        for what, move, _ in list(moves(state, self.size)):
            state = thawed(value, self.size)
            self.found.steps += 1
            try:
                move(state)
            except Broken as error:
                self.found.violations.append((str(error), [*self._way(number), what]))
                return
            self.found.moves[what.split(" ", 1)[1]] += 1
            entered = self._enter(frozen(state), number, what)
            if entered is not None:
                yield entered

    def _enter(self, value: bytes, parent: int, what: str) -> tuple[int, bytes] | None:
        key = hashlib.blake2b(value, digest_size=16).digest()
        if key in self._seen:
            return None
        number = self.found.states
        self._seen[key] = number
        self._parents.append((parent, what))
        self.found.states += 1
        return number, value

    def _way(self, number: int) -> list[str]:
        way = []
        while number > 0:
            number, what = self._parents[number]
            way.append(what)
        return way[::-1]

    def _walk(self, number: int, value: bytes) -> None:
        """No more faults, and each message in its turn: everybody must be served."""
        self.found.walks += 1
        state, way = thawed(value, self.size), self._way(number)
        on_the_way: list[bytes] = []
        end = state.now + PATIENCE * self.size.window
        for _ in range(MOST_STEPS):
            key = hashlib.blake2b(frozen(state), digest_size=16).digest()
            if key in self._good or settled(state):
                self._good.update(on_the_way)
                return
            on_the_way.append(key)
            what, move, _ = next(one for one in moves(state, self.size) if not one[2])
            way.append(what)
            try:
                move(state)
            except Broken as error:
                self.found.violations.append((str(error), way))
                return
            if state.now > end:
                break
        self.found.violations.append((f"not everybody was served after {PATIENCE} windows without a fault", way))


def warmed(size: Size) -> State:
    """A window is known, and one of its requests made; everybody may make as many as ``size`` says."""
    state = started(replace(size, calls=2))
    _run_out(state, size)
    before = state.window
    while state.window == before:
        state.workers[0].calls = 1
        _run_out(state, size)
    for worker in state.workers:
        worker.calls = size.calls
    state.faults, state.naps = size.faults, size.naps
    return state


def _run_out(state: State, size: Size) -> None:
    """Each message in its turn, until everybody is served."""
    while not settled(state):
        _, move, _ = next(one for one in moves(state, size) if not one[2])
        move(state)
