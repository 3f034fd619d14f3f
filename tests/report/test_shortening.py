"""A long answer is cut to what stands around its edits, and both sides stay in step."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from dfgen.report.shortening import shorten
from dfgen.report.view import build_view
from tests.report.hostile import make_mask_row

WORDS = ["the", "red", "square", "lies", "日本", "left", "é", "of", "🙂", "count", "again\n"]


def make_long_row(seed: int, words: int, edits: list[tuple[float, str]]) -> dict[str, Any]:
    """A row of many words with edits at places (0 to 1): what stands there instead."""
    rng = random.Random(seed)
    text = [rng.choice(WORDS) for _ in range(words)]
    other = list(text)
    for place, new in edits:
        other[int(place * (words - 1))] = new
    return make_mask_row(" ".join(text), " ".join(other))


def rebuild(row: Any, hunks: list[Any]) -> str:
    """Apply the edits that are left to the short completion."""
    data, repair, parts, at = row["completion"].encode(), row["repair"].encode(), [], 0
    for hunk in hunks:
        if hunk is None:
            continue
        (w0, w1), (r0, r1) = hunk["wrong_bytes"], hunk["right_bytes"]
        parts += [data[at:w0], repair[r0:r1]]
        at = w1
    return b"".join([*parts, data[at:]]).decode()


@settings(max_examples=15, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.integers(0, 99),
    st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(["seven", "", "x " * 900, "many\nlines 日"])),
        min_size=1,
        max_size=8,
    ),
    st.integers(600, 1500),
)
def test_what_is_left_is_in_step(seed: int, edits: list[tuple[float, str]], budget: int) -> None:
    row = make_long_row(seed, 900, edits)
    stored = json.loads(row["hunks"])
    short, hunks = shorten(row, stored, budget)
    length = len(short["completion_ids"])
    for name in ("loss_mask", "token_ops", "logprobs", "step_ids", "indices"):
        assert len(short[name]) == length
    assert len(short["token_bytes"]) == len(short["gap_mask"]) == length + 1
    assert short["token_bytes"][-1] == len(short["completion"].encode())
    assert short["token_bytes"] == sorted(short["token_bytes"])
    assert length < budget + 500
    assert len(short["repair"]) < 12 * budget
    if None not in hunks:
        assert rebuild(short, hunks) == short["repair"]
    for hunk, whole in zip(hunks, stored, strict=True):
        if hunk is not None and len(whole["right_text"]) < 1000:
            start, end = hunk["right_bytes"]
            assert short["repair"].encode()[start:end].decode() == whole["right_text"]
    view = build_view(row, budget)
    assert view.length == len(row["completion_ids"])
    assert view.masked == sum(row["loss_mask"])
    shown = [token.index for step in view.steps for token in step.tokens]
    assert shown == list(short["indices"])


def test_a_short_answer_is_left_alone() -> None:
    row = make_long_row(0, 100, [(0.5, "seven")])
    short, hunks = shorten(row, json.loads(row["hunks"]), 1000)
    assert {name: short[name] for name in row} == row
    assert None not in hunks


def test_every_edit_is_seen_while_there_is_room() -> None:
    row = make_long_row(3, 6000, [(0.2, "seven"), (0.7, "eight")])
    view = build_view(row, 1500)
    repaired = "".join(piece.text for step in view.steps for piece in step.pieces)
    written = "".join(token.text for step in view.steps for token in step.tokens)
    assert "seven" in repaired
    assert "eight" in repaired
    assert written.count("bytes left out here") == repaired.count("bytes left out here") == 3


@pytest.mark.parametrize("side", ["wrong", "right"])
def test_an_answer_that_is_all_edit_is_cut_inside(side: str) -> None:
    long, short = "count " * 4000, "I see 3."
    row = make_mask_row(*((long, short) if side == "wrong" else (short, long)))
    view = build_view(row, 1000)
    text = "".join(token.text for step in view.steps for token in step.tokens)
    right = "".join(piece.text for step in view.steps for piece in step.pieces)
    assert len(text) + len(right) < 10_000
    assert "left out here" in text + right
