"""All interleavings of a small fleet, as many as seconds allow; and the search finds what is broken."""

from __future__ import annotations

import pytest

from clever_guard.testing.simulate.__main__ import main
from clever_guard.testing.simulate.exhaustive import search
from clever_guard.testing.simulate.exhaustive.moves import moves, started
from clever_guard.testing.simulate.exhaustive.search import Found, Search, warmed
from clever_guard.testing.simulate.exhaustive.state import Size, frozen, thawed

SIZES = {
    "two workers": (Size(workers=2, calls=2, limit=2, faults=1), 1_500),
    "three workers, no fault": (Size(workers=3, calls=1, limit=2, faults=0, naps=0), 1_500),
    "three in three, two faults": (Size(workers=3, calls=1, limit=3, faults=2), 1_500),
}


@pytest.mark.parametrize("begin", ["cold", "warm"])
@pytest.mark.parametrize("name", SIZES)
def test_no_window_is_overspent_and_nobody_is_stuck(name: str, begin: str) -> None:
    size, states = SIZES[name]
    found = Search(size, 100, states, warmed(size) if begin == "warm" else started(size)).run()
    assert found.violations == []
    assert found.states >= states
    assert found.walks > 0


def test_one_worker_is_searched_whole() -> None:
    """One call without faults: every state there is, up to the end."""
    found = Search(Size(workers=1, calls=1, limit=2, faults=0, naps=0), 100, 100_000).run()
    assert found.violations == []
    assert found.ends > 0
    assert found.whole


def test_a_state_is_a_value() -> None:
    size = Size()
    value = frozen(started(size))
    for step in range(60):
        state = thawed(value, size)
        assert frozen(state) == value
        choices = [move for _, move, fault in moves(state, size) if not fault or step % 3 == 0]
        choices[step % len(choices)](state)
        value = frozen(state)


def test_it_does_not_matter_which_worker_is_which() -> None:
    size = Size()
    values = set()
    for number in (0, 1):
        state = started(size)
        asks = {what: move for what, move, _ in moves(state, size)}
        asks[f"w{number} asks for a permit"](state)
        values.add(frozen(state))
    assert len(values) == 1


def test_a_ledger_that_forgets_what_is_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    size = Size(workers=3, calls=2, limit=3, faults=0)
    begin = warmed(size)
    monkeypatch.setattr("clever_guard.quota.granting.sum", lambda out: 0, raising=False)
    found = Search(size, 40, 5_000, begin).run()
    assert found.violations
    what, way = found.violations[0]
    assert "were left" in what or "in one window" in what
    assert way[-1].startswith("w")


def test_a_caller_that_is_never_let_go_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "PATIENCE", 0)
    found = Search(Size(workers=2, calls=2, limit=2, faults=0), 3, 1_000).run()
    assert "not everybody was served" in found.violations[0][0]


def test_the_command_prints_what_it_saw(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exhaustive", "--workers", "1", "--calls", "1", "--faults", "0", "--depth", "6"]) == 0
    printed = capsys.readouterr().out
    for word in ("states ", "steps between them", "time passes", "violations  0"):
        assert word in printed


def test_a_violation_is_an_exit_status(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Search, "run", lambda self, tell: Found(violations=[("so", ["w0 asks for a permit"])]))
    assert main(["exhaustive"]) == 1
    assert "VIOLATION   so, after" in capsys.readouterr().out
