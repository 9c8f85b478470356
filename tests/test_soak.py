"""The soak: real workers killed and stopped, their Redis restarted, emptied and stopped; and that its judge can say no."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults import KINDS, OF_STORE, Done, Fault, plan
from benchmarks.journal import Entry, Journal, dark_times, failures
from benchmarks.soaking import Terms, soak
from benchmarks.verdict import judge, reaches

ROOT = Path(__file__).resolve().parent.parent
LIMIT, WINDOW = 120, 3.0
EACH_ONCE = (
    Fault(4.0, "kill", worker=0),
    Fault(4.4, "stop", 1.5, worker=1),
    Fault(6.5, "flush"),
    Fault(7.0, "kill", worker=2),
    Fault(8.0, "restart", 0.3),
    Fault(9.5, "freeze", 0.8),
    Fault(11.5, "rewind", 0.2),
    Fault(12.7, "crash", 0.3),
)


def test_a_fleet_outlives_every_fault(tmp_path: Path) -> None:
    """Generous where a busy machine decides: what is used. The bound on refusals is the documented one."""
    terms = Terms(
        seconds=23,
        workers=5,
        limit=LIMIT,
        window=WINDOW,
        phase=0.7,
        faults=EACH_ONCE,
        spent=0.4,
        recovered=0.8,
        rate=50.0,
    )
    found = soak(terms, tmp_path / "journal")
    assert found.missed == []
    assert set(found.faults) == set(KINDS)
    assert len(found.verdict.windows) >= 5


# -- the plan ------------------------------------------------------------------------------------------------------------


def test_a_seed_gives_the_same_faults() -> None:
    assert plan(KINDS, 12, 580, 16, 1) == plan(KINDS, 12, 580, 16, 1) != plan(KINDS, 12, 580, 16, 2)


@pytest.mark.parametrize("seed", range(20))
def test_faults_keep_within_their_time_and_a_store_has_one_at_a_time(seed: int) -> None:
    faults = plan(KINDS, 12, 580, 16, seed)
    assert {fault.kind for fault in faults} == set(KINDS)
    assert all(fault.at >= 12 and fault.at + fault.lasts < 580 for fault in faults)
    of_store = [fault for fault in faults if fault.kind in OF_STORE]
    assert all(one.at + one.lasts + 2 < other.at for one, other in pairwise(of_store))


def test_only_what_is_asked_for_is_planned() -> None:
    assert {fault.kind for fault in plan(["kill", "flush"], 0, 100, 4, 1)} == {"kill", "flush"}


# -- the judge -----------------------------------------------------------------------------------------------------------


def log(*windows: tuple[int, int]) -> list[dict[str, Any]]:
    """(admitted, refused) of windows of ten seconds, the first at 100, behind one that is not judged."""
    return [
        {"start": 90.0 + 10 * n, "end": 100.0 + 10 * n, "limit": 100, "admitted": admitted, "refused": refused}
        for n, (admitted, refused) in enumerate([(100, 0), *windows])
    ]


def missed(windows: list[dict[str, Any]], done: list[Done], dark: list[tuple[float, float]] | None = None) -> list[str]:
    felt = reaches(done, dark or [], window=10.0, workers=4, threads=2)
    return judge(windows, 90.0, windows[-1]["end"], done, felt, rate=100.0).missed


def test_a_run_without_a_fault_may_cost_nothing() -> None:
    assert missed(log((100, 0), (100, 0)), []) == []
    assert missed(log((100, 1), (100, 0)), []) == [
        "window 1: 1 refused, the bound allows 0",
        "1 refused in all, the bound allows 0",
    ]


@pytest.mark.parametrize(("kind", "allowed"), [("kill", 1), ("stop", 2), ("flush", 8), ("freeze", 8), ("crash", 8)])
def test_a_fault_allows_so_many_refusals_and_no_more(kind: str, allowed: int) -> None:
    done = [Done(kind, 103.0, 104.0)]
    assert missed(log((100, allowed), (100, 0), (100, 0)), done) == []
    assert "window 1: " in missed(log((100, allowed + 1), (100, 0), (100, 0)), done)[0]


def test_what_a_fault_may_cost_once_it_may_not_cost_in_each_window() -> None:
    done = [Done("kill", 103.0, 103.0)]
    assert missed(log((100, 1), (100, 1), (100, 0)), done) == ["2 refused in all, the bound allows 1"]


def test_a_worker_in_the_dark_allows_one_refusal_for_each_call() -> None:
    windows = log((100, 8), (100, 0))
    assert missed(windows, [], [(102.0, 104.0)]) == []
    assert missed(windows, [], [(112.0, 114.0)])[0] == "window 1: 8 refused, the bound allows 0"


def test_many_refusals_are_named_even_where_each_is_allowed() -> None:
    done = [Done("freeze", 103.0, 104.0)]
    felt = reaches(done, [], window=10.0, workers=4, threads=2)
    assert judge(log((100, 1), (100, 0), (100, 0)), 90.0, 130.0, done, felt, rate=4.0).missed == []
    assert judge(log((100, 1), (100, 0), (100, 0)), 90.0, 130.0, done, felt, rate=3.0).missed == [
        "3.32 refused per 1000, 3 is the most"
    ]


def test_an_idle_budget_and_a_slow_recovery_are_named() -> None:
    done = [Done("kill", 103.0, 104.0)]
    assert missed(log((60, 0), (70, 0), (94, 0)), done) == [
        "74.7% of the budget used, 80% is the least",
        "94.0% used in the window 16 s after the last fault, 95% is the least",
    ]


def test_a_run_too_short_to_recover_proves_nothing() -> None:
    assert missed(log((100, 0)), [Done("kill", 103.0, 104.0)]) == [
        "no window lies a window behind the last fault: make the run longer"
    ]
    assert missed(log(), []) == ["no window lies within the run: make it longer"]


# -- the journal ---------------------------------------------------------------------------------------------------------


def test_the_journal_tells_who_was_dark_and_for_how_long(tmp_path: Path) -> None:
    entries = [
        Entry(1.0, "3", "dark"),
        Entry(2.0, "4", "dark"),
        Entry(2.5, "-", "kill 3"),
        Entry(3.0, "4", "back"),
        Entry(4.0, "4", "dark"),
    ]
    assert dark_times(entries, 9.0) == [(1.0, 2.5), (2.0, 3.0), (4.0, 9.0)]


def test_the_journal_keeps_what_several_wrote(tmp_path: Path) -> None:
    one, other = Journal(tmp_path / "j"), Journal(tmp_path / "j", "7")
    one.note("kill 3")
    other.note("raised StoreUnavailable")
    other.note("answered 503")
    assert [entry.worker for entry in one.entries()] == ["-", "7", "7"]
    assert failures(one.entries()) == {"raised StoreUnavailable": 1, "answered 503": 1}
    one.close()
    other.close()


# -- the command ---------------------------------------------------------------------------------------------------------


def of_this_soak(mark: str, folder: Path) -> list[int]:
    """Processes with ``mark`` in their environment, or at work in ``folder``: a Redis writes its title over its environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            marked = mark.encode() in (place / "environ").read_bytes()
            if marked or os.readlink(place / "cwd").startswith(str(folder)):
                found.append(int(place.name))
        except OSError:  # it has ended
            continue
    return found


def test_an_interrupted_soak_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.soak", "--minutes", "1", "--workers", "3", "--window", "2"]
    mark = f"{os.getpid()}-{time.time()}"
    environment = os.environ | {"SOAK_TEST": mark, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background has it ignored
    ) as soaking:
        try:
            until = time.monotonic() + 30
            while len(of_this_soak(mark, tmp_path)) < 6:  # itself, the emulator, a Redis, three workers
                assert time.monotonic() < until
                assert soaking.poll() is None
                time.sleep(0.05)
            os.killpg(soaking.pid, signal.SIGINT)
            told, complained = soaking.communicate(timeout=30)
        finally:
            soaking.send_signal(signal.SIGTERM)
    assert soaking.returncode == 130, complained
    assert told.splitlines()[-1] == "interrupted; everything is ended"
    assert of_this_soak(mark, tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_what_a_file_cannot_suffer_is_refused() -> None:
    command = [sys.executable, "-m", "benchmarks.soak", "--store", "sqlite", "--faults", "flush"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert told.stderr.splitlines()[-1].endswith("a file can have no other faults than kill and stop")


def test_the_verdict_is_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import soak as command
    from benchmarks.soaking import Found

    done = [Done("kill", 103.0, 103.0)]
    verdict = judge(log((100, 2), (100, 0)), 90.0, 120.0, done, reaches(done, [], 10.0, 4, 1))
    monkeypatch.setattr(command, "soak", lambda *asked, **more: Found(verdict, {"kill": 1}, 0.0, {}, verdict.missed))
    monkeypatch.setattr(sys, "argv", ["soak", "--json"])
    assert command.main() == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["faults"], told["verdict"]["refused"], len(told["missed"])) == ({"kill": 1}, 2, 4)
