"""Ledgers of one host, for many processes: one sqlite file, one immediate transaction for each command batch.

The clock is the host's, counted from its boot, so that all processes agree and no wall clock can be set under them. To a
record of an earlier boot that is a clock which ran backwards, and the ledger has a rule for it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from clever_guard.errors import StoreUnavailable
from clever_guard.quota.record import Record, lifetime, transition
from clever_guard.quota.store import Answer, Command
from clever_guard.stores.codec import body_of, record_of

SCHEMA = 1
SWEEP = 1_000
OPENING = 5.0
"""Seconds a new store waits for a file that others are opening too."""
PAUSE = 0.01
T = TypeVar("T")
_parents: list[sqlite3.Connection] = []
_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def host_ms() -> int:
    """Milliseconds since this host booted, suspend included where the system counts it."""
    if _CLOCK is not None:
        return time.clock_gettime_ns(_CLOCK) // 1_000_000
    return time.monotonic_ns() // 1_000_000


class SqliteStore:
    """A store for the processes of one host. Thread-safe; every process and thread has a connection of its own.

    ``path``: the file, made with mode 0600 where there is none. ``patience``: seconds to wait for the lock of another process
    before StoreUnavailable (sqlite itself waits in steps of up to 100 ms, so a busy host needs more than one of them). Raises ValueError for a path that cannot hold a database.
    """

    shared = True

    def __init__(
        self, path: str | os.PathLike[str], *, patience: float = 1.0, clock: Callable[[], int] = host_ms
    ) -> None:
        self.path = Path(path).absolute()
        self._patience = patience
        self._clock = clock
        self._local = threading.local()
        self._count = 0
        self._open: dict[int, sqlite3.Connection] = {}
        """By the identity of the ``_Held`` that owns them."""
        _check(self.path)

    def __repr__(self) -> str:
        return f"SqliteStore({str(self.path)!r})"

    def execute(self, commands: Sequence[Command], /) -> Sequence[Answer]:
        """Apply ``commands`` in one transaction. Raises StoreUnavailable when the file cannot be used in time."""
        try:
            connection = _patiently(self._begun, self._patience)
            try:
                now = self._clock()
                answers = [_apply(connection, now, command) for command in commands]
                self._sweep(connection, now)
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error
        return answers

    def fingerprint(self, mine: str, /) -> str | None:
        """Leave the fleet's secret fingerprint if none is there; return the one that is. Raises StoreUnavailable."""
        try:
            connection = self._connection()
            connection.execute("INSERT OR IGNORE INTO fleet (name, value) VALUES ('fingerprint', ?)", (mine,))
            row = connection.execute("SELECT value FROM fleet WHERE name = 'fingerprint'").fetchone()
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error
        return str(row[0])

    def close(self) -> None:
        """Close the connections of this process. Idempotent; a later command opens anew."""
        connections, self._open = self._open, {}
        for connection in connections.values():
            connection.close()
        self._local = threading.local()

    def after_fork(self) -> None:
        """In a forked child: sqlite forbids even closing the parent's connections, so they are kept and never used."""
        _parents.extend(self._open.values())
        self._open = {}
        self._local = threading.local()

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(f"the sqlite store {self.path} cannot be used: {error}")

    def _begun(self) -> sqlite3.Connection:
        """This thread's connection, in a transaction."""
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        return connection

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection. sqlite forbids using one across a fork, so the process id is part of the question."""
        held: _Held | None = getattr(self._local, "held", None)
        if held is None or held.pid != os.getpid():
            held = self._local.held = _Held(_connect(self.path, self._patience))
            self._open[id(held)] = held.connection
            weakref.finalize(held, _let_go, self._open, id(held), held.pid).atexit = False
        return held.connection

    def _sweep(self, connection: sqlite3.Connection, now: int) -> None:
        """Now and then, forget records that nobody uses. Those of another boot seem to lie far ahead and go too."""
        self._count += 1
        if self._count % SWEEP == 1:
            connection.execute("DELETE FROM records WHERE until < ? OR made > ?", (now, now + 60_000))


class _Held:
    """A connection that belongs to a thread, and goes with it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.pid = os.getpid()


def _let_go(open_: dict[int, sqlite3.Connection], key: int, pid: int) -> None:
    """The thread has ended. Single operations of a dictionary are atomic, and a finalizer must not wait for a lock."""
    if pid == os.getpid() and (connection := open_.pop(key, None)) is not None:
        connection.close()


def _apply(connection: sqlite3.Connection, now: int, command: Command) -> Answer:
    row = connection.execute("SELECT body FROM records WHERE identity = ?", (command.identity,)).fetchone()
    before = record_of(row[0]) if row and isinstance(row[0], str) else Record()
    after, answer = transition(before, now, command)
    connection.execute(
        "INSERT OR REPLACE INTO records (identity, body, made, until) VALUES (?, ?, ?, ?)",
        (command.identity, body_of(after), now, now + lifetime(after, now, command)),
    )
    return answer


def _check(path: Path) -> None:
    if os.path.isdir(path):  # not Path's: that raises for what it may not look at, or what is too long
        raise ValueError(f"the sqlite store {path} is a directory: name a file in it, such as {path / 'quota.db'}")
    if not os.path.isdir(path.parent):
        raise ValueError(f"the sqlite store {path} cannot be made: make the directory {path.parent} first")
    try:
        _make(path)
        _patiently(lambda: _connect(path, OPENING), OPENING).close()
    except (OSError, sqlite3.Error) as error:
        if not _is_busy(error):
            raise ValueError(f"the sqlite store {path} cannot be opened: {error}") from None


def _make(path: Path) -> None:
    """A file of our own mode. One that is there is not touched: closing any descriptor of it would drop this process' locks."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _patiently(do: Callable[[], T], patience: float) -> T:
    """sqlite does not wait by itself while another process mends or puts away its log (sqlite.org/wal.html, section 8)."""
    until = time.monotonic() + patience
    while True:
        try:
            return do()
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() >= until:
                raise
        time.sleep(PAUSE)


def _is_busy(error: BaseException) -> bool:
    """Locked by another process. Extended codes keep the primary one in their last byte."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    connection.text_factory = _text
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _text(stored: bytes) -> str:
    """What is no UTF-8 is not understood, and replaced: it must not make a file useless."""
    return stored.decode("utf-8", "replace")


def _prepare(connection: sqlite3.Connection) -> None:
    """WAL mode and the tables. ``synchronous=OFF`` is enough: a ledger that a power cut loses is learned anew."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=OFF")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        _create(connection)
    elif version != SCHEMA:
        raise sqlite3.DatabaseError(
            f"it was made by another version (schema {version}, this one is {SCHEMA}): use a new file"
        )


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS records (identity TEXT PRIMARY KEY, body TEXT, made INTEGER, until INTEGER) WITHOUT ROWID"
    )
    connection.execute("CREATE TABLE IF NOT EXISTS fleet (name TEXT PRIMARY KEY, value TEXT)")
    connection.execute(f"PRAGMA user_version = {SCHEMA}")
    connection.execute("COMMIT")
