"""A dialect of your own: an API that says "Quota: left=7; of=10; resets=1800000000" in one header.

python examples/own_dialect.py
"""

import re

from clever_guard import Quota
from clever_guard.model import NOTHING_READ, HeaderReport, Headers, Reading
from clever_guard.testing.transcripts import make_request, play, reply

FORM = re.compile(r"left=([0-9]{1,9}); of=([0-9]{1,9}); resets=([0-9]{1,11})")


def one_header(headers: Headers, status: int, wall: float, /) -> HeaderReport:
    """Total: what cannot be read is refused under a bounded word, which the metrics count. Never raises.

    Here ``resets`` is an epoch of the server and there is no Date to compare it with, hence ``resets_in=None``: the
    quota policy then puts an upper bound there. With a Date it would be ``resets - date``, both of the server.
    """
    said = headers.get("Quota")
    if said is None:
        return NOTHING_READ
    found = FORM.fullmatch(said)
    if found is None:
        return HeaderReport(ignored=("quota_unreadable",))
    left, limit, resets = map(int, found.groups())
    if not 0 <= left <= limit or limit == 0:
        return HeaderReport(ignored=("quota_impossible",))
    return HeaderReport((Reading(limit, left, float(resets), None),))


if __name__ == "__main__":
    for text in ("left=7; of=10; resets=1800000060", "left=11; of=10; resets=1800000060", "soon"):
        print(one_header({"Quota": text}, 200, 1_800_000_000.0))
    answer = reply(200, {"Quota": "left=7; of=10; resets=1800000060"})
    request = make_request(headers={"Authorization": "Bearer TEST_TOKEN"})
    print(play([Quota(limit=10, window=60, dialect=one_header)], [answer], request=request))
