"""Guards for APIs whose limits are documented."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clever_guard.events import Observer
from clever_guard.flow import Policy
from clever_guard.guard import Guard
from clever_guard.parts.backoff import ExponentialBackoff
from clever_guard.parts.keys import BearerToken
from clever_guard.policies.deadline import Deadline
from clever_guard.policies.quota import Quota
from clever_guard.policies.retry import Retry
from clever_guard.stores.open import chosen, open_store

WINDOWS = 5
"""A call that waited longer than so many windows is starving."""
TIMEOUT = (5.0, 60.0)
"""Connect and read seconds for callers and pools that say nothing."""


def clever(
    store: Any = None,
    *,
    limit: int = 1200,
    window: float = 60.0,
    observers: Iterable[Observer] | None = None,
    deadline: float | None = None,
    max_wait: float | None = None,
    reserves: Mapping[str, int] | None = None,
    **options: Any,
) -> Guard:
    """A guard for Clever's API: 1200 requests a minute for each bearer token, in fixed windows.

    Retries after 1, 2, 4, 8 and 16 s ("wait 1 second after first error, then 2, then 4 ... five retries", Clever API,
    Overview and Best Practices). ``deadline``: seconds a call may take in all. ``max_wait``: seconds it may wait for quota
    (default five windows). ``observers=None`` means Prometheus on the default registry, with the series of each bucket where the
    ledgers are in this process alone. ``reserves``: permits that calls of a priority leave to others, ``{"bulk": 200}``. Further
    options are Guard's.
    """
    store = chosen(store)
    quota = Quota(limit=limit, window=window, key=BearerToken(), dialect="x-ratelimit", reserves=dict(reserves or {}))
    policies: list[Policy] = [
        Retry(backoff=ExponentialBackoff(initial=1, factor=2, max_delay=60), max_retries=5),
        quota,
    ]
    if deadline is not None:
        policies.insert(0, Deadline(deadline))
    store = open_store(store)
    if observers is None:
        from clever_guard.observe.prometheus import PrometheusObserver

        observers = [PrometheusObserver(buckets=not store.shared)]
    options.setdefault("timeout", TIMEOUT)
    wait = WINDOWS * window if max_wait is None else max_wait
    return Guard(*policies, store=store, observers=observers, max_wait=wait, **options)
