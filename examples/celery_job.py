"""Jobs that give their worker slot back instead of waiting for quota. Runs without Celery, too.

python examples/celery_job.py [http://127.0.0.1:8080/v2.0/students]
"""

import sys
import time
from collections import deque

import urllib3

from clever_guard import QuotaTimeout, options, presets
from clever_guard.testing import Emulator

guard = presets.clever(limit=20, window=2)  # a fleet: store="redis://..."; made at import, forked children start anew
http = guard.wrap(urllib3.PoolManager())


def fetch(url: str) -> int:
    """One request a job, so that a job which comes back repeats nothing. With @app.task(bind=True) above it:

    except QuotaTimeout as late:
        raise self.retry(countdown=max(1, late.retry_in), max_retries=None)
    """
    with options(max_wait=0.2):
        return http.request("GET", url, headers={"Authorization": "Bearer TEST_TOKEN"}).status


def main(url: str) -> None:
    queue, came_back, done = deque(range(50)), 0, 0
    while queue:
        job = queue.popleft()
        try:
            done += fetch(url) == 200
        except QuotaTimeout as late:
            queue.append(job)
            came_back += 1
            time.sleep(max(0.1, late.retry_in or 0))
    print(f"{done} jobs done, {came_back} came back later")


if __name__ == "__main__":
    with Emulator(limit=20, window=2).serve() as server:
        main(sys.argv[1] if len(sys.argv) > 1 else server.url + "/v2.0/students")
    guard.close()
