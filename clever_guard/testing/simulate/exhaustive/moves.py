"""What may happen next. Each move changes the state it is handed; ``Broken`` tells what must not be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from clever_guard.model import UNKNOWN, Hold, Permit, Reading, Receipt
from clever_guard.quota.books import Trip
from clever_guard.quota.record import Record, transition
from clever_guard.quota.store import Answer, Command
from clever_guard.testing.simulate.exhaustive.state import Journey, Sending, Size, State, Worker, fresh_books
from clever_guard.testing.simulate.faults.monitor import broken

Move = Callable[[State], None]
AHEAD = 1_000_000_000_000
"""The server's clock minus the store's, milliseconds."""
LATEST = 250
"""Milliseconds a request may be on its way."""
DEADLINE = 250
"""Milliseconds a worker waits for the store."""


class Broken(Exception):
    """An invariant does not hold."""


def moves(state: State, size: Size) -> Iterator[tuple[str, Move, bool]]:
    """(what happens, the move, whether it is a fault)."""
    if settled(state):
        return
    may_fail = state.faults > 0
    for number, worker in enumerate(state.workers):
        for what, move, fault in _of_worker(number, worker, state, size):
            if may_fail or not fault:
                yield f"w{number} {what}", move, fault
        if may_fail:
            yield f"w{number} dies and is started anew", partial(_crash, number=number), True
    if state.requests:
        yield "a dead worker's request arrives", partial(_orphan_arrives, size=size), False
    if state.commands:
        yield "a dead worker's command arrives", _orphan_commands, False
    target = _next_moment(state, size)
    naps = any(_ready(worker, state.now) for worker in state.workers)
    if target is not None and not (naps and not state.naps):
        yield f"it is {target}", partial(_pass, until=target, naps=naps), False


def settled(state: State) -> bool:
    """Everybody was served and nothing is on its way."""
    busy = any(w.calls or w.sending or w.journey for w in state.workers)
    return not (busy or state.requests or state.commands)


def _of_worker(number: int, worker: Worker, state: State, size: Size) -> Iterator[tuple[str, Move, bool]]:
    if worker.journey is not None:
        yield from _of_journey(number, worker.journey, state)
        return
    if worker.sending is not None:
        yield from _of_sending(number, worker.sending, size)
    elif _ready(worker, state.now):
        yield "asks for a permit", partial(_ask, number=number, size=size), False


def _ready(worker: Worker, now: int) -> bool:
    """Whether its caller may ask."""
    busy = worker.journey is not None or worker.sending is not None or not worker.calls
    return not busy and (worker.ticket is None or worker.ticket.woken or now >= worker.waits_until)


def _of_journey(number: int, journey: Journey, state: State) -> Iterator[tuple[str, Move, bool]]:
    if journey.stage == "sent":
        yield "command is executed", partial(_execute, number=number, heard=True), False
        yield "command is lost", partial(_lose, number=number), True
        yield "command is executed, its answer lost", partial(_execute, number=number, heard=False), True
    elif journey.stage == "executed":
        yield "hears the store", partial(_land, number=number), False
    elif state.now >= journey.sent_at + DEADLINE:
        yield "gives the store up", partial(_give_up, number=number), False


def _of_sending(number: int, sending: Sending, size: Size) -> Iterator[tuple[str, Move, bool]]:
    if sending.stage == "sent":
        yield "request arrives", partial(_arrive, number=number, size=size), False
        yield "request is cut", partial(_cut, number=number), True
    elif sending.stage == "answered":
        yield "hears the server", partial(_receive, number=number), False
        yield "answer is cut", partial(_cut, number=number), True
    else:
        yield "learns that it was cut", partial(_unknown, number=number), False


# -- time --------------------------------------------------------------------------------------------------------------


def _next_moment(state: State, size: Size) -> int | None:
    """The next moment of interest, if no message on its way would be older then than any is."""
    now = state.now
    moments = [_border(size, now), now + 1000]
    latest: list[int] = []
    for worker in state.workers:
        if worker.ticket is not None and worker.calls:
            moments.append(worker.waits_until)
        for book in worker.books._books.values():
            if book.lease is not None:
                moments.append(int(book.lease.expires * 1000) + 1)
        if worker.journey is not None:
            end = worker.journey.sent_at + DEADLINE
            (moments if worker.journey.stage == "lost" else latest).append(end)
        if worker.sending is not None:
            latest.append(worker.sending.sent_at + LATEST)
    latest += [at + LATEST for at, _ in state.requests] + [at + DEADLINE for at, _ in state.commands]
    target = min([moment for moment in moments if moment > now], default=None)
    if not latest or target is None:
        return target
    bound = min(latest)
    if bound <= now:
        return None
    return min(target, bound)


def _border(size: Size, now: int) -> int:
    return (now - size.phase) // size.window * size.window + size.phase + size.window


def _pass(state: State, until: int, naps: bool) -> None:
    state.now = until
    state.naps -= naps


# -- a caller ----------------------------------------------------------------------------------------------------------


def _ask(state: State, number: int, size: Size) -> None:
    worker = state.workers[number]
    _reserved(state, worker, worker.books.reserve(size.claim, state.now / 1000, worker.ticket))


def _reserved(state: State, worker: Worker, answer: Permit | Hold | Trip) -> None:
    if isinstance(answer, Trip):
        worker.journey = Journey(answer, state.now)
    elif isinstance(answer, Hold):
        worker.ticket = answer.ticket
        worker.waits_until = state.now + max(1, round(answer.seconds * 1000))
    else:
        lease = answer.lease
        if state.now / 1000 >= lease.expires or lease.left < 0 or lease.open > lease.granted:
            raise Broken(f"a permit is handed out of {lease}")
        worker.ticket = None
        ledger = next(iter(state.record.ledgers.values()))
        doubtful = lease.granted == 1 and ledger.gone_at >= ledger.adopted
        worker.sending = Sending(answer, state.now, doubtful=doubtful)


def _cut(state: State, number: int) -> None:
    sending = state.workers[number].sending
    assert sending is not None
    sending.stage = "cut"
    state.faults -= 1


def _unknown(state: State, number: int) -> None:
    _settle(state, state.workers[number], UNKNOWN)
    state.workers[number].calls -= 1


def _receive(state: State, number: int) -> None:
    worker = state.workers[number]
    sending = worker.sending
    assert sending is not None
    remaining, reset, date = sending.reading
    refused = remaining < 0
    # whole seconds, as headers say it
    reading = Reading(_limit_of(worker), max(0, remaining), float(reset), float(reset - date))
    times = sending.sent_at / 1000, state.now / 1000
    _settle(state, worker, Receipt(True, True, not refused, refused, *times, readings=(reading,)))
    worker.calls -= not refused


def _limit_of(worker: Worker) -> int:
    return next(iter(worker.books._books)).limit


def _settle(state: State, worker: Worker, receipt: Receipt) -> None:
    sending = worker.sending
    assert sending is not None
    worker.sending = None
    worker.books.settle(sending.permit, receipt, state.now / 1000)
    trip = worker.books.due(state.now / 1000) if worker.books.pressing else None
    if trip is not None:
        worker.journey = Journey(trip, state.now)


# -- the store ---------------------------------------------------------------------------------------------------------


def _apply(state: State, command: Command) -> Answer:
    before = state.record
    state.record, answer = transition(before, state.now, command)
    for what in broken(before, state.record, state.now, command, answer):
        raise Broken(what)
    return answer


def _execute(state: State, number: int, heard: bool) -> None:
    journey = state.workers[number].journey
    assert journey is not None
    journey.answers = tuple(_apply(state, command) for command in journey.trip.commands)
    journey.stage = "executed"
    if not heard:
        _lose(state, number)


def _lose(state: State, number: int) -> None:
    journey = state.workers[number].journey
    assert journey is not None
    journey.stage, journey.answers = "lost", ()
    state.faults -= 1


def _land(state: State, number: int) -> None:
    worker = state.workers[number]
    journey = worker.journey
    assert journey is not None
    worker.journey = None
    worker.books.landed(journey.trip, journey.answers, journey.sent_at / 1000, state.now / 1000)
    _go_on(state, worker, journey)


def _give_up(state: State, number: int) -> None:
    worker = state.workers[number]
    journey = worker.journey
    assert journey is not None
    worker.journey = None
    worker.books.lost(journey.trip, state.now / 1000)
    _go_on(state, worker, journey)


def _go_on(state: State, worker: Worker, journey: Journey) -> None:
    """Who asked for a permit asks again at once, as a driver does."""
    if journey.trip.commands[0].draw is not None:
        claim = next(iter(worker.books._books))
        _reserved(state, worker, worker.books.reserve(claim, state.now / 1000, worker.ticket))


def _orphan_commands(state: State) -> None:
    _, command = state.commands.pop(0)
    _apply(state, command)


# -- the server --------------------------------------------------------------------------------------------------------


def _arrive(state: State, number: int, size: Size) -> None:
    sending = state.workers[number].sending
    assert sending is not None
    left = _count(state, size, sending.doubtful)
    end = _border(size, state.now) + AHEAD
    sending.stage, sending.reading = "answered", (left, -(-end // 1000), (state.now + AHEAD) // 1000)


def _orphan_arrives(state: State, size: Size) -> None:
    _, doubtful = state.requests.pop(0)
    _count(state, size, doubtful)


def _count(state: State, size: Size, doubtful: bool) -> int:
    """The server's log, which is the judge. Returns Remaining, -1 of a refusal."""
    window = (state.now - size.phase) // size.window
    if window != state.window:
        state.window, state.counted = window, 0
    if state.counted < size.limit:
        state.counted += 1
        return size.limit - state.counted
    if not doubtful or state.excused == window:
        raise Broken(f"request {state.counted + 1} of {size.limit} in one window")
    state.excused = window
    return -1


# -- death -------------------------------------------------------------------------------------------------------------


def _crash(state: State, number: int) -> None:
    """What was sent arrives all the same. Who comes in its place has its calls to make, and knows nothing."""
    worker = state.workers[number]
    if worker.sending is not None and worker.sending.stage == "sent":
        state.requests.append((worker.sending.sent_at, worker.sending.doubtful))
    if worker.journey is not None and worker.journey.stage == "sent":
        state.commands += [(worker.journey.sent_at, command) for command in worker.journey.trip.commands]
    state.workers[number] = Worker(worker.calls, fresh_books())
    state.faults -= 1


def started(size: Size) -> State:
    """Nobody knows anything, in the middle of a window."""
    state = State(
        10_000, Record(), [Worker(size.calls, fresh_books()) for _ in range(size.workers)], size.faults, size.naps
    )
    return replace(state, window=(state.now - size.phase) // size.window)
