"""Virtual time for tests: waits end at once, and the clock has moved on when they do.

    with no_waiting(guard) as time, emulator.serve(clock=time.wall) as api:
        http.request("GET", api.url + "/v2.0/students", headers=...)
    assert time.waits == [1.0, 2.0]

While it lasts the guard keeps its ledgers in memory, on the same clock, whatever its store: a Redis would go on with its own.
Afterwards it goes on with what it had. An emulator that should count in the same windows is served with ``clock=time.wall``.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from clever_guard.model import Ticket
from clever_guard.stores.memory import MemoryStore

if TYPE_CHECKING:
    from clever_guard.guard import Guard


class VirtualTime:
    """A clock that only waits move. ``begin``: epoch seconds. Thread-safe: each wait is over when it is asked for."""

    def __init__(self, begin: float = 1_700_000_000.0) -> None:
        self._begin = begin
        self._passed = 0.0
        self._lock = threading.Lock()
        self.waits: list[float] = []
        """Every wait, in seconds."""

    def clock(self) -> float:
        """Seconds since the beginning."""
        return self._passed

    def wall(self) -> float:
        """Epoch seconds."""
        return self._begin + self._passed

    def milliseconds(self) -> int:
        """For a store."""
        return int(self.wall() * 1000)

    def pause(self, seconds: float, ticket: Ticket | None = None) -> None:
        """Let so many seconds pass, unless ``ticket`` has been woken already."""
        if ticket is None or not ticket.woken:
            with self._lock:
                self._passed += seconds
                self.waits.append(seconds)


@contextlib.contextmanager
def no_waiting(*guards: Guard) -> Iterator[VirtualTime]:
    """Run ``guards`` on virtual time. Raises ValueError without a guard."""
    if not guards:
        raise ValueError("no_waiting() needs the guards that should not wait: no_waiting(guard)")
    time = VirtualTime()
    for guard in guards:
        guard.engine.run_on(time.clock, time.wall, time.pause, MemoryStore(time.milliseconds))
    try:
        yield time
    finally:
        for guard in guards:
            guard.engine.start_anew()
