"""What may happen to a sqlite file and its processes: each said in one sentence, and over when it is over."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.queues
import os
import resource
import shutil
import signal
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clever_guard import Guard, Quota, Retry, StoreUnavailable
from clever_guard.quota.store import Command, Draw, Terms
from clever_guard.stores.sqlite import SqliteStore
from tests._points import Place, watched
from tests.test_forks import in_child
from tests.test_threads import Api, call

DRAW = Command("id", "", Terms(100, 10_000, 1_000), (), Draw(5))


def other(number: int) -> Command:
    return Command(f"id{number}", "", DRAW.terms, (), DRAW.draw)


@pytest.fixture
def path() -> Iterator[Path]:
    """In a folder that other users may look into."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder / "quota.db"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


# --- processes -----------------------------------------------------------------------------------------------------------


def killed_at(number: int, do: Callable[[], object]) -> bool:
    """Do it in a child that is killed at its ``number``-th place; False where it has not so many."""
    pid = os.fork()
    if pid == 0:
        with watched(Place(number, lambda: os.kill(os.getpid(), signal.SIGKILL))):
            do()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def test_a_process_that_is_killed_at_any_step_leaves_all_or_nothing(store: SqliteStore, path: Path) -> None:
    """From opening the file to COMMIT. The next process finds it whole and open."""
    number = 1
    while killed_at(number, lambda: SqliteStore(path).execute([DRAW, other(0)])):
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("SELECT count(*) FROM records").fetchone()[0] in (0, 2), number
        assert store.execute([other(number)])[0].kind == "scout"
        with sqlite3.connect(path) as connection:
            connection.execute("DELETE FROM records")
        number += 2
    connection.close()
    assert number > 40


def _draw_often(path: Path, granted: multiprocessing.queues.SimpleQueue[Any]) -> None:
    store = SqliteStore(path, patience=30.0)
    total = 0
    for _ in range(60):
        answer = store.execute([DRAW])[0]
        total += answer.granted
        time.sleep(0.001)
    granted.put(total)


def test_sixteen_processes(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    granted = context.SimpleQueue()
    crew = [context.Process(target=_draw_often, args=(path, granted)) for _ in range(16)]
    for process in crew:
        process.start()
    for process in crew:
        process.join(60)
    assert [process.exitcode for process in crew] == [0] * 16
    totals = [granted.get() for _ in crew]
    assert 1 <= sum(totals) <= 10, "nobody answers, so there is one scout at a time, for two seconds"
    granted.close()


# --- the file ------------------------------------------------------------------------------------------------------------


def test_a_full_disk(store: SqliteStore) -> None:
    """sqlite's own limit stands for the disk's: it answers the same."""
    store.execute([DRAW])
    connection = store._connection()
    connection.execute("PRAGMA max_page_count=1")
    with pytest.raises(StoreUnavailable, match=r"quota\.db cannot be used: database or disk is full"):
        for number in range(1000):
            store.execute([other(number)])
    connection.execute("PRAGMA max_page_count=100000")
    assert [store.execute([other(number)])[0].kind for number in range(5000, 5100)] == ["scout"] * 100


def test_a_quota_of_the_system(path: Path) -> None:
    """A file that may not grow, by the system's word."""

    def work() -> str:
        store = SqliteStore(path)
        store.execute([DRAW])
        resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, resource.RLIM_INFINITY))
        try:
            for number in range(1000):
                store.execute([other(number)])
        except StoreUnavailable as error:
            said = str(error).partition("cannot be used: ")[2]
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        return f"{said}, then {store.execute([other(5000)])[0].kind}"

    assert in_child(work) in ("'disk I/O error, then scout'", "'database or disk is full, then scout'")


def test_a_file_that_may_only_be_read(path: Path) -> None:
    SqliteStore(path).execute([DRAW])
    path.chmod(0o444)

    def work() -> list[str]:
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        said = []
        try:
            SqliteStore(path)
        except ValueError as error:
            said.append(str(error).partition("quota.db ")[2])
        return said

    found = in_child(work)
    assert "cannot be opened: " in found
    assert "readonly" in found or "unable to open" in found


def test_a_file_of_somebody_else(path: Path) -> None:
    store = SqliteStore(path)
    store.execute([DRAW])
    store.close()

    def work() -> str:
        os.setgid(65534)
        os.setuid(65534)
        try:
            store.execute([DRAW])
        except StoreUnavailable as error:
            return str(error).partition("quota.db ")[2]
        return "it may"

    if os.geteuid() == 0:
        assert in_child(work) == "'cannot be used: unable to open database file'"
    else:
        path.chmod(0)
        with pytest.raises(StoreUnavailable, match="cannot be used: unable to open database file"):
            store.execute([DRAW])


def deleted(path: Path) -> None:
    path.unlink()


def deleted_with_its_log(path: Path) -> None:
    for file in path.parent.glob("quota.db*"):
        file.unlink()


def replaced(path: Path) -> None:
    """With its log, as it must be: sqlite would take the old file's log for the new one's."""
    new = SqliteStore(path.with_name("new.db"))
    new.execute([other(1)])
    new.close()
    deleted_with_its_log(path)
    path.with_name("new.db").rename(path)


@pytest.mark.parametrize("harm", [deleted, deleted_with_its_log, replaced])
def test_a_file_that_is_gone_is_said_once_and_opened_anew(
    store: SqliteStore, path: Path, harm: Callable[[Path], None]
) -> None:
    """Two processes that go on with different files would each spend the whole budget."""
    second = SqliteStore(path)
    store.execute([DRAW])
    second.execute([DRAW])
    harm(path)
    with pytest.raises(StoreUnavailable, match=r"quota\.db cannot be used: the file was deleted or replaced"):
        store.execute([DRAW])
    assert store.execute([DRAW])[0].kind == "scout"
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        second.execute([DRAW])
    assert second.execute([DRAW])[0].hold > 0, "it sees the scout of the first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    second.close()


def test_many_processes_find_the_same_new_file(path: Path) -> None:
    """Whoever comes first makes it; nobody takes the log of another's new file for the old one's."""
    for _ in range(10):
        SqliteStore(path).execute([other(1)])
        path.unlink()
        context = multiprocessing.get_context("fork")
        granted = context.SimpleQueue()
        crew = [context.Process(target=_draw_once, args=(path, granted)) for _ in range(8)]
        for process in crew:
            process.start()
        for process in crew:
            process.join(60)
        assert [granted.get() for _ in crew].count("scout") == 1
        granted.close()


def _draw_once(path: Path, granted: multiprocessing.queues.SimpleQueue[Any]) -> None:
    granted.put(SqliteStore(path, patience=30.0).execute([DRAW])[0].kind if path else "")


def test_a_folder_that_is_gone_and_comes_back(store: SqliteStore, path: Path) -> None:
    store.execute([DRAW])
    shutil.rmtree(path.parent)
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        store.execute([DRAW])
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match=r"cannot be used: .*No such file or directory"):
            store.execute([DRAW])
    path.parent.mkdir()
    assert store.execute([DRAW])[0].kind == "scout"


def test_garbage_in_its_place(store: SqliteStore, path: Path) -> None:
    store.execute([DRAW])
    garbage = path.with_name("garbage")
    garbage.write_bytes(b"dear diary, " * 1000)
    garbage.rename(path)
    said = []
    for _ in range(2):
        with pytest.raises(StoreUnavailable) as caught:
            store.execute([DRAW])
        said.append(str(caught.value).partition("cannot be used: ")[2])
    assert said == ["the file was deleted or replaced, and will be opened anew", "file is not a database"]
    path.unlink()
    assert store.execute([DRAW])[0].kind == "scout"


# --- what a guard makes of it -----------------------------------------------------------------------------------------------


def test_a_guard_goes_on_with_its_share_and_says_each_change_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    api = Api(1000, 3600)
    guard = Guard(Retry(), Quota(limit=1000, window=3600), store=f"sqlite:///{path}", fleet=2)
    fallback: Any = guard.engine._store
    assert call(guard, api) == 200
    with caplog.at_level(logging.DEBUG, "clever_guard"):
        for harm in (deleted, replaced):
            harm(path)
            assert [call(guard, api) for _ in range(100)] == [200] * 100
            fallback._circuit.look_at = 0
            assert [call(guard, api) for _ in range(100)] == [200] * 100
            assert not fallback.degraded
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 4
    assert ["deleted or replaced" in line for line in lines] == [True, False] * 2
    assert ["answers again" in line for line in lines] == [False, True] * 2
    assert api.emulator.refused == 0
    guard.close()


def test_a_guard_that_may_not_go_on_without_raises_the_sentence(path: Path) -> None:
    api = Api(1000, 3600)
    guard = Guard(Quota(limit=1000, window=3600), store=f"sqlite:///{path}", on_store_failure="raise", ttl=0.05)
    assert call(guard, api) == 200
    deleted(path)
    time.sleep(0.1)
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        for number in range(3):
            call(guard, api, token=str(number))
    time.sleep(0.1)
    assert call(guard, api) == 200
    guard.close()
