"""One round: a server with its faults, a crew, operations in threads; then what callers were told and what the server logged."""

from __future__ import annotations

import json
import random
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import urllib3
from urllib3.util.retry import Retry as Urllib3Retry

from clever_guard.testing import Emulator
from tests.double_work.bodies import KINDS, PIPE_HOLDS, WITHOUT_FIELDS
from tests.double_work.crews import LIMIT, RETRIES, THREADS, WINDOW, crew, new_time
from tests.double_work.referee import Plain, judge

FAULTS: dict[str, Any] = {
    "error_rate": 0.04,
    "error_after": 0.04,
    "drop_before": 0.04,
    "drop_upload": 0.03,
    "drop_after": 0.05,
    "drop_header": 0.03,
    "drop_body": 0.03,
    "stall_after": 0.005,
    "stall": 1.2,
    "stranger": 0.4,
}
TIMEOUT = urllib3.Timeout(connect=10.0, read=0.5)
"""Shorter than the stall: the answer is lost, the work is done."""
METHODS = ("POST", "POST", "POST", "PATCH", "PUT", "DELETE", "GET")
IDEMPOTENT = ("PUT", "DELETE", "GET")
OWN_RETRIES = (
    None,
    False,
    Urllib3Retry(3, backoff_factor=0),
    Urllib3Retry(4, backoff_factor=0, allowed_methods=None, status_forcelist=[500, 502, 503]),
)
"""What callers ask of urllib3's own retry layer, the last of which would repeat everything."""


@dataclass
class Tally:
    """What rounds came to."""

    operations: int = 0
    done: int = 0
    sends: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    fates: Counter[str] = field(default_factory=Counter)
    methods: Counter[str] = field(default_factory=Counter)
    bodies: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    """Operations that were sent more than once."""

    def add(self, told: list[Plain], log: list[Plain], begun: int) -> None:
        self.operations += begun
        self.done += sum(report["done"] for report in told)
        self.sends += len(log)
        self.broken += judge(told, log, begun, 1 + RETRIES)
        self.fates.update(entry["fate"] for entry in log)
        self.methods.update(report["method"] for report in told)
        self.bodies.update(report["kind"] for report in told)
        self.answers.update(report["answer"] for report in told)
        self.repeated += sum(count > 1 for count in Counter(entry["operation"] for entry in log).values())


def play(name: str, operations: int, seed: int, tally: Tally, **turned: Any) -> None:
    """One round of the crew ``name``; ``turned`` are knobs of the server."""
    time = new_time()
    emulator = Emulator(seed=seed, **{"limit": LIMIT, "window": WINDOW} | FAULTS | turned)
    with emulator.serve(clock=time.wall) as served:
        with crew(name, "127.0.0.1", served.port, time) as clients:
            told = _send_all(clients, operations, seed)
        log = _log(served.url)
    assert emulator.operations.unlogged == 0
    tally.add(told, log, operations)


def _log(url: str) -> list[Plain]:
    with urllib.request.urlopen(url + "/_emulator/operations", timeout=60) as answer:
        entries: list[Plain] = json.load(answer)
    return entries


def _send_all(clients: list[tuple[Any, str]], operations: int, seed: int) -> list[Plain]:
    """Every operation, by THREADS threads that take turns at the clients."""
    told: list[Plain] = []
    numbers = iter(range(operations))
    lock = threading.Lock()

    def work() -> None:
        for number in _shared(numbers, lock):
            client, before = clients[number % len(clients)]
            report = _operate(client, before, f"{seed}-{number}")
            told.append(report)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def _shared(numbers: Iterator[int], lock: threading.Lock) -> Iterator[int]:
    while True:
        with lock:
            number = next(numbers, None)
        if number is None:
            return
        yield number


def _operate(client: Any, before: str, name: str) -> Plain:
    """One operation, and what its caller was told."""
    chance = random.Random(name)
    method = chance.choice(METHODS)
    kind = _kind(method, chance)
    payload = b"" if kind == "none" else _payload(name, kind, chance)
    body = KINDS[kind](payload) if payload else None
    keyed = method == "POST" and chance.random() < 0.2
    headers = {"Authorization": "Bearer TEST_TOKEN", "X-Operation-Id": name} | (
        {"Idempotency-Key": name} if keyed else {}
    )
    path = "/v2.0/students?limit=1" if method == "GET" else "/v2.0/operations"
    streamed = chance.random() < 0.2
    done, answer = _outcome(
        client,
        (method, before + path),
        {
            "headers": headers,
            "timeout": TIMEOUT,
            "retries": chance.choice(OWN_RETRIES),
            "preload_content": not streamed,
            **(body.arguments if body else {}),
        },
    )
    if body is not None:
        body.close()
    return {
        "operation": name,
        "method": method,
        "kind": kind,
        "payload": payload.decode(),
        "once": bool(body and body.once),
        "framed": bool(body and body.framed),
        "may_repeat": keyed or method in IDEMPOTENT,
        "keyed": keyed,
        "done": done,
        "answer": answer,
    }


def _kind(method: str, chance: random.Random) -> str:
    """Of body."""
    if method == "GET" or (method == "DELETE" and chance.random() < 0.5):
        return "none"
    return chance.choice(WITHOUT_FIELDS if method == "DELETE" else tuple(KINDS))


def _outcome(client: Any, where: tuple[str, str], arguments: dict[str, Any]) -> tuple[bool, str]:
    """Whether the caller takes it for done, and the status or the exception it was told."""
    try:
        response = client.request(*where, **arguments)
        _ = response.data  # a caller that streams is told of a broken body only now
        response.release_conn()
    except urllib3.exceptions.HTTPError as error:
        return False, type(error).__name__
    return 200 <= response.status < 300, str(response.status)


def _payload(name: str, kind: str, chance: random.Random) -> bytes:
    """Text that no other operation sends, of 30 bytes to 200 KB, with nothing that a form would write otherwise."""
    unit = f"operation-{name}."
    size = chance.choice([30, 300, 3_000, 3_000, 30_000]) if chance.random() < 0.98 else 200_000
    text = unit * (1 + min(size, PIPE_HOLDS - len(unit) if kind == "pipe" else size) // len(unit))
    return text[: PIPE_HOLDS if kind == "pipe" else None].encode()
