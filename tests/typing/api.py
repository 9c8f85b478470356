"""Never run: type-checked, so that the public surface keeps its types."""

from __future__ import annotations

import urllib3

from clever_guard import (
    BearerToken,
    Deadline,
    ExponentialBackoff,
    Guard,
    GuardError,
    Quota,
    QuotaTimeout,
    Retry,
    StatusClassifier,
    options,
    paginate,
    presets,
)
from clever_guard.events import Event
from clever_guard.flow import Flow, Policy, Proceed, Wait
from clever_guard.model import Failure, Request


class OnceMore:
    """A policy as a stranger writes it."""

    def around(self, request: Request, proceed: Proceed, /) -> Flow:
        outcome = yield from proceed(request)
        if isinstance(outcome, Failure):
            yield from Wait(1.0, "backoff")
            outcome = yield from proceed(request)
        return outcome


def observe(event: Event) -> None:
    print(event)


policy: Policy = OnceMore()
guard: Guard = presets.clever(store="redis://localhost:6379/0", deadline=10, max_wait=5, observers=[observe])
manager: urllib3.PoolManager = guard.wrap(urllib3.PoolManager(), priority="bulk", max_wait=300)
pool: urllib3.HTTPConnectionPool = guard.unwrap(urllib3.HTTPConnectionPool("localhost"))
own: Guard = Guard(
    Deadline(30),
    Retry(classifier=StatusClassifier(), backoff=ExponentialBackoff(initial=1, factor=2, max_delay=60), max_retries=5),
    Quota(limit=1200, window=60, key=BearerToken(), dialect="x-ratelimit"),
    policy,
    hosts=["api.clever.com"],
    mode="shadow",
)


@options.bind
def fetch(url: str) -> int:
    with options(deadline=10, max_wait=5, priority="interactive", idempotent=True):
        return manager.request("GET", url).status


status: int = fetch("http://localhost/")
for student in paginate(manager, "http://localhost/v2.0/students?limit=1000", headers={"Authorization": "Bearer x"}):
    print(student)
try:
    fetch("http://localhost/")
except QuotaTimeout as late:
    seconds: float | None = late.retry_in
except GuardError as error:
    sent: bool = error.sent
