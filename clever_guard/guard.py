"""The guard: ordered policies, a store, observers. What the user builds once and wraps clients with."""

from __future__ import annotations

import ipaddress
import os
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from clever_guard.call_options import CallOptions
from clever_guard.drivers.sync import SyncDriver, Transport
from clever_guard.engine import Engine
from clever_guard.errors import GuardError
from clever_guard.events import Observer
from clever_guard.flow import Policy, fold
from clever_guard.given import check_callable, check_seconds
from clever_guard.model import Outcome, Request
from clever_guard.order import bound, check_order
from clever_guard.policies.quota import Quota
from clever_guard.stores import open_store
from clever_guard.stores.open import chosen
from clever_guard.usual import usual_call

C = TypeVar("C")
MODES = ("enforce", "shadow", "off")


class Guard:
    """Policies (outermost first), where the ledgers live, and who is told.

    ``store``: None (this process alone), a URL, a redis client, or a store object; default ``CLEVER_GUARD_STORE``.
    ``observers``: called with each event (``events.py``), such as ``PrometheusObserver()``. ``hosts``: the hosts to guard, None for
    all; others pass untouched. ``name``: the label ``guard`` of the metrics. ``mode``: ``enforce``, ``shadow`` (count, never wait)
    or ``off``; ``CLEVER_GUARD_MODE`` overrides it. ``secret`` keys the digests that stand for tokens; default
    ``CLEVER_GUARD_SECRET``. ``fleet`` (1 or more) is how many workers to assume when the store is down and was never seen up;
    ``on_store_failure``: ``local`` (work on with a share of the budget) or ``raise``. ``timeout``: (connect, read) seconds for
    clients whose caller and pool say nothing. ``max_wait``: seconds (0 or more) a call may wait for quota, all its holds
    together. ``ttl``: seconds (0.05 to 60) a lease lives.

    Raises ValueError, in one sentence, for an order of policies that cannot be meant and for values that cannot be.
    """

    def __init__(
        self,
        *policies: Policy,
        store: Any = None,
        observers: Iterable[Observer] | None = None,
        hosts: Iterable[str] | None = None,
        name: str = "clever",
        mode: str = "enforce",
        secret: str | bytes | None = None,
        fleet: int = 16,
        on_store_failure: str = "local",
        timeout: tuple[float, float] | None = None,
        max_wait: float | None = None,
        ttl: float = 1.0,
    ) -> None:
        key, store = _secret(secret), chosen(store)
        del secret
        check_order(policies)
        self.name = name
        self.mode = _mode(mode)
        self.hosts = None if hosts is None else _hosts(hosts)
        self.timeout = None if timeout is None else _timeout(timeout)
        if max_wait is not None:
            check_seconds("max_wait", max_wait, least=0)
        self.max_wait = max_wait
        self.closed = False
        self.policies = bound(policies, key)
        self.only_counts = self.mode == "shadow" or not policies
        acting = self.policies if self.mode == "enforce" else tuple(p for p in self.policies if isinstance(p, Quota))
        self._proceed = fold(acting)
        self._usual = usual_call(acting) if self.mode == "enforce" else None
        self.engine = Engine(
            name=name,
            store=open_store(store),
            observers=_observers(observers),
            secret=key,
            fleet=fleet,
            on_store_failure=on_store_failure,
            shadow=self.mode == "shadow",
            ttl=ttl,
        )
        _guards.add(self)

    def __repr__(self) -> str:
        layers = [type(policy).__name__ for policy in self.policies]
        return f"Guard({', '.join([*layers, f'name={self.name!r}', f'mode={self.mode!r}'])})"

    # -- clients -----------------------------------------------------------------------------------------------------

    def wrap(
        self,
        client: C,
        *,
        priority: str | None = None,
        max_wait: float | None = None,
        deadline: float | None = None,
        idempotent: bool | None = None,
    ) -> C:
        """Guard ``client`` and return it: the same object, patched in place. The options hold for all its calls.

        A client that this guard has wrapped already is returned as it is, with the options it was wrapped with.
        Raises TypeError for what cannot be wrapped, ValueError when another guard holds it for the same hosts.
        """
        self.check_open()
        if self.mode == "off":
            return client
        from clever_guard.adapters import adapter_for

        adapter_for(client).wrap(client, self, CallOptions(deadline, max_wait, priority, idempotent))
        return client

    def unwrap(self, client: C) -> C:
        """Undo ``wrap`` without a trace and return the client. A client that is not wrapped stays as it is."""
        from clever_guard.adapters import adapter_for

        adapter_for(client).unwrap(client, self)
        return client

    # -- calls ---------------------------------------------------------------------------------------------------------

    def covers(self, host: str) -> bool:
        """Whether calls to ``host`` are guarded; an IPv6 address with or without its brackets."""
        return self.hosts is None or _bare_host(host) in self.hosts

    def call(self, request: Request, transport: Transport) -> Outcome:
        """One call through all policies. For adapters. Raises GuardError after ``close``."""
        if self.closed:
            self.check_open()
        return self.engine.driver.call(request, self._proceed, transport, self._usual)

    @property
    def driver(self) -> SyncDriver:
        return self.engine.driver

    def check_open(self) -> None:
        if self.closed:
            raise GuardError(f"the guard {self.name!r} is closed; unwrap the client to go on without it")

    # -- life ----------------------------------------------------------------------------------------------------------

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"the guard {self.name!r} cannot be pickled or copied, for it holds locks, connections and a secret: make one in each "
            "process, in a module that all of them import or where the process begins"
        )

    def close(self) -> None:
        """Give unspent permits back and let go of the store. Wrapped clients raise GuardError from now on."""
        if not self.closed:
            self.closed = True
            self.engine.close()

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start_anew(self) -> None:
        """In a forked child: the leases, locks, sockets and randomness of the parent are not ours."""
        self.engine.start_anew()


_guards: weakref.WeakSet[Guard] = weakref.WeakSet()


def _after_fork() -> None:
    for guard in list(_guards):
        guard.start_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _timeout(given: Any) -> tuple[float, float]:
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ValueError(f"timeout={given!r}: give (connect, read) in seconds, such as (5.0, 60.0)")
    check_seconds("timeout: connect", given[0])
    check_seconds("timeout: read", given[1])
    return given[0], given[1]


def _observers(given: Iterable[Observer] | None) -> tuple[Observer, ...]:
    if given is not None and not isinstance(given, Iterable):
        raise ValueError(f"observers={type(given).__name__}: give a list, such as observers=[PrometheusObserver()]")
    observers = tuple(given or ())
    for observer in observers:
        check_callable("observers", observer, "a list of functions of an event, such as PrometheusObserver()")
    return observers


def _hosts(given: Iterable[str]) -> frozenset[str]:
    if isinstance(given, str):
        raise ValueError(f"hosts={given!r}: give a list of host names")
    hosts = frozenset(_bare_host(host) for host in given)
    for host in hosts:
        if not host or "/" in host or (":" in host and not _is_ipv6(host)):
            raise ValueError("hosts: give names without scheme, port or path, such as 'api.clever.com'")
    return hosts


def _bare_host(host: str) -> str:
    return host.lower().removeprefix("[").removesuffix("]")


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


class Secret(bytes):
    """Whose ``repr`` shows nothing: a traceback with locals would."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(...)"


def _secret(given: str | bytes | None) -> bytes:
    secret = os.environ.get("CLEVER_GUARD_SECRET", "") if given is None else given
    if not isinstance(secret, str | bytes):
        raise ValueError(f"secret: give text or bytes, not {type(secret).__name__}")
    return Secret(secret.encode() if isinstance(secret, str) else secret)


def _mode(given: str) -> str:
    override = os.environ.get("CLEVER_GUARD_MODE")
    mode = override or given
    if mode not in MODES:
        source = "CLEVER_GUARD_MODE" if override else "mode"
        raise ValueError(f"{source}={mode!r}: write enforce, shadow or off")
    return mode
