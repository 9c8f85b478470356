"""The ledger's rules, one by one (docs/ledger.md tells them on a page)."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clever_guard.quota.pace import own_window
from clever_guard.quota.store import Report, Sight, Terms
from tests.quota.desk import Desk, answered, sight, unsent


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def sure() -> Desk:
    desk = Desk()
    desk.make_sure()
    return desk


class TestTheInvariant:
    def test_a_permit_is_outstanding_until_it_is_reported(self, sure: Desk) -> None:
        lease = sure.draw(52_010, 30)
        assert (lease.granted, sum(sure.ledger.out)) == (30, 30)
        sure.send(52_100, answered(lease, sight(88, 60_000, 52_050, answers=10)))
        assert (sure.ledger.r_min, sum(sure.ledger.out)) == (88, 20)

    def test_no_more_is_granted_than_remains_after_what_is_out(self, sure: Desk) -> None:
        granted = 0
        for number in range(200):
            granted += sure.draw(52_010 + number, 60, previous=52_000 + number).granted
        assert granted == 97, "98 are left, and one is kept for the probe"

    def test_unsent_permits_come_back(self, sure: Desk) -> None:
        lease = sure.draw(52_010, 30)
        sure.send(52_020, unsent(lease))
        assert (sure.ledger.r_min, sum(sure.ledger.out)) == (98, 0)

    def test_within_a_window_remaining_only_falls(self, sure: Desk) -> None:
        lease = sure.draw(52_010, 2)
        sure.send(52_100, answered(lease, sight(40, 60_000, 52_050)))
        sure.send(52_110, answered(lease, sight(70, 60_000, 52_020)))
        assert sure.ledger.r_min == 40

    def test_one_refusal_stops_the_fleet_until_the_window_is_over(self, sure: Desk) -> None:
        lease = sure.draw(52_010, 2)
        sure.send(52_100, answered(lease, sight(0, 60_000, 52_050), refused=1))
        told = sure.draw(52_110, 5)
        assert told.granted == 0
        assert told.hold == sure.ledger.hi - 52_110
        assert told.at_least == told.hold


class TestTheColdStart:
    def test_one_scout_goes_and_the_others_wait_for_it(self, desk: Desk) -> None:
        scout = desk.draw(50_000, 10)
        assert (scout.granted, scout.kind) == (1, "scout")
        assert [desk.draw(50_000 + ms, 10).granted for ms in (1, 20, 400, 1_900)] == [0, 0, 0, 0]

    def test_a_scout_that_is_lost_is_replaced_after_two_seconds(self, desk: Desk) -> None:
        desk.draw(50_000)
        assert desk.draw(51_999).granted == 0
        assert desk.draw(52_000).kind == "scout"

    def test_who_waits_for_a_scout_asks_less_and_less_often(self, desk: Desk) -> None:
        desk.draw(50_000)
        desk.draw(52_000)
        holds = [desk.draw(52_000 + away).hold for away in (1, 50, 200, 1_500)]
        assert holds == [5, 50, 200, 1_000]

    def test_in_the_first_second_all_who_wait_ask_about_once_for_each_scout(self, desk: Desk) -> None:
        one = desk.draw(50_000)
        desk.send(50_050, answered(one, sight(99, 60_000, 50_010)))
        assert desk.draw(50_060).kind == "scout"
        holds = [desk.draw(50_061).hold for _ in range(12)]
        assert holds == sorted(holds)
        assert holds[-1] == 13 * desk.ledger.flight

    def test_nobody_is_told_to_come_later_than_the_first_second_ends(self, desk: Desk) -> None:
        one = desk.draw(50_000)
        desk.send(50_050, answered(one, sight(99, 60_000, 50_010)))
        assert desk.draw(50_890).kind == "scout"
        assert [desk.draw(50_900).hold for _ in range(60)][-1] == 100

    def test_in_the_first_second_the_scouts_take_turns(self, desk: Desk) -> None:
        one = desk.draw(50_000)
        desk.draw(50_001)
        desk.send(50_050, answered(one, sight(99, 60_000, 50_010)))
        again = desk.draw(50_051, previous=one.now)
        assert (again.granted, again.hold) == (0, desk.ledger.flight)
        assert desk.draw(50_052, previous=50_001).kind == "scout"

    def test_alone_a_worker_sends_scout_after_scout(self, desk: Desk) -> None:
        one = desk.draw(50_000)
        desk.send(50_050, answered(one, sight(99, 60_000, 50_010)))
        assert desk.draw(50_051, previous=one.now).kind == "scout"

    def test_leases_that_a_lost_ledger_forgot_may_live_for_a_ttl(self, desk: Desk) -> None:
        one = desk.draw(50_000)
        desk.send(50_050, answered(one, sight(99, 60_000, 50_010)))
        early = desk.draw(50_100, 10)
        assert early.kind == "scout", "its answer says nothing about leases that are spent after it"
        desk.send(50_150, answered(early, sight(98, 60_000, 50_110)))
        late = desk.draw(51_000, 10)
        assert late.kind == "scout"
        desk.send(51_050, answered(late, sight(97, 60_000, 51_010)))
        assert desk.draw(51_060, 10).kind == "lease"

    def test_a_half_spent_budget_is_not_scouted_while_forgotten_leases_may_live(self, desk: Desk) -> None:
        one = desk.draw(50_000)
        desk.send(50_050, answered(one, sight(50, 60_000, 50_010)))
        assert desk.draw(50_100).hold == 900
        assert desk.draw(51_000).kind == "scout"

    def test_a_worker_that_was_told_of_a_spent_window_is_believed(self, desk: Desk) -> None:
        told = desk.draw(50_000, end=57_000)
        assert (told.granted, told.hold) == (0, 7_000)
        assert desk.draw(57_000).kind == "scout"

    @pytest.mark.parametrize("end", [49_000, 50_000, 70_001])
    def test_but_not_of_a_window_that_is_over_or_cannot_be(self, desk: Desk, end: int) -> None:
        assert desk.draw(50_000, end=end).kind == "scout"


class TestAgeing:
    def test_what_a_killed_worker_held_comes_back_after_three_slots(self, sure: Desk) -> None:
        sure.draw(52_010, 30)
        assert sum(sure.ledger.out) == 30
        sure.send(53_999)
        assert sum(sure.ledger.out) == 30
        sure.send(55_000)
        assert sum(sure.ledger.out) == 0

    def test_it_was_perhaps_spent_so_one_scout_asks_before_anybody_goes_on(self, sure: Desk) -> None:
        sure.draw(52_010, 30)
        first = sure.draw(55_000, 10)
        assert (first.kind, first.granted) == ("scout", 1)
        sure.send(55_050, answered(first, sight(67, 60_000, 55_010)))
        assert sure.draw(55_060, 10).kind == "lease"

    def test_a_late_report_does_not_free_the_permits_of_another(self, sure: Desk) -> None:
        lost = sure.draw(52_010, 30)
        scout = sure.draw(55_000)
        sure.send(55_050, answered(scout, sight(67, 60_000, 55_010)))
        other = sure.draw(55_060, 10)
        sure.send(55_070, unsent(lost))
        assert sum(sure.ledger.out) == other.granted

    def test_an_answer_to_what_was_given_up_proves_that_calls_are_slow(self, sure: Desk) -> None:
        slow = sure.draw(52_010, 30)
        sure.send(56_000)
        assert sum(sure.ledger.out) == 0
        sure.send(57_010, answered(slow, sight(97, 60_000, 52_020, 57_000)))
        assert sure.ledger.slot == 2_500, "half of what it took"
        assert sum(sure.ledger.out) == 30, "the rest of them will be slow too"

    def test_and_so_does_one_that_came_just_before(self, sure: Desk) -> None:
        slow = sure.draw(52_010, 30)
        sure.send(54_500, answered(slow, sight(97, 60_000, 52_020, 54_490)))
        assert sure.ledger.slot == 1_245
        assert sum(sure.ledger.out) == 29

    def test_what_was_given_up_long_ago_is_not_on_its_way_still(self, sure: Desk) -> None:
        """A report may be late where the answer was not: a worker that nobody asked for a while."""
        idle = sure.draw(52_010, 30)
        sure.send(59_990)
        sure.send(64_000, answered(idle, sight(97, 60_000, 52_020, 52_030)))
        assert sure.ledger.slot == 5_000
        assert sum(sure.ledger.out) == 0

    def test_slots_grow_to_half_a_window_at_most(self, sure: Desk) -> None:
        slow = sure.draw(52_010, 30)
        sure.send(58_000)
        sure.send(80_000, answered(slow, sight(97, 60_000, 52_020, 79_000)))
        assert sure.ledger.slot == 5_000

    def test_a_clock_that_ran_backwards_makes_unsure_and_moves_the_window_along(self, sure: Desk) -> None:
        left = sure.ledger.hi - 52_000
        assert sure.draw(12_000, 10).kind == "scout"
        assert sure.ledger.hi - 12_000 == left

    def test_a_clock_that_trembles_stands_still(self, sure: Desk) -> None:
        assert sure.draw(51_500, 5).now == 52_000

    def test_a_stamp_from_the_future_of_the_record_tells_a_failover(self, sure: Desk) -> None:
        assert sure.draw(52_010, 5, previous=50_000).kind == "lease"
        assert sure.draw(52_900, 5, previous=52_800).kind == "scout"


class TestTheNextWindow:
    def adopt(self, desk: Desk, number: int = 1, *, at: int | None = None) -> None:
        """Somebody's first permit is answered by the next window."""
        begin = desk.ledger.hi if at is None else at
        scout = desk.draw(begin, 1)
        assert scout.granted == 1
        desk.send(begin + 30, answered(scout, sight(99, 60_000 + 10_000 * number, begin + 10)))

    def test_after_the_end_one_scout_goes(self, sure: Desk) -> None:
        sure.draw(52_010, 60)
        assert [sure.draw(sure.ledger.hi, 5).kind, sure.draw(sure.ledger.hi, 5).granted] == ["scout", 0]

    def test_in_a_calm_a_lone_permit_is_no_scout_and_the_next_one_is(self, sure: Desk) -> None:
        hi = sure.ledger.hi
        kinds = [(told.granted, told.kind) for told in (sure.draw(hi + ms, 5) for ms in (0, 1, 2))]
        assert kinds == [(1, "lease"), (1, "scout"), (0, "lease")]

    @pytest.mark.parametrize(
        "bustle",
        [{"r_min": 50}, {"drawn": 60_900}, {"out": [1, 0, 0]}, {"seen": 0}],
        ids=lambda bustle: next(iter(bustle)),
    )
    def test_where_somebody_may_wait_for_its_report_a_scout_goes(self, sure: Desk, bustle: dict[str, object]) -> None:
        for name, value in bustle.items():
            setattr(sure.ledger, name, value)
        assert sure.draw(sure.ledger.hi, 5).kind == "scout"

    def test_nobody_goes_after_the_end_while_a_whole_budget_is_out(self, sure: Desk) -> None:
        """All of them may reach the new window."""
        hi = sure.ledger.hi
        sure.ledger.out = [100, 0, 0]
        sure.ledger.last = hi - 10
        assert sure.draw(hi).granted == 0
        assert sure.draw(hi + 3_000).kind == "scout"

    def test_an_answer_of_the_next_window_opens_it_for_all(self, sure: Desk) -> None:
        self.adopt(sure)
        assert (sure.ledger.r_min, sure.ledger.stride) == (99, 10_000)
        assert sure.draw(sure.now + 10, 40).kind == "lease"

    def test_the_old_window_ends_nothing_any_more(self, sure: Desk) -> None:
        lease = sure.draw(52_010, 5)
        self.adopt(sure)
        before = dataclasses.replace(sure.ledger)
        sure.send(sure.now + 10, answered(lease, sight(90, 60_000, 52_050)))
        assert (sure.ledger.reset, sure.ledger.r_min, sure.ledger.hi) == (before.reset, before.r_min, before.hi)

    def test_a_server_whose_clock_was_set_is_followed_by_a_permit_drawn_since(self, sure: Desk) -> None:
        self.adopt(sure)
        lease = sure.draw(sure.now + 10, 5)
        sure.send(sure.now + 10, answered(lease, sight(90, 66_000, sure.now, number=30_000)))
        assert sure.ledger.reset == 30_000
        assert sure.ledger.r_min == 90

    def test_each_first_draw_takes_an_even_share_and_nothing_is_left_over(self, sure: Desk) -> None:
        stamps = [sure.draw(52_100 + worker, 1).now for worker in range(7)]
        for stamp in stamps:
            sure.send(sure.now, Report(stamp, ("",), unsent=1))
        self.adopt(sure)
        assert sure.ledger.drawers[1] == 9, "seven, and the scouts, which did not say who they are"
        shares = [sure.draw(sure.now + 1, 60, previous=stamp).granted for stamp in stamps]
        shares += [sure.draw(sure.now + 1, 60).granted for _ in range(2)]
        assert sum(shares) == 98, "and one for the probe"
        assert max(shares) - min(shares) <= 1

    def test_two_draws_in_the_millisecond_of_the_adoption_are_counted_once_each(self, sure: Desk) -> None:
        hi = sure.ledger.hi
        scout = sure.draw(hi, 1)
        before = sure.draw(hi + 30, 5)
        sure.send(hi + 30, answered(scout, sight(99, 70_000, hi + 10)))
        sure.draw(hi + 30, 5, previous=before.now)
        assert sure.ledger.drawers[0] == 1
        sure.draw(hi + 30, 5, previous=sure.ledger.last)
        assert sure.ledger.drawers[0] == 1

    def test_who_comes_again_leaves_the_shares_of_those_still_to_come(self, sure: Desk) -> None:
        stamps = [sure.draw(52_100 + worker, 1).now for worker in range(4)]
        for stamp in stamps:
            sure.send(sure.now, Report(stamp, ("",), unsent=1))
        self.adopt(sure)
        first = sure.draw(sure.now + 1, 60, previous=stamps[0])
        others = sure.ledger.drawers[1] - 1
        again = sum(sure.draw(sure.now + 1, 60, previous=first.now).granted for _ in range(20))
        assert first.granted + again <= 99 - others * (99 // (others + 1))
        assert sure.draw(sure.now + 1, 60, previous=stamps[1]).granted == first.granted
        late = sum(sure.draw(sure.ledger.awaited + ms, 60, previous=first.now).granted for ms in range(60))
        assert late > first.granted, "who has not come by then leaves it to the others"


class TestTheEndOfAWindow:
    def test_a_fresh_bracket_holds_the_true_end(self, sure: Desk) -> None:
        assert sure.ledger.lo <= 60_000 <= sure.ledger.hi
        assert sure.ledger.hi - sure.ledger.lo <= 3_100

    @given(
        st.integers(0, 999), st.lists(st.integers(0, 8_000), min_size=1, max_size=20), st.sampled_from([0, 500, 999])
    )
    def test_it_holds_it_whatever_is_heard_when(self, fraction: int, times: list[int], up: int) -> None:
        desk, end = Desk(), 60_000 + fraction
        for number, at in enumerate(sorted(times)):
            reset = (end + up) // 1000 * 1000
            heard = dataclasses.replace(
                sight(90 - number, reset, 50_000 + at, number=reset + 8_000),
            )
            grant = desk.draw(50_000 + at)
            desk.send(50_020 + at, Report(grant.now, ("",), 1, sights=(heard,)))
        assert desk.ledger.lo <= end <= desk.ledger.hi

    def test_it_is_carried_by_the_difference_of_two_reset_numbers(self, sure: Desk) -> None:
        hi = sure.ledger.hi
        scout = sure.draw(hi, 1)
        sure.send(hi + 30, answered(scout, sight(99, 70_000, hi + 10)))
        assert sure.ledger.lo <= 70_000 <= sure.ledger.hi
        assert sure.ledger.hi <= hi + 20 + 10_000 + 2

    def test_a_window_may_have_been_opened_by_its_first_request(self, sure: Desk) -> None:
        """So ``hi`` is carried from the receipt of the answer that told of it."""
        hi = sure.ledger.hi
        scout = sure.draw(hi, 1)
        opened = hi + 15
        sure.send(hi + 30, answered(scout, sight(99, 70_000, hi + 10)))
        assert sure.ledger.fixed == 0
        assert sure.ledger.hi >= opened + 10_000

    def test_until_an_answer_comes_too_soon_for_that(self, sure: Desk) -> None:
        hi = sure.ledger.hi
        scout = sure.draw(hi, 1)
        sure.send(hi + 30, answered(scout, sight(99, 70_000, hi + 10)))
        probe = sure.draw(hi + 40, 1)
        sure.send(hi + 9_400, answered(probe, sight(99, 80_000, hi + 9_300)))
        assert sure.ledger.fixed == 1
        assert sure.ledger.hi <= hi + 9_310 + 10_000 + 2

    def test_the_last_permit_is_kept_as_a_probe_and_sent_at_the_middle(self, sure: Desk) -> None:
        lease = sure.draw(52_010, 1)
        sure.send(52_100, answered(lease, sight(1, 60_000, 52_050)))
        appointed, other = sure.draw(52_110, 5), sure.draw(52_120, 5)
        middle = (sure.ledger.lo + sure.ledger.hi) // 2
        assert appointed.hold == middle - 52_110
        assert other.hold == sure.ledger.hi - 52_120 + sure.ledger.flight + 1, (
            "it comes when the probe's answer is known"
        )
        assert sure.draw(middle - 1, 5).granted == 0
        probe = sure.draw(middle, 5)
        assert (probe.granted, probe.kind) == (1, "probe")

    @pytest.mark.parametrize("by_the_new", [False, True])
    def test_whoever_answers_the_probe_it_halves_the_bracket(self, sure: Desk, by_the_new: bool) -> None:
        lease = sure.draw(52_010, 1)
        sure.send(52_100, answered(lease, sight(1, 60_000, 52_050)))
        lo, hi = sure.ledger.lo, sure.ledger.hi
        middle = (lo + hi) // 2
        probe = sure.draw(middle, 1)
        end = 70_000 if by_the_new else 60_000
        sure.send(middle + 30, answered(probe, sight(99 if by_the_new else 0, end, middle + 5)))
        width = sure.ledger.hi - sure.ledger.lo
        assert abs(width - (hi - lo) // 2) < 50

    def test_no_probe_is_kept_for_a_border_that_is_known_well_enough(self, sure: Desk) -> None:
        sure.ledger.lo = sure.ledger.hi - 8
        lease = sure.draw(52_010, 200)
        assert lease.granted + sure.draw(52_011, 200, previous=52_010).granted > 0
        assert sum(sure.draw(52_012, 60, previous=52_011).granted for _ in range(60)) + sum(sure.ledger.out) >= 98
        assert sum(sure.ledger.out) == 98

    def test_after_a_change_of_the_limit_no_probe_is_kept_for_ten_windows(self, sure: Desk) -> None:
        lease = sure.draw(52_010, 1)
        sure.send(52_100, answered(lease, sight(1, 60_000, 52_050, limit=60)))
        assert sure.ledger.limit == 60
        assert sure.draw(52_110, 5).granted == 1

    def test_dates_that_contradict_each_other_widen_the_margin(self, sure: Desk) -> None:
        margin, hi = sure.ledger.margin, sure.ledger.hi
        lease = sure.draw(52_010, 2)
        sure.send(52_100, answered(lease, sight(97, 60_000, 52_050, date_off=-1_700)))
        assert sure.ledger.margin > margin
        assert sure.ledger.hi > hi

    def test_an_answer_of_the_old_window_after_its_end_is_believed(self, sure: Desk) -> None:
        hi = sure.ledger.hi
        scout = sure.draw(hi, 1)
        sure.send(hi + 30, answered(scout, sight(0, hi + 500, hi + 10, number=68_000), refused=1))
        assert sure.ledger.hi > hi + 500
        assert sure.draw(hi + 40, 1).granted == 0


class TestFloorsAndStrangers:
    def test_a_reserve_is_left_while_the_window_is_young_and_falls_with_it(self, sure: Desk) -> None:
        young = sum(sure.draw(52_010, 60, previous=52_000, reserve=80).granted for _ in range(60))
        assert young == 98 - 80 * (sure.ledger.hi - 52_010) // 10_000
        sure.ledger.last = 58_990
        older = sum(sure.draw(59_000, 60, previous=52_010, reserve=80).granted for _ in range(99))
        assert young + older == 98 - 80 * (sure.ledger.hi - 59_000) // 10_000

    @pytest.mark.parametrize(("heard", "kept"), [(59_900, 28), (57_900, 35), (52_100, 43)])
    def test_what_others_took_of_the_last_window_is_left_to_them_in_the_next(
        self, sure: Desk, heard: int, kept: int
    ) -> None:
        """They took 28. The part of the window that was not heard of counts too, for half as much again at most."""
        lease = sure.draw(52_010, 1)
        sure.send(heard + 20, answered(lease, sight(67, 60_000, heard)))
        hi = sure.ledger.hi
        scout = sure.draw(hi, 1)
        sure.send(hi + 30, answered(scout, sight(99, 70_000, hi + 10)))
        at = sure.ledger.awaited
        granted = sum(sure.draw(at, 60, previous=hi + 31).granted for _ in range(99))
        assert abs(granted - (99 - kept)) <= 1

    def test_who_took_nothing_of_a_window_is_forgotten_by_half(self, sure: Desk) -> None:
        sure.ledger.stranger = 80
        lease = sure.draw(52_010, 1)
        sure.send(52_100, answered(lease, sight(97, 60_000, 52_050)))
        scout = sure.draw(sure.ledger.hi, 1)
        sure.send(scout.now + 30, answered(scout, sight(99, 70_000, scout.now + 10)))
        assert sure.ledger.stranger == 40

    def test_while_a_probe_is_kept_those_who_wait_ask_for_what_may_come_back(self, sure: Desk) -> None:
        sure.ledger.out[0] = 97
        sure.ledger.drawn = 52_000
        assert sure.draw(52_100).hold == 1_000
        assert sure.draw(54_100).hold == 900, "until the slot they were drawn in is given up"
        sure.send(56_500)
        assert sure.draw(56_500).granted == 1, "they have grown old"

    def test_a_refusal_that_nothing_explains_was_a_stranger(self, sure: Desk) -> None:
        lease = sure.draw(52_010, 1)
        sure.send(52_100, answered(lease, sight(1, 60_000, 52_050)))
        sure.ledger.spent = 99
        middle = (sure.ledger.lo + sure.ledger.hi) // 2
        probe = sure.draw(middle, 1)
        sure.send(middle + 30, answered(probe, sight(0, 60_000, middle + 5), refused=1))
        hi = sure.ledger.hi
        scout = sure.draw(hi, 1)
        sure.send(hi + 30, answered(scout, sight(99, 70_000, hi + 10)))
        at = sure.ledger.awaited
        granted = sum(sure.draw(at, 60, previous=hi + 31).granted for _ in range(120))
        assert granted == 98, "the last is the stranger's, not a probe's"

    def test_what_was_spent_before_a_window_was_heard_of_late_was_nobodys(self, sure: Desk) -> None:
        """The fleet was idle, or in the dark. What is taken later in the same window is not told apart from it."""
        at = sure.ledger.hi + sure.terms.ttl
        scout = sure.draw(at, 1)
        sure.send(at + 30, answered(scout, sight(40, 70_000, at + 10)))
        assert sure.ledger.stranger == 0
        self.adopt_the_next(sure, 80_000)
        assert sure.ledger.stranger == 0

    def test_what_was_spent_before_a_window_was_heard_of_in_time_was_a_strangers(self, sure: Desk) -> None:
        at = sure.ledger.hi + sure.terms.ttl - 11
        scout = sure.draw(at, 1)
        sure.send(at + 30, answered(scout, sight(40, 70_000, at + 10)))
        self.adopt_the_next(sure, 80_000)
        assert sure.ledger.stranger == 8 * 58, "all but the scouts of both windows"

    def adopt_the_next(self, desk: Desk, end: int) -> None:
        hi = desk.ledger.hi
        scout = desk.draw(hi, 1)
        desk.send(hi + 30, answered(scout, sight(99, end, hi + 10)))

    def test_what_an_older_state_does_not_know_was_nobodys(self, sure: Desk) -> None:
        """Somebody drew at 53_000, which this record has never heard of."""
        lease = sure.draw(54_000, 1, previous=53_000)
        sure.send(54_100, answered(lease, sight(50, 60_000, 54_050)))
        self.adopt_the_next(sure, 70_000)
        assert sure.ledger.stranger == 0

    def test_the_window_after_an_older_state_neither(self, sure: Desk) -> None:
        """The window of the record is over, and most of the next one was spent before the store fell back."""
        hi = sure.ledger.hi
        scout = sure.draw(hi + 500, 1, previous=hi + 200)
        sure.send(hi + 530, answered(scout, sight(30, 70_000, hi + 510)))
        self.adopt_the_next(sure, 80_000)
        assert sure.ledger.stranger == 0


class TestALonePermit:
    """Where nobody is about, a permit whose report nobody waits for is no scout."""

    def test_the_second_of_a_new_ledger_is_no_scout(self) -> None:
        desk = Desk()
        scout = desk.draw(50_000, 1)
        desk.send(50_050, answered(scout, sight(99, 60_000, 50_020)))
        assert desk.draw(50_900, 1).kind == "scout", "leases of a ledger that was lost may live"
        desk = Desk()
        scout = desk.draw(50_000, 1)
        desk.send(50_050, answered(scout, sight(99, 60_000, 50_020)))
        assert desk.draw(51_010, 1).kind == "lease"
        assert desk.draw(51_020, 1).kind == "scout"
        assert desk.draw(51_030, 1).granted == 0

    def test_of_less_than_half_a_window_it_is(self) -> None:
        desk = Desk()
        scout = desk.draw(50_000, 1)
        desk.send(50_050, answered(scout, sight(50, 60_000, 50_020)))
        assert desk.draw(51_010, 1).kind == "scout"


class TestRefusalsThatTellNoWindow:
    def refused(self, pause: int = 0) -> Report:
        return Report(52_000, ("",), refused=1, pause=pause)

    def test_they_hold_everybody_for_their_retry_after(self, sure: Desk) -> None:
        sure.send(52_010, self.refused(7_000))
        assert sure.draw(52_011).hold == 6_999

    def test_a_server_that_names_a_wait_is_not_second_guessed(self, sure: Desk) -> None:
        holds, now = [], 52_010
        for _ in range(4):
            sure.send(now, Report(now, ("",), refused=1, pause=1_000))
            holds.append(sure.draw(now).hold)
            now += holds[-1]
        assert holds == [1_000] * 4

    def test_else_for_a_second_doubled_each_time_up_to_a_window(self, sure: Desk) -> None:
        holds, now = [], 52_010
        for _ in range(6):
            sure.send(now, Report(now, ("",), refused=1))
            holds.append(sure.draw(now).hold)
            now += holds[-1]
        assert holds == [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]

    def test_refusals_of_one_burst_count_once(self, sure: Desk) -> None:
        for ms in range(5):
            sure.send(52_010 + ms, self.refused())
        assert sure.draw(52_015).hold <= 1_000

    def test_afterwards_one_scout_goes_first(self, sure: Desk) -> None:
        sure.send(52_010, self.refused())
        assert sure.draw(53_010, 10).kind == "scout"


class TestAnApiThatSaysNothing:
    terms = Terms(1200, 60_000, 1_000)

    def silent(self) -> Desk:
        desk = Desk(self.terms)
        scout = desk.draw(50_000)
        desk.send(50_050, Report(scout.now, ("",), blank=1))
        return desk

    def test_it_is_served_in_small_windows_of_our_own(self) -> None:
        desk = self.silent()
        assert desk.draw(50_060).granted == 0
        first = desk.draw(51_060, 60)
        assert 0 < first.granted <= 1200 * 1_000 // 63_000
        assert first.kind == "lease"

    @given(
        st.integers(1, 2_000),
        st.sampled_from([1_000, 6_000, 60_000]),
        st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 50)), max_size=300),
    )
    def test_no_window_of_the_servers_sees_more_than_the_limit_wherever_it_starts(
        self, limit: int, window: int, draws: list[tuple[int, int]]
    ) -> None:
        self.terms = Terms(limit, window, 1_000)
        desk = self.silent()
        stamps: list[int] = []
        for step, want in draws:
            stamps += [desk.now + step] * desk.draw(desk.now + step, want).granted
        for number, begin in enumerate(stamps):
            """A permit may be spent up to a TTL after its stamp, so windows a TTL longer are looked at."""
            assert sum(begin <= stamp < begin + window + 1_000 for stamp in stamps[number:]) <= max(1, limit)

    def test_headers_that_come_with_a_refusal_only_pause_it_and_leave_it_on(self) -> None:
        desk = self.silent()
        lease = desk.draw(51_060, 60)
        desk.send(51_100, answered(lease, sight(0, 55_000, 51_080, limit=1200), refused=1))
        assert desk.draw(51_200).hold > 3_000
        assert desk.ledger.pace == 1

    def test_headers_that_come_at_last_end_it(self) -> None:
        desk = self.silent()
        lease = desk.draw(51_060, 60)
        desk.send(51_100, answered(lease, sight(1_100, 90_000, 51_080, limit=1200)))
        assert desk.ledger.pace == 0

    def test_what_is_on_its_way_when_the_first_headers_are_heard_is_outstanding(self) -> None:
        desk = self.silent()
        lease, silent = desk.draw(51_060, 5), desk.draw(51_061, 3, previous=51_060)
        assert (lease.granted, silent.granted) == (5, 3)
        desk.send(51_090, Report(silent.now, ("",), blank=1))
        desk.send(51_100, answered(lease, sight(1_194, 90_000, 51_080, limit=1200)))
        assert sum(desk.ledger.out) == 1 + 4 + 2, "the scout that nobody counted, and what has not been answered"

    def test_one_answer_without_headers_among_others_is_counted_as_spent(self, sure: Desk) -> None:
        lease = sure.draw(52_010, 3)
        sure.send(52_100, Report(lease.now, ("",), blank=2))
        assert (sure.ledger.pace, sure.ledger.r_min) == (0, 96)

    def test_one_that_falls_silent_is_served_so_after_a_whole_window_without_a_word(self, sure: Desk) -> None:
        """Not sooner: of an API that leaves its headers out now and then, a window's first answer may have none."""
        end = sure.ledger.hi
        first = sure.draw(end + 10)
        sure.send(end + 50, Report(first.now, first.buckets, blank=1))
        assert sure.ledger.pace == 0
        later = sure.draw(end + 10_000)
        sure.send(end + 10_050, Report(later.now, later.buckets, blank=1))
        assert (sure.ledger.pace, sure.ledger.reset) == (1, 0)
        assert sure.draw(end + 10_060).granted == 0
        assert 0 < sure.draw(end + 11_060, 60).granted <= 100 * 1_000 // 13_000

    def test_and_is_believed_again_when_it_speaks(self, sure: Desk) -> None:
        quiet = sure.ledger.hi + 10_000
        silent = sure.draw(quiet)
        sure.send(quiet + 50, Report(silent.now, silent.buckets, blank=1))
        lease = sure.draw(quiet + 1_060)
        sure.send(quiet + 1_100, answered(lease, sight(90, quiet + 5_000, quiet + 1_070)))
        assert (sure.ledger.pace, sure.ledger.r_min) == (0, 90)

    def test_a_refusal_does_not_make_it_silent(self, sure: Desk) -> None:
        late = sure.ledger.hi + 10_000
        lease = sure.draw(late)
        sure.send(late + 50, Report(lease.now, lease.buckets, refused=1))
        assert sure.ledger.pace == 0

    @given(st.integers(1, 10**6), st.integers(100, 10**7))
    def test_own_windows_are_never_of_nothing(self, limit: int, window: int) -> None:
        length, permits = own_window(Terms(limit, window, 1_000))
        assert length >= 1_000
        assert permits >= 1


def test_the_ledger_of_a_worker_that_is_cut_off_counts_its_own_share_only() -> None:
    desk = Desk(Terms(10, 10_000, 1_000, solo=True))
    scout = desk.draw(50_000)
    desk.send(51_000, answered(scout, sight(900, 60_000, 50_010, limit=1200)))
    assert (desk.ledger.limit, desk.ledger.r_min) == (10, 9)


def test_a_worker_that_is_cut_off_remembers_what_was_its_own_of_the_running_window() -> None:
    desk = Desk(Terms(10, 10_000, 1_000, solo=True))
    scout = desk.draw(50_000)
    desk.ledger.hi, desk.ledger.r_min = 60_000, 2
    desk.send(50_050, answered(scout, sight(9, 60_000, 50_010)))
    assert desk.ledger.r_min == 1
    desk = Desk(Terms(10, 10_000, 1_000, solo=True))
    scout = desk.draw(60_500)
    desk.ledger.hi, desk.ledger.r_min = 60_000, 2
    desk.send(60_550, answered(scout, sight(9, 70_000, 60_510)))
    assert desk.ledger.r_min == 9, "that window is over"


def test_in_the_dark_the_own_fleet_is_no_stranger() -> None:
    desk = Desk(Terms(10, 10_000, 1_000, solo=True))
    scout = desk.draw(50_000)
    desk.send(50_050, answered(scout, sight(9, 60_000, 50_010)))
    lease = desk.draw(52_000)
    desk.send(52_050, answered(lease, sight(0, 60_000, 52_010)))
    hi = desk.ledger.hi
    scout = desk.draw(hi)
    desk.send(hi + 30, answered(scout, sight(9, 70_000, hi + 10)))
    assert desk.ledger.stranger == 0


def test_a_view_shows_what_is_left_and_what_is_out(sure: Desk) -> None:
    (view,) = sure.draw(52_010, 5).views
    assert (view.limit, view.remaining, view.outstanding, view.answered, view.refused) == (100, 98, 5, 2, 0)
    assert view.reset_at == sure.ledger.hi


def test_sights_are_of_this_shape() -> None:
    """The desk's own arithmetic: a window that ends at 60_000 is 9_950 away at 50_050, and Date hides up to a second."""
    heard: Sight = sight(5, 60_000, 50_050)
    assert heard.low - 1_000 <= 60_000 <= heard.high
