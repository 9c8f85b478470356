"""What users hand in, looked at once: one sentence that says what it is, and what to write instead."""

from __future__ import annotations

import math
from typing import Any


def is_number(value: Any) -> bool:
    """An int or a float, no bool and no text: an environment variable is text until somebody calls float()."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_seconds(what: str, value: Any, *, least: float | None = None, most: float = math.inf) -> None:
    """Raise ValueError unless ``value`` is a number above 0, or from ``least`` on where that is given, up to ``most``."""
    good = is_number(value) and (value > 0 if least is None else value >= least) and value <= most
    if not good:
        bound = "above 0" if least is None else f"of {least:g} or more"
        end = "" if most == math.inf else f" and at most {most:g}"
        raise ValueError(f"{what}={value!r}: give a number of seconds {bound}{end}")


def check_whole(what: str, value: Any, unit: str, *, least: int, below: int = 10**9) -> None:
    """Raise ValueError unless ``value`` is a whole number, ``least`` or more and less than ``below``."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < below:
        raise ValueError(f"{what}={value!r}: give a whole number of {unit}, {least} or more and less than {below}")


def check_callable(what: str, value: Any, meaning: str) -> None:
    """Raise ValueError unless ``value`` can be called."""
    if isinstance(value, type) or not callable(value):
        raise ValueError(f"{what}={value!r}: give {meaning}")
