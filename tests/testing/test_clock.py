"""Virtual time, and the fixtures that users' tests get."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from clever_guard import presets
from clever_guard.testing import Emulator, VirtualTime, no_waiting

HEADERS = {"Authorization": "Bearer TEST_TOKEN"}


def test_retries_wait_in_virtual_time() -> None:
    guard = presets.clever(observers=[])
    http = guard.wrap(urllib3.PoolManager())
    with no_waiting(guard) as virtual, Emulator(error_rate=1.0).serve(clock=virtual.wall) as api:
        begun = time.monotonic()
        assert http.request("GET", api.url + "/v2.0/students", headers=HEADERS).status >= 500
        assert time.monotonic() - begun < 20, "31 seconds of backoff were not slept"
    assert [round(wait) >= least for wait, least in zip(virtual.waits, (1, 2, 4, 8, 16), strict=True)] == [True] * 5
    http.clear()
    guard.close()


def test_windows_pass_in_virtual_time_and_nothing_is_refused() -> None:
    guard = presets.clever(observers=[], limit=5, window=60)
    http = guard.wrap(urllib3.PoolManager())
    with no_waiting(guard) as virtual, Emulator(limit=5, window=60).serve(clock=virtual.wall) as api:
        statuses = [http.request("GET", api.url + "/v2.0/students?limit=1", headers=HEADERS).status for _ in range(20)]
        assert statuses == [200] * 20
        assert api.emulator.refused == 0
        assert virtual.clock() > 120, "twenty requests of five a minute"
    http.clear()
    guard.close()


def test_afterwards_the_guard_goes_on_in_real_time() -> None:
    guard = presets.clever(observers=[])
    with no_waiting(guard):
        assert guard.driver.now() == 0.0
    assert guard.driver.now() == pytest.approx(time.monotonic(), abs=60)
    guard.close()


def test_it_needs_a_guard() -> None:
    with pytest.raises(ValueError, match="no_waiting"), no_waiting():
        pass


def test_a_ticket_that_was_woken_does_not_wait() -> None:
    from clever_guard.model import Ticket

    virtual, ticket = VirtualTime(), Ticket()
    ticket.woken = True
    virtual.pause(5, ticket)
    assert (virtual.clock(), virtual.waits) == (0.0, [])
    virtual.pause(5)
    assert virtual.milliseconds() == 1_700_000_005_000


def test_fixtures_serve_an_api_and_stop_the_waiting(
    clever_api: Callable[..., Any], clever_no_waiting: Callable[..., VirtualTime]
) -> None:
    guard = presets.clever(observers=[], limit=2, window=30)
    virtual = clever_no_waiting(guard)
    api = clever_api(limit=2, window=30, clock=virtual.wall)
    http = guard.wrap(urllib3.PoolManager())
    for _ in range(5):
        assert http.request("GET", api.url + "/v2.0/schools", headers=HEADERS).status == 200
    assert api.emulator.refused == 0
    http.clear()
    guard.close()
