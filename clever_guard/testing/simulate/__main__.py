from clever_guard.testing.simulate.report import main

if __name__ == "__main__":
    raise SystemExit(main())
