"""Deadline: how long a whole call may take, its retries and waits included."""

from __future__ import annotations

from dataclasses import dataclass

from clever_guard.flow import Flow, Proceed
from clever_guard.given import check_seconds
from clever_guard.model import Request


@dataclass(frozen=True, slots=True)
class Deadline:
    """At most ``seconds`` a call (above 0, else ValueError).

    It only writes the time down: the driver begins no wait that cannot end by then, and each send gets connect and read
    timeouts of at most what is left. A body that trickles in can still exceed it, for the read timeout is per read. Each redirect hop
    is a call of its own and counts anew.
    """

    seconds: float

    def __post_init__(self) -> None:
        check_seconds("Deadline: seconds", self.seconds)

    def around(self, request: Request, proceed: Proceed, /) -> Flow:
        self.begin(request)
        return (yield from proceed(request))

    def begin(self, request: Request) -> None:
        """Write the deadline down; an earlier one of the caller's stays."""
        mine = request.now + self.seconds
        request.deadline = mine if request.deadline is None else min(mine, request.deadline)
