"""The command line: ``clever-guard demo``, ``clever-guard emulate``."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point. Says in one sentence what to install when the extra is missing."""
    try:
        from clever_guard.cli.commands import commands
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.split(".")[0] not in ("click", "rich", "uvicorn"):
            raise
        sys.exit(f"clever-guard needs {missing.name}: pip install 'clever_guard[cli,emulator]'")
    commands()
