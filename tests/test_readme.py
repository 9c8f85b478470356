"""The README's Python runs, block after block in one module, against a real emulator and a real Redis."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from clever_guard.testing import Emulator

README = Path(__file__).resolve().parent.parent / "README.md"


def test_every_block_runs(redis_url: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    assert len(blocks) >= 4
    names: dict[str, Any] = {}
    with Emulator(records=30).serve() as served:
        for block in blocks:
            code = block.replace("redis://localhost:6379/0", redis_url).replace("http://127.0.0.1:8080", served.url)
            exec(compile(code, str(README), "exec"), names)
            if "sync_students" in block:
                assert names["sync_students"]() == 30
        assert served.emulator.refused == 0
    names["guard"].close()


def test_what_it_names_exists() -> None:
    for path in re.findall(r"\]\((\w[\w/.]*)\)", README.read_text()):
        assert (README.parent / path).exists(), path
