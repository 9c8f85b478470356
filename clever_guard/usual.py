"""The usual call: which guards have one, and its steps.

A guard whose policies are all our own, in their order, knows what its flow would do first: write the deadline down, reserve,
send, settle. The driver does that without starting the flow where a permit is in hand. Nothing is decided here: claim, receipt
and what follows are the policies' own, and a test compares every such call with its flow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from clever_guard.flow import Flow, Policy, fold
from clever_guard.model import Claim, Outcome, Receipt, Request
from clever_guard.policies.deadline import Deadline
from clever_guard.policies.quota import Quota
from clever_guard.policies.retry import Retry


@dataclass(frozen=True, slots=True)
class UsualCall:
    """What ``drivers.sync.Usual`` asks for: the policies' own methods, with nothing between."""

    begin: Callable[[Request], Claim | None]
    receipt: Callable[[Outcome], tuple[Receipt, tuple[str, ...]]]
    more: Callable[[Request, Outcome], Flow | None]


def usual_call(policies: Sequence[Policy]) -> UsualCall | None:
    """The usual call of ``policies``; None with a policy whose steps only its flow knows."""
    known: dict[type, Any] = {type(policy): policy for policy in policies}
    if not known.keys() <= {Deadline, Retry, Quota}:
        return None
    quota, retry, deadline = known.get(Quota), known.get(Retry), known.get(Deadline)
    begin = _no_claim if quota is None else quota.claim
    inner = () if quota is None else (quota,)
    return UsualCall(
        begin if deadline is None else partial(_begin, deadline, begin),
        _no_receipt if quota is None else quota.receipt,
        _nothing_more if retry is None else partial(retry.more, fold(inner)),
    )


def _begin(deadline: Deadline, claim: Callable[[Request], Claim | None], request: Request) -> Claim | None:
    deadline.begin(request)
    return claim(request)


def _no_claim(request: Request) -> None:
    return None


def _no_receipt(outcome: Outcome) -> tuple[Receipt, tuple[str, ...]]:
    raise AssertionError("there is no permit without a claim")


def _nothing_more(request: Request, outcome: Outcome) -> None:
    return None
