"""``python -m clever_guard``: the same as ``clever-guard``."""

from clever_guard.cli import main

if __name__ == "__main__":
    main()
