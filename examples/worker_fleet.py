"""Eight processes, one token, one budget: they share it through a sqlite file.

python examples/worker_fleet.py [sqlite:////path/quota.db | redis://host:6379/0]
"""

import multiprocessing
import sys
import tempfile

import urllib3

from clever_guard import presets
from clever_guard.testing.fleet import EmulatorProcess

LIMIT, WINDOW, WORKERS, CALLS = 100, 3.0, 8, 25


def work(url: str, store: str) -> None:
    """One worker. Nothing in it knows of the others: the store does."""
    with presets.clever(store, limit=LIMIT, window=WINDOW) as guard:
        http = guard.wrap(urllib3.PoolManager())
        for _ in range(CALLS):
            http.request("GET", url + "/v2.0/students", headers={"Authorization": "Bearer TEST_TOKEN"})


def main(store: str) -> None:
    with EmulatorProcess(limit=LIMIT, window=WINDOW) as server:
        crew = [multiprocessing.Process(target=work, args=(server.url, store)) for _ in range(WORKERS)]
        for process in crew:
            process.start()
        for process in crew:
            process.join()
        for window in server.windows():
            print(f"{window['admitted']:4d} of {LIMIT} answered, {window['refused']} refused")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/quota.db")
