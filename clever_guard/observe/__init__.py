"""Observers: callables that are told what happens (clever_guard.events)."""
