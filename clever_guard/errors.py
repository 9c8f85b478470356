"""The errors of a guarded call. (A walk through pages has two of its own: ``PageError`` and ``ForeignLink``, in ``pages``.)

    GuardError
        QuotaTimeout        a permit could not be had in the time allowed
        DeadlineExceeded    the call's deadline does not leave room for the next step
        CircuitOpen         the host's circuit is open (nothing raises it yet)
        RetriesExhausted    retries are used up (only with ``Retry(raise_on_exhausted=True)``)
        StoreUnavailable    the store does not answer (only with ``on_store_failure="raise"``)

An adapter makes, for each, a class that is also of its library's own family, so that code which catches
``urllib3.exceptions.HTTPError`` goes on working. All of them pickle. No message of ours holds a token or a URL; ``last`` is the
library's own, and its text may hold the URL.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

FIELDS = ("retry_in", "retry_at", "last", "bucket", "sent")


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """What is left of a response that could not be pickled with the error that carried it."""

    status: int | None
    kind: str


class GuardError(Exception):
    """Base of all. ``retry_in`` (seconds) and ``retry_at`` (epoch seconds) say when it is worth another try.

    ``last`` is the last response (drained or closed) or exception, ``bucket`` the budget's name for people,
    ``sent`` whether anything of the call reached the wire.
    """

    def __init__(
        self,
        message: str = "",
        *,
        retry_in: float | None = None,
        retry_at: float | None = None,
        last: Any = None,
        bucket: str | None = None,
        sent: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_in = retry_in
        self.retry_at = retry_at
        self.last = last
        self.bucket = bucket
        self.sent = sent

    def fields(self) -> dict[str, Any]:
        """Everything but the message, as it can travel in a pickle."""
        fields = {name: getattr(self, name) for name in FIELDS}
        return fields | {"last": _portable(self.last)}

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self), self.fields())


def _rebuild(kind: type[GuardError], message: str, fields: dict[str, Any]) -> GuardError:
    return kind(message, **fields)


def _portable(last: Any) -> Any:
    try:
        pickle.dumps(last)
    except Exception:  # a stranger's object may raise anything here, and the error must travel all the same
        return LastAnswer(getattr(last, "status", None), type(last).__name__)
    return last


class QuotaTimeout(GuardError):
    """A permit could not be had before ``max_wait`` or the deadline. No wait is begun that surely cannot end in time."""


class DeadlineExceeded(GuardError):
    """The call's deadline passed before the next attempt, or the next wait could not end before it."""


class CircuitOpen(GuardError):
    """The host's circuit is open. Nothing raises it yet."""


class RetriesExhausted(GuardError):
    """Retries are used up; ``last`` is the last response or exception."""


class StoreUnavailable(GuardError):
    """The shared store does not answer."""
