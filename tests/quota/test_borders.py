"""Where a rule begins and ends to hold, to the millisecond and to the permit."""

from __future__ import annotations

import pytest

from clever_guard.quota.ageing import tick
from clever_guard.quota.bracket import EARLY, ROUNDING, TICK, carry, doubt_dates, narrow
from clever_guard.quota.granting import offer
from clever_guard.quota.ledger import LATE, Ledger
from clever_guard.quota.store import Draw, Sight, Terms

TERMS = Terms(100, 60_000, 1_000)


def sight(low: int, high: int, sent: int = 0) -> Sight:
    """An answer by which the window ends between ``low`` and ``high``, before rounding."""
    return Sight("", 100, 50, 90_000, low, high, sent, sent + 10, 1)


def ledger(**fields: int) -> Ledger:
    made = Ledger(limit=100, last=0, slot=5_000, since=0, r_min=100)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


# -- time ---------------------------------------------------------------------------------------------------------------


def test_a_clock_that_is_late_by_a_ttl_was_not_set_back() -> None:
    found = ledger(last=10_000, lo=20_000)
    assert tick(found, 9_000, TERMS) == 10_000
    assert found.lo == 20_000
    assert tick(found, 8_999, TERMS) == 8_999
    assert found.lo == 20_000 - 1_001


def test_what_lay_before_the_beginning_of_a_clock_that_was_set_back_is_at_its_beginning() -> None:
    found = ledger(last=50_000, lo=700, hi=800, opened=900)
    tick(found, 0, TERMS)
    assert (found.lo, found.hi, found.opened) == (0, 0, 0)


# -- the bracket --------------------------------------------------------------------------------------------------------


def test_a_carried_bracket_that_touches_the_headers_is_kept() -> None:
    found = ledger()
    carry(found, 4_000, 5_000, sight(5_000 + EARLY, 9_000))
    assert (found.lo, found.hi) == (4_000, 5_000)
    carry(found, 4_000, 5_000, sight(2_000, 4_000 - LATE - found.margin))
    assert (found.lo, found.hi) == (4_000, 4_000)


def test_headers_that_contradict_a_carried_bracket_by_a_millisecond_are_believed() -> None:
    found = ledger()
    carry(found, 4_000, 5_000, sight(5_001 + EARLY, 9_000))
    assert (found.lo, found.hi) == (5_001, 9_000 + found.margin)
    carry(found, 4_000, 5_000, sight(2_000, 3_999 - LATE - found.margin))
    assert (found.lo, found.hi) == (0, 3_999 - LATE)


@pytest.mark.parametrize(("excess", "grown"), [(0, LATE), (1, LATE + 1), (ROUNDING, LATE + ROUNDING), (ROUNDING + 1, LATE)])
def test_dates_that_disagree_by_more_than_a_tick_and_no_more_than_rounding_widen_the_margin(excess: int, grown: int) -> None:
    found = ledger(hi=50_000, margin=LATE)
    doubt_dates(found, sight(50_000 - LATE + TICK + excess, 60_000))
    assert (found.margin, found.hi) == (grown, 50_000 + grown - LATE)


def test_brackets_that_touch_agree() -> None:
    found = ledger(margin=LATE)
    narrow(found, 8_000, 9_000, sight(9_000 + EARLY, 12_000))
    assert (found.lo, found.hi, found.margin) == (9_000, 9_000, LATE)


@pytest.mark.parametrize(("gap", "margin"), [(1, LATE + 1), (ROUNDING, LATE + ROUNDING), (ROUNDING + 1, LATE)])
def test_brackets_apart_widen_the_margin_by_the_gap_if_that_is_rounding(gap: int, margin: int) -> None:
    found = ledger(margin=LATE)
    narrow(found, 8_000, 9_000, sight(9_000 + gap + EARLY, 15_000))
    assert found.margin == margin
    assert (found.lo, found.hi) == (9_000 + gap, 15_000 + margin)


# -- what was given up --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gone", "left", "goes"), [(5, 2, 0), (5, 3, 1), (1, 1, 0), (1, 2, 1)])
def test_an_unsure_ledger_keeps_one_permit_and_one_more_in_a_hundred_of_those_given_up(gone: int, left: int, goes: int) -> None:
    found = ledger(hi=60_000, since=5_000, gone=gone, gone_at=4_000, adopted=3_000, r_min=left)
    assert offer(found, 10_000, TERMS, Draw(4)).count == goes


@pytest.mark.parametrize(("adopted", "goes"), [(4_000, 0), (4_001, 1)])
def test_what_was_given_up_before_this_window_is_not_missed_in_it(adopted: int, goes: int) -> None:
    found = ledger(hi=60_000, since=5_000, gone=5, gone_at=4_000, adopted=adopted, r_min=2)
    assert offer(found, 10_000, TERMS, Draw(4)).count == goes
