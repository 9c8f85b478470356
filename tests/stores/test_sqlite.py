"""The sqlite store where it is hurt: killed writers, held locks, garbage, other boots, other files."""

from __future__ import annotations

import gc
import multiprocessing
import multiprocessing.queues
import multiprocessing.synchronize
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clever_guard.errors import StoreUnavailable
from clever_guard.quota.store import Command, Draw, Terms
from clever_guard.stores.sqlite import SWEEP, SqliteStore, _make

DRAW = Command("id", "", Terms(100, 10_000, 1_000), (), Draw(5))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "quota.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


def body(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        found: str = connection.execute("SELECT body FROM records").fetchone()[0]
    return found


def test_nobody_else_may_read_the_files(store: SqliteStore, path: Path) -> None:
    previous = os.umask(0)
    try:
        store.execute([DRAW])
    finally:
        os.umask(previous)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"quota.db": 0o600, "quota.db-wal": 0o600, "quota.db-shm": 0o600}


def _die_inside_a_transaction(path: Path, ready: multiprocessing.synchronize.Event) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE records SET body = 'half a thought'")
    ready.set()
    time.sleep(60)


def test_a_process_killed_inside_a_transaction_leaves_what_was_before(store: SqliteStore, path: Path) -> None:
    store.execute([DRAW])
    before = body(path)
    ready = multiprocessing.get_context("fork").Event()
    victim = multiprocessing.get_context("fork").Process(target=_die_inside_a_transaction, args=(path, ready))
    victim.start()
    assert ready.wait(10)
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    assert body(path) == before
    assert store.execute([DRAW])[0].hold > 0, "the scout of before is remembered"


def test_a_lock_that_is_held_too_long_is_said(path: Path) -> None:
    store = SqliteStore(path, patience=0.05)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match=r"quota\.db cannot be used: database is locked"):
        store.execute([DRAW])
    holder.execute("ROLLBACK")
    holder.close()
    assert store.execute([DRAW])[0].kind == "scout"
    store.close()


def _come_and_die(path: Path, failures: multiprocessing.queues.SimpleQueue[str]) -> None:
    try:
        store = SqliteStore(path)
        store.execute([DRAW])
    except Exception as error:
        failures.put(repr(error))
    os.kill(os.getpid(), signal.SIGKILL)


def test_processes_that_come_and_are_killed_find_it_open(path: Path) -> None:
    """The first to come after a killed one mends the log: sqlite lets nobody in meanwhile, and does not wait."""
    context = multiprocessing.get_context("fork")
    failures = context.SimpleQueue()
    for _ in range(20):
        crew = [context.Process(target=_come_and_die, args=(path, failures)) for _ in range(8)]
        for process in crew:
            process.start()
        for process in crew:
            process.join()
    assert failures.empty(), failures.get()


def test_a_file_that_is_locked_at_the_start_is_no_mistake_in_the_url(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SqliteStore(path).close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("clever_guard.stores.sqlite.OPENING", 0.05)
    store = SqliteStore(path, patience=0.05)
    with pytest.raises(StoreUnavailable, match="locked"):
        store.execute([DRAW])
    holder.close()
    assert store.execute([DRAW])[0].kind == "scout"
    store.close()


def test_a_second_store_in_the_process_leaves_the_locks_of_the_first(store: SqliteStore, path: Path) -> None:
    """A descriptor of the file that is closed drops all locks that the process has on it (POSIX)."""
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA journal_mode=DELETE")
    holder.execute("BEGIN EXCLUSIVE")
    _make(path)
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    other = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    holder.close()
    assert "database is locked" in other.stderr


@given(st.one_of(st.text(), st.sampled_from(["{}", "[]", "null", '{"routes":{"":["x"]},"ledgers":{"x":"1 2 3"}}'])))
def test_garbage_is_not_believed(tmp_path_factory: pytest.TempPathFactory, garbage: str) -> None:
    path = tmp_path_factory.mktemp("garbage") / "quota.db"
    store = SqliteStore(path)
    store.execute([DRAW])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE records SET body = ?", (garbage.encode("utf-8", "replace").decode(),))
    answer = store.execute([DRAW])[0]
    assert (answer.kind, answer.granted) == ("scout", 1)
    store.close()


def test_numbers_too_large_to_be_true_are_not_believed(store: SqliteStore, path: Path) -> None:
    store.execute([DRAW])
    with sqlite3.connect(path) as connection:
        line = body(path).replace("100 ", "9" * 16 + " ", 1)
        connection.execute("UPDATE records SET body = ?", (line,))
    assert store.execute([DRAW])[0].kind == "scout"


def test_after_another_boot_it_starts_unsure(path: Path) -> None:
    up = [90_000_000]
    store = SqliteStore(path, clock=lambda: up[0])
    store.execute([DRAW])
    up[0] = 4_000
    answer = store.execute([DRAW])[0]
    assert (answer.now, answer.kind) == (4_000, "scout")
    store.close()


def test_records_nobody_asks_for_are_swept(path: Path) -> None:
    now = [1_000_000]
    store = SqliteStore(path, clock=lambda: now[0])
    store.execute([DRAW])
    now[0] += 10_000_000
    other = Command("other", "", DRAW.terms, (), DRAW.draw)
    for _ in range(SWEEP):
        store.execute([other])
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT identity FROM records").fetchall() == [("other",)]
    store.close()


def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.write_text("dear diary, " * 100)
    with pytest.raises(ValueError, match=r"quota\.db cannot be opened: file is not a database"):
        SqliteStore(path)
    assert path.read_text().startswith("dear diary")


def test_a_file_of_another_version_is_left_alone(store: SqliteStore, path: Path) -> None:
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 7")
    with pytest.raises(ValueError, match=r"schema 7, this one is 1\): use a new file"):
        SqliteStore(path)


def test_a_folder_and_a_missing_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a directory: name a file in it"):
        SqliteStore(tmp_path)
    with pytest.raises(ValueError, match="make the directory"):
        SqliteStore(tmp_path / "nowhere" / "quota.db")


def test_a_closed_store_opens_anew(store: SqliteStore) -> None:
    store.execute([DRAW])
    store.close()
    store.close()
    assert store.execute([DRAW])[0].hold > 0


def test_a_thread_that_ends_takes_its_connection_along(tmp_path: Path) -> None:
    """A thread for each job would run out of file descriptors."""
    store = SqliteStore(tmp_path / "quota.db")
    fds = len(os.listdir("/proc/self/fd"))
    for _ in range(30):
        thread = threading.Thread(target=store.execute, args=([DRAW],))
        thread.start()
        thread.join()
    gc.collect()
    assert len(store._open) <= 1
    assert len(os.listdir("/proc/self/fd")) <= fds + 6
    store.close()
