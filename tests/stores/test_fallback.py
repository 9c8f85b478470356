"""The dark mode, on a clock that is set by hand and with a store that fails when told to."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence

import pytest

from clever_guard.errors import StoreUnavailable
from clever_guard.quota.store import Answer, Command, Draw, Report, Sight, Terms
from clever_guard.stores.circuit import FIRST_PATIENCE, MOST_PATIENCE
from clever_guard.stores.dark import share
from clever_guard.stores.fallback import Fallback
from clever_guard.stores.memory import MemoryStore

TERMS = Terms(160, 10_000, 1_000)
AHEAD = 5_000_000
"""The store's clock minus this process's."""


class Patient:
    """A shared store that can be down."""

    shared = True

    def __init__(self, clock: list[int]) -> None:
        self.down = False
        self.asked: list[Command] = []
        self.inner = MemoryStore(lambda: clock[0] + AHEAD)

    def execute(self, commands: Sequence[Command], /) -> Sequence[Answer]:
        self.asked += commands
        if self.down:
            raise StoreUnavailable("redis at db:6379 does not serve: no connection")
        return self.inner.execute(commands)

    def fingerprint(self, mine: str, /) -> str | None:
        return mine

    def close(self) -> None:
        pass


class Ward:
    """A fallback under observation."""

    def __init__(self, fleet: int = 16) -> None:
        self.clock = [1_000]
        self.store = Patient(self.clock)
        self.changes: list[bool] = []
        self.fallback = Fallback(self.store, fleet=fleet, on_change=self.changes.append, clock=lambda: self.clock[0])

    def draw(self, want: int = 1, *reports: Report, wait: int = 0, previous: int = 0) -> Answer:
        self.clock[0] += wait
        draw = Draw(want, previous) if want else None
        return self.fallback.execute([Command("id", "", TERMS, reports, draw)])[0]

    def answered(self, grant: Answer, remaining: int, refused: int = 0) -> Report:
        end = AHEAD + 11_000
        sight = Sight("", 160, remaining, end, end, end + 20, grant.now, grant.now + 10, grant.granted)
        return Report(grant.now, grant.buckets, grant.granted, refused, sights=(sight,))

    def spend(self, wait: int, times: int = 400) -> int:
        """Draw politely and have everything answered, until ``times`` questions have been asked."""
        spent = left = 0
        left = 1_000
        for _ in range(times):
            grant = self.draw(10, wait=wait)
            spent += grant.granted
            if grant.granted:
                left -= grant.granted
                self.draw(0, self.answered(grant, left))
        return spent

    def ask_until(self, end: int) -> int:
        """Come again as told until ``end``; what was granted, after which nobody may be idle for longer than to the next look."""
        granted = 0
        while self.clock[0] < end:
            told = self.draw(5)
            granted += told.granted
            assert 0 < told.hold <= MOST_PATIENCE or told.granted
            self.clock[0] += max(1, told.hold)
        return granted


@pytest.fixture
def ward() -> Ward:
    return Ward()


def test_it_stays_out_of_the_way_while_the_store_answers(ward: Ward) -> None:
    assert ward.draw().kind == "scout"
    assert ward.changes == []
    assert len(ward.store.asked) == 1


def test_one_line_for_each_change_and_no_more(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    ward.draw()
    with caplog.at_level(logging.DEBUG, "clever_guard"):
        ward.store.down = True
        for _ in range(50):
            ward.draw(wait=100)
        ward.store.down = False
        ward.draw(wait=MOST_PATIENCE)
        ward.draw(wait=10)
    assert ward.changes == [True, False]
    assert [record.getMessage() for record in caplog.records] == [
        "redis at db:6379 does not serve: no connection (it answered before); working on with this worker's share of the budget",
        "the store answers again; the fleet shares its budget",
    ]


def test_a_store_that_was_never_there_is_said_so(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    ward.store.down = True
    ward.draw()
    assert "it has not answered since this process began" in caplog.text


def test_one_look_after_half_a_second_then_half_as_often_each_time(ward: Ward) -> None:
    ward.store.down = True
    ward.draw()
    looks = []
    for _ in range(30_000 // 50):
        before = len(ward.store.asked)
        ward.draw(wait=50)
        if len(ward.store.asked) > before:
            looks.append(ward.clock[0] - 1_000)
    assert looks[0] == FIRST_PATIENCE
    assert [later - sooner for sooner, later in itertools.pairwise(looks)][:5] == [
        1_000, 2_000, 4_000, MOST_PATIENCE, MOST_PATIENCE,
    ]  # fmt: skip


def test_in_the_dark_a_worker_spends_its_share_and_no_more(ward: Ward) -> None:
    """Nobody was ever seen: sixteen are assumed, and 160 permits make ten for each."""
    ward.store.down = True
    assert ward.spend(wait=20) <= 10


def test_the_share_is_that_of_the_largest_fleet_seen(ward: Ward) -> None:
    for _ in range(5):
        ward.draw(1, wait=5)
    ward.store.down = True
    spent = ward.spend(wait=20)
    assert 10 < spent <= 160 // 5


def test_headers_still_rule_downwards(ward: Ward) -> None:
    ward.store.down = True
    scout = ward.draw(5)
    ward.draw(0, ward.answered(scout, 0, refused=1), wait=10)
    assert ward.ask_until(11_000) == 0


def test_a_window_that_was_spent_stays_spent_when_the_store_goes_dark(ward: Ward) -> None:
    scout = ward.draw(1)
    ward.draw(5, ward.answered(scout, 0), wait=20)
    ward.store.down = True
    assert ward.ask_until(11_000) == 0


def test_nobody_sleeps_through_the_return_of_the_store(ward: Ward) -> None:
    """The window is spent for five seconds, so the local ledger's hold is that long; the store is back after half a second."""
    scout = ward.draw(1)
    ward.draw(5, ward.answered(scout, 0), wait=20)
    ward.store.down = True
    told = ward.draw(5, wait=20)
    ward.store.down = False
    told = ward.draw(5, wait=told.hold)
    assert not told.dark
    assert told.hold > 5_000


def test_stamps_go_on_in_the_stores_time(ward: Ward) -> None:
    ward.draw()
    ward.store.down = True
    assert ward.draw(wait=300).now == AHEAD + 1_300


def test_readings_of_the_dark_are_reported_afterwards_and_counts_are_not(ward: Ward) -> None:
    ward.draw()
    ward.store.down = True
    grant = ward.draw(3, wait=100)
    assert grant.granted
    ward.store.down = False
    ward.store.asked.clear()
    ward.draw(0, ward.answered(grant, 7), wait=MOST_PATIENCE)
    (report,) = ward.store.asked[0].reports
    assert (report.answered, report.stamp, report.sights[0].answers) == (0, 0, 0)
    assert report.sights[0].remaining == 7


def test_the_store_is_told_when_the_dark_began_and_not_of_draws_in_it(ward: Ward) -> None:
    """A draw that it does not know would prove that it fell back to an older state; and this window's drawers are those it saw."""
    ward.draw()
    ward.store.down = True
    began = ward.clock[0] + AHEAD
    dark = ward.draw(previous=began)
    dark = ward.draw(wait=100, previous=dark.now)
    ward.store.down = False
    ward.store.asked.clear()
    lit = ward.draw(wait=MOST_PATIENCE, previous=dark.now)
    ward.draw(wait=10, previous=dark.now)
    ward.draw(wait=10, previous=lit.now)
    assert [command.draw.previous for command in ward.store.asked if command.draw] == [began, began, lit.now]


def test_the_first_reading_in_the_dark_gives_no_second_share(ward: Ward) -> None:
    """A worker that had its share of the window from the store; the others' shares are not spent yet, so much remains."""
    for _ in range(15):
        ward.draw(1, wait=1)
    scout = ward.draw(1, wait=2_000)
    lease = ward.draw(12, ward.answered(scout, 159), wait=20)
    assert lease.granted == 10
    ward.store.down = True
    ward.draw(0, ward.answered(lease, 100), wait=100)
    assert ward.spend(wait=100, times=50) == 0


def test_a_fleet_that_was_seen_before_the_dark_is_not_smaller_after_it(ward: Ward) -> None:
    for _ in range(10):
        ward.draw(1, wait=5)
    ward.store.down = True
    ward.draw()
    ward.draw(wait=5 * TERMS.window)
    ward.store.down = False
    ward.store.inner.forget()
    assert ward.draw(wait=MOST_PATIENCE).views[0].drawers == 1
    ward.store.down = True
    scout = ward.draw(wait=30_000)
    end = scout.now + 8_000
    sight = Sight("", 160, 159, end, end, end + 20, scout.now, scout.now + 10)
    told = ward.draw(1, Report(scout.now, scout.buckets, 1, sights=(sight,)), wait=20)
    assert told.views[0].limit == 160 // 10


@pytest.mark.parametrize(
    ("limit", "fleet", "each"), [(160, 16, (10, 10_000)), (5, 10, (1, 20_000)), (7, 3, (2, 10_000))]
)
def test_a_share_is_whole_permits_or_one_in_several_windows(limit: int, fleet: int, each: tuple[int, int]) -> None:
    terms = share(Terms(limit, 10_000, 1_000), fleet)
    assert (terms.limit, terms.window) == each
    assert terms.solo
