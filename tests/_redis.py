"""A real Redis for the tests: found, or fetched without root; never a stand-in, never skipped.

    1  CLEVER_GUARD_TEST_REDIS_BIN
    2  redis-server or valkey-server on PATH
    3  what an earlier run fetched into .cache/redis
    4  Debian's redis-tools, downloaded with apt into .cache/redis and unpacked there (``fetched``)

``python tests/_redis.py`` does this ahead of the tests and prints the server's version.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache"
LIBRARIES = ("libjemalloc2", "liblzf1", "liblua5.1-0", "lua-bitop", "lua-cjson")


class RedisMissing(RuntimeError):
    """No server could be found or fetched."""


def find_server() -> tuple[str, dict[str, str]]:
    """Path of a server and the environment it needs."""
    named = os.environ.get("CLEVER_GUARD_TEST_REDIS_BIN")
    if named:
        return named, {}
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found, {}
    return fetched("redis")


def fetched(kind: str) -> tuple[str, dict[str, str]]:
    """Debian's ``redis`` or ``valkey``, unpacked under the cache: path of the server and the environment it needs."""
    folder = CACHE / kind
    server = folder / f"root/usr/bin/{kind}-server"
    if not server.exists():
        _fetch(folder, kind)
    libraries = ":".join(str(path) for path in (folder / "root/usr/lib").glob("*-linux-gnu"))
    return str(server), {"LD_LIBRARY_PATH": libraries}


def _fetch(folder: Path, kind: str) -> None:
    """Debian keeps the server in its tools' package under another name; it acts on the name it is called by."""
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise RedisMissing(f"no redis-server on PATH and no {tool} to fetch one: install redis-server")
    print(f"fetching a {kind.capitalize()} server for the tests ...", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("lists/partial", "cache/archives/partial", "debs", "root"):
        (folder / name).mkdir(parents=True)
    apt = ["apt-get", "-qq", "-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache"]
    apt += ["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="]
    if kind == "valkey":
        apt += _with_backports(folder)
    _run([*apt, "update"])
    _run([*apt, "download", f"{kind}-tools", *LIBRARIES], cwd=folder / "debs")
    for package in sorted((folder / "debs").glob("*.deb")):
        _run(["dpkg", "-x", str(package), str(folder / "root")])
    (folder / f"root/usr/bin/{kind}-server").symlink_to(f"{kind}-check-rdb")


def _with_backports(folder: Path) -> list[str]:
    """This machine's own sources and their backports: Debian 12 has Valkey only there."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages", "Component: main"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    sources = {tuple(line.split()) for line in listed.stdout.splitlines() if "debian.org/debian/" in line}
    lines = [f"deb {place} {suite}{more} main\n" for place, suite in sources for more in ("", "-backports")]
    (folder / "sources.list").write_text("".join(line for line in lines if "-updates" not in line))
    return ["-o", f"Dir::Etc::SourceList={folder}/sources.list", "-o", "Dir::Etc::SourceParts=/dev/null"]


def _run(command: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RedisMissing(
            f"no redis-server on PATH, and fetching one failed ({command[0]}: {last}): install redis-server"
        )


class RedisServer:
    """A server of our own on a free loopback port, without persistence."""

    def __init__(self, *options: str, port: int | None = None, tls: bool = False, sentinel: str = "") -> None:
        """``options`` as on the server's command line. With ``tls`` the port speaks TLS only; ``sentinel``: its file."""
        self._binary, self._environment = find_server()
        self._options = options
        self._sentinel = sentinel
        self._tls = tls
        self._folder = tempfile.mkdtemp(prefix="clever-guard-redis-")
        self.port = port or free_port()
        self._start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        return self._process.pid

    def _start(self) -> None:
        for _ in range(5):
            self._process = subprocess.Popen(
                self._command(),
                env=os.environ | self._environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                if self._wait_until_up():
                    return
            except BaseException:
                self.stop()
                raise
            self._end()
            self.port = free_port()
        raise RedisMissing(f"{self._binary} does not start")

    def _command(self) -> list[str]:
        port = ["--tls-port" if self._tls else "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._folder]
        if self._sentinel:
            return [self._binary, self._sentinel, "--sentinel", *port, "--daemonize", "no"]
        quiet = ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        return [self._binary, *port, *(["--port", "0"] if self._tls else []), *quiet, *self._options]

    def _wait_until_up(self) -> bool:
        until = time.monotonic() + 15
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.5) as connection:
                if self._tls:
                    return True
                connection.settimeout(1)
                connection.sendall(b"PING\r\n")
                if connection.recv(7) == b"+PONG\r\n":
                    return True
            time.sleep(0.02)
        return False

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Come back on the same port, with nothing remembered."""
        self._end()
        self._start()

    def kill(self) -> None:
        self._end()

    def shut_down(self) -> None:
        """SIGTERM: with save points among the options it leaves a snapshot, which ``start`` reads again."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._end()

    def forget(self) -> None:
        """No snapshot is left to read."""
        (Path(self._folder) / "dump.rdb").unlink(missing_ok=True)

    def start(self) -> None:
        """Come back after ``kill`` or ``shut_down``. Raises RedisMissing where the port was taken meanwhile."""
        port = self.port
        self._start()
        if self.port != port:
            raise RedisMissing(f"port {port} was taken by somebody else while the server was down")

    def stop(self) -> None:
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
        self._process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    try:
        binary, environment = find_server()
    except RedisMissing as error:
        sys.exit(str(error))
    print(
        subprocess.run(
            [binary, "--version"], env=os.environ | environment, capture_output=True, text=True
        ).stdout.strip()
    )
