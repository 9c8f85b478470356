"""Fixtures for pytest, there as soon as clever_guard is installed. What they need is imported when one is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from clever_guard.guard import Guard
    from clever_guard.testing.clock import VirtualTime
    from clever_guard.testing.emulator.serving import Served


@pytest.fixture
def clever_api() -> Iterator[Callable[..., Served]]:
    """Serves emulated Clever APIs, closed after the test: ``api = clever_api(limit=5, window=1)``, then ``api.url``."""
    from clever_guard.testing.emulator import Emulator

    with ExitStack() as stack:

        def serve(*, clock: Callable[[], float] | None = None, **knobs: Any) -> Served:
            return stack.enter_context(Emulator(**knobs).serve(clock=clock))

        yield serve


@pytest.fixture
def clever_no_waiting() -> Iterator[Callable[..., VirtualTime]]:
    """Runs guards on virtual time until the test ends: ``time = clever_no_waiting(guard)``."""
    from clever_guard.testing.clock import no_waiting

    with ExitStack() as stack:

        def run(*guards: Guard) -> VirtualTime:
            return stack.enter_context(no_waiting(*guards))

        yield run
