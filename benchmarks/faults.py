"""Faults for a fleet of real processes: which ones when (``plan``), and the hands that do them (``Wrecker``).

kill      kill -9 of a worker; another starts in its place
stop      SIGSTOP of a worker, SIGCONT half a second to eight seconds later
flush     FLUSHALL
restart   SIGTERM; the store comes back with the snapshot it left
crash     kill -9 of the store; it comes back with nothing
rewind    kill -9 of the store; it comes back with a snapshot that is a second or so old
freeze    SIGSTOP of the store: it accepts connections and answers nobody
"""

from __future__ import annotations

import heapq
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import redis

from clever_guard.testing.fleet import Fleet

OF_WORKERS = {"kill": (2.0, 0.0, 0.0), "stop": (3.0, 0.5, 8.0)}
"""Mean seconds between two, and how long one lasts at least and at most."""
OF_STORE = {
    "flush": (0.0, 0.0),
    "restart": (0.1, 2.0),
    "crash": (0.1, 4.0),
    "rewind": (0.1, 2.0),
    "freeze": (0.3, 6.0),
}
"""How long one lasts at least and at most. A store has one trouble at a time."""
BETWEEN = 8.0
"""Mean seconds from the end of one trouble of the store to the next."""
KINDS = (*OF_WORKERS, *OF_STORE)
STALE = 1.0
"""Seconds before the kill that a snapshot for ``rewind`` is made."""


@dataclass(frozen=True, order=True)
class Fault:
    """``at`` seconds after the beginning, ``lasts`` seconds; ``worker`` is whom it hits, -1 the store."""

    at: float
    kind: str
    lasts: float = 0.0
    worker: int = -1


@dataclass(frozen=True)
class Done:
    """A fault that happened, in epoch seconds."""

    kind: str
    began: float
    ended: float
    worker: int = -1


class Server(Protocol):
    """A Redis of one's own, as ``tests/_redis.py`` has it."""

    port: int

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def kill(self) -> None: ...
    def shut_down(self) -> None: ...
    def forget(self) -> None: ...
    def start(self) -> None: ...


def plan(kinds: Sequence[str], first: float, last: float, workers: int, seed: int) -> list[Fault]:
    """Faults that begin after ``first`` and are over by ``last``; the same for the same seed."""
    faults: list[Fault] = []
    for kind in kinds:
        if kind in OF_WORKERS:
            faults += _of_workers(kind, first, last, workers, random.Random(f"{seed}/{kind}"))
    for_store = [kind for kind in kinds if kind in OF_STORE]
    if for_store:
        faults += _of_store(for_store, first, last, random.Random(f"{seed}/store"))
    return sorted(faults)


def _of_workers(kind: str, first: float, last: float, workers: int, chance: random.Random) -> list[Fault]:
    mean, least, most = OF_WORKERS[kind]
    faults, at = [], first
    while (at := at + mean * chance.uniform(0.5, 1.5)) < last:
        fault = Fault(at, kind, chance.uniform(least, most), chance.randrange(workers))
        if at + fault.lasts < last:
            faults.append(fault)
    return faults


def _of_store(kinds: Sequence[str], first: float, last: float, chance: random.Random) -> list[Fault]:
    """One after the other, each kind as often as the others: shuffled anew for each round."""
    faults: list[Fault] = []
    at = first
    while True:
        for kind in chance.sample(kinds, len(kinds)):
            at += BETWEEN * chance.uniform(0.3, 1.7)
            lasts = chance.uniform(*OF_STORE[kind])
            if at + lasts >= last:
                return faults
            faults.append(Fault(at, kind, lasts))
            at += lasts


class Wrecker:
    """Does faults to a crew and its store at their times. ``note`` hears of each, in words.

    Whatever happens, ``end`` leaves nobody behind, stopped or not.
    """

    def __init__(
        self, fleet: Fleet, until: float, server: Server | None, note: Callable[[str], None] = lambda what: None
    ) -> None:
        self.crew: list[multiprocessing.Process] = []
        self.done: list[Done] = []
        self._fleet = fleet
        self._until = until
        self._server = server
        self._note = note
        self._told: list[tuple[float, str]] = []
        self._stopped: set[int] = set()
        self._pending: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def start(self) -> None:
        """The crew, which works until ``until``."""
        for number in range(self._fleet.workers):
            self.crew.append(self._fleet.start_one(number, self._until))

    def take_on(self, faults: Sequence[Fault], begun: float) -> None:
        """Do these, counted from ``begun`` (epoch seconds)."""
        for fault in faults:
            if fault.kind == "rewind":
                self._at(begun + fault.at - STALE, self._save)
            self._at(begun + fault.at, partial(self._begin, fault))

    def step(self) -> float:
        """Do what is due; seconds until the next, infinite where there is none."""
        while self._pending and self._pending[0][0] <= time.time():
            heapq.heappop(self._pending)[2]()
        return max(0.0, self._pending[0][0] - time.time()) if self._pending else float("inf")

    def told_between(self, begin: float, end: float) -> list[str]:
        """The faults that began then (epoch seconds)."""
        return [what for at, what in self._told if begin <= at < end]

    def end(self) -> None:
        """Nobody is left, stopped or not."""
        for process in self.crew:
            process.kill()
        for process in self.crew:
            process.join()

    def _tell(self, what: str) -> None:
        self._told.append((time.time(), what))
        self._note(what)

    # -- one fault -----------------------------------------------------------------------------------------------------

    def _at(self, when: float, do: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._pending, (when, self._count, do))

    def _begin(self, fault: Fault) -> None:
        began = time.time()
        if fault.kind == "kill":
            self._kill(fault.worker, began)
        elif fault.kind == "stop":
            self._stop(fault, began)
        else:
            self._hurt_store(fault, began)

    def _over(self, kind: str, began: float, worker: int = -1) -> None:
        self.done.append(Done(kind, began, time.time(), worker))

    def _kill(self, number: int, began: float) -> None:
        victim = self.crew[number]
        victim.kill()
        victim.join()
        self._stopped.discard(number)
        self._tell(f"kill {number}")
        self.crew[number] = self._fleet.start_one(number, self._until)
        self._over("kill", began, number)

    def _stop(self, fault: Fault, began: float) -> None:
        """Whoever is stopped already is passed over."""
        running = [number for number in range(len(self.crew)) if number not in self._stopped]
        if not running:
            return
        number = fault.worker if fault.worker in running else running[fault.worker % len(running)]
        process = self.crew[number]
        os.kill(_pid(process), signal.SIGSTOP)
        self._stopped.add(number)
        self._tell(f"stop {number} for {fault.lasts:.1f} s")
        self._at(began + fault.lasts, lambda: self._resume(process, number, began))

    def _resume(self, process: multiprocessing.Process, number: int, began: float) -> None:
        """If it was not killed meanwhile."""
        if process is self.crew[number]:
            self._stopped.discard(number)
            os.kill(_pid(process), signal.SIGCONT)
        self._over("stop", began, number)

    def _hurt_store(self, fault: Fault, began: float) -> None:
        server = self._server
        if server is None:
            raise ValueError(f"{fault.kind}: this store is a file, it cannot be hurt so")
        self._tell(f"{fault.kind} for {fault.lasts:.1f} s" if fault.lasts else fault.kind)
        begin, finish = _deeds(server)[fault.kind]
        begin()
        if finish is None:
            self._over(fault.kind, began)
            return
        self._at(began + fault.lasts, partial(self._mend, finish, fault.kind, began))

    def _mend(self, finish: Callable[[], object], kind: str, began: float) -> None:
        finish()
        self._over(kind, began)

    def _save(self) -> None:
        if self._server is not None:
            with redis.Redis(port=self._server.port) as client:
                client.save()


def _deeds(server: Server) -> dict[str, tuple[Callable[[], object], Callable[[], object] | None]]:
    """How each trouble of a store begins, and how it ends."""

    def flush() -> None:
        with redis.Redis(port=server.port) as client:
            client.flushall()

    def crash() -> None:
        server.kill()
        server.forget()

    return {
        "flush": (flush, None),
        "restart": (server.shut_down, server.start),
        "crash": (crash, server.start),
        "rewind": (server.kill, server.start),
        "freeze": (server.pause, server.resume),
    }


def _pid(process: multiprocessing.Process) -> int:
    assert process.pid is not None
    return process.pid
