"""Masks on other tokens, shares of agreement, hunks as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.diff import Hunk, agreement_weights, apply_hunks, project_mask
from dfgen.errors import RowError
from tests.diff.pairs import diff

TEXT = st.text(alphabet="ab 12.\nд世", max_size=30)


@given(st.lists(st.integers(0, 4), max_size=12), st.data())
def test_projection_marks_what_shares_a_byte(sizes: list[int], data: st.DataObject) -> None:
    edges = np.cumsum([0, *sizes]).astype(np.int32)
    total = int(edges[-1])
    cuts = data.draw(st.lists(st.integers(0, total), max_size=8))
    other = np.array(sorted([0, *cuts, total]), dtype=np.int32)
    mask = np.array([data.draw(st.booleans()) for _ in sizes], dtype=np.bool_)
    covered = np.zeros(total, dtype=np.bool_)
    for start, end, masked in zip(edges, edges[1:], mask, strict=False):
        covered[start:end] |= masked
    expected = [bool(covered[a:b].any()) for a, b in pairwise(other)]
    assert project_mask(mask, edges, other).tolist() == expected


def test_projection_needs_one_text() -> None:
    mask, edges = np.array([True]), np.array([0, 3], dtype=np.int32)
    with pytest.raises(ValueError, match="texts differ"):
        project_mask(mask, edges, np.array([0, 4], dtype=np.int32))
    with pytest.raises(ValueError, match="length"):
        project_mask(np.array([True, True]), edges, edges)


def test_agreement() -> None:
    wrong = "I see 3 red cats"
    diffs = [diff(wrong, right) for right in ("I see 4 red cats", "I see 4 blue cats")]
    weights = agreement_weights(diffs)
    assert weights.dtype == np.float32
    assert sorted(set(weights.tolist())) == [0.0, 0.5, 1.0]
    assert (weights[diffs[0].loss_mask] == 1).all()
    with pytest.raises(ValueError, match="at least one"):
        agreement_weights([])
    with pytest.raises(ValueError, match="same completion"):
        agreement_weights([diffs[0], diff("I see 5", "I see 6")])


@given(TEXT, TEXT)
def test_hunks_survive_json(wrong: str, right: str) -> None:
    hunks = diff(wrong, right).hunks
    again = [
        Hunk.from_json(value) for value in json.loads(json.dumps([h.to_json() for h in hunks]))
    ]
    assert tuple(again) == hunks
    assert apply_hunks(wrong, again) == right


@pytest.mark.parametrize(
    "change", [{"wrong_text": "9"}, {"wrong_bytes": (50, 60)}, {"wrong_bytes": (3, 2)}]
)
def test_hunks_that_do_not_fit(change: dict[str, object]) -> None:
    from dfgen.diff import Span

    (hunk,) = diff("I see 3", "I see 4").hunks
    fields = {k: Span(*v) if k.endswith("bytes") else v for k, v in change.items()}  # type: ignore[misc]
    with pytest.raises(RowError) as caught:
        apply_hunks("I see 3", [replace(hunk, **fields)])  # type: ignore[arg-type]
    assert caught.value.reason == "hunk_does_not_apply"
