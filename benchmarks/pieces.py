"""Where the microseconds of a usual call go: each step alone, in the order in which a call takes them.

    python -m benchmarks.pieces [--quick] [--json]

A step that is repeated alone has the processor's caches to itself; one after another, the same steps take half as long again. Figures
are wall time, the least of many rounds: nothing here waits.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.report import options, show, table
from benchmarks.wrapper import HEADERS, LEARNING, a_pool, everything
from clever_guard.adapters.urllib3.call import guarded_urlopen
from clever_guard.adapters.urllib3.hook import Watch
from clever_guard.adapters.urllib3.request import answer_headers, make_request, place_of
from clever_guard.adapters.urllib3.transport import Exchange
from clever_guard.call_options import CallOptions
from clever_guard.events import AttemptFinished, CallFinished
from clever_guard.guard import Guard
from clever_guard.model import Reply, made

CALLS = 2000
ARGUMENTS = {"method": "GET", "url": "/v2.0/students", "headers": HEADERS, "redirect": False}


def main() -> int:
    asked = options(__doc__).parse_args()
    rounds = 5 if asked.quick else 40
    whole, steps = _whole(), _steps()
    time.sleep(LEARNING)
    nothing = _least(lambda: None, rounds)
    found = {name: _least(step, rounds) - nothing for name, step in steps.items()}
    found["sum"] = sum(found.values())
    found["the same steps, one after another"] = _least(lambda: [step() for step in steps.values()], rounds) - nothing
    found["a call"] = _least(whole, rounds) - nothing
    show(asked, "pieces", found, table("Microseconds of a usual call", ["", "us"], [[*row] for row in found.items()]))
    return 0


def _whole() -> Callable[[], Any]:
    pool = a_pool()
    everything().wrap(pool)
    call = lambda: pool.urlopen("GET", "/v2.0/students", headers=HEADERS, redirect=False)  # noqa: E731
    call()
    return call


def _steps() -> dict[str, Callable[[], Any]]:
    """The parts of the same guard, with everything else at hand."""
    guard, pool = everything(), a_pool()
    response = pool.urlopen("GET", "/")
    retry, quota = guard.policies
    engine, watch, place = guard.engine, Watch(guard, CallOptions()), place_of(pool, "/v2.0/students")
    exchange = Exchange(pool, lambda **arguments: response, ARGUMENTS | {"timeout": None})
    request = make_request(watch, exchange, place)
    reply = Reply(200, answer_headers(response), response, 1.0, 2.0, 3.0)
    receipt, _ = quota.receipt(reply)  # type: ignore[attr-defined]
    books = engine.driver._books
    guard.call(request, exchange)
    attempt = ("g", "api.example.test", "GET", 200, 0.1)
    call = ("g", "api.example.test", "GET", "ok", 0.1)

    def permit() -> None:
        taken = books.in_hand(request.claim, time.monotonic())  # type: ignore[arg-type]
        if taken is None:
            guard.call(make_request(watch, exchange, place), exchange)
        else:
            books.settle(taken, receipt, 1.0)

    def events() -> None:
        engine.tell(made(AttemptFinished, attempt))
        engine.tell(made(CallFinished, call))

    return {
        "the patched pool: arguments, timeouts, urllib3's retries, the request made": _seam(pool, response),
        "whose budget: token, claim": lambda: quota.claim(request),  # type: ignore[attr-defined]
        "a permit from the lease in hand, and its settling": permit,
        "the send, and its answer's headers for look-up": lambda: exchange.send(request),
        "reading the headers": lambda: quota.receipt(reply),  # type: ignore[attr-defined]
        "verdict": lambda: retry.more(None, request, reply),  # type: ignore[attr-defined]
        "two events, counted and timed": events,
        "clocks": _clocks,
    }


def _seam(pool: Any, response: Any) -> Callable[[], Any]:
    """All of it but the call itself."""
    guard = Guard(timeout=(5.0, 60.0))
    guard.call = lambda request, transport: reply  # type: ignore[method-assign]
    reply = Reply(200, response.headers, response)
    watch = (Watch(guard, CallOptions()),)
    arguments = {"headers": HEADERS, "redirect": False}
    return lambda: guarded_urlopen(watch, pool, pool.urlopen, ("GET", "/v2.0/students"), arguments)


def _clocks() -> None:
    time.monotonic(), time.monotonic(), time.monotonic(), time.time()


def _least(step: Callable[[], Any], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        for _ in range(CALLS):
            step()
        best = min(best, time.perf_counter() - begun)
    return best / CALLS * 1e6


if __name__ == "__main__":
    sys.exit(main())
