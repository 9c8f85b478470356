"""docs/flows.md: its code runs, and prints what the page says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "flows.md"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_page_prints_what_it_says() -> None:
    names: dict[str, object] = {"__name__": "flows_page"}
    printed, said = "", []
    for kind, block in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "text":
            assert printed == block
            said.append(block)
        else:
            printed = _printed(block, names)
    assert len(said) == 3


def _printed(code: str, names: dict[str, object]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, str(PAGE), "exec"), names)
    return out.getvalue()


def test_the_page_names_every_effect() -> None:
    from clever_guard.flow import Effect

    table = re.findall(r"^\| `(\w+)\(", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(table) == sorted(
        kind.__name__ for kind in Effect.__subclasses__() if kind.__module__ == Effect.__module__
    )
    assert len(table) == 6
