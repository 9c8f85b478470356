"""What the runs need, made once in ``.cache``: the source archive of the urllib3 that is installed, and an environment for its tests.

Everything comes through pip, from wherever it is set up to look. Nothing of the archive is part of this repository.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import venv
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / ".cache" / "urllib3-suite"
NEEDED = ("trustme",)
"""Beyond the archive's own group ``test``: its conftest imports this."""
WELCOME = ("urllib3[brotli]", "urllib3[zstd]", "pyopenssl", "cryptography", "idna")
"""Without one of these some tests are skipped, in every run."""


class CannotPrepare(RuntimeError):
    """Something that cannot be done without could not be had."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the tests are, and the Python that runs them."""

    suite: Path
    python: Path


def prepare() -> Place:
    """Raises CannotPrepare."""
    known = version("urllib3")
    suite, home = CACHE / f"urllib3-{known}", CACHE / f"venv-{known}"
    stamp = home / ".made"
    if not suite.exists():
        _unpack(_archive(known))
    place = Place(suite, home / "bin" / "python")
    if not stamp.exists():
        venv.create(home, clear=True, with_pip=True)
        _install(place, known)
        stamp.touch()
    return place


def _archive(known: str) -> Path:
    print(f"fetching the source archive of urllib3 {known} ...", flush=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--no-deps", "--no-binary", "urllib3", "--dest", str(CACHE), f"urllib3=={known}"])
    return CACHE / f"urllib3-{known}.tar.gz"


def _unpack(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(CACHE, filter="data")


def _install(place: Place, known: str) -> None:
    print("installing what its tests need ...", flush=True)
    pip = [str(place.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--upgrade", "pip>=25.1"])
    _run([*pip, "--group", f"{place.suite}/pyproject.toml:test", f"urllib3=={known}", *NEEDED, *_own_needs()])
    for name in WELCOME:
        try:
            _run([*pip, f"urllib3=={known}", name])
        except CannotPrepare as error:
            print(f"without {name}: {error}", flush=True)


def _own_needs() -> list[str]:
    """What clever_guard itself needs; it is run from this repository."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needs: list[str] = project["dependencies"]
    return [need for need in needs if not need.startswith("urllib3")]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no message"]
        raise CannotPrepare(f"{' '.join(command[2:5])}: {said[-1]}")
