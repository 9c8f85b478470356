"""A call that starts no flow ends as its flow would have: the same outcome, waits, events, reports and ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clever_guard import Deadline, Guard, Quota, Retry
from clever_guard.drivers.sync import SyncDriver
from clever_guard.events import Event
from clever_guard.flow import Flow, Policy, Proceed, fold
from clever_guard.model import Failure, Outcome, Reply, Request, Ticket
from clever_guard.quota.books import Books
from clever_guard.quota.store import Answer, Command
from clever_guard.usual import usual_call

QUOTA = {"X-RateLimit-Limit": "20", "X-RateLimit-Reset": "1700001060", "Date": "Tue, 14 Nov 2023 22:30:00 GMT"}
TOKEN = {"Authorization": "Bearer t"}


@dataclass
class World:
    """A clock that moves when somebody waits or sends; answers by script, then 200."""

    script: list[Any]
    time: float = 1000.0
    sends: int = 0
    events: list[Event] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    discarded: list[str] = field(default_factory=list)

    def pause(self, seconds: float, ticket: Ticket | None) -> None:
        self.pauses.append(seconds)
        self.time += seconds

    def send(self, request: Request, /) -> Outcome:
        self.time += 0.25
        self.sends += 1
        answer = self.script.pop(0) if self.script else 200
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, bool):
            return Failure(ConnectionError("scripted"), sent=answer)
        headers = QUOTA | {"X-RateLimit-Remaining": str(max(0, 20 - self.sends))} if answer % 2 == 0 else {}
        return Reply(answer, headers | ({"X-RateLimit-Remaining": "no number"} if answer == 404 else {}), object())

    def discard(self, outcome: Outcome, /) -> None:
        self.discarded.append(type(outcome).__name__)


@dataclass
class Store:
    """Grants four permits, then holds for half a second, in turn; keeps what it was told."""

    now: Callable[[], int]
    shared: bool = False
    told: list[Command] = field(default_factory=list)

    def execute(self, commands: Sequence[Command], /) -> list[Answer]:
        self.told += commands
        granted = 4 if len(self.told) % 3 else 0
        return [Answer(self.now(), granted, hold=0 if granted else 500) for _ in commands]

    def fingerprint(self, mine: str, /) -> None:
        return None

    def close(self) -> None:
        pass


def play(policies: list[Policy], script: list[Any], calls: list[dict[str, Any]], *, usual: bool) -> tuple[Any, ...]:
    """Everything that can be seen of these calls from outside."""
    acting = tuple(one.bound(lambda: 0.5, 60.0) if isinstance(one, Retry) else one for one in policies)
    world = World(list(script))
    store = Store(lambda: int(world.time * 1000))
    books = Books()
    driver = SyncDriver(
        books, store, world.events.append, clock=lambda: world.time, wall=lambda: 1.7e9 + world.time, pause=world.pause
    )
    ends = []
    for options in calls:
        request = Request(
            "POST" if options.get("post") else "GET", "https", "api.example", 443, "/", options["headers"]
        )
        request.deadline, request.max_wait = options.get("deadline"), options.get("max_wait")
        try:
            outcome = driver.call(request, fold(acting), world, usual_call(acting) if usual else None)
            ends.append(str(outcome.status) if isinstance(outcome, Reply) else repr(outcome.error))
        except BaseException as error:
            ends.append(f"{type(error).__name__}: {error}")
        ends.append(f"{request.sends} {request.held} {request.exhausted} {request.without_permit}")
    driver.close()
    return ends, world.events, world.pauses, world.discarded, world.script, store.told, sorted(books.moves())


ANSWERS = st.one_of(st.sampled_from([200, 201, 204, 301, 404, 429, 500, 503]), st.booleans(), st.just("interrupt"))
CALLS = st.fixed_dictionaries(
    {"headers": st.sampled_from([TOKEN, {}]), "post": st.booleans()},
    optional={"deadline": st.sampled_from([1003.0, 1100.0]), "max_wait": st.sampled_from([0.0, 3.0])},
)


@given(
    st.sets(st.sampled_from(["Deadline", "Retry", "Quota"])),
    st.lists(ANSWERS, max_size=12),
    st.lists(CALLS, min_size=1, max_size=8),
)
def test_a_call_without_a_flow_ends_as_with_it(
    names: list[str], script: list[Any], calls: list[dict[str, Any]]
) -> None:
    script = [KeyboardInterrupt() if answer == "interrupt" else answer for answer in script]
    policies: list[Policy] = [Deadline(30.0)] if "Deadline" in names else []
    policies += [Retry()] if "Retry" in names else []
    policies += [Quota(limit=20, window=60)] if "Quota" in names else []
    assert play(policies, script, calls, usual=True) == play(policies, script, calls, usual=False)


def test_most_calls_start_no_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nothing is compared above: of eight, one draws a lease of four, one waits, one draws again."""
    flows = []
    run = SyncDriver.run
    monkeypatch.setattr(SyncDriver, "run", lambda self, *rest: flows.append(1) or run(self, *rest))
    play([Retry(), Quota(limit=20, window=60)], [], [{"headers": TOKEN}] * 8, usual=True)
    assert len(flows) == 2


class Counting:
    """A policy of somebody else's."""

    def __init__(self) -> None:
        self.flows = 0

    def around(self, request: Request, proceed: Proceed, /) -> Flow:
        self.flows += 1
        return (yield from proceed(request))


def test_a_strangers_policy_is_asked_every_time() -> None:
    world, policy = World([]), Counting()
    guard = Guard(policy, Quota(limit=20, window=60))
    for _ in range(5):
        guard.call(Request("GET", "https", "api.example", 443, "/", TOKEN), world)
    assert policy.flows == 5


@pytest.mark.parametrize("policies", [(Counting(),), (Counting(), Quota())])
def test_no_usual_call_with_a_stranger(policies: tuple[Policy, ...]) -> None:
    assert usual_call(policies) is None


def test_a_subclass_of_ours_may_do_anything_so_its_flow_is_run() -> None:
    class Mine(Retry):
        pass

    assert usual_call([Mine(), Quota()]) is None
    assert usual_call([Retry(), Quota()]) is not None


def test_users_functions_are_asked_once_a_call() -> None:
    asked: list[str] = []

    def key(request: Request) -> str:
        asked.append("key")
        return "t"

    world = World([429, 200])
    with Guard(Retry(), Quota(limit=20, window=60, key=key)) as guard:
        guard.call(Request("GET", "https", "api.example", 443, "/", TOKEN), world)
    assert world.sends == 2
    assert asked == ["key"]
