"""Every kept input, and what Hypothesis makes of them. The search for new ones is ``make fuzz``."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.everything import TARGETS
from tests.fuzz.target import CORPUS, Target

FILES, BYTES = 300, 300_000
every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)


@every_target
def test_every_kept_input_is_taken_as_it_should_be(target: Target) -> None:
    kept = target.corpus()
    assert kept, "a target without inputs is not tested"
    for data in [b"", *kept]:
        target.check(data)


@st.composite
def changed(draw: st.DrawFn, kept: list[bytes]) -> bytes:
    """The beginning of one kept input, some bytes, and the end of another."""
    head, tail = draw(st.sampled_from(kept)), draw(st.sampled_from(kept))
    middle = draw(st.binary(max_size=8) | st.sampled_from([b"\n", b",", b"9" * 17, b"://", b"@", b"\xff", b"-1", b""]))
    return head[: draw(st.integers(0, len(head)))] + middle + tail[draw(st.integers(0, len(tail))) :]


@every_target
def test_inputs_like_them_are_too(target: Target) -> None:
    @settings(max_examples=60, database=None)
    @given(changed(target.corpus()))
    def search(data: bytes) -> None:
        target.check(data)

    search()


def test_the_corpus_is_small_and_belongs_to_targets() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == set(TARGETS)
    assert len(files) <= FILES
    assert sum(path.stat().st_size for path in files) <= BYTES
