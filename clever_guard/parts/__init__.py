"""Parts answer one question each, purely: no clock, no randomness of their own, no I/O.

    classify   what an outcome means, and whether the call may be sent again
    backoff    how long to wait before attempt n
    keys       whose budget a request draws on

Each is a Protocol of one method: a plain function will do.
"""
