"""Clients made from URLs, and the errors of clients that are handed in.

Nothing is inherited from redis-py's patience: what is made here has deadlines of a fraction of a second and no retries (with
redis-py 8's own, a refused port takes four seconds), for a report that is sent twice frees permits that are still in use. A
redirection by a cluster is no repetition: the node that redirects has done nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from clever_guard.stores.redis_urls import PORTS, SENTINEL_OPTIONS, TLS_OPTIONS, Address, check_single, parsed


def client_maker(url: str, deadline: float) -> tuple[Callable[[], Any], str]:
    """What makes the client for ``url`` when it is first needed, and how its place is shown. Raises ValueError."""
    scheme = url.partition("://")[0]
    patience = {"socket_timeout": deadline, "socket_connect_timeout": deadline}
    if scheme not in PORTS:
        check_single(url, scheme)
        make_single = partial(_single, url, scheme, patience)
        return make_single, place_of(make_single())
    address = parsed(url)
    make = _cluster if "cluster" in scheme else _sentinel
    return lambda: make(address, patience), address.place


def _single(url: str, scheme: str, patience: dict[str, Any]) -> Any:
    """One connection is made on trial, and not opened: what redis-py cannot use it says there, and not at the first call."""
    try:
        client = redis.Redis.from_url(url, **patience, retry=Retry(NoBackoff(), 0), health_check_interval=0)
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError, redis.RedisError):
        raise ValueError(f"an option of the {scheme}:// URL has a value that it cannot have") from None
    return client


def _cluster(address: Address, patience: dict[str, Any]) -> Any:
    """It asks a node for the slots at once, so it is made when it is needed."""
    node: Any = ClusterNode
    client: Any = RedisCluster(
        startup_nodes=[node(host, port) for host, port in address.nodes],
        username=address.username,
        password=address.password,
        retry=Retry(NoBackoff(), 0),
        **_encryption(address),
        **patience,
    )
    client.cluster_error_retry_attempts = 0  # redis-py 5 sends what timed out three times more, whatever ``retry`` says
    return client


def _sentinel(address: Address, patience: dict[str, Any]) -> Any:
    options = dict(address.options)
    sentinels = {name.removeprefix("sentinel_"): options.pop(name) for name in SENTINEL_OPTIONS if name in options}
    encryption = _encryption(address)
    untyped: Any = Sentinel
    sentinel = untyped(
        list(address.nodes),
        sentinel_kwargs={**patience, **sentinels, **encryption, "retry": Retry(NoBackoff(), 0)},
        username=address.username,
        password=address.password,
        retry=Retry(NoBackoff(), 0),
        **encryption,
        **patience,
    )
    return sentinel.master_for(address.service, db=address.database)


def _encryption(address: Address) -> dict[str, Any]:
    if not address.scheme.startswith("rediss"):
        return {}
    return {"ssl": True} | {name: value for name, value in address.options.items() if name in TLS_OPTIONS}


# --- clients that are handed in -----------------------------------------------------------------------------------------


def place_of(client: Any) -> str:
    """Host and port for people; never a password."""
    nodes = getattr(client, "nodes_manager", None)
    if nodes is not None:
        return f"redis cluster at {', '.join(sorted(nodes.startup_nodes))}"
    pool = getattr(client, "connection_pool", None)
    service = getattr(pool, "service_name", None)
    if service is not None:
        return f"redis {service!r} of its sentinels"
    known: dict[str, Any] = getattr(pool, "connection_kwargs", {})
    if "path" in known:
        return f"redis at {known['path']}"
    return f"redis at {known.get('host', 'localhost')}:{known.get('port', 6379)}"


def drop_connections(client: Any, *, idle_only: bool = False) -> None:
    """Close what ``client`` has open; the next command connects anew. ``idle_only``: not those other threads wait on."""
    nodes = client.get_nodes() if hasattr(client, "nodes_manager") else ()
    clients = [node.redis_connection for node in nodes if node.redis_connection is not None] or [client]
    for one in clients:
        for holder in (getattr(one, "connection", None), getattr(one, "connection_pool", None)):
            if holder is not None:
                with contextlib.suppress(OSError, *family_of(client).failures):
                    holder.disconnect(*_which(holder, idle_only))


def _which(holder: Any, idle_only: bool) -> tuple[bool, ...]:
    """A pool's argument; one that blocks its callers may take none, and a connection takes others."""
    return (False,) if idle_only and "inuse_connections" in inspect.signature(holder.disconnect).parameters else ()


def unlock(client: Any) -> None:
    """In a forked child: new locks for the connection pool of a client that was handed in.

    redis-py's own remedy (``reset``) takes a lock that another thread of the parent may have held, and would wait for ever.
    """
    pool = getattr(client, "connection_pool", None)
    for name in ("_lock", "_fork_lock"):
        if hasattr(pool, name):
            setattr(pool, name, threading.RLock())


BASES = ("RedisError", "RedisClusterException", "ValkeyError", "ValkeyClusterException")


@dataclass(frozen=True, slots=True)
class Family:
    """The errors of a client's own library: those of valkey-py, a fork, are no relatives of redis-py's."""

    failures: tuple[type[Exception], ...]
    """Whatever it raises when it does not serve; the cluster's own exception stands apart."""
    no_script: type[Exception]
    timeout: type[Exception]
    authentication: type[Exception]
    connection: type[Exception]
    response: type[Exception]
    read_only: type[Exception]


def family_of(client: Any) -> Family:
    """By the module the client's class comes from; redis-py's for a stranger."""
    roots = {kind.__module__.partition(".")[0] for kind in type(client).__mro__}
    name = "valkey" if "valkey" in roots else "redis"
    errors = importlib.import_module(f"{name}.exceptions")
    return Family(
        (OSError, *(getattr(errors, name) for name in BASES if hasattr(errors, name))),
        errors.NoScriptError,
        errors.TimeoutError,
        errors.AuthenticationError,
        errors.ConnectionError,
        errors.ResponseError,
        errors.ReadOnlyError,
    )
