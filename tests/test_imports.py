"""Imports run one way. The table below is the house; a module that breaks it is in the wrong room."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "clever_guard"
IMPURE = {"time", "random", "socket", "threading", "asyncio", "selectors", "secrets"}
PURE = (
    "parts",
    "dialects",
    "policies",
    "quota.ledger",
    "quota.ageing",
    "quota.settling",
    "quota.bracket",
    "quota.hearing",
    "quota.pace",
    "quota.granting",
    "quota.record",
    "quota.store",
    "quota.names",
    "flow",
    "given",
    "model",
    "pages.links",
)
MAY_IMPORT = {
    "given": set(),
    "errors": set(),
    "frames": set(),
    "model": set(),
    "events": set(),
    "flow": {"events", "model"},
    "parts": {"given", "model", "parts"},
    "dialects": {"model", "dialects"},
    "quota": {"model", "quota"},
    "policies": {"errors", "events", "flow", "given", "model", "parts", "dialects", "quota", "policies"},
    "stores": {"errors", "frames", "quota", "stores"},
    "observe": {"events"},
    "drivers": {"errors", "events", "flow", "model", "quota", "drivers"},
}
ONLY_IN = {
    "redis": ("stores",),
    "prometheus_client": ("observe",),
    "urllib3": ("adapters", "testing", "cli"),
    "wrapt": ("adapters",),
    "click": ("cli",),
    "rich": ("cli",),
    "uvicorn": ("cli", "testing"),
    "hypothesis": ("testing",),
}


def modules() -> list[tuple[str, ast.Module]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        found.append((name, ast.parse(path.read_text())))
    return found


def imports(tree: ast.Module) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return names


@pytest.mark.parametrize(("name", "tree"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_each_module_imports_only_what_its_room_may(name: str, tree: ast.Module) -> None:
    room = name.split(".")[0]
    for imported in imports(tree):
        top, *rest = imported.split(".")
        if top == "clever_guard" and room in MAY_IMPORT and rest:
            assert rest[0] in MAY_IMPORT[room] | {room}, f"{name} imports {imported}"
        if top in ONLY_IN:
            assert room in ONLY_IN[top], f"{name} imports {imported}"
        if name.startswith(PURE):
            assert top not in IMPURE, f"{name} imports {imported}"


def test_the_library_needs_no_extra() -> None:
    """Importing and wrapping work where click, rich and uvicorn are absent."""
    code = (
        "import sys\n"
        "for name in ('click', 'rich', 'uvicorn', 'httptools', 'hypothesis'): sys.modules[name] = None\n"
        "import clever_guard, clever_guard.testing, urllib3\n"
        "clever_guard.presets.clever().wrap(urllib3.PoolManager())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_line_says_what_is_missing() -> None:
    code = "import sys\nsys.modules['click'] = None\nfrom clever_guard.cli import main\nmain()\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'clever_guard[cli,emulator]'" in done.stderr
    assert "Traceback" not in done.stderr
