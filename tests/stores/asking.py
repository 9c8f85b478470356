"""Commands by chance, each made of what was answered before: what a fleet asks, and what only a mad one would."""

from __future__ import annotations

import random
from collections.abc import Callable

from clever_guard.quota.store import Answer, Command, Draw, Report, Sight, Terms

START = 1_700_000_000_000
BUCKETS = ("", "", "", "a", "b", "c.d-e_f")
ROUTES = ("", "", "x", "y")
STEPS = (0, 1, 999, 1000, 6000, -900, -1001, -40_000)
JUMPS = (0, 0, 0, 0, 6_000, 6_000, 1_000, 60_000, -6_000, -40_000)


class Asking:
    """One conversation about one identity. ``ask`` gives the next command and its time; ``hear`` is told the answer."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        pick = self._chance.choice
        limit = pick([1, 2, 5, 60, 1200])
        self.terms = Terms(limit, pick([1_000, 6_000, 60_000]), 1_000, limit > 1 and self._chance.random() < 0.2)
        self.now = START
        self._grants = [Answer(START - 5_000)]
        self._due: list[tuple[Answer, str]] = []
        self._windows = [START + 4_000]
        self._left = 0
        self._hold = 0

    def ask(self) -> tuple[int, Command]:
        what = self._chance.choices([self._draw, self._report, self._honest], [3, 3, 6])[0]
        step, route, reports, draw = what()
        self.now += step
        return self.now, Command("id", route, self.terms, reports, draw)

    def hear(self, command: Command, answer: Answer) -> None:
        self._hold = answer.hold
        if answer.granted:
            self._grants.append(answer)
            self._due.append((answer, command.route))

    def _step(self) -> int:
        chance = self._chance
        makers: list[Callable[[], int]] = [
            lambda: chance.randint(0, 40),
            lambda: chance.randint(0, 2_500),
            lambda: chance.randint(0, 15_000),
            lambda: chance.choice(STEPS),
        ]
        return chance.choices(makers, [4, 3, 2, 1])[0]()

    def _draw(self) -> tuple[int, str, tuple[Report, ...], Draw]:
        chance, step = self._chance, self._step()
        left = chance.choice([None, None, None, -10, 700, 1_999, 200_000])
        previous = chance.choice([0, self._grants[-1].now])
        end = 0 if left is None else self.now + step + left
        return (
            step,
            chance.choice(ROUTES),
            (),
            Draw(chance.randint(1, 60), previous, chance.choice([0, 0, 0, 1, 30]), end),
        )

    def _report(self) -> tuple[int, str, tuple[Report, ...], Draw | None]:
        chance, step = self._chance, self._step()
        grant = chance.choice(self._grants[-6:])
        sights = tuple(self._sight(grant) for _ in range(chance.choice([0, 1, 1, 2])))
        refused = chance.choice([0, 0, 1])
        answered = max(chance.randint(0, 3), refused) if sights else 0
        pause = chance.choice([0, 0, 700, 100_000]) if refused and not sights else 0
        blank = chance.choice([0, 0, 0, 1])
        told = Report(grant.now, grant.buckets, answered, refused, chance.randint(0, 3), pause, blank, sights)
        return step, chance.choice(ROUTES), (told,), chance.choice([None, Draw(5, grant.now)])

    def _honest(self) -> tuple[int, str, tuple[Report, ...], Draw]:
        """A server that counts answers the newest grant; who has none waits as long as it was told, and draws."""
        if not self._due:
            return min(self._hold, 90_000), "", (), Draw(30, self._chance.choice([0, self._grants[-1].now]))
        step = self._chance.choice([5, 5, 50, 700])
        grant, route = self._due.pop()
        at = self.now + step
        while at >= self._windows[-1]:
            self._windows.append(self._windows[-1] + self.terms.window)
            self._left = self.terms.limit
        self._left = max(0, self._left - grant.granted)
        sent, reset, wide = max(grant.now, at - 10), self._windows[-1], self._chance.choice([0, 300, 1_200])
        sight = Sight(
            grant.buckets[0], self.terms.limit, self._left, reset, reset, reset + wide, sent, at, grant.granted
        )
        told = Report(grant.now, grant.buckets, grant.granted, sights=(sight,))
        return step, route, (told,), Draw(30, grant.now)

    def _sight(self, grant: Answer) -> Sight:
        chance = self._chance
        limit, remaining = chance.choice([1, 2, 5, 60, 1200, self.terms.limit]), chance.choice([0, 1, 2, 30, 1199])
        jump = chance.choice(JUMPS)
        reset = self._windows[-1] + jump + chance.choice([0, 0, 0, 900, -900])
        if jump > 0:
            self._windows.append(reset)
        sent = max(grant.now, self.now - chance.choice([0, 5, 200, 3_000]))
        ahead = chance.choice([None, None, 0, 500, 4_000, 59_000])
        end = max(0, reset - sent) if ahead is None else ahead
        bucket, answers = chance.choice(BUCKETS), chance.randint(0, 2)
        return Sight(bucket, limit, min(remaining, limit), reset, sent + end, sent + 30 + end, sent, sent + 30, answers)
