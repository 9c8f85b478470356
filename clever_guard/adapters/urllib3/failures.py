"""What an exception says about what the server may have seen.

Never sent: no connection, or the handshake did not end (TLS, or a proxy's tunnel), so nothing of the request left. Anything
else may have been seen and may have been processed.
"""

from __future__ import annotations

import ssl
from types import TracebackType

from urllib3 import exceptions as x

from clever_guard.model import Failure

NO_USE = (
    x.LocationValueError,
    x.HostChangedError,
    x.ClosedPoolError,
    x.EmptyPoolError,
    x.FullPoolError,
    x.UnrewindableBodyError,
)
"""The caller's mistake or the client's state: sending again mends nothing. Not their base PoolError, for that is a base of
ReadTimeoutError too."""
INTERRUPTED = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""A handshake that the other side broke off, as a server does that restarts; other TLS errors are there to stay."""
HANDSHAKE = "_validate_conn"
"""The step of urllib3's ``_make_request`` that connects and shakes hands before it sends."""


def failure_of(error: BaseException) -> Failure:
    """The Failure for an exception of one attempt. ``MaxRetryError`` is only the wrapping; its reason counts."""
    reason = error.reason if isinstance(error, x.MaxRetryError) and error.reason is not None else error
    if isinstance(reason, NO_USE):
        return Failure(error, sent=False, reason="connect", retryable=False)
    if isinstance(reason, x.ProxyError):
        return Failure(error, sent=False, reason="connect", retryable=_passes(reason.original_error))
    if isinstance(reason, x.ConnectTimeoutError) or _while_connecting(reason):
        return Failure(error, sent=False, reason="connect", retryable=_passes(reason))
    return Failure(error, sent=True, reason="read", retryable=not isinstance(reason, x.DecodeError))


def _passes(reason: BaseException) -> bool:
    """Whether what hindered a connection may be gone at the next try."""
    if isinstance(reason, x.SSLError):
        return isinstance(_cause(reason), INTERRUPTED)
    return True


def _while_connecting(reason: BaseException) -> bool:
    """By where it arose: the types are the same before and after the handshake."""
    trace = _cause(reason).__traceback__
    return any(frame == HANDSHAKE for frame in _functions(trace))


def _cause(reason: BaseException) -> BaseException:
    """The system's own exception, which urllib3 puts last among the arguments, or chains."""
    last = reason.args[-1] if reason.args else None
    return last if isinstance(last, BaseException) else reason.__cause__ or reason


def _functions(trace: TracebackType | None) -> list[str]:
    names = []
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    return names
