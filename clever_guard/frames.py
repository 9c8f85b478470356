"""What an exception leaves behind in memory: the frames it came through, with the caller's headers in their variables.

Tools that report errors show these variables (``traceback.TracebackException(capture_locals=True)`` and what is built like it), so a
token would be in a report because of us. The caller's own frames and those of its client are the caller's.
"""

from __future__ import annotations

import contextlib

PACKAGE = "clever_guard."


def empty_frames(error: BaseException) -> None:
    """Forget the variables of this package's frames in ``error``'s traceback; those that still run are left alone."""
    trace = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__")).startswith(PACKAGE):
            with contextlib.suppress(RuntimeError):  # it still runs
                trace.tb_frame.clear()
        trace = trace.tb_next
