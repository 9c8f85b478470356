"""The operation log and the faults around it, over real connections: what the log says is what was done."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
import urllib3

from clever_guard.testing import Emulator
from clever_guard.testing.emulator import Arrival, Entry, Operations
from clever_guard.testing.emulator import operations as log
from clever_guard.testing.emulator.exchange import Answer
from clever_guard.testing.fleet import EmulatorProcess

HEADERS = {"Authorization": "Bearer TEST_TOKEN", "X-Operation-Id": "first"}
PATH = "/v2.0/operations"


def send(url: str, method: str = "POST", body: Any = b"the body", headers: Any = HEADERS, **more: Any) -> Any:
    with urllib3.PoolManager(retries=False) as http:
        return http.request(method, url + PATH, body=body, headers=headers, **more)


def only(emulator: Emulator) -> Entry:
    (entry,) = emulator.operations
    return entry


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_did_work_is_entered(method: str) -> None:
    with Emulator().serve() as served:
        assert send(served.url, method).status in (200, 201)
        entry = only(served.emulator)
    assert (entry.operation, entry.method, entry.path, entry.body) == ("first", method, PATH, b"the body")
    assert entry.worked
    assert served.emulator.operations.worked() == {"first": 1}


@pytest.mark.parametrize(
    ("turned", "fate", "worked", "seen"),
    [
        ({}, "201", True, 201),
        ({"limit": 1, "stranger": 1.0, "stranger_at": "reset"}, "429", False, 429),
        ({"error_rate": 1.0, "error_codes": (503,)}, "503", False, 503),
        ({"error_after": 1.0, "error_codes": (503,)}, "503 after work", True, 503),
        ({"drop_before": 1.0}, "cut before", False, None),
        ({"drop_upload": 1.0}, "cut upload", False, None),
        ({"drop_after": 1.0}, "cut after", True, None),
        ({"drop_body": 1.0}, "cut body after work", True, None),
        ({"stall_after": 1.0, "stall": 5.0}, "late 201", True, None),
    ],
)
def test_a_fault_is_what_the_client_sees_and_what_the_log_says(
    turned: dict[str, Any], fate: str, worked: bool, seen: int | None
) -> None:
    with Emulator(**turned).serve() as served:
        if seen is not None:
            assert send(served.url).status == seen
        else:
            with pytest.raises(urllib3.exceptions.HTTPError):
                send(served.url, timeout=0.5)
        entry = only(served.emulator)
        assert served.emulator.truth()["fates"] == {fate: 1}
    assert (entry.fate, entry.worked) == (fate, worked)
    assert entry.body == (b"" if fate == "cut upload" else b"the body")


def test_an_answer_whose_header_breaks_off_is_cut_there() -> None:
    """What is left of it may still be an answer: a client takes the end of the connection for the end of the header."""
    with Emulator(drop_header=1.0).serve() as served:
        for _ in range(20):
            try:
                assert "Content-Length" not in send(served.url).headers
            except urllib3.exceptions.ProtocolError:
                pass
        assert served.emulator.cuts == {"header": 20}
        assert served.emulator.operations.worked() == {"first": 20}


def test_the_name_may_stand_in_the_body() -> None:
    with Emulator().serve() as served, urllib3.PoolManager() as http:
        token = {"Authorization": HEADERS["Authorization"]}
        http.request("POST", served.url + PATH, json={"operation_id": "in the body"}, headers=token)
        http.request("POST", served.url + PATH, json=["operation_id"], headers=token)
        http.request("POST", served.url + PATH, body=b"{", headers=token | {"Content-Type": "application/json"})
        assert only(served.emulator).operation == "in the body"


def test_reading_is_work_too() -> None:
    with Emulator().serve() as served, urllib3.PoolManager() as http:
        http.request("GET", served.url + "/v2.0/students?limit=1", headers=HEADERS)
        http.request("GET", served.url + "/v2.0/nothing", headers=HEADERS)
    assert [(entry.status, entry.worked) for entry in served.emulator.operations] == [(200, True), (404, False)]


def test_a_key_makes_the_second_time_no_work() -> None:
    with Emulator().serve() as served:
        for _ in range(2):
            assert send(served.url, headers=HEADERS | {"Idempotency-Key": "k"}).status == 201
    assert [entry.worked for entry in served.emulator.operations] == [True, False]


def test_the_control_path_tells_everything_but_tokens() -> None:
    with Emulator().serve() as served:
        send(served.url, body=b"\xff\x00")
        with urllib.request.urlopen(served.url + "/_emulator/operations") as answer:
            text = answer.read().decode()
    (entry,) = json.loads(text)
    assert (entry["operation"], entry["body"].encode("latin-1"), entry["worked"]) == ("first", b"\xff\x00", True)
    assert "TEST_TOKEN" not in text


def test_the_command_line_has_the_faults_too() -> None:
    shares: dict[str, Any] = dict.fromkeys(("drop_upload", "drop_header", "drop_body", "stall_after"), 0.0)
    with EmulatorProcess(error_after=1.0, stall=0.5, **shares) as server:
        assert send(server.url).status in (500, 502, 503)
        with urllib.request.urlopen(server.url + "/_emulator/operations") as answer:
            (entry,) = json.load(answer)
    assert entry["worked"]
    assert entry["fate"].endswith("after work")


def test_the_log_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "KEPT", 2)
    operations = Operations()
    for number in range(3):
        operations.enter(Arrival("POST", PATH, "", {"x-operation-id": str(number)}), Answer(201, []))
    operations.enter(Arrival("POST", PATH, "", {"x-operation-id": "x" * 201}), Answer(201, []))
    assert (len(operations), operations.unlogged) == (2, 1)


def test_a_seed_repeats_the_faults() -> None:
    knobs: dict[str, Any] = {
        "error_rate": 0.1,
        "error_after": 0.2,
        "drop_after": 0.2,
        "drop_header": 0.2,
        "drop_body": 0.2,
    }

    def course(seed: int) -> list[str]:
        emulator = Emulator(seed=seed, **knobs)
        headers = {"authorization": "Bearer x", "x-operation-id": "a"}
        for _ in range(50):
            emulator.handle(Arrival("POST", PATH, "", headers), 1e9)
        return [entry.fate for entry in emulator.operations]

    assert course(1) == course(1) != course(2)
    assert len(set(course(1))) >= 5
