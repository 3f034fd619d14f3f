"""Carries mask rows over to another tokenizer, exact by bytes.

What was marked is known as byte spans of the texts (the hunks, and the tokens that stand in for
insertions), so nothing is aligned again: a token of the new tokenizer is marked when it shares a
byte with what was marked. Logprobs belong to the old tokens and become null.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfgen.diff.hunks import Hunk
from dfgen.diff.marks import Marks, mark_right, mark_wrong
from dfgen.diff.pair import summarise_steps
from dfgen.diff.project import find_tokens, project_mask
from dfgen.diff.tokenised import Side, read_side
from dfgen.errors import RowError
from dfgen.records import Mask
from dfgen.tokens.tokenizer import TextTokenizer


def retokenize_mask(row: Mask, tokenizer: TextTokenizer) -> Mask:
    """The same mask over the tokens of another tokenizer.

    Raises:
        RowError: `not_encodable`: the tokenizer does not give the text back from its own ids.
    """
    side = _encode(row.completion, tokenizer)
    old = np.array(row.token_bytes, dtype=np.int32)
    common: dict[str, Any] = {
        "completion_ids": side.ids,
        "ids_source": "encoded",
        "logprobs": None,
        "token_bytes": side.edges.tolist(),
        "step_ids": _project_steps(row, old, side.edges).tolist(),
        "weights": _project_weights(row.weights, old, side.edges),
    }
    if row.mask_source != "repair":
        all_true = bool(row.loss_mask) and row.loss_mask[0]
        return row.model_copy(update={**common, "loss_mask": [all_true] * len(side.ids)})
    assert row.repair is not None and row.hunks is not None and row.token_ops is not None
    other = _encode(row.repair, tokenizer)
    hunks = [_move_spans(Hunk.from_json(hunk), side, other) for hunk in json.loads(row.hunks)]
    marks = mark_wrong(hunks, side, "none")
    anchors = np.array(row.loss_mask, dtype=bool) & ~_find_changed(hunks, old)
    loss = marks.loss | project_mask(anchors, old, side.edges)
    step_ids = np.array(common["step_ids"], dtype=np.int16)
    _, changed = summarise_steps(
        hunks,
        Marks(marks.ops, loss, marks.gaps, marks.tokens),
        step_ids,
        len(row.step_labels or ()),
    )
    return row.model_copy(
        update={
            **common,
            "loss_mask": loss.tolist(),
            "token_ops": marks.ops.tolist(),
            "gap_mask": marks.gaps.tolist(),
            "repair_ids": other.ids,
            "repair_mask": mark_right(hunks, other).tolist(),
            "repair_logprobs": None,
            "step_changed": changed.tolist(),
            "hunks": json.dumps([hunk.to_json() for hunk in hunks], ensure_ascii=False),
        }
    )


def _encode(text: str, tokenizer: TextTokenizer) -> Side:
    side = read_side(tokenizer.encode(text), tokenizer, canonical=True, atoms=False, steps="auto")
    if side.text != text:
        raise RowError(
            "not_encodable",
            f"the tokenizer {tokenizer.name} does not give this text back from its own ids.",
        )
    return side


def _move_spans(hunk: Hunk, side: Side, other: Side) -> Hunk:
    return replace(
        hunk,
        wrong_tokens=find_tokens(side.offsets, *hunk.wrong_bytes),
        right_tokens=find_tokens(other.offsets, *hunk.right_bytes),
    )


def _find_changed(hunks: list[Hunk], old: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Old tokens that share a byte with what a hunk changed. The other masked ones are anchors:
    they stand in for an insertion beside them."""
    offsets = old.tolist()
    changed = np.zeros(len(old) - 1, dtype=bool)
    for hunk in hunks:
        start, end = hunk.wrong_bytes
        if hunk.in_mask and start < end:
            changed[slice(*find_tokens(offsets, start, end))] = True
    return changed


def _project_steps(row: Mask, old: NDArray[np.int32], new: NDArray[np.int32]) -> NDArray[np.int16]:
    """The step of the old token in which the last byte of each new token lies."""
    if not row.step_ids:
        return np.zeros(len(new) - 1, dtype=np.int16)
    last = np.maximum(new[1:] - 1, 0)
    holder = np.clip(np.searchsorted(old, last, side="right") - 1, 0, len(row.step_ids) - 1)
    return np.array(row.step_ids, dtype=np.int16)[holder]


def _project_weights(
    weights: list[float] | None, old: NDArray[np.int32], new: NDArray[np.int32]
) -> list[float] | None:
    """The largest weight among the old tokens that a new token shares a byte with."""
    if weights is None:
        return None
    offsets = old.tolist()
    spans = (find_tokens(offsets, int(a), int(b)) for a, b in pairwise(new))
    return [max(weights[span.start : span.end], default=0.0) for span in spans]
