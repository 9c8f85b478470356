"""The judge. It shares no code with the library and reads plain data only.

``told``: what each caller was told, one dictionary an operation:
    operation, method, payload (text), once (the body cannot be sent again), framed (it stands among other bytes),
    may_repeat (a method that is idempotent, or the caller said so), keyed (an Idempotency-Key), done, answer (status or exception)
``log``: what the server did, one dictionary a request, in order: operation, method, body (Latin-1), worked, status, cut, fate
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

Plain = dict[str, Any]
DOUBLED = "doubled: work that must be done once was done again"
REPEATED = "sent again though it was neither refused nor declared safe"
LOST = "reported done, and never was"
SILENT = "never reported"
UNKNOWN = "in the log, and nobody's"
BYTES = "sent other bytes than the caller gave"
EMPTY = "sent an empty body"
REWOUND = "a stream that cannot go back was sent again"
SENDS = "sent more often than the retries allow"
METHOD = "sent with another method"
RULES = (DOUBLED, REPEATED, LOST, SILENT, UNKNOWN, BYTES, EMPTY, REWOUND, SENDS, METHOD)


def judge(told: list[Plain], log: list[Plain], begun: int, most_sends: int) -> Counter[str]:
    """How often each rule was broken. ``begun``: operations that callers began. ``most_sends``: 1 + retries."""
    broken: Counter[str] = Counter()
    sends: dict[str, list[Plain]] = defaultdict(list)
    for entry in log:
        sends[entry["operation"]].append(entry)
    for report in told:
        broken.update(_of_operation(report, sends.pop(report["operation"], []), most_sends))
    broken[SILENT] += begun - len({report["operation"] for report in told})
    broken[UNKNOWN] += len(sends)
    return +broken


def _of_operation(report: Plain, sends: list[Plain], most_sends: int) -> list[str]:
    times = sum(entry["worked"] for entry in sends)
    broken = {
        DOUBLED: times > 1 and (report["keyed"] or not report["may_repeat"]),
        REPEATED: not report["may_repeat"] and any(entry["status"] != 429 for entry in sends[:-1]),
        LOST: report["done"] and times == 0,
        SILENT: not report["answer"],
        BYTES: not _same_bytes(report, sends),
        EMPTY: bool(report["payload"]) and any(not entry["body"] for entry in _whole(sends)),
        REWOUND: report["once"] and len(sends) > 1,
        SENDS: len(sends) > most_sends,
        METHOD: any(entry["method"] != report["method"] for entry in sends),
    }
    return [rule for rule, is_broken in broken.items() if is_broken]


def _whole(sends: list[Plain]) -> list[Plain]:
    """Those whose body came in: where the upload was cut, the server knows none."""
    return [entry for entry in sends if entry["cut"] != "upload"]


def _same_bytes(report: Plain, sends: list[Plain]) -> bool:
    bodies = {entry["body"] for entry in _whole(sends)}
    if report["framed"]:
        return len(bodies) <= 1 and all(report["payload"] in body for body in bodies)
    return bodies <= {report["payload"]}
