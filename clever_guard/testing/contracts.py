"""What every store must do, as tests that a third-party store inherits.

    class TestMyStore(StoreContract):
        def make_store(self, clock):
            return MyStore(clock=clock)

``clock`` gives integer milliseconds and is moved by the tests; a store that cannot take one cannot inherit this contract.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property

from clever_guard.quota.record import Record, transition
from clever_guard.quota.store import Answer, Command, Draw, Report, Sight, Store, Terms

START = 1_700_000_000_000
TERMS = Terms(limit=100, window=10_000, ttl=1_000)


class StoreContract:
    """Inherit, and say how a store is made."""

    @abstractmethod
    def make_store(self, clock: Callable[[], int]) -> Store:
        """An empty store on this clock."""

    now = START

    @cached_property
    def store(self) -> Store:
        """Made at its first use, when a test's fixtures are there."""
        return self.make_store(lambda: self.now)

    def teardown_method(self) -> None:
        if "store" in vars(self):
            self.store.close()

    # -- helpers -------------------------------------------------------------------------------------------------------

    def send(
        self, *reports: Report, identity: str = "id", route: str = "", want: int = 10, previous: int = 0
    ) -> Answer:
        draw = Draw(want, previous) if want else None
        return self.store.execute([Command(identity, route, TERMS, reports, draw)])[0]

    def answered(self, grant: Answer, remaining: int, count: int | None = None) -> Report:
        """All permits of ``grant`` answered in a window that ends at START + 10 s."""
        count = grant.granted if count is None else count
        end = START + TERMS.window
        sight = Sight("b", TERMS.limit, remaining, end, end, end + 20, grant.now, self.now, count)
        return Report(grant.now, grant.buckets, count, sights=(sight,))

    def sure(self) -> Answer:
        """Bring the ledger to where it knows its window, and draw."""
        scout = self.send(want=1)
        self.now += TERMS.ttl
        scout = self.send(self.answered(scout, 99), want=1)
        self.now += 10
        return self.send(self.answered(scout, 98), want=20, previous=scout.now)

    # -- the contract --------------------------------------------------------------------------------------------------

    def test_a_stranger_gets_one_scout_and_the_next_waits(self) -> None:
        assert (self.send().granted, self.send().granted) == (1, 0)

    def test_a_known_window_is_spent_to_the_last_permit_and_no_further(self) -> None:
        first = self.sure()
        drawn = first.granted
        while (answer := self.send(want=50, previous=first.now)).granted:
            drawn += answer.granted
        assert drawn in (97, 98), "the last permit may be kept as a probe"
        assert answer.hold > 0

    def test_what_goes_back_may_be_drawn_again(self) -> None:
        grant = self.sure()
        back = Report(grant.now, grant.buckets, unsent=grant.granted)
        assert self.send(back, want=0).views[0].outstanding == 0

    def test_remaining_only_falls(self) -> None:
        grant = self.sure()
        self.send(self.answered(grant, 40), want=0)
        assert self.send(self.answered(grant, 90, 0), want=0).views[0].remaining == 40

    def test_identities_are_apart(self) -> None:
        self.sure()
        assert self.send(identity="other").kind == "scout"

    def test_commands_are_applied_in_order_and_answered_in_order(self) -> None:
        one = Command("one", "", TERMS, (), Draw(1))
        two = Command("two", "", TERMS, (), Draw(1))
        answers = self.store.execute([one, two, one])
        assert [answer.granted for answer in answers] == [1, 1, 0]

    def test_the_stamp_is_the_stores_time(self) -> None:
        self.now += 1_234
        assert self.send().now == self.now

    def test_it_answers_like_the_pure_ledger(self) -> None:
        record = Record()
        previous = 0
        for step in (0, 3, 400, 1_000, 5, 5, 2_000, 9_000, 1, 20_000, -5_000, 30):
            self.now += step
            command = Command("id", "r", TERMS, (), Draw(7, previous))
            record, expected = transition(record, self.now, command)
            assert self.store.execute([command])[0] == expected
            previous = expected.now

    def test_closing_twice_is_closing_once(self) -> None:
        self.store.close()
        self.store.close()
