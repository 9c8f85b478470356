"""Time that goes wrong: clocks that differ, that are set, that stand still; a server that says impossible times or changes its mind."""
