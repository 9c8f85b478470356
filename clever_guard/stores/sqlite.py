"""Ledgers of one host, for many processes: one sqlite file, one immediate transaction for each command batch.

The clock is the host's, counted from its boot, so that all processes agree and no wall clock can be set under them. To a
record of an earlier boot that is a clock which ran backwards, and the ledger has a rule for it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
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
PAUSE, LONGEST_PAUSE = 0.001, 0.02
"""Seconds between two looks whether another process has let go."""
T = TypeVar("T")
_parents: list[sqlite3.Connection] = []
_INSIDE = threading.RLock()
"""Held inside sqlite, for a transaction and never while waiting for another process. So nobody is inside when this process forks: sqlite's
own locks would stay locked in the child for ever. A signal handler may come here again."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_INSIDE.acquire, after_in_parent=_INSIDE.release, after_in_child=_INSIDE.release)
_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def host_ms() -> int:
    """Milliseconds since this host booted, suspend included where the system counts it."""
    if _CLOCK is not None:
        return time.clock_gettime_ns(_CLOCK) // 1_000_000
    return time.monotonic_ns() // 1_000_000


class SqliteStore:
    """A store for the processes of one host. Thread-safe; every process and thread has a connection of its own.

    ``path``: the file, made with mode 0600 where there is none. ``patience``: seconds to wait for the lock of another process
    before StoreUnavailable. Raises ValueError for a path that cannot hold a database.
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
        self._ended: deque[sqlite3.Connection] = deque()
        """Of threads that are gone, to be closed."""
        _check(self.path)

    def __repr__(self) -> str:
        return f"SqliteStore({str(self.path)!r})"

    def execute(self, commands: Sequence[Command], /) -> Sequence[Answer]:
        """Apply ``commands`` in one transaction. Raises StoreUnavailable when the file cannot be used in time.

        A signal handler that comes here while its own thread is in a transaction cannot be served: that one will not end before it.
        """
        return self._in_time(partial(self._execute, commands))

    def fingerprint(self, mine: str, /) -> str | None:
        """Leave the fleet's secret fingerprint if none is there; return the one that is. Raises StoreUnavailable."""
        return self._in_time(partial(self._fingerprint, mine))

    def close(self) -> None:
        """Close the connections of this process. Idempotent; a later command opens anew."""
        with _INSIDE:
            connections, self._open = self._open, {}
            for connection in connections.values():
                connection.close()
            self._close_ended()
            self._local = threading.local()

    def after_fork(self) -> None:
        """In a forked child: sqlite forbids even closing the parent's connections, so they are kept and never used."""
        _parents.extend([*self._open.values(), *self._ended])
        self._open, self._ended = {}, deque()
        self._local = threading.local()

    def _in_time(self, do: Callable[[], T]) -> T:
        try:
            return _patiently(do, self._patience)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"the sqlite store {self.path} cannot be used: {error}") from error

    def _execute(self, commands: Sequence[Command]) -> Sequence[Answer]:
        with _INSIDE:
            connection = self._connection()
            if connection.in_transaction:
                raise sqlite3.OperationalError("this call interrupted its own thread in a transaction")
            with connection:  # ends the transaction whatever is raised, and wherever: it runs no Python for that
                connection.execute("BEGIN IMMEDIATE")
                now = self._clock()
                answers = [_apply(connection, now, command) for command in commands]
                self._sweep(connection, now)
            return answers

    def _fingerprint(self, mine: str) -> str:
        with _INSIDE:
            connection = self._connection()
            connection.execute("INSERT OR IGNORE INTO fleet (name, value) VALUES ('fingerprint', ?)", (mine,))
            row = connection.execute("SELECT value FROM fleet WHERE name = 'fingerprint'").fetchone()
            return str(row[0])

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection. sqlite forbids using one across a fork, so the process id is part of the question."""
        held: _Held | None = getattr(self._local, "held", None)
        if held is None or held.pid != os.getpid():
            self._close_ended()
            held = self._local.held = _Held(_connect(self.path), _file_at(self.path))
            self._open[id(held)] = held.connection
            weakref.finalize(held, _let_go, self._open, self._ended, id(held)).atexit = False
        elif held.file != _file_at(self.path):
            self.close()
            raise sqlite3.OperationalError("the file was deleted or replaced, and will be opened anew")
        return held.connection

    def _close_ended(self) -> None:
        while self._ended:
            self._ended.popleft().close()

    def _sweep(self, connection: sqlite3.Connection, now: int) -> None:
        """Now and then, forget records that nobody uses. Those of another boot seem to lie far ahead and go too."""
        self._count += 1
        if self._count % SWEEP == 1:
            connection.execute("DELETE FROM records WHERE until < ? OR made > ?", (now, now + 60_000))


class _Held:
    """A connection that belongs to a thread, and goes with it."""

    def __init__(self, connection: sqlite3.Connection, file: tuple[int, int] | None) -> None:
        self.connection = connection
        self.file = file
        """What it is open on: a connection goes on with a file that nobody else can find any more."""
        self.pid = os.getpid()


def _let_go(open_: dict[int, sqlite3.Connection], ended: deque[sqlite3.Connection], key: int) -> None:
    """The thread has ended. Single operations of a dictionary are atomic, and a finalizer must not wait for a lock."""
    if (connection := open_.pop(key, None)) is not None:
        ended.append(connection)


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
        _patiently(partial(_opened, path), OPENING)
    except (OSError, sqlite3.Error) as error:
        if not _is_busy(error):
            raise ValueError(f"the sqlite store {path} cannot be opened: {error}") from None


def _opened(path: Path) -> None:
    with _INSIDE:
        _connect(path).close()


def _make(path: Path) -> None:
    """A file of our own mode. One that is there is not touched: closing any descriptor of it would drop this process' locks.

    The log of a file that was deleted is not the new one's. Processes take turns by a lock on the folder.
    """
    if path.exists():
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not path.exists():
            for rest in ("-wal", "-shm"):
                path.with_name(path.name + rest).unlink(missing_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    finally:
        os.close(folder)


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _patiently(do: Callable[[], T], patience: float) -> T:
    """Again while another process has the file, or mends or puts away its log (sqlite.org/wal.html, section 8).

    sqlite itself could wait only for the former, and would be inside meanwhile.
    """
    until = time.monotonic() + patience
    pause = PAUSE
    while True:
        try:
            return do()
        except (sqlite3.OperationalError, BlockingIOError) as error:
            if not _is_busy(error) or time.monotonic() >= until:
                raise
        time.sleep(pause)
        pause = min(LONGEST_PAUSE, 1.5 * pause)


def _is_busy(error: BaseException) -> bool:
    """Locked by another process. Extended codes keep the primary one in their last byte."""
    return isinstance(error, BlockingIOError) or getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _connect(path: Path) -> sqlite3.Connection:
    _make(path)
    connection = sqlite3.connect(
        path.as_uri() + "?mode=rw", uri=True, timeout=0, isolation_level=None, check_same_thread=False
    )
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
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS records (identity TEXT PRIMARY KEY, body TEXT, made INTEGER, until INTEGER) WITHOUT ROWID"
        )
        connection.execute("CREATE TABLE IF NOT EXISTS fleet (name TEXT PRIMARY KEY, value TEXT)")
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
