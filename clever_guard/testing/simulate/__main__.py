"""What there is to run: the rows (``report``), random faults (``faults``), all interleavings (``exhaustive``)."""

import sys

from clever_guard.testing.simulate import exhaustive, report
from clever_guard.testing.simulate.faults import command

COMMANDS = {"faults": command.main, "exhaustive": exhaustive.main}


def main(arguments: list[str]) -> int:
    """The rows where no other command is named first."""
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]](arguments[1:])
    return report.main(arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
