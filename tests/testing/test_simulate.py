"""The simulation itself: it replays, its judge can condemn, and a schedule of every row keeps the row's bound."""

from __future__ import annotations

import pytest

from clever_guard.quota.store import Terms
from clever_guard.testing.simulate import report
from clever_guard.testing.simulate.report import Row, main, run_one
from clever_guard.testing.simulate.scenarios import BY_NAME, SCENARIOS
from clever_guard.testing.simulate.setting import Setting
from clever_guard.testing.simulate.world import World

QUICK = [scenario.name for scenario in SCENARIOS if scenario.name != "1000 workers"]


def test_a_seed_replays_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    run_one("kill -9", 7, trace=True)
    once = capsys.readouterr().out
    run_one("kill -9", 7, trace=True)
    assert capsys.readouterr().out == once
    assert len(once.splitlines()) > 100


def test_another_seed_is_another_schedule() -> None:
    settings = {BY_NAME["base"].setting(seed).phase for seed in range(20)}
    assert len(settings) == 20


@pytest.mark.parametrize("name", QUICK)
def test_every_row_keeps_its_bound(name: str) -> None:
    row = Row(BY_NAME[name])
    for seed in (1, 2, 3):
        row.add(seed, run_one(name, seed))
    assert row.over == 0, "the server let too many through: the judge is wrong"
    assert row.answered > 0
    if row.scenario.bound == 0:
        assert row.refused == 0, row.worst
    else:
        assert row.rate <= 20 * row.scenario.bound, "three seeds are few, but not so few"


def test_a_thousand_workers_share_a_budget() -> None:
    figures = run_one("1000 workers", 1)
    assert figures.refused == 0
    assert min(figures.spent) >= 0.99


def test_the_judge_condemns_a_fleet_that_does_not_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker a ledger of its own, and all of them told a limit that the server does not have."""
    import clever_guard.quota.books as books

    monkeypatch.setattr(books, "Terms", lambda limit, window, ttl, solo: Terms(10 * limit, window, ttl, solo))
    monkeypatch.setattr("clever_guard.quota.record.hear", lambda *anything: None)
    monkeypatch.setattr(World, "execute", _each_its_own)
    assert run_one("base", 3).refused > 50


def _each_its_own(world: World, worker: object, trip: object) -> object:
    from clever_guard.quota.store import Answer

    return [Answer(1, granted=60) for _ in trip.commands]  # type: ignore[attr-defined]


def test_the_command_prints_a_table_and_judges(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "2", "--scenario", "base"]) == 0
    printed = capsys.readouterr().out
    assert "seeds 1..2" in printed
    assert "base" in printed


def test_a_broken_bound_is_an_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "run_one", lambda name, seed: report.Figures(answered=10, refused=5))
    assert main(["--seeds", "1", "--scenario", "base"]) == 1


def test_what_was_on_its_way_when_the_limit_fell_is_told_apart() -> None:
    """And it is nothing else: no worker sends blind twice for one change of the limit."""
    figures = run_one("limit changes", 720243)
    assert figures.blind > 0
    assert figures.refused - figures.blind <= 4
    assert run_one("stranger spread", 700335).blind == 0


def test_refusals_that_nobody_could_foresee_are_not_held_against_the_bound() -> None:
    row = Row(BY_NAME["base"])
    row.add(1, report.Figures(answered=1000, refused=3, blind=3))
    assert row.kept
    assert row.rate == 3
    row.add(2, report.Figures(answered=1000, refused=1))
    assert not row.kept


@pytest.mark.parametrize(("workers", "window"), [(1, 6.0), (8, 6.0), (32, 6.0), (64, 20.0)])
def test_a_saturating_fleet_calls_the_store_less_than_once_a_second_and_worker(workers: int, window: float) -> None:
    """Those who wait are told when to come back, and are not late for it: nobody polls."""
    windows = 9
    setting = Setting(limit=5 * workers, window=window, workers=workers, windows=windows)
    figures = World(setting, "polls").run()
    assert figures.commands <= workers * windows * window
    assert min(figures.spent) >= 0.9
