"""Virtual time."""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Loop:
    """Events in order of time; equal times in order of planning, so that a seed replays exactly."""

    __slots__ = ("_heap", "_planned", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._planned = 0

    def at(self, time: float, event: Callable[[], None]) -> None:
        self._planned += 1
        heapq.heappush(self._heap, (max(time, self.now), self._planned, event))

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        self.at(self.now + seconds, event)

    def run(self, until: float) -> None:
        while self._heap and self._heap[0][0] <= until:
            self.now, _, event = heapq.heappop(self._heap)
            event()
        self.now = until
