"""A simulated process: a lease book, and callers whose flows the loop drives. The driver for virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from clever_guard.errors import StoreUnavailable
from clever_guard.flow import Emit, Flow, Reserve, Send, Settle, Wait, fold
from clever_guard.model import Failure, Hold, Outcome, Permit, Reply, Request
from clever_guard.quota.books import Books, Trip
from clever_guard.quota.store import Answer, Command, Store
from clever_guard.stores.fallback import Fallback
from clever_guard.testing.simulate.server import EPOCH, Headers

if TYPE_CHECKING:
    from clever_guard.testing.simulate.world import World

GIVE_UP = 1.0
"""Seconds after which a lost request or reply is a Failure."""
STORE_DEADLINE = 0.25


class Worker:
    """``alive``, ``stopped_until`` and ``cut_off_until`` are what faults change."""

    def __init__(self, world: World, number: int, chance: random.Random) -> None:
        self.world = world
        self.number = number
        self.alive = True
        self.stopped_until = 0.0
        self.cut_off_until = 0.0
        self.answered = 0
        self._loop = world.loop
        self._chance = chance
        self._books = Books(1.0, chance.random)
        setting = world.setting
        self.store: Store = Link(self)
        if setting.outage or setting.cut_off:
            self.store = Fallback(self.store, fleet=setting.workers, clock=lambda: int(self._loop.now * 1000))
        slow = setting.slow_latency is not None and number % 2
        self._latency = setting.slow_latency if slow and setting.slow_latency else setting.latency
        self._priority = "bulk" if setting.reserve and number >= setting.workers // 2 else None
        self._proceed = fold((world.quota,))

    def start(self) -> None:
        for _ in range(self.world.setting.threads):
            self._later(self._chance.uniform(0, 0.05), self._call)

    # -- one call ------------------------------------------------------------------------------------------------------

    def _call(self) -> None:
        request = Request("GET", "https", "api", None, "/", Headers([]), priority=self._priority, now=self._loop.now)
        flow = self._proceed(request)
        self.world.flows[flow] = None
        self._step(flow, request, None)

    def _step(self, flow: Flow, request: Request, answer: Any) -> None:
        """Drive the flow until it needs something that takes time."""
        while True:
            request.now = self._loop.now
            try:
                effect = flow.send(answer)
            except StopIteration as done:
                del self.world.flows[flow]
                self._finished(done.value)
                return
            resume = partial(self._step, flow, request)
            answer = None
            match effect:
                case Settle():
                    self._books.settle(effect.permit, effect.receipt, self._loop.now)
                case Emit():
                    pass
                case Reserve():
                    return self._reserve(effect, resume)
                case Wait():
                    return self._wait(effect, resume)
                case Send():
                    request.sends += 1
                    return self._send(resume)

    def _finished(self, outcome: Outcome) -> None:
        """The next call, after what should be reported alone."""
        again = partial(self._later, self._pause(outcome), self._call)
        trip = self._books.due(self._loop.now)
        if trip is not None:
            self._travel(trip, again)
        else:
            again()

    def _pause(self, outcome: Outcome) -> float:
        setting = self.world.setting
        if isinstance(outcome, Reply) and outcome.status == 429:
            return 0.0
        if setting.idle and self._chance.random() < 0.02:
            return self._chance.uniform(0, 2.5) * setting.window
        quiet = self._loop.now % setting.window < 0.8 * setting.window
        return self._chance.expovariate(2.0) if setting.surges and quiet else 0.0

    # -- effects that take time ----------------------------------------------------------------------------------------

    def _reserve(self, effect: Reserve, resume: Callable[[Permit | Hold], None]) -> None:
        answer = self._books.reserve(effect.claim, self._loop.now, effect.ticket)
        if isinstance(answer, Trip):
            self._travel(answer, partial(self._reserve, effect, resume))
        else:
            resume(answer)

    def _wait(self, effect: Wait, resume: Callable[[None], None]) -> None:
        once = Once(partial(resume, None))
        if effect.ticket is not None:
            effect.ticket.wake = partial(self._later, 0.0, once)
            if effect.ticket.woken:
                self._later(0.0, once)
        self._later(effect.seconds, once)

    def _send(self, resume: Callable[[Outcome], None]) -> None:
        setting, world = self.world.setting, self.world
        sent, out = self._loop.now, self._chance.uniform(*self._latency)
        there = out if setting.at_completion else out / 2
        if self._chance.random() < setting.lost_requests:
            self._later(GIVE_UP, partial(resume, Failure(TimeoutError(), sent=True, sent_at=sent)))
            return

        def arrive() -> None:
            status, headers = world.server.handle(self._loop.now, str(self.number))
            world.note_arrival(self, status, sent)
            limit = world.server.budget.limit
            if self._chance.random() < setting.lost_replies:
                self._later(GIVE_UP, partial(resume, Failure(TimeoutError(), sent=True, sent_at=sent)))
            else:
                self._later(
                    0.001 if setting.at_completion else out / 2,
                    partial(self._receive, resume, status, headers, sent, limit),
                )

        self._loop.after(there, arrive)

    def _receive(
        self, resume: Callable[[Outcome], None], status: int, headers: Headers, sent: float, limit: int
    ) -> None:
        self.world.note_receipt(limit)
        resume(Reply(status, headers, None, sent, self._loop.now, EPOCH + self._loop.now))

    def _travel(self, trip: Trip, then: Callable[[], None]) -> None:
        """One round trip to the store, which may lose the command or the answer."""
        self.world.commands += 1
        asked = self._loop.now
        lossy = self.world.setting.lost_commands

        def lost() -> None:
            self._books.lost(trip, self._loop.now)
            then()

        def arrive() -> None:
            answers = self.world.execute(self, trip)
            if lossy and self._chance.random() < lossy:
                self._later(STORE_DEADLINE, lost)
                return
            self._later(self._chance.uniform(0.0001, 0.0006), partial(self._land, trip, answers, asked, then))

        if lossy and self._chance.random() < lossy:
            self._later(STORE_DEADLINE, lost)
        else:
            self._loop.after(self._chance.uniform(0.0001, 0.0006), arrive)

    def _land(self, trip: Trip, answers: Any, asked: float, then: Callable[[], None]) -> None:
        self._books.landed(trip, answers, asked, self._loop.now)
        then()

    def _later(self, seconds: float, event: Callable[[], None]) -> None:
        self._loop.after(seconds, partial(self._if_running, event))

    def _if_running(self, event: Callable[[], None]) -> None:
        """A killed process does nothing more; a stopped one does it when it goes on."""
        if not self.alive:
            return
        if self.stopped_until > self._loop.now:
            self._loop.at(self.stopped_until + 0.001 * self._chance.random(), partial(self._if_running, event))
        else:
            event()


class Link:
    """A worker's way to the store."""

    shared = True

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def execute(self, commands: Sequence[Command], /) -> Sequence[Answer]:
        world = self._worker.world
        if world.loop.now < max(world.down_until, self._worker.cut_off_until):
            raise StoreUnavailable("the simulated store does not answer")
        return world.store.execute(commands)

    def fingerprint(self, mine: str, /) -> str | None:
        return None

    def close(self) -> None:
        """Nothing to release."""


class Once:
    """Called by the clock or by the waker, whichever is first."""

    __slots__ = ("_event",)

    def __init__(self, event: Callable[[], None]) -> None:
        self._event: Callable[[], None] | None = event

    def __call__(self) -> None:
        event, self._event = self._event, None
        if event is not None:
            event()
