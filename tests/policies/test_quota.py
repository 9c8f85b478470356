"""Quota's flow: who gives up says so."""

from __future__ import annotations

import pytest

from clever_guard.errors import QuotaTimeout
from clever_guard.flow import Reserve, Wait, send
from clever_guard.model import Hold, Request, Ticket
from clever_guard.policies.quota import Quota
from clever_guard.testing.simulate.server import Headers


@pytest.mark.parametrize("interruption", [QuotaTimeout("too long"), KeyboardInterrupt()])
def test_a_place_in_the_queue_is_given_up_with_the_call(interruption: BaseException) -> None:
    quota = Quota(limit=5, window=10.0, key=lambda request: "TEST_TOKEN")
    flow = quota.around(Request("GET", "https", "api", None, "/", Headers([])), send)
    ticket = Ticket()
    assert isinstance(next(flow), Reserve)
    assert isinstance(flow.send(Hold(1.0, 1.0, ticket)), Wait)
    assert not ticket.left
    with pytest.raises(type(interruption)):
        flow.throw(interruption)
    assert ticket.left
