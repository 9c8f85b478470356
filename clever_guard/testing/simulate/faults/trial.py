"""One schedule from beginning to end: faults on, faults off, a drain; judged after every event."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from clever_guard.model import Request
from clever_guard.policies.quota import Quota
from clever_guard.quota.lease import Lease
from clever_guard.quota.ledger import strangers
from clever_guard.quota.record import Record
from clever_guard.quota.store import Answer, Command
from clever_guard.testing.simulate.faults.api import GATEWAY, Api, Journey
from clever_guard.testing.simulate.faults.branches import Branches
from clever_guard.testing.simulate.faults.depot import Depot
from clever_guard.testing.simulate.faults.judge import RECOVER, judge, judged
from clever_guard.testing.simulate.faults.monitor import broken
from clever_guard.testing.simulate.faults.process import Process
from clever_guard.testing.simulate.faults.schedule import ON, Event, Schedule
from clever_guard.testing.simulate.faults.weather import OFTEN, Weather
from clever_guard.testing.simulate.loop import Loop
from clever_guard.testing.simulate.server import Headers
from clever_guard.testing.simulate.world import shown

ROUNDED_UP = 1.01
"""So that a whole window fits, though the server's clock may be slow."""
JUDGED = 1
"""Whole windows that are judged when the fleet had time to recover."""
LITTLE = 8e-6
"""By which every clock runs wrong."""
DRAIN = 4
"""Windows, besides those that so many callers take, in which each must be served or end by its own deadline when no new one comes."""


@dataclass(slots=True)
class Result:
    """What one schedule showed."""

    seed: int
    kinds: tuple[str, ...]
    requests: int = 0
    refused: int = 0
    allowed: int = 0
    commands: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    branches: Counter[str] = field(default_factory=Counter)
    spent: list[float] = field(default_factory=list)
    """Share of the budget of each judged window after the faults."""
    violations: list[str] = field(default_factory=list)


class Trial:
    """``trace`` is told a line for each happening."""

    def __init__(self, schedule: Schedule, trace: Callable[[str], None] | None = None) -> None:
        self.schedule = schedule
        self.setting = setting = schedule.setting
        self.loop = Loop()
        self.branches = Branches()
        self.commands = 0
        self.think = schedule.think
        self.calm = False
        """Faults are over: callers come at once, and wait for as long as it takes."""
        self.kept_for_others = 0
        """Permits of a window that the ledger left to a stranger, when it had two windows to recover."""
        self.judged_from = math.inf
        self.draining = False
        self.speaker = 0
        """Whose commands the store executes."""
        self.allow_each_window = False
        self.first_hit = False
        """Windows open with a request, so nobody knows how many there should be."""
        self.workers: list[Process] = []
        self.violations: list[str] = []
        self._trace = trace
        self._chance = random.Random(f"faults/{schedule.seed}/way")
        self._disturbed_until = 0.0
        self._allowed = 0
        self._turned_away = 0
        self._seen_in_vain: set[int] = set()
        self._faults: Counter[str] = Counter()
        self.weather = Weather(self, self._chance)
        self.depot = Depot(self.loop, self._watch)
        self.api = Api(setting, random.Random(f"faults/{schedule.seed}/server"))
        self.quota = Quota(limit=setting.limit, window=setting.window, key=_token)

    def run(self) -> Result:
        window = self.setting.window
        for _ in range(self.setting.workers):
            self.spawn()
        self._drift_a_little()
        for event in self.schedule.events:
            self.loop.at(event.at, lambda event=event: self._happen(event))  # type: ignore[misc]
        self.loop.run(ON * window)
        self.weather.clear()
        self.loop.run(max(self.loop.now, self._disturbed_until))
        calm = self.loop.now
        self._become_calm()
        self.judged_from = calm + RECOVER * window
        self.loop.run(calm + (RECOVER + JUDGED + 1) * window * ROUNDED_UP)
        last = self.loop.now
        self._drain()
        return self._result(calm, last)

    def _drift_a_little(self) -> None:
        """No two clocks run alike: within what the ledger allows for, a millisecond a minute between store and server."""
        self.depot.rate, self.api.rate = (1 + self._chance.uniform(-LITTLE, LITTLE) for _ in range(2))
        for worker in self.workers:
            worker.drift(1 + self._chance.uniform(-LITTLE, LITTLE))

    # -- what faults may do --------------------------------------------------------------------------------------------

    @property
    def alive(self) -> list[Process]:
        return [worker for worker in self.workers if worker.alive]

    @property
    def doubtful(self) -> bool:
        """Whether the ledger gave permits up in the window that runs."""
        ledger = self.depot.ledger
        return ledger is not None and ledger.gone_at >= ledger.adopted

    def running(self, chance: random.Random) -> Process:
        return chance.choice(self.alive)

    def spawn(self) -> None:
        number = len(self.workers)
        worker = Process(self, number, random.Random(f"faults/{self.schedule.seed}/{number}"))
        self.workers.append(worker)
        worker.start()

    def disturb(self, until: float) -> None:
        """What was begun has its effect until then, though no new fault comes."""
        self._disturbed_until = max(self._disturbed_until, until)

    def allow(self, refusals: int, why: str) -> None:
        """So many permits are out of the ledger's account from now on, and each may cause a refusal."""
        self._allowed += refusals
        if refusals and self._trace is not None:
            self._say(f"   {refusals} more may be refused: {why}")

    def violate(self, what: str) -> None:
        self.violations.append(f"at {self.loop.now:.3f} s: {what}")
        self._say(f"!! {what}")

    @property
    def window_number(self) -> int:
        return len(self.api.windows)

    def border_within(self, seconds: float) -> bool:
        """Whether the window ends that soon."""
        return bool(self.api.windows) and self.api.time(self.loop.now + seconds) >= self.api.windows[-1].end

    # -- messages ------------------------------------------------------------------------------------------------------

    def arrive(self, worker: Process, journey: Journey, lease: Lease, sent: float) -> tuple[int, Headers]:
        """A request is at the server. This is where the fleet is judged."""
        self.api.headerless = OFTEN if self.weather.during("no headers") else 0.0
        self.api.other_tick = 1.0 if self.weather.during("other tick") else 0.0
        refused = self.api.refused
        name = GATEWAY if journey.status else str(worker.number)
        status, headers = self.api.answer(self.loop.now, name, journey)
        self._turned_away += journey.status > 0
        self.branches.sometimes("request counted in a later window", self.api.since > self.api.time(sent))
        if self._trace is not None:
            left = self.api.windows[-1].left if self.api.windows else self.setting.limit
            self._say(f"w{worker.number} {status} left {left}")
        if self.api.refused > refused:
            self._judge_refusal(worker, lease)
        return status, headers

    def _judge_refusal(self, worker: Process, lease: Lease) -> None:
        """A scout that was sent because permits fell silent may be refused, if a fault is about that makes them so: one a window."""
        silent = any(kind.silence for kind in self.schedule.kinds) and lease in worker.accounts.doubtful
        if silent and self.window_number not in self._seen_in_vain:
            self._seen_in_vain.add(self.window_number)
            self.allow(1, "sent to see what became of permits that fell silent")
        if self.api.refused > self.allowed:
            self.violate(f"w{worker.number} was refused: {self.api.refused} in all, {self.allowed} allowed")

    @property
    def allowed(self) -> int:
        """Refusals that the faults so far explain."""
        return self._allowed + self.api.strangers + self.allow_each_window * self.window_number

    def _watch(self, before: Record, after: Record, now: int, command: Command, answer: Answer) -> None:
        for what in broken(before, after, now, command, answer):
            self.violate(what)
        self.branches.after(before, after, now, command, answer)
        if self.loop.now >= self.judged_from:
            self.kept_for_others = max(self.kept_for_others, *map(strangers, after.ledgers.values()))
        if self._trace is not None:
            self._say(f"store for w{self.speaker}: {shown(command, answer)}")

    # -- phases --------------------------------------------------------------------------------------------------------

    def _happen(self, event: Event) -> None:
        self._faults[event.kind.name] += 1
        self._say(f"-- {event.kind.name}")
        event.kind.inject(self, self._chance)

    def _become_calm(self) -> None:
        self._say("-- no more faults")
        self.calm, self.think = True, 0.0
        self.api.turn(stranger=0.0)

    def _drain(self) -> None:
        """No new calls; those under way must come to an end."""
        self.draining = True
        self._say("-- no more calls")
        turns = sum(len(worker.calls) for worker in self.alive) // min(self.setting.limit, self.api.budget.limit)
        end = self.loop.now + (turns + DRAIN) * self.setting.window
        while self.loop.now < end and any(worker.calls for worker in self.alive):
            self.loop.run(self.loop.now + self.setting.window / 4)
        for worker in self.alive:
            if worker.calls:
                doing = sorted(call.doing for call in worker.calls)
                self.violate(f"w{worker.number} has callers that were not served: {doing}")
            else:
                worker.close()
        for worker in self.workers:
            worker.abandon()

    def _result(self, calm: float, last: float) -> Result:
        judge(self, calm, last)
        windows = self.api.windows
        return Result(
            seed=self.schedule.seed,
            kinds=tuple(kind.name for kind in self.schedule.kinds),
            requests=sum(window.admitted + window.refused for window in windows) + self._turned_away,
            refused=self.api.refused,
            allowed=self.allowed,
            commands=self.commands,
            seconds=self.loop.now,
            faults=self._faults,
            branches=self.branches,
            spent=[window.admitted / window.limit for window in judged(self, calm, last)],
            violations=self.violations,
        )

    def _say(self, line: str) -> None:
        if self._trace is not None:
            self._trace(f"{self.loop.now:9.4f} {line}")


def _token(request: Request) -> str:
    return "the token"
