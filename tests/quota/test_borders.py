"""Where a rule begins and ends to hold, to the millisecond and to the permit."""

from __future__ import annotations

from typing import Any

import pytest

from clever_guard.quota.ageing import tick
from clever_guard.quota.bracket import EARLY, ROUNDING, TICK, carry, doubt_dates, narrow
from clever_guard.quota.granting import offer, recall
from clever_guard.quota.hearing import hear
from clever_guard.quota.ledger import LATE, Ledger, held
from clever_guard.quota.pace import own_window
from clever_guard.quota.record import KEEP, MAX_ROUTES, Record, lifetime, transition
from clever_guard.quota.settling import refuse, settle
from clever_guard.quota.store import Command, Draw, Report, Sight, Terms

TERMS = Terms(100, 60_000, 1_000)


def sight(low: int, high: int, sent: int = 0) -> Sight:
    """An answer by which the window ends between ``low`` and ``high``, before rounding."""
    return Sight("", 100, 50, 90_000, low, high, sent, sent + 10, 1)


def ledger(**fields: Any) -> Ledger:
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


@pytest.mark.parametrize(
    ("excess", "grown"), [(0, LATE), (1, LATE + 1), (ROUNDING, LATE + ROUNDING), (ROUNDING + 1, LATE)]
)
def test_dates_that_disagree_by_more_than_a_tick_and_no_more_than_rounding_widen_the_margin(
    excess: int, grown: int
) -> None:
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
def test_an_unsure_ledger_keeps_one_permit_and_one_more_in_a_hundred_of_those_given_up(
    gone: int, left: int, goes: int
) -> None:
    found = ledger(hi=60_000, since=5_000, gone=gone, gone_at=4_000, adopted=3_000, r_min=left)
    assert offer(found, 10_000, TERMS, Draw(4)).count == goes


@pytest.mark.parametrize(("adopted", "goes"), [(4_000, 0), (4_001, 1)])
def test_what_was_given_up_before_this_window_is_not_missed_in_it(adopted: int, goes: int) -> None:
    found = ledger(hi=60_000, since=5_000, gone=5, gone_at=4_000, adopted=adopted, r_min=2)
    assert offer(found, 10_000, TERMS, Draw(4)).count == goes


# -- scouts -------------------------------------------------------------------------------------------------------------


def kind(found: Ledger, now: int) -> str:
    granted = offer(found, now, TERMS, Draw(4))
    return granted.kind if granted.count else "hold"


def test_a_new_ledger_is_calm_from_since_on() -> None:
    found = ledger(hi=60_000, since=5_000)
    assert [kind(found, now) for now in (4_999, 5_000)] == ["scout", "lease"]


def test_nobody_is_about_when_the_last_grant_is_a_ttl_old() -> None:
    assert kind(ledger(hi=60_000, since=1_000, drawn=4_000), 5_000) == "lease"
    assert kind(ledger(hi=60_000, since=1_000, drawn=4_001), 5_000) == "scout"


def test_a_window_that_is_just_over_was_sure_if_a_permit_of_since_was_answered() -> None:
    assert kind(ledger(hi=5_000, since=4_000, seen=4_000, gone_at=1), 5_000) == "lease"
    assert kind(ledger(hi=5_000, since=4_000, seen=3_999, gone_at=1), 5_000) == "scout"


@pytest.mark.parametrize(("hi", "sends"), [(0, "scout"), (1, "lease")])
def test_a_ledger_that_never_knew_a_window_is_not_calm(hi: int, sends: str) -> None:
    assert kind(ledger(hi=hi), 10_000) == sends


@pytest.mark.parametrize(
    ("scout", "now", "sends"), [(0, 1_000, "scout"), (1, 500, "hold"), (1, 2_000, "hold"), (1, 2_001, "scout")]
)
def test_a_scout_is_waited_for_two_seconds(scout: int, now: int, sends: str) -> None:
    assert kind(ledger(scout=scout, since=3_000), now) == sends


def test_a_large_fleet_polls_for_a_scout_at_an_eighth_of_a_millisecond_each() -> None:
    found = ledger(scout=9_997, drawers=[79, 0])
    assert offer(found, 10_000, TERMS, Draw(1)).hold == 9


# -- holds --------------------------------------------------------------------------------------------------------------

ODD = Terms(100, 6_000, 1_001)
"""An eighth of its TTL is 125 ms and a bit: holds are whole milliseconds."""


def test_a_hold_under_a_floor_is_at_least_an_eighth_of_a_ttl() -> None:
    assert offer(ledger(hi=6_000, r_min=10), 1_000, ODD, Draw(1, reserve=60)).hold == 125


def test_a_hold_while_all_is_out_is_at_least_an_eighth_of_a_ttl() -> None:
    assert offer(ledger(hi=6_000, r_min=5, out=[5, 0, 0], drawn=1_000), 1_000, ODD, Draw(1)).hold == 125


@pytest.mark.parametrize(("now", "hold"), [(1_000, 125), (5_900, 100)])
def test_who_comes_again_waits_an_eighth_of_a_ttl_for_the_absent_and_not_beyond_the_window(now: int, hold: int) -> None:
    found = ledger(hi=6_000, lo=6_000, adopted=500, drawers=[1, 60], awaited=6_500)
    granted = offer(found, now, ODD, Draw(1, previous=600))
    assert (granted.count, granted.hold) == (0, hold)


def test_the_absent_are_awaited_until_their_time_is_over() -> None:
    found = ledger(hi=6_000, lo=6_000, adopted=500, drawers=[1, 60], awaited=2_000)
    counts = [offer(found, now, ODD, Draw(1, previous=600)).count for now in (1_999, 2_000)]
    assert counts == [0, 1]


def test_the_first_after_a_spent_window_comes_when_it_is_over() -> None:
    granted = offer(ledger(hi=6_000, r_min=0), 5_999, ODD, Draw(1))
    assert (granted.count, granted.hold, granted.at_least, granted.appoints) == (0, 1, 1, True)


def test_no_probe_is_kept_for_ten_windows_after_the_limit_was_changed() -> None:
    found = ledger(hi=70_000, lo=50_000, r_min=1, changed=1_000)
    assert offer(found, 60_999, ODD, Draw(1)).kind == "lease"
    assert offer(found, 61_000, ODD, Draw(1)).kind == "probe"


# -- which window an answer is of ---------------------------------------------------------------------------------------

SIX = Terms(100, 6_000, 1_000)


def told(
    found: Ledger, now: int, reset: int, terms: Terms = SIX, remaining: int = 50, stamp: int = 0, **of: int
) -> Ledger:
    """``found`` after one answer. Sent and received just before ``now``, unless ``of`` says otherwise."""
    sent = of.get("sent", now - 50)
    sight = Sight("", 100, remaining, reset, of.get("low", now), of.get("high", now), sent, of.get("received", now), 1)
    hear(found, now, terms, Report(stamp, ("",), 1, of.get("refused", 0), sights=(sight,)), sight)
    return found


@pytest.mark.parametrize(
    ("window", "ahead", "same"),
    [(6_000, 1_500, True), (6_000, 1_501, False), (2_000, 999, True), (2_000, 1_000, False)],
)
def test_resets_within_a_second_and_a_half_or_less_than_half_a_window_are_one(
    window: int, ahead: int, same: bool
) -> None:
    found = told(
        ledger(reset=50_000, lo=9_000, hi=10_000, adopted=1), 10_000, 50_000 + ahead, Terms(100, window, 1_000)
    )
    assert (found.reset == 50_000) == same


@pytest.mark.parametrize(("received", "heard"), [(17_000, True), (16_999, False)])
def test_the_next_window_is_believed_from_half_a_window_before_its_time(received: int, heard: bool) -> None:
    found = ledger(reset=50_000, lo=19_000, hi=20_000, adopted=16_990, opened=16_990)
    told(found, received, 56_000, sent=16_980, received=received)
    assert (found.reset == 56_000) == heard


def test_a_refusal_of_a_paced_ledger_ends_when_its_window_does() -> None:
    found = ledger(pace=1, pause=3_000, hi=2_000)
    assert told(found, 1_000, 50_000, refused=1, high=9_000).pause == 9_000 + LATE
    assert told(found, 1_000, 50_000, refused=1, high=4_000).pause == 9_000 + LATE
    assert (found.pace, found.hi) == (1, 2_000)


@pytest.mark.parametrize(
    ("now", "sent", "remaining", "left"), [(10_000, 8_999, 80, 80), (9_999, 8_999, 80, 5), (9_999, 9_000, 6, 6)]
)
def test_remaining_may_rise_with_a_number_from_nowhere_only_if_the_window_may_be_over(
    now: int, sent: int, remaining: int, left: int
) -> None:
    found = ledger(reset=50_000, lo=9_000, hi=10_000, r_min=5, adopted=100)
    assert told(found, now, 20_000, remaining=remaining, stamp=200, sent=sent).r_min == left


@pytest.mark.parametrize(("lo", "bracket"), [(0, (4_700, 7_800)), (1, (6_000, 6_651))])
def test_a_border_that_is_not_known_is_not_carried(lo: int, bracket: tuple[int, int]) -> None:
    found = told(ledger(reset=50_000, lo=lo, hi=600), 650, 56_000, sent=600, low=6_700, high=6_800)
    assert (found.lo, found.hi) == bracket


def test_an_answer_of_the_old_window_to_what_was_sent_when_it_should_be_over_is_believed_alone() -> None:
    found = told(ledger(reset=50_000, lo=4_000, hi=5_000), 5_050, 50_000, sent=5_000, low=5_500, high=5_600)
    assert (found.lo, found.hi) == (5_000, 5_600 + LATE)


@pytest.mark.parametrize(("late", "margin"), [(0, LATE), (1, LATE + 2), (5_000, 10 * LATE)])
def test_a_server_whose_own_numbers_are_too_early_widens_the_margin_by_twice_that(late: int, margin: int) -> None:
    found = ledger(reset=50_000, lo=4_000, hi=20_000)
    assert told(found, 30_050, 50_000, sent=30_000, low=4_500, high=30_000 - late).margin == margin


@pytest.mark.parametrize(("received", "fixed"), [(6_971, 1), (6_972, 0)])
def test_windows_are_fixed_when_one_came_sooner_than_its_first_request_could_have_opened_it(
    received: int, fixed: int
) -> None:
    found = ledger(reset=50_000, lo=6_500, hi=7_500, opened=1_000, flight=10)
    assert told(found, received, 56_000, sent=received - 5, low=12_900, high=13_000).fixed == fixed


# -- small things -------------------------------------------------------------------------------------------------------


def test_a_hold_that_is_over_is_a_millisecond_of_which_none_is_certain() -> None:
    assert (held(0).count, held(0).hold, held(0).at_least) == (0, 1, 0)
    assert (held(7).hold, held(7).at_least) == (7, 7)


def test_paced_permits_are_shared_in_whole_ones() -> None:
    assert offer(ledger(pace=1, hi=5_000, r_min=5, drawers=[2, 0]), 1_000, SIX, Draw(9)).count == 2


@pytest.mark.parametrize(("end", "believed"), [(1_000, False), (1_001, True), (13_000, True), (13_001, False)])
def test_a_book_is_believed_about_a_window_that_ends_within_two(end: int, believed: bool) -> None:
    found = ledger()
    recall(found, 1_000, SIX, Draw(1, end=end))
    assert (found.hi, found.r_min) == ((end, 0) if believed else (0, 100))


def test_slots_grow_to_half_a_window_of_whole_milliseconds_and_only_grow() -> None:
    odd = Terms(100, 6_001, 1_000)
    found = ledger(slot=1_000, gone=3, gone_at=47_000, out=[1, 0, 0])
    settle(found, 50_000, odd, 30_000, 1, 0, 0)
    assert (found.slot, found.out, found.gone) == (3_000, [4, 0, 0], 0)
    same = ledger(slot=3_000, gone=3)
    settle(same, 50_000, odd, 30_000, 1, 0, 0)
    assert (same.slot, same.gone) == (3_000, 3)


@pytest.mark.parametrize(
    ("terms", "length", "permits"),
    [(Terms(63, 60_000, 1_000), 1_000, 1), (Terms(62, 60_000, 1_000), 1_000, 1), (Terms(7, 60_000, 1_000), 8_715, 1)],
)
def test_a_small_window_of_our_own_is_a_ttl_or_what_one_permit_needs(terms: Terms, length: int, permits: int) -> None:
    assert own_window(terms) == (length, permits)


@pytest.mark.parametrize(("limit", "permits"), [(125, 1), (126, 2), (1200, 19)])
def test_a_small_window_holds_its_part_of_a_window_and_three_ttls(limit: int, permits: int) -> None:
    assert own_window(Terms(limit, 60_000, 1_000)) == (1_000, permits)


# -- the record ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "hi", "longest"), [(SIX, 2_000, 6_000), (SIX, 10_000, 9_000), (Terms(9, 500, 1_000), 1_200, 1_000)]
)
def test_a_record_is_kept_for_its_longest_time_and_as_often_again_as_keep_says(
    terms: Terms, hi: int, longest: int
) -> None:
    record = Record(ledgers={"": ledger(hi=hi)})
    assert lifetime(record, 1_000, Command("id", "", terms)) == KEEP * longest


@pytest.mark.parametrize(("received", "kept"), [(4_999, ("a", "b")), (5_000, ("a",))])
def test_a_bucket_that_is_no_longer_named_is_drawn_from_until_its_window_is_over(
    received: int, kept: tuple[str, ...]
) -> None:
    record = Record({"": ("b",)}, {"b": ledger(hi=5_000, reset=9_000, last=1)})
    sight = Sight("a", 100, 50, 9_000, 5_000, 5_000, received, received, 1)
    after, _ = transition(record, received, Command("id", "", SIX, (Report(1, ("b",), 1, sights=(sight,)),)))
    assert after.routes[""] == kept


def test_a_known_route_is_renewed_when_there_are_as_many_as_may_be_and_an_unknown_one_is_not() -> None:
    record = Record({str(number): ("a",) for number in range(MAX_ROUTES)}, {"a": ledger(hi=5_000)})
    sight = Sight("b", 100, 50, 9_000, 9_000, 9_000, 6_000, 6_000, 1)
    told = (Report(1, ("a",), 1, sights=(sight,)),)
    known, _ = transition(record, 6_000, Command("id", "0", SIX, told))
    unknown, _ = transition(record, 6_000, Command("id", "new", SIX, told))
    assert known.routes["0"] == ("b",)
    assert "new" not in unknown.routes


# -- refusals and late answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stamp", "strikes", "counted"), [(1_000, 1, 2), (999, 1, 1), (1_000, 20, 20)])
def test_a_refusal_of_what_was_drawn_since_the_last_pause_is_another_strike(
    stamp: int, strikes: int, counted: int
) -> None:
    found = ledger(struck=1_000, strikes=strikes)
    refuse(found, 5_000, SIX, Report(stamp, ("",), 1, 1))
    assert found.strikes == counted


@pytest.mark.parametrize(("stamp", "strikes"), [(999, 3), (1_000, 0)])
def test_an_answer_to_what_was_drawn_since_the_last_pause_ends_the_strikes(stamp: int, strikes: int) -> None:
    found = ledger(struck=1_000, strikes=3)
    refuse(found, 5_000, SIX, Report(stamp, ("",), 1, 0))
    assert found.strikes == strikes


@pytest.mark.parametrize(("stamp", "slot"), [(0, 1_000), (1, 3_000)])
def test_an_answer_without_a_stamp_tells_nothing_of_slots(stamp: int, slot: int) -> None:
    found = ledger(slot=1_000)
    settle(found, 50_000, SIX, stamp, 1, 0, 0)
    assert found.slot == slot
