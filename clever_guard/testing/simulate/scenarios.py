"""The rows of the table: how a schedule of each row differs from the common one, and the 429s per 1000 it may have."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from clever_guard.testing.simulate.setting import Setting, common

Change = Callable[[random.Random], dict[str, object]]


@dataclass(frozen=True)
class Scenario:
    """``bound``: refusals of the fleet per 1000 answers, over all seeds of a run, but for those that were sent blind: before an
    answer had told anybody that the limit is lower now."""

    name: str
    bound: float
    change: Change
    saturating: bool = True
    """Whether callers always wait, so that the share of the budget spent means something."""
    least: float = 0.0
    """What the median full window must spend at least."""

    def setting(self, seed: int) -> Setting:
        chance = random.Random(f"{self.name}/{seed}")
        return Setting(**(common(chance) | self.change(chance)))  # type: ignore[arg-type]


def _always(**change: object) -> Change:
    return lambda chance: change


def _wrong_window(chance: random.Random) -> dict[str, object]:
    """Up to the factor of two at which a reset is still believed."""
    window = chance.choice([6.0, 10.0, 20.0])
    return {"window": window, "told_window": window * chance.choice([0.6, 0.8, 1.7, 3.0, 10.0])}


SCENARIOS = (
    Scenario("base", 0.0, _always(), least=0.98),
    Scenario("slow calls", 0.0, lambda c: {"latency": (1.0, 7.0), "workers": c.choice([8, 32, 64])}, saturating=False),
    Scenario("counted at completion", 0.0, lambda c: {"at_completion": True, "latency": (0.1, 1.0)}, saturating=False),
    Scenario("kill -9", 0.0, _always(kill=0.7), least=0.95),
    Scenario("SIGSTOP", 0.0, _always(stop=1.0), saturating=False),
    Scenario("threads", 0.0, lambda c: {"workers": c.choice([1, 2]), "threads": 64}, least=0.98),
    Scenario(
        "1000 workers", 0.0, lambda c: {"workers": 1000, "limit": c.choice([300, 1200]), "window": 20.0, "windows": 5}
    ),
    Scenario("slow and fast", 0.0, _always(slow_latency=(1.0, 4.0)), least=0.9),
    Scenario("surges", 0.0, _always(surges=True), saturating=False),
    Scenario("idle gaps", 0.0, _always(idle=True), saturating=False),
    Scenario("tiny limits", 0.0, lambda c: {"limit": c.randint(1, 5)}),
    Scenario("lost requests", 0.0, _always(lost_requests=0.02, lost_replies=0.02), least=0.9),
    Scenario("lost commands", 0.0, _always(lost_commands=0.02), least=0.9),
    Scenario("wrong window", 0.0, _wrong_window, least=0.95),
    Scenario("no Date", 0.0, _always(dated=False), least=0.95),
    Scenario("stranger at reset", 0.0, _always(stranger=0.2, stranger_at="reset")),
    Scenario("stranger spread", 0.9, _always(stranger=0.2)),
    Scenario("stranger, slow workers", 4.0, _always(stranger=0.2, slow_latency=(1.0, 4.0))),
    Scenario("store down", 0.2, _always(outage=15.0)),
    Scenario("cut off", 1.0, _always(cut_off=3.0)),
    Scenario("data lost", 0.05, _always(forget=4.0)),
    Scenario("failover", 0.11, _always(failover=5.0)),
    Scenario("failover and step", 0.34, _always(failover=5.0, failover_step=1.0)),
    Scenario("store clock steps", 0.21, _always(store_step=40.0)),
    Scenario("server set back", 0.03, _always(set_back=True)),
    Scenario("first-hit windows", 0.19, _always(first_hit=True)),
    Scenario("limit changes", 0.05, _always(limit_changes=True), saturating=False),
    Scenario("some headerless", 0.03, _always(headerless=0.3)),
    Scenario("other tick", 0.14, _always(other_tick=1.0)),
    Scenario("floors", 0.0, _always(reserve=20), least=0.9),
    Scenario("headerless", 0.0, _always(headerless=1.0)),
)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
