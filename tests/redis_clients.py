"""The tests of the stores with every client and server that is promised: a virtual environment of its own for each.

    python tests/redis_clients.py                 all of them
    python tests/redis_clients.py redis-5 valkey-server [-- options of pytest]

The environments stay in ``.venv-clients``, a Valkey server in ``.cache/valkey``. Prints one line for each; the exit status is 1 when
one of them failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests._redis import fetched  # noqa: E402

LEGS = {
    "redis-5": ("redis==5.0.0", "valkey"),
    "redis-6": ("redis>=6,<7", "valkey"),
    "redis-7": ("redis>=7,<8", "valkey"),
    "redis-8": ("redis>=8,<9", "valkey"),
    "valkey-py": ("redis", "valkey"),
    "valkey-server": ("redis", "valkey"),
}
"""The oldest that pyproject.toml allows, then the newest of each. With ``valkey-py`` the guards under test are handed its clients."""
CHOSEN = ["tests/stores", "tests/test_docs.py", "tests/test_forks.py"]
SAME = ("test_differential.py", "test_faults_lost_data.py", "test_fallback.py", "test_open.py", "test_sqlite.py")
"""What is the same with every client, and left out but with another server."""


def environment(name: str) -> Path:
    """The Python of the leg's environment, made if it is not there."""
    folder = ROOT / ".venv-clients" / name
    python = folder / "bin/python"
    if not (folder / ".made").exists():
        print(f"making {folder.relative_to(ROOT)} ...", file=sys.stderr, flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run(
            [
                *install,
                "--editable",
                f"{ROOT}[cli,emulator]",
                *LEGS[name],
                "pytest>=9",
                "hypothesis>=6.100",
                "trustme>=1.1",
            ]
        )
        (folder / ".made").touch()
    return python


def _run(command: list[str]) -> None:
    subprocess.run(command, cwd=ROOT, check=True)


def surroundings(name: str) -> dict[str, str]:
    """What differs from the usual environment."""
    if name == "valkey-py":
        return {"CLEVER_GUARD_TEST_CLIENT": "valkey"}
    if name == "valkey-server":
        server, libraries = fetched("valkey")
        return {"CLEVER_GUARD_TEST_REDIS_BIN": server, **libraries}
    return {}


def tested(name: str, options: list[str]) -> str:
    """Run the tests; how pytest sums them up, or how it ended."""
    ignored = [] if name == "valkey-server" else [f"--ignore=tests/stores/{file}" for file in SAME]
    command = [str(environment(name)), "-m", "pytest", *CHOSEN, *ignored, *options]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | surroundings(name), capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(done.stdout[-20_000:], done.stderr[-2_000:], file=sys.stderr)
    lines = done.stdout.strip().splitlines() or ["no word"]
    return ("ok      " if done.returncode == 0 else "FAILED  ") + lines[-1].strip("= ")


def main(words: list[str]) -> int:
    cut = words.index("--") if "--" in words else len(words)
    names, options = words[:cut] or list(LEGS), words[cut + 1 :]
    unknown = [name for name in names if name not in LEGS]
    if unknown:
        print(f"no such leg: {', '.join(unknown)}; there are {', '.join(LEGS)}", file=sys.stderr)
        return 2
    failed = False
    for name in names:
        begun = time.monotonic()
        said = tested(name, options)
        failed = failed or not said.startswith("ok")
        print(f"{name:14} {said}  ({time.monotonic() - begun:.0f} s in all)", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
