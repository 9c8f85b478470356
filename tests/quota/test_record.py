"""Buckets and routes: the server names the bucket in its answer."""

from __future__ import annotations

from clever_guard.quota.record import KEEP, MAX_NAMES, MAX_ROUTES, lifetime
from clever_guard.quota.store import Command, Draw
from tests.quota.desk import Desk, answered, sight, unsent


def learn(desk: Desk, route: str, *buckets: str, at: int = 50_000, left: int = 99) -> None:
    """A scout of this route is answered by these buckets."""
    scout = desk.draw(at, route=route)
    assert scout.granted
    heard = [sight(left, 60_000, at + 10, bucket=bucket) for bucket in buckets]
    desk.send(at + 50, answered(scout, *heard), route=route)


def test_an_unknown_route_draws_from_the_unnamed_bucket() -> None:
    assert Desk().draw(50_000, route="new").buckets == ("",)


def test_a_named_bucket_takes_the_place_of_the_unnamed_one() -> None:
    desk = Desk()
    learn(desk, "", "students")
    assert list(desk.record.ledgers) == ["students"]
    assert desk.draw(50_100).buckets == ("students",)


def test_the_new_name_inherits_what_is_out_under_the_old() -> None:
    desk = Desk()
    learn(desk, "", "old")
    second = desk.draw(51_500)
    desk.send(51_550, answered(second, sight(98, 60_000, 51_510, bucket="old")))
    out = desk.draw(51_600, 20)
    lease = desk.draw(51_610, 1, previous=51_600)
    desk.send(51_700, answered(lease, sight(97, 60_000, 51_650, bucket="new")))
    assert sum(desk.record.ledgers["new"].out) == out.granted


def test_one_budget_whose_name_changes_is_not_split_in_two() -> None:
    """Until the old name's window is over a permit is taken from both, so both together are one budget."""
    desk = Desk()
    learn(desk, "", "old")
    lease = desk.draw(51_500)
    desk.send(51_550, answered(lease, sight(98, 60_000, 51_510, bucket="new")))
    assert desk.draw(51_600).buckets == ("new", "old")


def test_and_the_old_name_fades_when_its_window_is_over() -> None:
    desk = Desk()
    learn(desk, "", "old")
    lease = desk.draw(51_500)
    desk.send(51_550, answered(lease, sight(98, 60_000, 51_510, bucket="new")))
    late = desk.draw(66_000)
    desk.send(66_050, answered(late, sight(98, 70_000, 66_010, bucket="new")))
    assert list(desk.record.ledgers) == ["new"]


def test_from_several_buckets_all_is_taken_or_nothing() -> None:
    desk = Desk()
    learn(desk, "", "all", "none")
    scout = desk.draw(51_500)
    assert scout.buckets == ("all", "none")
    heard = (sight(98, 60_000, 51_510, bucket="all", answers=1), sight(0, 60_000, 51_510, bucket="none", answers=1))
    desk.send(51_550, answered(scout, *heard))
    told = desk.draw(51_600, 5)
    assert told.granted == 0
    assert told.hold == desk.record.ledgers["none"].hi - 51_600, "the longest hold of them"
    assert sum(desk.record.ledgers["all"].out) == 0


def test_answers_that_named_another_bucket_give_their_permits_back() -> None:
    desk = Desk()
    learn(desk, "a", "one")
    learn(desk, "b", "two", at=50_200)
    lease = desk.draw(51_500, 1, route="a")
    desk.send(51_550, answered(lease, sight(97, 60_000, 51_510, bucket="two")), route="a")
    assert sum(desk.record.ledgers["one"].out) == 0
    assert desk.record.ledgers["two"].r_min == 97


def test_routes_of_one_identity_share_a_bucket_that_is_named_for_both() -> None:
    desk = Desk()
    learn(desk, "a", "one")
    learn(desk, "b", "one", at=50_200, left=98)
    assert list(desk.record.ledgers) == ["one"]
    assert desk.draw(51_500, 1, route="a").kind == "lease", "nobody was about"
    assert desk.draw(51_510, 1, route="b").kind == "scout", "somebody is, and nothing has been heard of it"
    assert desk.draw(51_511, 1, route="a").granted == 0
    assert sum(desk.record.ledgers["one"].out) == 2


def test_routes_and_names_are_bounded() -> None:
    desk = Desk()
    for number in range(MAX_ROUTES + 5):
        learn(desk, f"route{number}", f"bucket{number}", at=50_000 + 100 * number)
    assert len(desk.record.routes) == MAX_ROUTES
    learn(desk, "route0", *(f"more{number}" for number in range(9)), at=54_000)
    assert len(desk.record.routes["route0"]) == MAX_NAMES
    assert len(desk.record.ledgers) <= MAX_ROUTES * MAX_NAMES


def test_a_transition_leaves_the_record_it_was_given_as_it_was() -> None:
    desk = Desk()
    learn(desk, "", "one")
    before, ledger = desk.record, desk.record.ledgers["one"]
    numbers = (ledger.last, list(ledger.out), ledger.r_min)
    lease = desk.draw(51_500)
    desk.send(51_600, unsent(lease))
    assert desk.record is not before
    assert (ledger.last, list(ledger.out), ledger.r_min) == numbers


def test_a_record_outlives_ten_windows_without_a_command() -> None:
    desk = Desk()
    learn(desk, "", "one")
    command = Command("id", "", desk.terms, (), Draw(1))
    assert lifetime(desk.record, 50_100, command) >= KEEP * 10_000
