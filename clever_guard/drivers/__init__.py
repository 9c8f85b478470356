"""Drivers run flows: they do what an effect says and send the answer back.

account   decisions every driver shares, without I/O
sync      the driver for blocking clients
"""
