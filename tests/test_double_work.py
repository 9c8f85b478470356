"""Nothing is done twice, nothing is lost, and every send of an operation carries the same bytes. Judged by the server's log."""

from __future__ import annotations

from typing import Any

import pytest
import urllib3

from clever_guard.policies import retry
from tests.double_work import referee, rounds
from tests.double_work.bodies import KINDS
from tests.double_work.crews import CREWS
from tests.double_work.referee import RULES, Plain, judge
from tests.double_work.rounds import FAULTS, METHODS, Tally, play

SENT = ("201", "503", "503 after work", "cut before", "cut upload", "cut after", "cut header after work", "429")


@pytest.mark.parametrize("crew", CREWS)
def test_no_work_is_done_twice_and_none_is_lost(crew: str) -> None:
    tally = Tally()
    play(crew, 750, 1, tally)
    assert not tally.broken
    assert tally.operations == sum(tally.answers.values()) == 750
    assert all(tally.fates[fate] for fate in SENT), tally.fates
    assert tally.repeated > 30
    assert tally.done > 500
    assert set(tally.methods) == set(METHODS)
    assert set(tally.bodies) == {*KINDS, "none"}


def test_without_faults_everything_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "TIMEOUT", urllib3.Timeout(60))
    tally = Tally()
    play("a manager, Clever's preset", 100, 1, tally, **dict.fromkeys(FAULTS, 0.0) | {"limit": 100})
    assert (tally.done, tally.sends, tally.broken) == (100, 100, {})


def test_a_guard_that_repeats_everything_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "repeatable", lambda *_: True)
    tally = Tally()
    play("a manager, retries alone", 400, 1, tally)
    assert {referee.DOUBLED, referee.REPEATED, referee.REWOUND} <= set(tally.broken)


def told(**changed: Any) -> Plain:
    common = {"operation": "a", "method": "POST", "payload": "x", "once": False, "framed": False, "may_repeat": False}
    return common | {"keyed": False, "done": True, "answer": "201"} | changed


def sent(**changed: Any) -> Plain:
    common = {"operation": "a", "method": "POST", "body": "x", "worked": True, "status": 201, "cut": ""}
    return common | changed


REFUSED = sent(worked=False, status=429)
FAILED = sent(worked=False, status=503)


@pytest.mark.parametrize(
    ("report", "log", "rules"),
    [
        (told(), [sent()], set()),
        (told(), [REFUSED, sent()], set()),
        (told(done=False), [FAILED], set()),
        (told(done=False), [], set()),
        (told(done=False), [sent(cut="after", status=0)], set()),
        (told(may_repeat=True), [sent(cut="after", status=0), sent()], set()),
        (told(framed=True), [sent(body="<x>")], set()),
        (told(), [sent(cut="after", status=0), sent()], {referee.DOUBLED, referee.REPEATED}),
        (told(may_repeat=True, keyed=True), [sent(), sent()], {referee.DOUBLED}),
        (told(), [FAILED, sent()], {referee.REPEATED}),
        (told(), [], {referee.LOST}),
        (told(may_repeat=True), [FAILED], {referee.LOST}),
        (told(answer=""), [sent()], {referee.SILENT}),
        (told(), [sent(), sent(operation="b")], {referee.UNKNOWN}),
        (told(), [sent(body="y")], {referee.BYTES}),
        (told(), [REFUSED, sent(body="")], {referee.BYTES, referee.EMPTY}),
        (told(framed=True), [REFUSED | {"body": "<x>"}, sent(body="<<x>>")], {referee.BYTES}),
        (told(once=True), [REFUSED, sent()], {referee.REWOUND}),
        (told(), [REFUSED] * 6 + [sent()], {referee.SENDS}),
        (told(), [sent(method="PUT")], {referee.METHOD}),
    ],
)
def test_the_referee_sees(report: Plain, log: list[Plain], rules: set[str]) -> None:
    assert set(judge([report], log, 1, 6)) == rules
    assert rules <= set(RULES)


def test_an_operation_that_nobody_reported_is_missed() -> None:
    assert judge([told()], [sent()], 2, 6) == {referee.SILENT: 1}
    assert judge([told(), told()], [sent()], 2, 6)[referee.SILENT] == 1


def test_the_referee_knows_nothing_of_the_library() -> None:
    from pathlib import Path

    assert "clever_guard" not in Path(str(referee.__file__)).read_text()
