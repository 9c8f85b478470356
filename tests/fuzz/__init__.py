"""Hostile bytes for every parser: what must hold, inputs that are kept, and a search for new ones.

    target      what a target is, and the bound on its time
    headers     targets: dialects, dates, tokens
    pages       targets: links and pages
    stores      targets: ledgers, records, replies, URLs
    tools       targets: the command line, the emulator, hosts
    corpus/     inputs that once reached something new, one folder for each target
    distil      which inputs are kept
    __main__    the search, guided by coverage (needs atheris)

The ordinary suite replays the corpus and has Hypothesis change it (test_corpus.py); it needs nothing more than Python.
"""
