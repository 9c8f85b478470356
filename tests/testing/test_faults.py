"""Random faults on every party: some hundred schedules are judged, a seed replays, and the judge can condemn."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from clever_guard.quota.lease import Lease
from clever_guard.quota.ledger import Ledger
from clever_guard.quota.record import Record
from clever_guard.quota.store import Answer, Command, Draw, Terms
from clever_guard.testing.simulate.__main__ import main
from clever_guard.testing.simulate.faults import command, monitor, process, totals
from clever_guard.testing.simulate.faults.branches import NAMES
from clever_guard.testing.simulate.faults.kinds import BY_NAME, KINDS
from clever_guard.testing.simulate.faults.schedule import drawn
from clever_guard.testing.simulate.faults.totals import Totals
from clever_guard.testing.simulate.faults.trial import Trial

SCHEDULES = 300


@pytest.fixture(scope="module")
def some() -> Totals:
    return command.run(0, SCHEDULES)


def test_nothing_is_violated(some: Totals) -> None:
    assert some.violations == []
    assert some.schedules == SCHEDULES
    assert some.requests > 30 * SCHEDULES


def test_every_kind_of_fault_happens_and_most_branches_are_taken(some: Totals) -> None:
    assert {kind.name for kind in KINDS} == set(some.faults)
    assert len([name for name in NAMES if some.branches[name]]) > 0.85 * len(NAMES)
    assert set(some.branches) <= set(NAMES), "a branch that the report does not know"


def test_the_report_tells_all(some: Totals) -> None:
    printed = totals.report(some, 1.0)
    for word in (f"schedules   {SCHEDULES}", "simulated", "violations  0", *BY_NAME, *NAMES):
        assert word in printed


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_each_kind_alone(name: str) -> None:
    for seed in range(3):
        result = Trial(drawn(seed, (BY_NAME[name],))).run()
        assert result.violations == []
        assert result.faults[name] > 0


def test_a_seed_replays_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faults", "--seed", "7", "--trace"]) == 0
    once = capsys.readouterr().out
    assert main(["faults", "--seed", "7", "--trace"]) == 0
    assert capsys.readouterr().out == once
    assert len(once.splitlines()) > 50


class TestTheJudge:
    def test_condemns_a_ledger_that_grants_too_much(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("clever_guard.quota.granting.sum", lambda out: 0, raising=False)
        assert any("was refused" in what for seed in range(3) for what in _violations(seed))

    def test_condemns_books_that_forget_a_permit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        kept = Lease.give_back
        monkeypatch.setattr(Lease, "give_back", lambda lease, count: max(0, kept(lease, count) - 1))
        assert any("accounts for" in what for seed in range(20) for what in _violations(seed))

    def test_condemns_a_fleet_that_sleeps_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            process.Process, "_wait", lambda worker, call, effect: None
        )  # nobody who waits is ever woken
        found = _violations(2)
        assert any("not served" in what for what in found)
        assert any("no request was sent" in what for what in found)


def _violations(seed: int) -> list[str]:
    return Trial(drawn(seed, ())).run().violations


class TestTheMonitor:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"out": [0, -1, 0]}, "negative"),
            ({"r_min": 11}, "r_min is 11 of 10"),
            ({"lo": 9_000, "hi": 8_000}, "inside out"),
            ({"seen": 6_000}, "ahead"),
            ({"last": 4_000}, "went back"),
            ({"margin": 999}, "margin"),
            ({"r_min": 6}, "rose"),
            ({"answered": -1}, "total"),
        ],
    )
    def test_sees(self, change: dict[str, object], words: str) -> None:
        before = Ledger(limit=10, last=4_900, slot=1_000, since=0, r_min=5)
        after = dataclasses.replace(before, **{"last": 5_000, **change})  # type: ignore[arg-type]
        assert words in " ".join(_broken(before, after, Answer(5_000)))

    def test_sees_too_much_granted(self) -> None:
        before = Ledger(limit=10, last=4_900, slot=1_000, since=0, r_min=5, hi=9_000)
        after = dataclasses.replace(before, last=5_000, out=[6, 0, 0])
        assert "6 are out and 5 were left" in " ".join(_broken(before, after, Answer(5_000, 6, buckets=("b",))))

    def test_sees_two_scouts(self) -> None:
        before = Ledger(limit=10, last=4_900, slot=1_000, since=0, r_min=5, scout=4_800)
        after = dataclasses.replace(before, last=5_000, scout=5_000)
        assert "beside another" in " ".join(_broken(before, after, Answer(5_000, 1, "scout", ("b",))))

    def test_is_content_with_what_may_be(self) -> None:
        before = Ledger(limit=10, last=4_900, slot=1_000, since=0, r_min=5, hi=9_000)
        after = dataclasses.replace(before, last=5_000, out=[5, 0, 0])
        assert _broken(before, after, Answer(5_000, 5, buckets=("b",))) == []


def _broken(before: Ledger, after: Ledger, answer: Answer) -> list[str]:
    asked = Command("id", "", Terms(10, 10_000, 1_000), (), Draw(6))
    return list(monitor.broken(Record({}, {"b": before}), Record({}, {"b": after}), 5_000, asked, answer))


class TestTheFile:
    def test_a_run_goes_on_where_it_ended(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        kept = tmp_path / "totals.json"
        assert main(["faults", "--schedules", "10", "--resume", str(kept)]) == 0
        assert main(["faults", "--schedules", "20", "--resume", str(kept)]) == 0
        assert main(["faults", "--schedules", "20", "--resume", str(kept)]) == 0, "there is nothing left to do"
        capsys.readouterr()
        found, whole = Totals.load(kept), command.run(0, 20)
        found.cpu = whole.cpu
        assert found.seconds == pytest.approx(whole.seconds)
        found.seconds = whole.seconds
        assert found == whole
        assert [path.name for path in tmp_path.iterdir()] == ["totals.json"]

    def test_two_processes_find_the_same(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(command, "CHUNK", 5)
        kept = tmp_path / "totals.json"
        assert main(["faults", "--schedules", "12", "--jobs", "2", "--resume", str(kept)]) == 0
        assert Totals.load(kept).requests == command.run(0, 12).requests

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"alone": 3}'])
    def test_another_file_is_refused(self, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        kept = tmp_path / "totals.json"
        kept.write_text(text)
        assert main(["faults", "--schedules", "10", "--resume", str(kept)]) == 2
        assert "holds no totals" in capsys.readouterr().err
        assert kept.read_text() == text

    def test_so_is_one_of_another_version(self, tmp_path: Path) -> None:
        kept = tmp_path / "totals.json"
        Totals(0, 0, version="0.0.0").save(kept)
        with pytest.raises(ValueError, match="name another file"):
            Totals.load(kept)


def test_a_violation_is_an_exit_status(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clever_guard.testing.simulate.faults.trial.judge", lambda trial, *times: trial.violate("so"))
    assert main(["faults", "--schedules", "2"]) == 1
    printed = capsys.readouterr().out
    assert "VIOLATION   seed 0: at " in printed
    assert "violations  2" in printed
    assert main(["faults", "--seed", "1"]) == 1


def test_rates_and_branches_are_judged_where_there_are_enough() -> None:
    many = Totals(0, totals.ENOUGH)
    assert many.never() == list(NAMES)
    assert not many.proven
    many.branches.update(NAMES)
    assert many.proven
    many.alone[""] = totals.Alone(schedules=1, requests=10, refused=1)
    assert many.above() == [""]
    assert not many.proven
