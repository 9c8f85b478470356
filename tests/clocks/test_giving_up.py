"""Callers who cannot wait as long as it takes: told at once, and out of the way of those who can."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from clever_guard import DeadlineExceeded, Guard, QuotaTimeout, options, presets
from tests.clocks.setting import LIMIT, WINDOW, Scene, scene


def spend(run: Scene) -> None:
    """All of a window that is known."""
    run.until(70)
    while run.windows[-1].left:
        run.call()


def give_up(run: Scene, times: int, **bounds: Any) -> None:
    waits = len(run.clocks.waits)
    for _ in range(times):
        with options(**bounds), pytest.raises((QuotaTimeout, DeadlineExceeded)):
            run.call()
    assert len(run.clocks.waits) == waits, "a wait was begun that could not end in time"


@pytest.mark.parametrize("bounds", [{"max_wait": 0.5}, {"deadline": 0.5}], ids=["max_wait", "deadline"])
@pytest.mark.parametrize("times", [1, 100])
def test_no_wait_is_begun_that_cannot_end_in_time(times: int, bounds: dict[str, float]) -> None:
    with scene() as run:
        spend(run)
        give_up(run, times, **bounds)


@pytest.mark.parametrize("times", [1, 10, 100])
def test_those_who_gave_up_keep_nothing_from_those_who_wait(times: int) -> None:
    """Permits were once drawn and kept for every one of them, and the window went by."""
    with scene() as run:
        spend(run)
        give_up(run, times, max_wait=0.5)
        begun = run.clocks.clock()
        assert run.calls(LIMIT) == {200: LIMIT}
        assert run.clocks.clock() - begun < WINDOW + 1
        assert run.emulator.refused == 0


def test_an_interrupted_caller_leaves_the_queue_too() -> None:
    with scene() as run:
        spend(run)
        pause = run.clocks.pause

        def interrupt(seconds: float, ticket: object = None) -> None:
            raise KeyboardInterrupt

        for _ in range(10):
            run.guard.driver._pause = interrupt
            with pytest.raises(KeyboardInterrupt):
                run.call()
        run.guard.driver._pause = pause
        begun = run.clocks.clock()
        assert run.calls(LIMIT) == {200: LIMIT}
        assert run.clocks.clock() - begun < WINDOW + 1


def test_in_shadow_mode_nobody_stands_in_the_queue() -> None:
    def make(**options: Any) -> Guard:
        return presets.clever("memory://", limit=LIMIT, window=WINDOW, mode="shadow", **options)

    with scene(make=make) as run:
        found = run.calls(3 * LIMIT)
        assert found == {200: LIMIT, 429: 2 * LIMIT}
        assert run.clocks.waits == []
        books = run.guard.engine._books._books.values()
        assert [len(book.waiting) + len(book.promised) for book in books] == [0]


def test_threads_that_wait_beside_threads_that_do_not() -> None:
    with scene(limit=40) as run:
        spend(run)
        found: list[int] = []

        def patient() -> None:
            for _ in range(10):
                with options(max_wait=1e9):
                    found.append(run.call())

        def impatient() -> None:
            for _ in range(30):
                try:
                    with options(max_wait=0.0):
                        run.call()
                except QuotaTimeout:
                    pass

        crew = [threading.Thread(target=work, daemon=True) for work in (patient, impatient) * 3]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join(60)
        assert found == [200] * 30
