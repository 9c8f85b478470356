"""A store of your own: one file for each identity, under a lock. The rules come from ``transition``.

Each command is atomic, on one clock that all workers share, and none is ever repeated.

python examples/own_store.py
"""

import fcntl
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import urllib3

from clever_guard import StoreUnavailable, presets
from clever_guard.quota.record import transition
from clever_guard.quota.store import Answer, Command
from clever_guard.stores.codec import body_of, record_of
from clever_guard.stores.sqlite import host_ms
from clever_guard.testing import Emulator


class FileStore:
    shared = True  # other processes may use it: when it fails, each worker goes on with its share

    def __init__(self, folder: str, clock: Callable[[], int] = host_ms) -> None:
        self.folder, self.clock = Path(folder), clock

    def execute(self, commands: Sequence[Command], /) -> Sequence[Answer]:
        try:
            return [self._apply(command) for command in commands]
        except OSError as error:
            raise StoreUnavailable(f"the file store cannot be used: {error.strerror}") from error

    def _apply(self, command: Command) -> Answer:
        with open(self.folder / command.identity, "a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            after, answer = transition(record_of(file.read()), self.clock(), command)
            file.truncate(0)
            file.write(body_of(after))
        return answer

    def fingerprint(self, mine: str, /) -> None: ...  # here nobody notices a worker with another secret

    def close(self) -> None: ...


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, Emulator(limit=10, window=1).serve() as server:
        http = presets.clever(FileStore(folder), limit=10, window=1).wrap(urllib3.PoolManager())
        for _ in range(15):
            http.request("GET", server.url + "/v2.0/students", headers={"Authorization": "Bearer TEST_TOKEN"})
        print(server.emulator.admitted, "answered,", server.emulator.refused, "refused")
