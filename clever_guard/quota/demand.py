"""How much a book should wish for: what would have lasted its callers for a TTL.

A lease with something left over says so when it dies. Of one that was used up only the next caller tells whether it was too small:
a lease of one is always gone at once, and most tokens see one call every now and then.
"""

from __future__ import annotations

from dataclasses import dataclass

from clever_guard.quota.lease import Lease

GROWTH = 8
"""A lease that was too small at once is followed by a wish for so many times as much, at most."""


@dataclass(slots=True, eq=False)
class Demand:
    """``want``: permits, at least 1."""

    want: int = 1
    used_up: Lease | None = None
    """The last lease, if nothing of it was left over."""

    def learn(self, now: float, ttl: float) -> None:
        """A caller came for whom there was no permit. ``ttl``: seconds a lease lives."""
        lease, self.used_up = self.used_up, None
        if lease is None:
            return
        if now >= lease.expires:
            self.want = lease.granted
            return
        lasted = 1 - (lease.expires - now) / ttl
        times = GROWTH if lasted < 1 / GROWTH else max(2, int(1 / lasted))
        self.want = max(self.want, times * lease.granted)

    def left_over(self, lease: Lease) -> None:
        """``lease`` died with permits in hand."""
        self.want = max(1, lease.granted - lease.left)
