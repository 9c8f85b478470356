"""What a caller says for a block of code rather than for a guard: ``with options(deadline=10): ...``

The options follow the context (contextvars): they are seen by everything called from the block, and not by the threads of
a pool. ``options.bind(f)`` carries them there.
"""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from types import TracebackType
from typing import ParamSpec, TypeVar

from clever_guard.given import check_seconds

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class CallOptions:
    """``deadline`` and ``max_wait`` in seconds, counted for each call and for each redirect hop; None leaves it to the guard."""

    deadline: float | None = None
    max_wait: float | None = None
    priority: str | None = None
    idempotent: bool | None = None

    def __post_init__(self) -> None:
        if self.deadline is not None:
            check_seconds("deadline", self.deadline)
        if self.max_wait is not None:
            check_seconds("max_wait", self.max_wait, least=0)

    def over(self, other: CallOptions) -> CallOptions:
        """These options, and ``other``'s where these say nothing."""
        if self is NO_OPTIONS:
            return other
        mine = {field.name: getattr(self, field.name) for field in fields(self)}
        return CallOptions(**{name: getattr(other, name) if value is None else value for name, value in mine.items()})


NO_OPTIONS = CallOptions()
_current: contextvars.ContextVar[CallOptions] = contextvars.ContextVar("clever_guard_options", default=NO_OPTIONS)


current: Callable[[], CallOptions] = _current.get
"""The options of the running context."""


class options:  # noqa: N801  (used like a function)
    """``with options(deadline=10, max_wait=5, priority="interactive", idempotent=True): ...``

    ``priority`` is a name in ``Quota(reserves=...)``; one that is not there leaves everything as it is. Nested blocks add to each other, the inner one first. Raises ValueError for a deadline that is not above 0 or a
    ``max_wait`` below 0.
    """

    def __init__(
        self,
        *,
        deadline: float | None = None,
        max_wait: float | None = None,
        priority: str | None = None,
        idempotent: bool | None = None,
    ) -> None:
        self._options = CallOptions(deadline, max_wait, priority, idempotent)
        self._tokens: list[contextvars.Token[CallOptions]] = []

    def __enter__(self) -> None:
        self._tokens.append(_current.set(self._options.over(_current.get())))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.reset(self._tokens.pop())

    @staticmethod
    def bind(function: Callable[P, R]) -> Callable[P, R]:
        """``function`` with the options of *this* context, for the thread of a pool."""
        carried = _current.get()

        @functools.wraps(function)
        def bound(*args: P.args, **kwargs: P.kwargs) -> R:
            token = _current.set(carried)
            try:
                return function(*args, **kwargs)
            finally:
                _current.reset(token)

        return bound
