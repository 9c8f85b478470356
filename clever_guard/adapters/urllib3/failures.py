"""What an exception says about what the server may have seen."""

from __future__ import annotations

from urllib3 import exceptions as x

from clever_guard.model import Failure

NEVER_SENT = (x.NewConnectionError, x.ConnectTimeoutError)
"""No connection was made, so nothing of the request left."""
NO_USE = (
    x.LocationValueError,
    x.HostChangedError,
    x.ClosedPoolError,
    x.EmptyPoolError,
    x.InvalidHeader,
    x.PoolError,
    x.UnrewindableBodyError,
)
"""The caller's mistake or the client's state: sending again mends nothing."""


def failure_of(error: BaseException) -> Failure:
    """The Failure for an exception of one attempt. ``MaxRetryError`` is only the wrapping; its reason counts."""
    reason = error.reason if isinstance(error, x.MaxRetryError) and error.reason is not None else error
    cause = reason.original_error if isinstance(reason, x.ProxyError) else reason
    if isinstance(cause, NEVER_SENT):
        return Failure(error, sent=False, reason="connect")
    if isinstance(cause, x.SSLError):
        return Failure(error, sent=False, reason="connect", retryable=False)
    if isinstance(cause, NO_USE):
        return Failure(error, sent=False, reason="connect", retryable=False)
    return Failure(error, sent=True, reason="read")
