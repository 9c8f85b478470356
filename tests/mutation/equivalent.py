"""Mutants that no test can tell from the original, each with the reason: function, the changed line, why it makes no difference."""

from __future__ import annotations

EQUIVALENT: tuple[tuple[str, str, str], ...] = ()
