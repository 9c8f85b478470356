"""Drivers run flows: they do what an effect says and send the answer back.

account   decisions every driver shares, without I/O
trips     journeys to the store, for blocking clients
sync      the driver for blocking clients
"""
