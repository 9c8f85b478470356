"""A difference without its reason fails the command, and so does a reason without its difference."""

from __future__ import annotations

import json
from pathlib import Path

from tests.urllib3_suite.compare import Run, differences, no_longer_seen, read
from tests.urllib3_suite.differences import EXPECTED, Expected


def ran(guarding: str, **outcomes: str) -> Run:
    return Run(guarding, {test: (outcome, f"{test} {outcome}") for test, outcome in outcomes.items()}, {})


def test_equal_outcomes_are_no_difference() -> None:
    bare, passive = ran("bare", a="passed", b="failed"), ran("passive", a="passed", b="failed")
    assert differences(bare, passive) == []


def test_every_other_outcome_is_one_whichever_way() -> None:
    found = differences(
        ran("bare", a="passed", b="failed", c="passed"), ran("passive", a="failed", b="passed", d="passed")
    )
    assert [(each.test, each.bare, each.guarded) for each in found] == [
        ("a", "passed", "failed"),
        ("b", "failed", "passed"),
        ("c", "passed", "absent"),
        ("d", "absent", "passed"),
    ]
    assert found[0].said == "a failed"


def test_a_reason_holds_for_its_test_with_all_parameters_and_for_its_runs_only() -> None:
    expected = [Expected(("clever",), "f.py::test_a", "by design")]
    clever = differences(ran("bare", **{"f.py::test_a[x]": "passed"}), ran("clever", **{"f.py::test_a[x]": "failed"}))
    passive = differences(ran("bare", **{"f.py::test_a": "passed"}), ran("passive", **{"f.py::test_a": "failed"}))
    longer = differences(ran("bare", **{"f.py::test_ab": "passed"}), ran("clever", **{"f.py::test_ab": "failed"}))
    assert [each.reason(expected) for each in [*clever, *passive, *longer]] == ["by design", None, None]
    assert no_longer_seen(clever, expected) == []
    assert no_longer_seen(passive, expected) == expected


def test_each_explained_test_stands_there_once_with_one_sentence() -> None:
    names = [(guarding, entry.test) for entry in EXPECTED for guarding in entry.guarding]
    assert len(set(names)) == len(names)
    assert all(entry.reason and "\n" not in entry.reason and ". " not in entry.reason for entry in EXPECTED)


def test_what_the_plugin_writes_is_read(tmp_path: Path) -> None:
    file = tmp_path / "outcomes.json"
    file.write_text(json.dumps({"counts": {"attempts": 3}, "tests": {"a": ["passed", ""], "b": ["error", "why"]}}))
    run = read("clever", file)
    assert run.tests == {"a": ("passed", ""), "b": ("error", "why")}
    assert (run.outcomes["error"], run.counts) == (1, {"attempts": 3})
