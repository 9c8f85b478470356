"""In which order policies may stand, and what a guard puts into them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from clever_guard.flow import Policy
from clever_guard.policies.deadline import Deadline
from clever_guard.policies.quota import Quota
from clever_guard.policies.retry import Retry

ORDER = (Deadline, Retry, Quota)
"""Outermost first. A stranger's policy may stand anywhere."""
chance: Callable[[], float] = random.SystemRandom().random
"""Randomness that a fork does not repeat."""


def check_order(policies: Sequence[Policy]) -> None:
    """Raise ValueError, saying why, for an order that cannot be meant."""
    for policy in policies:
        if isinstance(policy, type) and hasattr(policy, "around"):
            raise ValueError(f"{policy.__name__} is a class: write {policy.__name__}()")
        if not hasattr(policy, "around"):
            raise ValueError(f"{policy!r} is no policy: it has no method around(request, proceed)")
    kinds = [
        next(kind for kind in ORDER if isinstance(policy, kind)) for policy in policies if isinstance(policy, ORDER)
    ]
    for kind in ORDER:
        if kinds.count(kind) > 1:
            raise ValueError(f"two {kind.__name__} policies in one guard: give one")
    if kinds != sorted(kinds, key=ORDER.index):
        names = ", ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"Guard({names}) is the wrong way round: {_why(kinds)}; write them as Deadline, Retry, Quota")


def _why(kinds: Sequence[type]) -> str:
    if Quota in kinds and Retry in kinds and kinds.index(Quota) < kinds.index(Retry):
        return "a Quota outside Retry would count one permit for six attempts"
    return "a Deadline inside the others would start anew with each attempt"


def bound(policies: Sequence[Policy], secret: bytes) -> tuple[Policy, ...]:
    """The policies as part of a guard: with its secret, its randomness, and knowing of each other."""
    window = next((policy.window for policy in policies if isinstance(policy, Quota)), None)
    return tuple(_bind(policy, secret, window) for policy in policies)


def _bind(policy: Policy, secret: bytes, window: float | None) -> Policy:
    if isinstance(policy, Quota):
        return policy.bound(secret)
    if isinstance(policy, Retry):
        return policy.bound(chance, window)
    return policy
