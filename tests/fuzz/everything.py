"""All targets, entered."""

from tests.fuzz import headers, pages, stores, tools
from tests.fuzz.target import TARGETS

__all__ = ["TARGETS", "headers", "pages", "stores", "tools"]
