"""Layers around an attempt. Each is one method, ``around(request, proceed)``, that yields effects."""
