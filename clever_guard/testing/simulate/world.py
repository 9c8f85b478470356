"""One schedule from beginning to end."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from clever_guard.flow import Flow
from clever_guard.model import Request
from clever_guard.policies.quota import Quota
from clever_guard.quota.books import Trip
from clever_guard.quota.store import Answer
from clever_guard.stores.memory import MemoryStore
from clever_guard.testing.simulate.loop import Loop
from clever_guard.testing.simulate.server import Server
from clever_guard.testing.simulate.setting import Setting
from clever_guard.testing.simulate.worker import Worker

STORE_EPOCH = 2_000_000_000_000
LEARNT = 5
"""Windows after which the border is taken to be learnt."""


@dataclass(slots=True)
class Figures:
    """What the server's log says of one schedule."""

    answered: int = 0
    refused: int = 0
    blind: int = 0
    """Of ``refused``: sent before an answer had told anybody of the lower limit, so that no rule could have prevented them."""
    commands: int = 0
    over: int = 0
    """Windows that admitted more than their limit: never, or the server is wrong."""
    spent: list[float] = field(default_factory=list)
    """Share of the budget of each full window after the first two."""
    late: list[float] = field(default_factory=list)
    """Seconds from a reset to the first admitted request, once learnt."""


class World:
    """Everything of one schedule. ``trace`` is told a line for each happening."""

    def __init__(self, setting: Setting, seed: str, trace: Callable[[str], None] | None = None) -> None:
        self.setting = setting
        self.loop = Loop()
        self.commands = 0
        self._seed = seed
        self._trace = trace
        self._chance = random.Random(f"{seed}/faults")
        self._offset = STORE_EPOCH
        self.store = MemoryStore(self._store_time)
        self._snapshot = self.store.snapshot()
        self.down_until = 0.0
        self._blind = 0
        self._limit_known = 0.0
        """Since when somebody knows the limit; infinite while nobody does."""
        self.server = Server(setting, random.Random(f"{seed}/server"))
        self.quota = Quota(
            limit=setting.limit,
            window=setting.told_window or setting.window,
            key=_token,
            reserves={"bulk": setting.reserve},
        )
        self.workers: list[Worker] = []
        self.flows: dict[Flow, None] = {}
        """Calls under way. At the end they are interrupted, as a driver does it."""

    def run(self) -> Figures:
        for _ in range(self.setting.workers):
            self._spawn()
        self._plan_faults()
        self.loop.run(self.setting.windows * self.setting.window)
        for flow in self.flows:
            _interrupt(flow)
        return self._figures()

    # -- what workers ask for ------------------------------------------------------------------------------------------

    def execute(self, worker: Worker, trip: Trip) -> Sequence[Answer]:
        answers = worker.store.execute(trip.commands)
        if self._trace is not None:
            for command, answer in zip(trip.commands, answers, strict=True):
                self._trace(f"{self.loop.now:9.4f} w{worker.number} {shown(command, answer)}")
        return answers

    def note_arrival(self, worker: Worker, status: int, sent: float) -> None:
        """A request that was sent at ``sent`` is answered now."""
        self._blind += status == 429 and sent < self._limit_known
        if self._trace is not None:
            window = self.server.budget.windows[-1]
            self._trace(f"{self.loop.now:9.4f} w{worker.number} {status} left={window.left}")

    def note_receipt(self, limit: int) -> None:
        """An answer under ``limit`` is here."""
        if self._limit_known == math.inf and limit == self.server.budget.limit:
            self._limit_known = self.loop.now

    def _store_time(self) -> int:
        return int(self.loop.now * 1000) + self._offset

    def _spawn(self) -> None:
        number = len(self.workers)
        worker = Worker(self, number, random.Random(f"{self._seed}/worker/{number}"))
        self.workers.append(worker)
        worker.start()

    # -- faults --------------------------------------------------------------------------------------------------------

    def _plan_faults(self) -> None:
        setting = self.setting
        for mean, fault in (
            (setting.kill, self._kill),
            (setting.stop, self._stop),
            (setting.outage, self._go_down),
            (setting.cut_off, self._cut_off),
            (setting.forget, self.store.forget),
            (1.0 if setting.failover else 0.0, self._replicate),
            (setting.failover, self._fail_over),
            (2.5 * setting.window if setting.store_step else 0.0, self._step_store),
            (3.0 * setting.window if setting.set_back else 0.0, self._set_back),
            (2.0 * setting.window if setting.limit_changes else 0.0, self._change_limit),
        ):
            if mean:
                self._every(mean, fault)

    def _every(self, mean: float, fault: Callable[[], None]) -> None:
        def happen() -> None:
            if self._trace is not None:
                self._trace(f"{self.loop.now:9.4f} -- {getattr(fault, '__name__', fault)}")
            fault()
            self._every(mean, fault)

        self.loop.after(mean * self._chance.uniform(0.5, 1.5), happen)

    def _running(self) -> Worker:
        return self._chance.choice([worker for worker in self.workers if worker.alive])

    def _kill(self) -> None:
        self._running().alive = False
        self._spawn()

    def _stop(self) -> None:
        self._running().stopped_until = self.loop.now + self._chance.uniform(0, 10)

    def _go_down(self) -> None:
        self.down_until = self.loop.now + self._chance.uniform(0.2, 1.5) * self.setting.window

    def _cut_off(self) -> None:
        self._running().cut_off_until = self.loop.now + self._chance.uniform(0.2, 1.5) * self.setting.window

    def _replicate(self) -> None:
        self._snapshot = self.store.snapshot()

    def _fail_over(self) -> None:
        self.store.restore(self._snapshot)
        step = self.setting.failover_step
        self._offset += int(1000 * self._chance.uniform(-step, step))

    def _step_store(self) -> None:
        self._offset += int(1000 * self._chance.uniform(-1, 1) * self.setting.store_step)

    def _set_back(self) -> None:
        self.server.set_clock(-self._chance.uniform(1, 40))

    def _change_limit(self) -> None:
        self.server.set_limit(max(5, int(self.setting.limit * self._chance.uniform(0.5, 1.5))))
        self._limit_known = math.inf

    # -- the judge -----------------------------------------------------------------------------------------------------

    def _figures(self) -> Figures:
        windows = self.server.budget.windows
        figures = Figures(
            answered=sum(window.admitted for window in windows),
            refused=sum(window.refused for window in windows),
            blind=self._blind,
            commands=self.commands,
        )
        for number, window in enumerate(windows[:-1]):
            figures.over += window.admitted + window.stranger > window.limit and not self.setting.limit_changes
            if number >= 2:
                figures.spent.append((window.admitted + window.stranger) / window.limit)
            if number >= LEARNT and window.first is not None:
                figures.late.append(window.first)
        return figures


class _Over(BaseException):
    """The schedule has ended."""


def _interrupt(flow: Flow) -> None:
    with contextlib.suppress(_Over, StopIteration):
        flow.throw(_Over())
        while True:
            flow.send(None)


def _token(request: Request) -> str:
    return "the token"


def shown(command: object, answer: Answer) -> str:
    view = answer.views[0] if answer.views else None
    seen = f" left={view.remaining} out={view.outstanding} until={view.reset_at - answer.now}" if view else ""
    reports = getattr(command, "reports", ())
    told = " ".join(f"[{r.stamp % 10**6} {r.answered}a{r.refused}r{r.unsent}u{r.blank}b]" for r in reports)
    what = f"{answer.kind} {answer.granted}" if answer.granted else f"hold {answer.hold}"
    return f"at {answer.now % 10**6} {told} -> {what if getattr(command, 'draw', None) else 'told'}{seen}"
