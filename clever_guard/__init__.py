"""Rate limits and retries for HTTP clients: a fleet of workers behaves as one polite client.

from clever_guard import presets

guard = presets.clever(store="redis://localhost:6379/0")
http = guard.wrap(urllib3.PoolManager())
"""

from clever_guard import presets
from clever_guard.call_options import options
from clever_guard.errors import (
    CircuitOpen,
    DeadlineExceeded,
    GuardError,
    QuotaTimeout,
    RetriesExhausted,
    StoreUnavailable,
)
from clever_guard.guard import Guard
from clever_guard.model import Verdict
from clever_guard.pages import PageError, paginate
from clever_guard.parts.backoff import ExponentialBackoff
from clever_guard.parts.classify import StatusClassifier
from clever_guard.parts.keys import BearerToken
from clever_guard.policies.deadline import Deadline
from clever_guard.policies.quota import Quota
from clever_guard.policies.retry import Retry

__version__ = "0.1.0"
__all__ = [
    "BearerToken",
    "CircuitOpen",
    "Deadline",
    "DeadlineExceeded",
    "ExponentialBackoff",
    "Guard",
    "GuardError",
    "PageError",
    "Quota",
    "QuotaTimeout",
    "RetriesExhausted",
    "Retry",
    "StatusClassifier",
    "StoreUnavailable",
    "Verdict",
    "options",
    "paginate",
    "presets",
]
