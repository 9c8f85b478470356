"""Ledgers of a fleet: one Redis hash for each identity, one Lua script for each command, Redis TIME as the clock.

Nothing is inherited from redis-py's patience: a client made from a URL has deadlines of a fraction of a second and no
retries (with redis-py 8's own, a refused port takes four seconds), for a report that is sent twice frees permits that
are still in use. Any Valkey that speaks the same commands will do.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import redis
from redis import exceptions as errors
from redis.backoff import NoBackoff
from redis.retry import Retry

from clever_guard.errors import StoreUnavailable
from clever_guard.quota.store import Answer, Command, Draw, Report, Sight, View

PREFIX = "cg:1:"
"""The schema's version is in the key: two versions of the library keep out of each other's ledgers."""
DEADLINE = 0.25
FINGERPRINT_LIFE = 30 * 86_400
SCRIPT = (files("clever_guard.stores") / "ledger.lua").read_text("utf-8")
SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
log = logging.getLogger("clever_guard")


class RedisStore:
    """A store for a fleet. Thread-safe; a forked child opens connections of its own.

    ``client``: a redis-py client; its timeouts and retries are the owner's business. ``from_url`` makes one with ``deadline``
    seconds for connecting and for each answer. Raises nothing but StoreUnavailable, whose sentence names host and port only.
    """

    shared = True

    def __init__(self, client: Any, *, owned: bool = False, clock: Any = None) -> None:
        self._client = client
        self._owned = owned
        self._clock = clock
        self._script_failed = False
        self._pid = os.getpid()
        self.place = _place(client)

    @classmethod
    def from_url(cls, url: str, *, deadline: float = DEADLINE) -> RedisStore:
        """A store with a client of its own."""
        client = redis.Redis.from_url(
            url,
            socket_timeout=deadline,
            socket_connect_timeout=deadline,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
        return cls(client, owned=True)

    def __repr__(self) -> str:
        return f"RedisStore({self.place})"

    def execute(self, commands: Sequence[Command], /) -> Sequence[Answer]:
        """Apply ``commands`` in one round trip. Raises StoreUnavailable."""
        self._leave_parents_sockets()
        calls = [(key_of(command.identity), self._arguments(command)) for command in commands]
        try:
            replies = self._send(calls)
            missing = [n for n, reply in enumerate(replies) if isinstance(reply, errors.NoScriptError)]
            if missing:
                self._client.script_load(SCRIPT)
                for n, reply in zip(missing, self._send([calls[n] for n in missing]), strict=True):
                    replies[n] = reply
        except (errors.RedisError, OSError) as error:
            raise self._unavailable(error) from None
        for reply in replies:
            if isinstance(reply, Exception):
                raise self._unavailable(reply) from None
        return [answer_of(reply) for reply in replies]

    def fingerprint(self, mine: str, /) -> str | None:
        """Leave the fleet's secret fingerprint if none is there; return the one that is. Raises StoreUnavailable."""
        key = PREFIX + "{fleet}:fingerprint"
        try:
            self._client.set(key, mine, nx=True, ex=FINGERPRINT_LIFE)
            return _text(self._client.get(key) or mine)
        except (errors.RedisError, OSError) as error:
            raise self._unavailable(error) from None

    def close(self) -> None:
        """Close the client if it is our own. Idempotent."""
        if self._owned:
            self._client.close()

    def _send(self, calls: list[tuple[str, list[str]]]) -> list[Any]:
        """A script call that was refused with NOSCRIPT did nothing, so it alone may be sent again."""
        if len(calls) == 1:
            key, arguments = calls[0]
            try:
                return [self._client.evalsha(SHA, 1, key, *arguments)]
            except errors.NoScriptError as error:
                return [error]
        pipeline = self._client.pipeline(transaction=False)
        for key, arguments in calls:
            pipeline.evalsha(SHA, 1, key, *arguments)
        replies: list[Any] = pipeline.execute(raise_on_error=False)
        return replies

    def _arguments(self, command: Command) -> list[str]:
        return [str(self._clock()) if self._clock is not None else "", *arguments(command)]

    def _leave_parents_sockets(self) -> None:
        """After a fork the parent's sockets are its own: an answer read here would be missing there."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            pool = getattr(self._client, "connection_pool", None)
            if pool is not None:
                pool.reset()

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        if isinstance(error, errors.ResponseError) and "script" in str(error).lower():
            if not self._script_failed:
                log.error("the ledger script failed in %s: %s", self.place, error)
            self._script_failed = True
        return StoreUnavailable(f"{self.place} does not serve: {_reason(error)}")


def key_of(identity: str) -> str:
    """The braces are the hash tag: all that belongs to one identity is in one slot of a cluster."""
    return PREFIX + "{" + identity + "}"


# --- the wire format of ledger.lua --------------------------------------------------------------------------------------


def arguments(command: Command) -> list[str]:
    """A command, flat."""
    terms = command.terms
    words = [command.route, str(terms.limit), str(terms.window), str(terms.ttl), "1" if terms.solo else "0"]
    words += _draw(command.draw)
    words.append(str(len(command.reports)))
    for report in command.reports:
        words += _report(report)
    return words


def _draw(draw: Draw | None) -> list[str]:
    return ["0"] if draw is None else ["1", str(draw.want), str(draw.previous), str(draw.reserve), str(draw.end)]


def _report(report: Report) -> list[str]:
    counts = (report.answered, report.refused, report.unsent, report.pause, report.blank, len(report.sights))
    words = [str(report.stamp), ",".join(report.buckets), *map(str, counts)]
    for sight in report.sights:
        words += _sight(sight)
    return words


def _sight(sight: Sight) -> list[str]:
    numbers = (
        sight.limit,
        sight.remaining,
        sight.reset,
        sight.low,
        sight.high,
        sight.sent,
        sight.received,
        sight.answers,
    )
    return [sight.bucket, *map(str, numbers)]


def answer_of(reply: Sequence[bytes | str]) -> Answer:
    """The script's reply as an Answer."""
    now, granted, kind, names, hold, at_least, *rest = map(_text, reply)
    views = tuple(View(rest[n], *map(int, rest[n + 1 : n + 8])) for n in range(0, len(rest), 8))
    return Answer(int(now), int(granted), kind, tuple(names.split(",")), int(hold), int(at_least), views)


def _text(word: bytes | str) -> str:
    return word.decode() if isinstance(word, bytes) else word


def _place(client: Any) -> str:
    """Host and port for people; never a password."""
    pool = getattr(client, "connection_pool", None)
    known = getattr(pool, "connection_kwargs", {})
    if "path" in known:
        return f"redis at {known['path']}"
    return f"redis at {known.get('host', 'localhost')}:{known.get('port', 6379)}"


def _reason(error: Exception) -> str:
    """What went wrong, without the addresses and credentials that messages of a client may hold."""
    if isinstance(error, errors.TimeoutError | TimeoutError):
        return "no answer in time"
    if isinstance(error, errors.AuthenticationError):
        return "it does not accept the user or password (AuthenticationError)"
    if isinstance(error, errors.ConnectionError | OSError):
        return "no connection"
    return f"{type(error).__name__}: {str(error)[:120]}"
