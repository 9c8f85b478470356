"""What the guard costs and what a fleet gets for it, beside other libraries in one run.

    python -m benchmarks             everything, quickly; a table, JSON and pictures in benchmarks/results
    python -m benchmarks --full      everything, with more rounds, workers and scenarios
    python -m benchmarks.wrapper     microseconds around a stub, piece by piece
    python -m benchmarks.pieces      where they go, step by step
    python -m benchmarks.overhead    CPU and time of a request over one connection, as ratio to bare urllib3
    python -m benchmarks.acquire     permits a second, store trips a permit
    python -m benchmarks.dark        a call while the store is gone, beside a bare one
    python -m benchmarks.fleet       real processes, judged by the server's own log
    python -m benchmarks.growth      more tokens, more workers
    python -m benchmarks.summary     one table of all of them: the best of the others, ours, must and aim

Figures are medians of rounds in which the contestants take turns. They are compared with each other, never with a number of
another machine, and no test depends on them.
"""
