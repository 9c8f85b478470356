"""The lease books: what callers of one process get, in which order, and what is said to the store."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from clever_guard.model import UNKNOWN, UNSENT, Claim, Hold, Permit, Reading, Receipt, Ticket
from clever_guard.quota.books import LOOKS, MAX_BOOKS, NAP, Books, Trip
from clever_guard.quota.store import Answer, View

CLAIM = Claim(identity="id", route="", limit=100, window=10.0, reserve=0, label="label")


@dataclass
class Counter:
    """One process and a store that answers what a test says. Times are seconds from 100."""

    books: Books = field(default_factory=lambda: Books(1.0))
    trips: list[Trip] = field(default_factory=list)

    def ask(self, now: float = 100.0, ticket: Ticket | None = None, claim: Claim = CLAIM) -> Permit | Hold | Trip:
        return self.books.reserve(claim, now, ticket)

    def draw(self, granted: int, now: float = 100.0, **told: object) -> Permit | Hold:
        """A caller asks, the store grants, the caller asks again."""
        trip = self.ask(now)
        assert isinstance(trip, Trip)
        self.land(trip, granted, now, **told)
        answer = self.ask(now)
        assert not isinstance(answer, Trip)
        return answer

    def land(self, trip: Trip, granted: int = 0, now: float = 100.0, **told: object) -> None:
        first = Answer(50_000, granted, **({"views": (VIEW,)} | told))  # type: ignore[arg-type]
        self.books.landed(trip, [first, *[Answer(50_000)] * (len(trip.commands) - 1)], now, now)


VIEW = View("", 100, 50, 0, 60_000, 0, 0, 1)


@pytest.fixture
def counter() -> Counter:
    return Counter()


def receipt(remaining: int = 40, *, refused: bool = False, limit: int = 100) -> Receipt:
    reading = Reading(limit, remaining, 68.0, 9.0, "", True)
    return Receipt(
        sent=True,
        answered=True,
        ok=not refused,
        refused=refused,
        sent_at=100.0,
        received_at=100.01,
        readings=(reading,),
    )


def replace_identity(identity: str) -> Claim:
    return CLAIM._replace(identity=identity)


def permits(answers: Sequence[object]) -> int:
    return sum(isinstance(answer, Permit) for answer in answers)


class TestALease:
    def test_the_first_caller_makes_the_trip_and_the_others_queue(self, counter: Counter) -> None:
        assert isinstance(counter.ask(), Trip)
        assert isinstance(counter.ask(), Hold)

    def test_is_handed_out_without_another_trip(self, counter: Counter) -> None:
        counter.draw(10)
        assert permits([counter.ask() for _ in range(9)]) == 9
        assert isinstance(counter.ask(), Trip)

    def test_is_dead_a_ttl_after_its_draw_was_sent(self, counter: Counter) -> None:
        trip = counter.ask(100.0)
        assert isinstance(trip, Trip)
        counter.books.landed(trip, [Answer(50_000, 5)], 100.0, 100.9)
        assert isinstance(counter.ask(100.99), Permit)
        again = counter.ask(101.0)
        assert isinstance(again, Trip)
        assert [report.unsent for report in again.commands[0].reports] == [4]

    def test_that_arrives_dead_goes_back_unused(self, counter: Counter) -> None:
        trip = counter.ask(100.0)
        assert isinstance(trip, Trip)
        counter.books.landed(trip, [Answer(50_000, 5)], 100.0, 101.5)
        again = counter.ask(101.5)
        assert isinstance(again, Trip)
        assert again.commands[0].reports[0].unsent == 5

    def test_goes_back_when_the_server_has_nothing_left(self, counter: Counter) -> None:
        permit = counter.draw(10)
        assert isinstance(permit, Permit)
        counter.books.settle(permit, receipt(0), 100.1)
        trip = counter.ask(100.1)
        assert isinstance(trip, Trip)
        assert trip.commands[0].reports[0].unsent == 9

    def test_is_cut_down_to_what_the_server_has_left(self, counter: Counter) -> None:
        permit = counter.draw(10)
        assert isinstance(permit, Permit)
        counter.books.settle(permit, receipt(3), 100.1)
        assert permits([counter.ask(100.1) for _ in range(9)]) == 3

    def test_goes_back_when_the_limit_was_lowered(self, counter: Counter) -> None:
        permit = counter.draw(10)
        assert isinstance(permit, Permit)
        counter.books.settle(permit, receipt(40, limit=60), 100.1)
        assert isinstance(counter.ask(100.1), Trip)

    def test_an_unsent_permit_comes_back_into_the_hand(self, counter: Counter) -> None:
        permit = counter.draw(2)
        assert isinstance(permit, Permit)
        counter.books.settle(permit, UNSENT, 100.1)
        assert permits([counter.ask(100.1) for _ in range(2)]) == 2

    def test_a_permit_is_settled_once(self, counter: Counter) -> None:
        permit = counter.draw(2)
        assert isinstance(permit, Permit)
        for _ in range(3):
            counter.books.settle(permit, UNSENT, 100.1)
        assert permits([counter.ask(100.1) for _ in range(2)]) == 2
        assert not isinstance(counter.ask(100.1), Permit)

    def test_an_unknown_outcome_is_not_reported(self, counter: Counter) -> None:
        permit = counter.draw(1)
        assert isinstance(permit, Permit)
        counter.books.settle(permit, UNKNOWN, 100.1)
        trip = counter.ask(100.2)
        assert isinstance(trip, Trip)
        assert trip.commands[0].reports == ()


class TestWhatIsWanted:
    def wants(self, counter: Counter, now: float) -> int:
        trip = counter.ask(now)
        assert isinstance(trip, Trip)
        draw = trip.commands[0].draw
        assert draw is not None
        counter.land(trip, 0, now, hold=0)
        return draw.want

    def test_grows_eightfold_when_a_lease_was_gone_at_once(self, counter: Counter) -> None:
        counter.draw(2)
        counter.ask(100.01)
        assert self.wants(counter, 100.02) == 16

    def test_doubles_when_it_just_lasted(self, counter: Counter) -> None:
        counter.draw(2)
        counter.ask(100.9)
        assert self.wants(counter, 100.95) == 4

    def test_stays_where_the_next_caller_comes_late(self, counter: Counter) -> None:
        """One call every now and then uses up its lease of one each time, and needs no more."""
        for number in range(5):
            counter.draw(1, 100.0 + 3 * number)
        assert self.wants(counter, 120.0) == 1

    def test_falls_to_what_was_used(self, counter: Counter) -> None:
        counter.draw(50)
        counter.ask(100.5)
        assert self.wants(counter, 101.5) == 2

    def test_is_never_less_than_the_callers_that_wait(self, counter: Counter) -> None:
        trip = counter.ask(100.0)
        assert isinstance(trip, Trip)
        for _ in range(7):
            counter.ask(100.0)
        counter.land(trip, 0, 100.0, hold=10)
        assert self.wants(counter, 100.5) >= 7


class TestTheQueue:
    def test_is_served_in_order_of_arrival(self, counter: Counter) -> None:
        trip = counter.ask()
        assert isinstance(trip, Trip)
        first, second = counter.ask(), counter.ask()
        assert isinstance(first, Hold)
        assert isinstance(second, Hold)
        assert first.ticket is not None
        assert second.ticket is not None
        counter.land(trip, 1)
        assert first.ticket.woken
        assert not second.ticket.woken
        assert isinstance(counter.ask(), Hold), "a newcomer does not take what was promised"
        assert isinstance(counter.ask(ticket=first.ticket), Permit)

    def test_a_promise_that_is_not_fetched_lapses(self, counter: Counter) -> None:
        trip = counter.ask()
        assert isinstance(trip, Trip)
        counter.ask()
        counter.land(trip, 1)
        assert isinstance(counter.ask(100.2), Hold)
        assert isinstance(counter.ask(100.3), Permit)

    def test_who_finds_all_permits_promised_does_not_spin(self, counter: Counter) -> None:
        """A wait of 0 would be a busy loop for as long as promises last, and for ever where only waits move the clock."""
        trip = counter.ask()
        assert isinstance(trip, Trip)
        counter.ask()
        counter.land(trip, 1)
        now, looks = 100.0, 0
        while isinstance(answer := counter.ask(now), Hold):
            now, looks = now + answer.seconds, looks + 1
            assert answer.seconds >= 0.005
        assert looks <= 51

    def test_nothing_is_promised_to_those_who_gave_up(self, counter: Counter) -> None:
        trip = counter.ask()
        assert isinstance(trip, Trip)
        gone = counter.ask()
        assert isinstance(gone, Hold)
        counter.land(trip, 0, hold=10)
        later = counter.ask(105.0)
        assert isinstance(later, Trip)
        counter.land(later, 1, 105.0)
        assert isinstance(counter.ask(105.0), Permit)

    def test_who_leaves_is_promised_nothing(self, counter: Counter) -> None:
        trip = counter.ask()
        assert isinstance(trip, Trip)
        gone, stays = counter.ask(), counter.ask()
        assert isinstance(gone, Hold)
        assert isinstance(stays, Hold)
        assert gone.ticket is not None
        assert stays.ticket is not None
        counter.books.leave(gone.ticket, 100.0)
        counter.land(trip, 1)
        assert (gone.ticket.woken, stays.ticket.woken) == (False, True)
        assert isinstance(counter.ask(ticket=stays.ticket), Permit)

    def test_what_was_promised_to_one_who_leaves_is_promised_to_the_next(self, counter: Counter) -> None:
        trip = counter.ask()
        assert isinstance(trip, Trip)
        gone, stays = counter.ask(), counter.ask()
        assert isinstance(gone, Hold)
        assert isinstance(stays, Hold)
        assert gone.ticket is not None
        assert stays.ticket is not None
        counter.land(trip, 1)
        counter.books.leave(gone.ticket, 100.0)
        assert stays.ticket.woken
        assert isinstance(counter.ask(ticket=stays.ticket), Permit)

    def test_a_ticket_of_nobodys_may_leave(self, counter: Counter) -> None:
        counter.books.leave(Ticket(), 100.0)

    def test_those_who_gave_up_do_not_block_it(self, counter: Counter) -> None:
        trip = counter.ask()
        assert isinstance(trip, Trip)
        gone = counter.ask()
        assert isinstance(gone, Hold)
        counter.land(trip, 0, hold=10)
        later = counter.ask(105.0)
        assert isinstance(later, Trip)

    def test_no_permit_is_kept_for_one_who_left(self, counter: Counter) -> None:
        trip = counter.ask()
        assert isinstance(trip, Trip)
        gone = counter.ask()
        assert isinstance(gone, Hold)
        assert gone.ticket is not None
        counter.books.leave(gone.ticket, 100.0)
        counter.land(trip, 1)
        assert not gone.ticket.woken
        assert isinstance(counter.ask(), Permit)

    def test_nor_for_one_who_leaves_with_a_promise(self, counter: Counter) -> None:
        trip = counter.ask()
        assert isinstance(trip, Trip)
        gone = counter.ask()
        assert isinstance(gone, Hold)
        assert gone.ticket is not None
        counter.land(trip, 1)
        waits = counter.ask()
        assert isinstance(waits, Hold)
        assert waits.ticket is not None
        counter.books.leave(gone.ticket, 100.01)
        assert waits.ticket.woken
        assert isinstance(counter.ask(100.01, waits.ticket), Permit)

    def test_nobody_looks_again_before_a_promise_lapses(self, counter: Counter) -> None:
        """The one it is promised to may never come: a thread that is stopped. Who waits behind it would spin for a quarter of a second."""
        trip = counter.ask()
        assert isinstance(trip, Trip)
        counter.ask()
        counter.land(trip, 1)
        told = counter.ask()
        assert isinstance(told, Hold)
        assert 0.2 < told.seconds < 0.3

    def test_a_hold_says_how_much_of_it_is_certain(self, counter: Counter) -> None:
        trip = counter.ask()
        assert isinstance(trip, Trip)
        counter.land(trip, 0, hold=4_000, at_least=3_000)
        told = counter.ask()
        assert isinstance(told, Hold)
        assert told.seconds == pytest.approx(4.0)
        assert told.at_least == pytest.approx(3.0)

    def test_nobody_asks_the_store_before_the_hold_is_over(self, counter: Counter) -> None:
        trip = counter.ask()
        assert isinstance(trip, Trip)
        counter.land(trip, 0, hold=4_000)
        assert isinstance(counter.ask(103.9), Hold)
        assert isinstance(counter.ask(104.1), Trip)


class TestTrips:
    def test_the_last_answer_of_a_window_is_told_at_once(self, counter: Counter) -> None:
        """A worker that falls silent with it would leave its permits to age, and a scout be sent into a spent window."""
        permit = counter.draw(1, views=(replace(VIEW, drawers=2),))
        assert isinstance(permit, Permit)
        counter.books.settle(permit, receipt(0), 100.02)
        assert counter.books.pressing
        trip = counter.books.due(100.02)
        assert trip is not None
        assert trip.commands[0].draw is None
        assert trip.commands[0].reports[0].sights[0].remaining == 0

    def test_others_wait_for_company(self, counter: Counter) -> None:
        permit = counter.draw(1, views=(replace(VIEW, drawers=2),))
        assert isinstance(permit, Permit)
        counter.books.settle(permit, receipt(1), 100.02)
        assert not counter.books.pressing

    def test_and_who_is_alone_has_nobody_to_tell(self, counter: Counter) -> None:
        permit = counter.draw(1)
        assert isinstance(permit, Permit)
        counter.books.settle(permit, receipt(0), 100.02)
        assert not counter.books.pressing

    def test_a_report_rides_on_the_next_draw_of_any_bucket(self, counter: Counter) -> None:
        permit = counter.draw(1)
        assert isinstance(permit, Permit)
        counter.books.settle(permit, receipt(), 100.1)
        other = Claim(identity="other", route="", limit=100, window=10.0, reserve=0, label="other")
        trip = counter.ask(100.2, claim=other)
        assert isinstance(trip, Trip)
        assert [command.identity for command in trip.commands] == ["other", "id"]
        assert trip.commands[1].reports[0].answered == 1

    def test_nothing_is_reported_twice(self, counter: Counter) -> None:
        permit = counter.draw(1)
        assert isinstance(permit, Permit)
        counter.books.settle(permit, receipt(), 100.1)
        first = counter.ask(100.2)
        assert isinstance(first, Trip)
        counter.land(first, 0, 100.2, hold=0)
        second = counter.ask(100.3)
        assert isinstance(second, Trip)
        assert second.commands[0].reports == ()

    def test_a_lost_trip_loses_its_counts_and_keeps_its_readings(self, counter: Counter) -> None:
        permit = counter.draw(1)
        assert isinstance(permit, Permit)
        counter.books.settle(permit, receipt(), 100.1)
        trip = counter.ask(100.2)
        assert isinstance(trip, Trip)
        counter.books.lost(trip, 100.5)
        again = counter.ask(100.6)
        assert isinstance(again, Trip)
        (report,) = again.commands[0].reports
        assert (report.answered, report.unsent, report.sights[0].answers) == (0, 0, 0)
        assert report.sights[0].remaining == 40

    def test_a_scout_is_reported_at_once(self, counter: Counter) -> None:
        permit = counter.draw(1, kind="scout")
        assert isinstance(permit, Permit)
        assert counter.books.due(100.05) is None
        counter.books.settle(permit, receipt(), 100.1)
        trip = counter.books.due(100.1)
        assert trip is not None
        assert trip.commands[0].draw is None

    def test_a_lease_waits_for_company(self, counter: Counter) -> None:
        permit = counter.draw(2)
        assert isinstance(permit, Permit)
        counter.books.settle(permit, receipt(), 100.1)
        assert counter.books.due(100.1) is None

    def test_what_is_left_of_a_dead_lease_goes_back_with_the_next_trip_of_any_book(self, counter: Counter) -> None:
        """A worker that has done with a token leaves nothing of it behind."""
        counter.draw(10)
        other = replace_identity("other")
        early = counter.ask(100.9, claim=other)
        assert isinstance(early, Trip)
        assert [len(command.reports) for command in early.commands] == [0]
        counter.land(early, 0, 100.9, hold=0)
        late = counter.ask(101.1, claim=other)
        assert isinstance(late, Trip)
        assert [report.unsent for command in late.commands for report in command.reports] == [9]

    def test_at_the_end_everything_is_said_and_given_back(self, counter: Counter) -> None:
        counter.draw(10)
        trip = counter.books.closing(100.1)
        assert trip is not None
        assert trip.commands[0].reports[0].unsent == 9
        counter.land(trip, 0, 100.1)
        assert counter.books.closing(100.1) is None

    def test_a_forked_child_starts_with_nothing(self, counter: Counter) -> None:
        counter.draw(10)
        counter.books.forget()
        assert isinstance(counter.ask(), Trip)
        assert counter.books.closing(100.1) is None

    def test_what_permits_became_is_counted(self, counter: Counter) -> None:
        permit = counter.draw(3)
        assert isinstance(permit, Permit)
        counter.books.settle(permit, receipt(), 100.1)
        lost = counter.ask(100.1)
        assert isinstance(lost, Permit)
        counter.books.settle(lost, UNKNOWN, 100.2)
        counter.books.closing(100.3)
        moves = {op: count for _, _, op, count in counter.books.moves()}
        assert moves == {"granted": 3, "used": 1, "expired": 1, "returned": 1}


def test_idle_books_are_forgotten() -> None:
    books = Books(1.0)
    for number in range(MAX_BOOKS + 10):
        claim = Claim(identity=f"id{number}", route="", limit=100, window=10.0, reserve=0, label="x")
        trip = books.reserve(claim, 100.0)
        assert isinstance(trip, Trip)
        books.landed(trip, [Answer(50_000, 0, hold=10)], 100.0, 100.0)
    assert len(books._books) <= MAX_BOOKS


class TestTheLock:
    def test_who_finds_it_taken_stands_aside_until_its_holder_is_done(self) -> None:
        naps: list[float] = []

        def nap(seconds: float) -> None:
            naps.append(seconds)
            if len(naps) == 3:
                counter.books._lock.release()

        counter = Counter(Books(1.0, nap=nap))
        assert isinstance(counter.draw(3), Permit)
        counter.books._lock.acquire()
        assert counter.books.in_hand(CLAIM, 100.1) is not None
        assert naps == [NAP] * 3

    def test_it_is_queued_for_after_a_while_though_others_keep_taking_it(self) -> None:
        naps = 0

        def nap(_: float) -> None:
            nonlocal naps
            naps += 1
            if naps == LOOKS:
                threading.Timer(0.01, counter.books._lock.release).start()

        counter = Counter(Books(1.0, nap=nap))
        assert isinstance(counter.draw(3), Permit)
        counter.books._lock.acquire()
        assert counter.books.in_hand(CLAIM, 100.1) is not None
        assert naps == LOOKS
