"""What must never be in the repository's tracked files, whoever adds it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    "the host of a package registry": r"py"
    + r"pi\.org|python"
    + r"hosted\.org|npm"
    + r"js\.(org|com)|crates"
    + r"\.io",
    "a note that something is unfinished": r"\b(TO" + r"DO|FIX" + r"ME|HA" + r"CK)\b",
    "an index or a proxy of one machine": r"(index|extra-index)[-_]" + r"url|trusted[-_]" + r"host",
    "a private key": r"-----BEGIN [A-Z ]*PRIV" + r"ATE KEY",
}
LOCK_FILES = re.compile(r"(^|/)([^/]*\.lock|pylock[^/]*\.toml|package-lock\.json|Pipfile\.lock)$")
LITTER = re.compile(r"(^|/)(__pycache__|\.venv|\.cache|dist)/|\.(pyc|sqlite|db|log|orig|rej)$")


def tracked() -> list[str]:
    """The files git knows; those of a source archive where there is no git or no repository."""
    if shutil.which("git"):
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
        if listed.returncode == 0:
            return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    folders = ("clever_guard", "tests", "examples", "docs", "benchmarks", "grafana")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".md", ".lua")]
    return [str(path.relative_to(ROOT)) for path in found]


def hits(pattern: str, names: list[str], root: Path = ROOT) -> list[str]:
    """Where the pattern stands, as file:line."""
    found = []
    for name in names:
        lines = (root / name).read_text("utf-8", "replace").splitlines()
        found += [f"{name}:{number}" for number, line in enumerate(lines, 1) if re.search(pattern, line)]
    return found


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_holds(what: str) -> None:
    assert hits(FORBIDDEN[what], tracked()) == []


@pytest.mark.parametrize("what", FORBIDDEN)
def test_it_would_be_found(what: str, tmp_path: Path) -> None:
    bad = {
        "the host of a package registry": "https://py" + "pi.org/simple",
        "a note that something is unfinished": "# TO" + "DO: later",
        "an index or a proxy of one machine": "--index-" + "url x",
        "a private key": "-----BEGIN RSA PRIV" + "ATE KEY-----",
    }
    (tmp_path / "file.txt").write_text("fine\n" + bad[what] + "\n")
    assert hits(FORBIDDEN[what], ["file.txt"], tmp_path) == ["file.txt:2"]


def test_no_lock_files_and_no_litter() -> None:
    assert [name for name in tracked() if LOCK_FILES.search(name) or LITTER.search(name)] == []


def test_links_of_the_pages_lead_somewhere() -> None:
    broken = []
    for name in (name for name in tracked() if name.endswith(".md")):
        page = ROOT / name
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if not (page.parent / link).exists():
                broken.append(f"{name}: {link}")
    assert broken == []


def test_the_changelog_knows_the_version() -> None:
    from clever_guard import __version__

    assert f"## {__version__} " in (ROOT / "CHANGELOG.md").read_text("utf-8")
