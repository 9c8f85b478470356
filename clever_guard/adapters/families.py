"""Errors that are GuardErrors *and* of the wrapped library's own family.

Code that catches ``urllib3.exceptions.HTTPError`` goes on working. The classes are made once for each pair, and pickle by
naming the pair rather than the class.
"""

from __future__ import annotations

import importlib
from typing import Any

from clever_guard.errors import FIELDS, GuardError


class _Family(GuardError):
    """Mixed into every made class: rebuilt by name, because the class itself cannot be found in a module."""

    _family: type[Exception]
    _error: type[GuardError]

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (_path(self._error), _path(self._family), str(self), self.fields())


_made: dict[tuple[type, type], type[GuardError]] = {}


def class_of(error: type[GuardError], family: type[Exception]) -> type[GuardError]:
    """The class that is both, made once."""
    if (error, family) not in _made:
        _made[error, family] = _make(error, family)
    return _made[error, family]


def _make(error: type[GuardError], family: type[Exception]) -> type[GuardError]:
    body = {"_error": error, "_family": family, "__doc__": error.__doc__, "__module__": error.__module__}
    return type(error.__name__, (_Family, error, family), body)


def into(family: type[Exception], error: GuardError) -> GuardError:
    """``error`` as a member of ``family``; itself if it is one already."""
    if isinstance(error, family):
        return error
    kind = class_of(type(error), family)
    made = kind.__new__(kind)
    GuardError.__init__(made, str(error), **{name: getattr(error, name) for name in FIELDS})
    return made


def _rebuild(error: str, family: str, message: str, fields: dict[str, Any]) -> GuardError:
    plain: GuardError = _load(error)(message, **fields)
    return into(_load(family), plain)


def _path(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
