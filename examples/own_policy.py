"""A policy of your own: count the answers, and ask once more after a 404.

python examples/own_policy.py
"""

import urllib3

from clever_guard import Guard, Retry
from clever_guard.flow import Discard, Flow, Proceed
from clever_guard.model import Reply, Request
from clever_guard.testing import Emulator


class CountAnswers:
    """The shortest useful policy: it looks at every outcome and changes none, except that a 404 is asked twice."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}

    def around(self, request: Request, proceed: Proceed, /) -> Flow:
        outcome = yield from proceed(request)
        if isinstance(outcome, Reply) and outcome.status == 404:
            yield from Discard(outcome)
            outcome = yield from proceed(request)
        if isinstance(outcome, Reply):
            self.seen[outcome.status] = self.seen.get(outcome.status, 0) + 1
        return outcome


if __name__ == "__main__":
    counting = CountAnswers()
    with Emulator().serve() as server, Guard(counting, Retry()) as guard:
        http = guard.wrap(urllib3.PoolManager())
        for path in ("/v2.0/students", "/v2.0/nothing"):
            http.request("GET", server.url + path, headers={"Authorization": "Bearer TEST_TOKEN"})
        print(counting.seen, "of", sum(server.emulator.statuses.values()), "attempts")
