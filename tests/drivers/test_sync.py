"""The blocking driver with a clock of ours: what it throws into flows, which waits it refuses, what it tells."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from clever_guard import DeadlineExceeded, GuardError, QuotaTimeout, StoreUnavailable
from clever_guard.drivers.sync import SyncDriver, pause
from clever_guard.events import AttemptFinished, CallFinished, Event, HeadersIgnored, Waited
from clever_guard.flow import Discard, Emit, Flow, Reserve, Send, Settle, Wait, fold
from clever_guard.model import UNSENT, Claim, Failure, Hold, Outcome, Permit, Receipt, Reply, Request, Ticket
from clever_guard.policies.quota import Quota
from clever_guard.policies.retry import Retry
from clever_guard.quota.books import Books, Trip
from clever_guard.quota.store import Answer, Command
from clever_guard.stores import MemoryStore

CLAIM = Claim("digest", "", 10, 60.0)


@dataclass
class World:
    """A clock that moves when somebody waits or sends, and everything that was told."""

    time: float = 1000.0
    latency: float = 0.25
    events: list[Event] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    answers: list[Any] = field(default_factory=lambda: [200])
    discarded: list[Outcome] = field(default_factory=list)

    def clock(self) -> float:
        return self.time

    def pause(self, seconds: float, ticket: Ticket | None) -> None:
        self.pauses.append(seconds)
        self.time += seconds

    def send(self, request: Request, /) -> Outcome:
        self.time += self.latency
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Failure) else Reply(answer, {"Authorization": "Bearer t"}, object())

    def discard(self, outcome: Outcome, /) -> None:
        self.discarded.append(outcome)

    def driver(self, books: Any = None, store: Any = None, **options: Any) -> SyncDriver:
        return SyncDriver(
            Books() if books is None else books,
            MemoryStore(lambda: int(self.time * 1000)) if store is None else store,
            self.events.append,
            clock=self.clock,
            wall=lambda: 1.7e9 + self.time,
            pause=self.pause,
            **options,
        )


def request(**options: Any) -> Request:
    return Request("GET", "https", "api.example", 443, "/", {"Authorization": "Bearer t"}, guard="g", **options)


@pytest.fixture
def world() -> World:
    return World()


# --- the loop ----------------------------------------------------------------------------------------------------------


def test_every_answer_is_stamped(world: World) -> None:
    stamps = []

    def flow(request: Request) -> Flow:
        stamps.append(request.now)
        yield from Wait(2.0, "backoff")
        stamps.append(request.now)
        outcome = yield from Send(request)
        stamps.append(request.now)
        assert (outcome.sent_at, outcome.received_at) == (1002.0, 1002.25)
        return outcome

    call = request()
    outcome = world.driver().call(call, flow, world)
    assert stamps == [1000.0, 1002.0, 1002.25]
    assert isinstance(outcome, Reply)
    assert outcome.wall == 1.7e9 + 1002.25
    assert (call.sends, call.held, call.last) == (1, 0.0, outcome)


def test_what_is_told(world: World) -> None:
    def flow(request: Request) -> Flow:
        yield from Emit(HeadersIgnored("g", "api.example", "word"))
        yield from Wait(1.0, "retry_after")
        return (yield from Send(request))

    world.answers = [404]
    world.driver().call(request(), flow, world)
    assert world.events == [
        HeadersIgnored("g", "api.example", "word"),
        Waited("g", "api.example", "retry_after", 1.0),
        AttemptFinished("g", "api.example", "GET", 404, 0.25),
        CallFinished("g", "api.example", "GET", "permanent", 1.25),
    ]


def test_discard_is_the_transports(world: World) -> None:
    def flow(request: Request) -> Flow:
        outcome = yield from Send(request)
        yield from Discard(outcome)
        return outcome

    outcome = world.driver().call(request(), flow, world)
    assert world.discarded == [outcome]


@pytest.mark.parametrize("thing", [None, "send", 5])
def test_what_is_no_effect_is_named(world: World, thing: Any) -> None:
    def flow(request: Request) -> Any:
        yield thing

    with pytest.raises(TypeError, match="none of the six effects"):
        world.driver().call(request(), flow, world)


def test_a_forgotten_yield_from_is_named(world: World) -> None:
    class Forgetful:
        def around(self, request: Request, proceed: Any, /) -> Any:
            return proceed(request)
            yield

    with pytest.raises(TypeError, match="did it forget 'yield from'"):
        world.driver().call(request(), fold((Forgetful(),)), world)


# --- interruptions -----------------------------------------------------------------------------------------------------


class Interrupted(BaseException):
    """As KeyboardInterrupt, without ending the tests."""


def test_an_interruption_unwinds_the_flow_and_its_settling_is_done(world: World) -> None:
    settled: list[tuple[Permit, Receipt]] = []

    class Recording(Books):
        def settle(self, permit: Permit, receipt: Receipt, now: float) -> None:
            settled.append((permit, receipt))

    world.answers = [Interrupted()]
    permit = Permit(CLAIM, None)

    def flow(request: Request) -> Flow:
        try:
            return (yield from Send(request))
        finally:
            yield from Settle(permit, UNSENT)

    with pytest.raises(Interrupted):
        world.driver(Recording()).call(request(), flow, world)
    assert settled == [(permit, UNSENT)]
    assert world.events[-1] == CallFinished("g", "api.example", "GET", "cancelled", 0.25)


def test_a_flow_that_returns_after_an_interruption_did_not_mean_to(world: World) -> None:
    def flow(request: Request) -> Flow:
        try:
            return (yield from Send(request))
        except BaseException:
            return Reply(200, {}, None)

    world.answers = [Interrupted()]
    with pytest.raises(Interrupted):
        world.driver().call(request(), flow, world)


def test_a_flow_that_returns_after_an_ordinary_error_did(world: World) -> None:
    def flow(request: Request) -> Flow:
        try:
            return (yield from Send(request))
        except ValueError:
            return Reply(299, {}, None)

    world.answers = [ValueError()]
    outcome = world.driver().call(request(), flow, world)
    assert isinstance(outcome, Reply)
    assert outcome.status == 299


@pytest.mark.parametrize(
    ("raised", "how"), [(ValueError(), "error"), (GuardError(), "rejected"), (Interrupted(), "cancelled")]
)
def test_how_a_call_ended(world: World, raised: BaseException, how: str) -> None:
    world.answers = [raised]
    with pytest.raises(type(raised)):
        world.driver().call(request(), fold(()), world)
    assert isinstance(world.events[-1], CallFinished)
    assert world.events[-1].outcome == how


@pytest.mark.parametrize(("answers", "how"), [([200], "ok"), ([404], "permanent"), ([503] * 6, "exhausted")])
def test_how_an_answered_call_ended(world: World, answers: list[int], how: str) -> None:
    world.answers = list(answers)
    world.driver().call(request(), fold((Retry(),)), world)
    assert isinstance(world.events[-1], CallFinished)
    assert world.events[-1].outcome == how


# --- waits -------------------------------------------------------------------------------------------------------------


def waiting(*waits: Wait) -> Any:
    def flow(request: Request) -> Flow:
        for wait in waits:
            yield from wait
        return (yield from Send(request))

    return flow


@pytest.mark.parametrize(
    ("wait", "limits", "error"),
    [
        (Wait(5.0, "backoff"), {"deadline": 1004.9}, DeadlineExceeded),
        (Wait(5.0, "retry_after"), {"deadline": 999.0}, DeadlineExceeded),
        (Wait(5.0, "quota", bucket="b"), {"deadline": 1004.9}, QuotaTimeout),
        (Wait(5.0, "quota", bucket="b"), {"max_wait": 4.9}, QuotaTimeout),
        (Wait(5.0, "quota", bucket="b", at_least=3.0), {"max_wait": 2.9}, QuotaTimeout),
        (Wait(5.0, "quota", bucket="b", at_least=0.0), {"max_wait": 0.0}, QuotaTimeout),
    ],
)
def test_a_wait_that_cannot_end_in_time_is_not_begun(
    world: World, wait: Wait, limits: dict[str, Any], error: type[GuardError]
) -> None:
    with pytest.raises(error) as caught:
        world.driver().call(request(**limits), waiting(wait), world)
    assert world.pauses == []
    assert caught.value.retry_in == wait.seconds
    assert caught.value.retry_at == 1.7e9 + 1000 + wait.seconds
    assert (caught.value.bucket, caught.value.sent, caught.value.last) == (wait.bucket, False, None)


@pytest.mark.parametrize(
    ("wait", "limits", "paused"),
    [
        (Wait(5.0, "backoff"), {"deadline": 1005.0}, 5.0),
        (Wait(5.0, "backoff"), {"max_wait": 0.0}, 5.0),
        (Wait(5.0, "quota", at_least=3.0), {"max_wait": 3.0}, 3.0),
        (Wait(5.0, "quota", at_least=0.0), {"deadline": 1001.0}, 1.0),
        (Wait(0.0, "quota"), {"deadline": 1000.0, "max_wait": 0.0}, 0.0),
    ],
)
def test_a_wait_that_may_end_in_time_is_begun(world: World, wait: Wait, limits: dict[str, Any], paused: float) -> None:
    world.driver().call(request(**limits), waiting(wait), world)
    assert world.pauses == [paused]


def test_all_holds_of_a_call_count_together(world: World) -> None:
    hold = Wait(2.0, "quota")
    call = request(max_wait=5.0)
    with pytest.raises(QuotaTimeout):
        world.driver().call(call, waiting(hold, hold, hold), world)
    assert (world.pauses, call.held) == ([2.0, 2.0], 4.0)


def test_an_error_carries_what_came_last(world: World) -> None:
    broken = Failure(OSError("reset"), sent=True)
    world.answers = [503, broken]
    with pytest.raises(DeadlineExceeded) as caught:
        world.driver().call(request(deadline=1003.0), fold((Retry(),)), world)
    assert caught.value.last is broken.error
    assert caught.value.sent
    assert caught.value.retry_in == pytest.approx(2.0)


def test_a_woken_ticket_does_not_wait() -> None:
    ticket = Ticket()
    ticket.woken = True
    pause(3600, ticket)


def test_a_ticket_wakes_its_thread() -> None:
    ticket, begun = Ticket(), threading.Event()

    def wait() -> None:
        begun.set()
        pause(3600, ticket)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    begun.wait(10)
    while ticket.wake is None:
        pass
    ticket.woken = True
    ticket.wake()
    thread.join(10)
    assert not thread.is_alive()


# --- the store ---------------------------------------------------------------------------------------------------------


class FlakyStore(MemoryStore):
    """Fails when told to."""

    shared = True
    error: BaseException | None = None
    trips = 0

    def execute(self, commands: Sequence[Command], /) -> Sequence[Answer]:
        self.trips += 1
        if self.error is not None:
            raise self.error
        return super().execute(commands)


def test_a_permit_comes_from_the_store_once_for_a_lease(world: World) -> None:
    store, seen = FlakyStore(lambda: int(world.time * 1000)), []
    driver = world.driver(store=store, on_trip=lambda trip, answers, seconds: seen.append(answers))
    world.answers, world.latency = [200] * 3, 0.0
    for _ in range(3):
        driver.call(request(), fold((Quota(limit=1000),)), world)
    assert store.trips == len(seen) < 7
    assert all(answers for answers in seen)


def test_a_store_that_does_not_answer_a_draw_ends_the_call(world: World) -> None:
    store, seen = FlakyStore(), []
    store.error = StoreUnavailable("down")
    driver = world.driver(store=store, on_trip=lambda trip, answers, seconds: seen.append(answers))
    with pytest.raises(StoreUnavailable):
        driver.call(request(), fold((Retry(), Quota())), world)
    assert seen == [None]
    assert isinstance(world.events[-1], CallFinished)
    assert world.events[-1].outcome == "rejected"


def test_a_store_that_does_not_hear_a_report_ends_no_call(world: World) -> None:
    class Talkative(Books):
        pressing = True

        def due(self, now: float) -> Trip | None:
            return Trip((), ())

    store = FlakyStore()
    store.error = StoreUnavailable("down")
    outcome = world.driver(Talkative(), store).call(request(), fold(()), world)
    assert isinstance(outcome, Reply)
    assert store.trips == 1


def test_a_draw_that_was_interrupted_does_not_block_the_book(world: World) -> None:
    store = FlakyStore(lambda: int(world.time * 1000))
    driver = world.driver(store=store)
    store.error = Interrupted()
    with pytest.raises(Interrupted):
        driver.call(request(), fold((Quota(),)), world)
    store.error = None
    assert isinstance(driver.call(request(max_wait=5.0), fold((Quota(),)), world), Reply)


def test_in_shadow_a_hold_becomes_a_permit(world: World) -> None:
    class Held(Books):
        def reserve(self, claim: Claim, now: float, ticket: Ticket | None = None, who: object = None) -> Hold:
            return Hold(60.0, 60.0, Ticket())

    outcome = world.driver(Held(), shadow=True).call(request(), fold((Quota(),)), world)
    assert isinstance(outcome, Reply)
    assert world.pauses == []


def test_after_close_nothing_is_drawn(world: World) -> None:
    store = FlakyStore()
    driver = world.driver(store=store)
    driver.close()

    def flow(request: Request) -> Flow:
        yield from Reserve(CLAIM)
        raise AssertionError("it was handed a permit")

    with pytest.raises(GuardError, match="closed"):
        driver.call(request(), flow, world)
    assert store.trips == 0


def test_close_gives_unspent_permits_back(world: World) -> None:
    store = FlakyStore(lambda: int(world.time * 1000))
    books = Books()
    driver = world.driver(books, store)
    permit = driver._reserve(Reserve(CLAIM), request(), world)
    assert isinstance(permit, Permit)
    driver._settle(Settle(permit, UNSENT), request(), world)
    driver.close()
    (record,) = store.snapshot().values()
    assert all(sum(ledger.out) == 0 for ledger in record.ledgers.values())
