"""Fixtures of the adapters' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import urllib3

from tests.adapters.serving import Server, says, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(says(200, b"fine")) as running:
        yield running


@pytest.fixture
def http_() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager() as manager:
        yield manager
