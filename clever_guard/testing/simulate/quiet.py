"""Workers that lose their simulated store say so, thousands of times: nobody needs to read it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings of the library, for the length of a command."""
    logger = logging.getLogger("clever_guard")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
