"""What is a violation once a schedule is over. (Refusals are judged when they happen, in ``Trial.arrive``.)

Safety      a refusal by the server's log that no injected fault explains; a broken invariant of the ledger or of the books
Liveness    from two windows after the last fault on every whole window is spent, but for 5 % or for one permit, which may have been
            a probe that slipped into the next, and for what the ledger keeps for others whom it believes in still (it forgets
            half of them in a window in which they took nothing); every caller is served or ends by its own deadline
Accounts    acknowledged <= counted <= sent; granted = used + returned + expired + in hand
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clever_guard.testing.emulator.budget import Window
from clever_guard.testing.simulate.faults.api import GATEWAY
from clever_guard.testing.simulate.server import EPOCH

if TYPE_CHECKING:
    from clever_guard.testing.simulate.faults.trial import Trial

RECOVER = 2
"""Windows after the last fault in which the budget need not be spent."""
SHARE = 0.95


def judge(trial: Trial, calm: float, last: float) -> None:
    """Enter violations. ``calm``: when the last fault's effect was over, ``last``: when the last call was begun; true seconds."""
    whole = judged(trial, calm, last)
    if not whole and not trial.first_hit:
        trial.violate("no request was sent in the window that is judged")
    for window in whole:
        if window.admitted < min(math.ceil(SHARE * window.limit), window.limit - 1) - trial.kept_for_others:
            trial.violate(
                f"{window.admitted} of {window.limit} spent in the window from {window.start - EPOCH:.3f} s on, two windows after the last fault"
            )
    sent = sum(worker.accounts.sent for worker in trial.workers)
    acknowledged = sum(worker.accounts.acknowledged for worker in trial.workers)
    counted = sum(window.admitted for window in trial.api.windows)
    if not acknowledged <= counted <= sent:
        trial.violate(f"{acknowledged} acknowledged, {counted} counted, {sent} sent")
    if any(kind.name == "limit changed" for kind in trial.schedule.kinds):
        return
    for window in trial.api.windows:
        log = [worker for _, worker, admitted in window.arrivals if admitted and worker != GATEWAY]
        if len(log) + window.stranger > window.limit:
            trial.violate("the server let more through than its limit: the judge is wrong")


def judged(trial: Trial, calm: float, last: float) -> list[Window]:
    """Whole windows that begin two windows after the last fault, and end before callers stop coming."""
    begin = trial.api.time(calm) + RECOVER * trial.setting.window
    end = trial.api.time(last)
    return [window for window in trial.api.windows if window.start >= begin and window.end <= end]
