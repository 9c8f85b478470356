"""Who is measured: this guard, and what people put around urllib3 today. Each as its own documentation shows it.

    pools     name -> a client with ``request``: for the overhead of one call and for fleets
    permits   name -> a function that takes one permit: for permits a second

What shares a quota does so through the Redis at ``store``. ``counts["trips"]`` is the number of round trips to the store.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import redis
import urllib3
from urllib3.util.retry import Retry as Urllib3Retry

from clever_guard import presets
from clever_guard.events import StoreAnswered

TRANSIENT = (429, 500, 502, 503, 504)


class Client(Protocol):
    def request(self, method: str, url: str, *, headers: dict[str, str]) -> Any: ...


@dataclass
class Setting:
    """What a contestant is told."""

    store: str
    limit: int
    window: float
    threads: int = 1
    counts: Counter[str] = field(default_factory=Counter)


def count_trips(counts: Counter[str]) -> None:
    """Count what every redis-py client of this process sends: a command, script or pipeline is one trip."""
    send = redis.connection.AbstractConnection.send_packed_command

    def counted(self: Any, command: Any, check_health: bool = True) -> Any:
        counts["trips"] += 1
        return send(self, command, check_health)

    redis.connection.AbstractConnection.send_packed_command = counted  # type: ignore[method-assign]


def _bare(setting: Setting) -> Client:
    return urllib3.PoolManager(maxsize=setting.threads, retries=False)


def _urllib3_retry(setting: Setting) -> Client:
    retry = Urllib3Retry(10, backoff_factor=0.1, backoff_max=2.0, status_forcelist=TRANSIENT, raise_on_status=False)
    return urllib3.PoolManager(maxsize=setting.threads, retries=retry)


class _Tenacity:
    """Retries alone, after what an answer says or with a growing wait."""

    def __init__(self, setting: Setting) -> None:
        import tenacity

        def unlucky(answer: Any) -> bool:
            return answer.status in TRANSIENT

        self._send = _bare(setting).request
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(unlucky) | tenacity.retry_if_exception_type(urllib3.exceptions.HTTPError),
            wait=tenacity.wait_exponential_jitter(initial=0.1, max=2.0),
            stop=tenacity.stop_after_attempt(10),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )

    def request(self, method: str, url: str, *, headers: dict[str, str]) -> Any:
        return self._retrying(self._send, method, url, headers=headers)


class _Asking:
    """A permit from a limiter before each request, and tenacity around both."""

    def __init__(self, setting: Setting, take: Callable[[], None]) -> None:
        self._inner = _Tenacity(setting)
        self._take = take
        bare = self._inner._send
        self._inner._send = lambda *args, **kwargs: (take(), bare(*args, **kwargs))[1]

    def request(self, method: str, url: str, *, headers: dict[str, str]) -> Any:
        return self._inner.request(method, url, headers=headers)


def _limits(setting: Setting) -> Callable[[], None]:
    from limits import RateLimitItemPerSecond
    from limits.storage import storage_from_string
    from limits.strategies import FixedWindowRateLimiter

    limiter = FixedWindowRateLimiter(storage_from_string(setting.store))
    item = RateLimitItemPerSecond(setting.limit, max(1, round(setting.window)))

    def take() -> None:
        while not limiter.hit(item, "token"):
            time.sleep(max(0.005, limiter.get_window_stats(item, "token").reset_time - time.time()))

    return take


def _pyrate(setting: Setting) -> Callable[[], None]:
    from pyrate_limiter import Limiter, Rate, RedisBucket

    rate = Rate(setting.limit, int(setting.window * 1000))
    bucket = RedisBucket.init([rate], redis.Redis.from_url(setting.store), "token")
    limiter = Limiter(bucket)  # type: ignore[arg-type]

    def take() -> None:
        limiter.try_acquire("token")

    return take


def _throttled(setting: Setting) -> Callable[[], None]:
    import throttled

    quota = throttled.rate_limiter.per_duration(_seconds(setting.window), setting.limit)
    throttle = throttled.Throttled(
        key="token", using="fixed_window", quota=quota, store=throttled.store.RedisStore(server=setting.store)
    )

    def take() -> None:
        while (found := throttle.limit("token")).limited:
            time.sleep(max(0.005, found.state.retry_after))

    return take


def _seconds(seconds: float) -> Any:
    from datetime import timedelta

    return timedelta(seconds=max(1, round(seconds)))


def _clever_guard(setting: Setting) -> Client:
    def note(event: Any) -> None:
        setting.counts["trips"] += isinstance(event, StoreAnswered)

    guard = presets.clever(
        setting.store, limit=setting.limit, window=setting.window, observers=[note], max_wait=3600, name="bench"
    )
    return guard.wrap(urllib3.PoolManager(maxsize=setting.threads))


POOLS: dict[str, Callable[[Setting], Client]] = {
    "bare urllib3": _bare,
    "urllib3 Retry": _urllib3_retry,
    "tenacity": _Tenacity,
    "tenacity + limits": lambda setting: _Asking(setting, _limits(setting)),
    "tenacity + pyrate-limiter": lambda setting: _Asking(setting, _pyrate(setting)),
    "tenacity + throttled-py": lambda setting: _Asking(setting, _throttled(setting)),
    "clever_guard": _clever_guard,
}
LIMITERS: dict[str, Callable[[Setting], Callable[[], None]]] = {
    "limits": _limits,
    "pyrate-limiter": _pyrate,
    "throttled-py": _throttled,
}
SHARING = ("tenacity + limits", "tenacity + pyrate-limiter", "tenacity + throttled-py", "clever_guard")
"""Those that share a quota between processes."""
