"""One target under atheris, in a process of its own: ``python -m tests.fuzz.search TARGET [options of libFuzzer] FOLDERS``.

atheris has wheels for some Pythons only, so nothing else imports it.
"""

from __future__ import annotations

import sys

import atheris


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    name, *options = sys.argv[1:]
    atheris.enabled_hooks.add("str")
    with atheris.instrument_imports(include=["clever_guard"]):
        from tests.fuzz.everything import TARGETS
    atheris.Setup([sys.argv[0], *options], TARGETS[name].check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
