"""Walking a paged collection: records out, pages in between, never to a foreign origin."""

from clever_guard.pages.paginate import PageError, pages, paginate

__all__ = ["PageError", "pages", "paginate"]
