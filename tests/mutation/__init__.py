"""Mutation testing of what decides: small faults are put into the code one by one, and the tests that judge it must notice.

    python -m tests.mutation                                  # every module of ``[tool.mutmut]`` in pyproject.toml
    python -m tests.mutation clever_guard.quota.pace          # one, or several

``mutmut`` makes the mutants and runs, for each, the tests that reach the mutated function. A mutant that no test notices has
survived; one that no test could notice is equivalent, and stands in ``equivalent.py`` with the reason. The exit status is 1 when
another survives.
"""
