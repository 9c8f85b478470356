"""A walk whose pages are sent again: every record once and in order, or an error; never an end that is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import urllib3

from clever_guard import presets
from clever_guard.pages import PageError, paginate
from clever_guard.testing import Emulator, no_waiting
from clever_guard.testing.emulator.serving import Served

HEADERS = {"Authorization": "Bearer TEST_TOKEN", "X-Operation-Id": "walk"}
RECORDS, PAGE = 120, 5


@contextmanager
def api(**knobs: Any) -> Iterator[tuple[Served, Any]]:
    """Served, and a guarded client for it, whose waits take no time."""
    knobs = {"records": RECORDS, "limit": 10, "window": 60.0, "seed": 1} | knobs
    guard = presets.clever("memory://", limit=knobs["limit"], observers=[])
    with (
        no_waiting(guard) as time,
        Emulator(**knobs).serve(clock=time.wall) as served,
        urllib3.PoolManager() as http,
        guard,
    ):
        yield served, guard.wrap(http)


def walk(served: Served, http: Any, query: str = f"limit={PAGE}") -> Iterator[int]:
    for item in paginate(http, f"{served.url}/v2.0/students?{query}", headers=HEADERS):
        yield item["data"]["number"]


@pytest.mark.parametrize(
    "faults",
    [
        {"error_rate": 0.25},
        {"error_after": 0.25},
        {"drop_before": 0.25},
        {"drop_after": 0.25},
        {"drop_body": 0.25},
        {"stranger": 0.5},
        {
            "error_rate": 0.1,
            "error_after": 0.1,
            "drop_before": 0.1,
            "drop_after": 0.1,
            "drop_body": 0.1,
            "stranger": 0.3,
        },
    ],
    ids=lambda faults: "all" if len(faults) > 2 else next(iter(faults)),
)
def test_no_page_is_lost_and_none_comes_twice(faults: dict[str, float]) -> None:
    with api(**faults) as (served, http):
        assert list(walk(served, http)) == list(range(RECORDS))
        assert len(served.emulator.operations) > RECORDS / PAGE or "stranger" in faults


@pytest.mark.parametrize("seed", range(5))
def test_an_answer_whose_header_broke_off_is_no_last_page(seed: int) -> None:
    """It may look like a 200 with an empty body: that is an error, and what came before it is whole."""
    with api(drop_header=0.1, seed=seed) as (served, http):
        found: list[int] = []
        try:
            for number in walk(served, http):
                found.append(number)
        except PageError:
            assert len(found) < RECORDS
        else:
            assert len(found) == RECORDS
        assert found == list(range(len(found)))


def test_a_page_that_cannot_be_had_is_an_error() -> None:
    with api() as (served, http):
        found: list[int] = []
        with pytest.raises(PageError) as caught:
            for number in walk(served, http):
                found.append(number)
                if number == 42:
                    served.emulator.turn(error_rate=1.0)
        assert caught.value.status in (500, 502, 503)
        assert found == list(range(45)), "the page it was at is given out whole"


def test_a_link_that_leads_to_its_own_page_ends_the_walk() -> None:
    with api() as (served, http):
        looping = _Looping(http, after=3)
        with pytest.raises(PageError, match="in circles"):
            list(walk(served, looping))
        assert looping.asked == 3


class _Looping:
    """A server's mistake: page ``after`` is answered with the page before it again, whose link leads to itself."""

    def __init__(self, http: Any, after: int) -> None:
        self._http, self._after = http, after
        self.asked = 0
        self._last: Any = None

    def request(self, *where: Any, **arguments: Any) -> Any:
        self.asked += 1
        if self.asked < self._after:
            self._last = self._http.request(*where, **arguments)
        return self._last


@pytest.mark.parametrize("mark", ["starting_after", "ending_before"])
def test_an_empty_page_at_either_end_is_the_end(mark: str) -> None:
    """Clever links to prev and next from empty pages too: whoever followed them would walk for ever."""
    with api() as (served, http):
        numbers = http.request("GET", f"{served.url}/v2.0/students?limit={RECORDS}", headers=HEADERS).json()["data"]
        edge = numbers[-1 if mark == "starting_after" else 0]["data"]["id"]
        before = len(served.emulator.operations)
        assert list(walk(served, http, f"limit={PAGE}&{mark}={edge}")) == []
        assert len(served.emulator.operations) == before + 1


def test_a_collection_without_records_is_walked_in_one_request() -> None:
    with api(records=0) as (served, http):
        assert list(walk(served, http)) == []
        assert len(served.emulator.operations) == 1
