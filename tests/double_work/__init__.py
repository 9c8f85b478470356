"""No double work: operations sent through a guard to a server that breaks off, stalls and fails on both sides of the work.

bodies    what an operation may carry: bytes that can be sent again, and streams that cannot
crews     the clients and guards that send
rounds    one round: a server, a crew, operations in threads, the log
referee   the judge. It knows nothing of the library and reads plain data: what callers were told, and what the server did

    python -m tests.double_work --operations 100000
"""
