"""The emulator against the API's documentation, sentence by sentence; no socket but where a cut is a cut."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
import urllib3

from clever_guard.testing import Emulator
from clever_guard.testing.emulator import Answer, Arrival

NOW = 1_000_000_000.0
OK = {"authorization": "Bearer TEST_TOKEN"}


def get(
    emulator: Emulator, path: str, query: str = "", now: float = NOW, method: str = "GET", **headers: str
) -> Answer:
    return emulator.handle(Arrival(method, path, query, OK | headers), now)


def headers(answer: Answer) -> dict[str, str]:
    return dict(answer.headers)


def body(answer: Answer) -> Any:
    return json.loads(answer.body)


def test_1200_a_minute_that_reset_every_minute() -> None:
    emulator = Emulator()
    statuses = [get(emulator, "/v2.0/schools", "limit=1", NOW + n / 100).status for n in range(1201)]
    assert (statuses.count(200), statuses[-1]) == (1200, 429)
    assert get(emulator, "/v2.0/schools", "limit=1", NOW + 60).status == 200


def test_the_four_headers_and_an_empty_429() -> None:
    emulator = Emulator(limit=1, window=60)
    first, second = get(emulator, "/v1.2/students"), get(emulator, "/v1.2/students")
    assert headers(first)["X-RateLimit-Limit"] == "1"
    assert headers(first)["X-RateLimit-Remaining"] == headers(second)["X-RateLimit-Remaining"] == "0"
    assert NOW < int(headers(second)["X-RateLimit-Reset"]) <= NOW + 60
    assert headers(first)["X-RateLimit-Bucket"]
    assert (second.status, second.body) == (429, b"")


def test_each_token_has_its_own_budget_and_refusals_do_not_count() -> None:
    emulator = Emulator(limit=1)
    get(emulator, "/v2.0/schools")
    get(emulator, "/v2.0/schools")
    assert emulator.handle(Arrival("GET", "/v2.0/schools", "", {"authorization": "bearer other"}), NOW).status == 200
    assert (emulator.admitted, emulator.refused) == (2, 1)


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer ", "Basic eDp5", "Bearer a b", "Bearer é"])
def test_401_for_a_missing_or_malformed_token(value: str | None) -> None:
    emulator = Emulator()
    found = {} if value is None else {"authorization": value}
    assert emulator.handle(Arrival("GET", "/v2.0/schools", "", found), NOW).status == 401
    assert emulator.admitted == 0


@pytest.mark.parametrize(
    ("method", "path", "query", "status"),
    [
        ("GET", "/v2.0/students", "", 200),
        ("GET", "/v2.0/students", "limit=10000", 200),
        ("GET", "/v2.0/students", "limit=10001", 413),
        ("GET", "/v2.0/students", "limit=0", 400),
        ("GET", "/v2.0/students", "limit=many", 400),
        ("GET", "/v2.0/nothing", "", 404),
        ("GET", "/v2.0/students/530e5961049e75a9262cffe4", "", 404),
        ("DELETE", "/v2.0/students", "", 501),
    ],
)
def test_the_status_table(method: str, path: str, query: str, status: int) -> None:
    assert get(Emulator(), path, query, method=method).status == status


def test_pages_are_100_ascending_and_linked_relatively() -> None:
    page = body(get(Emulator(records=250), "/v1.1/students"))
    ids = [item["data"]["id"] for item in page["data"]]
    assert len(ids) == 100
    assert ids == sorted(ids)
    assert all(len(identity) == 24 for identity in ids)
    links = {link["rel"]: link["uri"] for link in page["links"]}
    assert links == {"self": "/v1.1/students", "next": f"/v1.1/students?starting_after={ids[-1]}"}


def test_prev_and_next_may_lead_to_empty_pages() -> None:
    emulator = Emulator(records=5)
    everything = body(get(emulator, "/v2.0/terms"))["data"]
    after = body(get(emulator, "/v2.0/terms", f"starting_after={everything[-1]['data']['id']}"))
    assert after["data"] == []
    assert "prev" in {link["rel"] for link in after["links"]}
    before = body(get(emulator, "/v2.0/terms", f"ending_before={everything[0]['data']['id']}"))
    assert before["data"] == []
    assert "next" in {link["rel"] for link in before["links"]}


def test_one_record() -> None:
    emulator = Emulator(records=3)
    listed = body(get(emulator, "/v2.0/terms"))["data"][1]
    assert body(get(emulator, listed["uri"]))["data"] == listed["data"]


def test_several_buckets_in_one_header() -> None:
    answer = get(Emulator(buckets={"all": 200, "none": 1200}), "/v2.0/terms")
    assert headers(answer)["X-RateLimit-Bucket"] == "all, none"
    assert headers(answer)["X-RateLimit-Remaining"] == "199, 1199"


def test_skew_moves_date_and_reset_together() -> None:
    one, two = (get(Emulator(skew=skew), "/v2.0/terms") for skew in (0, 300))
    assert int(headers(two)["X-RateLimit-Reset"]) - int(headers(one)["X-RateLimit-Reset"]) == 300
    assert headers(one)["Date"] != headers(two)["Date"]
    assert "Date" not in headers(get(Emulator(dated=False), "/v2.0/terms"))


def test_a_stranger_takes_its_share() -> None:
    early = Emulator(limit=100, stranger=0.2, stranger_at="reset", phase=NOW)
    assert headers(get(early, "/v2.0/terms"))["X-RateLimit-Remaining"] == "79"
    spread = Emulator(limit=100, stranger=0.2, phase=NOW)
    assert headers(get(spread, "/v2.0/terms", now=NOW + 30))["X-RateLimit-Remaining"] == "89"


def test_first_hit_windows_open_with_a_request() -> None:
    emulator = Emulator(limit=1, window=10, first_hit=True)
    assert [get(emulator, "/v2.0/terms", now=NOW + at).status for at in (3, 12, 13.5)] == [200, 429, 200]


def test_work_is_remembered_and_a_key_prevents_a_second_time() -> None:
    emulator = Emulator()
    for key in ("a", "a", "b"):
        emulator.handle(Arrival("POST", "/v2.0/operations", "", OK | {"idempotency-key": key}, b"x"), NOW)
    assert emulator.work == [(b"x", "a"), (b"x", "b")]


def test_the_control_path_tells_resets_and_turns() -> None:
    emulator = Emulator()
    get(emulator, "/v2.0/terms")
    truth = body(emulator.handle(Arrival("GET", "/_emulator/truth", "", {}), NOW))
    assert "TEST_TOKEN" not in json.dumps(truth)
    assert next(iter(truth["budgets"].values()))[0]["admitted"] == 1
    turned = emulator.handle(Arrival("POST", "/_emulator/knobs", "", {}, b'{"limit": 7}'), NOW)
    assert (turned.status, emulator.knobs.limit) == (200, 7)
    wrong = emulator.handle(Arrival("POST", "/_emulator/knobs", "", {}, b'{"limit": 0}'), NOW)
    assert wrong.status == 400
    emulator.handle(Arrival("POST", "/_emulator/reset", "", {}), NOW)
    assert emulator.admitted == 0


@pytest.mark.parametrize(
    "turned", [{"limit": 0}, {"window": -1}, {"window": 0}, {"rounding": "up"}, {"error_rate": 2}, {"latency": (2, 1)}]
)
def test_knobs_that_cannot_be_are_refused(turned: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(turned))):
        Emulator(**turned)


def test_cuts_are_real(nothing_left_behind: None) -> None:
    with Emulator(drop_after=1.0).serve() as served, urllib3.PoolManager() as http:
        with pytest.raises(urllib3.exceptions.ProtocolError):
            http.request(
                "POST", served.url + "/v2.0/operations", headers={"Authorization": "Bearer x"}, body=b"y", retries=0
            )
        assert served.emulator.work == [(b"y", None)]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", served.port), 1)


def test_buckets_may_be_turned_while_it_runs() -> None:
    emulator = Emulator()
    get(emulator, "/v2.0/schools")
    emulator.turn(buckets={"all": 200, "none": 1200})
    assert headers(get(emulator, "/v2.0/schools"))["X-RateLimit-Bucket"] == "all, none"
    emulator.turn(buckets={"all": 100, "none": 1200})
    emulator.turn(buckets={})
    assert "," not in headers(get(emulator, "/v2.0/schools"))["X-RateLimit-Bucket"]
    turned = emulator.handle(Arrival("POST", "/_emulator/knobs", "", {}, b'{"latency": [0.1, 0.2]}'), NOW)
    assert turned.status == 200
    assert emulator.knobs.latency == (0.1, 0.2)
