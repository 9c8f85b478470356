"""What goes wrong with one request, drawn by chance: before it is processed, and with the answer to it."""

from __future__ import annotations

import random
from dataclasses import replace

from clever_guard.testing.emulator.exchange import Answer, error_answer
from clever_guard.testing.emulator.headers import asks_to_wait
from clever_guard.testing.emulator.knobs import Knobs


class Faults:
    """The dice of one emulator. A share of 0 draws nothing, so that turning one knob leaves the others' course as it was."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def latency(self, knobs: Knobs) -> float:
        """Seconds."""
        low, high = knobs.latencies
        return low if low == high else self._random.uniform(low, high)

    def error(self, knobs: Knobs) -> Answer:
        answer = error_answer(self._random.choice(knobs.error_codes), "Clever API failure")
        return replace(answer, headers=answer.headers + asks_to_wait(knobs)) if answer.status == 503 else answer

    def after_work(self, knobs: Knobs, answer: Answer) -> Answer:
        """The answer to a request that may have done work, or an error in its place."""
        if not answer.worked or not self.happens(knobs.error_after):
            return answer
        return replace(self.error(knobs), worked=True)

    def on_the_way_back(self, knobs: Knobs, answer: Answer) -> Answer:
        """The answer as it reaches the client: whole, late, in part or not at all."""
        if answer.worked and self.happens(knobs.drop_after):
            return Answer(0, [], cut="after", worked=True)
        if self.happens(knobs.drop_header):
            return replace(answer, cut="header", kept=self._random.random())
        if answer.body and self.happens(knobs.drop_body):
            return replace(answer, cut="body", kept=self._random.random())
        if answer.worked and self.happens(knobs.stall_after):
            return replace(answer, late=True, delay=knobs.stall)
        return answer
