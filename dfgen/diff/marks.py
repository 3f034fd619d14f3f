"""Marks the tokens of one side of a pair from its hunks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dfgen.diff.hunks import Hunk
from dfgen.diff.project import find_tokens
from dfgen.diff.spans import Span
from dfgen.diff.tokenised import Side

EQUAL, SUBSTITUTED, DELETED, MOVED, FORMAT = range(5)
_OPS = {"substitution": SUBSTITUTED, "deletion": DELETED, "insertion": SUBSTITUTED,
        "move": MOVED, "format": FORMAT}  # fmt: skip
#: What wins where two hunks touch one token: the weaker are written first.
_ORDER = ("format", "move", "insertion", "deletion", "substitution")


@dataclass(frozen=True)
class Marks:
    """What the hunks say about the tokens of the wrong side.

    Attributes:
        ops: int8[T]; see `PairDiff.token_ops`.
        loss: bool[T].
        gaps: bool[T+1].
        tokens: for each hunk the tokens it marks in `loss`, anchors included.
    """

    ops: NDArray[np.int8]
    loss: NDArray[np.bool_]
    gaps: NDArray[np.bool_]
    tokens: list[list[int]]


def mark_wrong(
    hunks: Sequence[Hunk], side: Side, anchor: str, steps: NDArray[np.int16] | None = None
) -> Marks:
    """Mark the tokens of the completion.

    Args:
        hunks: of a pair, in order.
        side: the completion.
        anchor: as in `MaskConfig.insertion_anchor`.
        steps: int16[T], the step of each token, if they were looked up already.
    """
    count = len(side.ids)
    empty = frozenset(side.empty)
    # Single bytes are set here, which numpy is slow at; at the end they become arrays as they are.
    ops, loss, gaps = bytearray(count), bytearray(count), bytearray(count + 1)
    tokens: list[list[int]] = [[] for _ in hunks]
    # Single elements of a list are read three times as fast as numpy's.
    step_of: list[int] = (find_step_ids(side) if steps is None else steps).tolist()
    for hunk in hunks:
        # Tokens that an edit next to them split in another way: form, whatever the hunk is.
        _fill(ops, hunk.wrong_tokens, FORMAT)
    for _, index in sorted((_ORDER.index(hunk.kind), n) for n, hunk in enumerate(hunks)):
        hunk = hunks[index]
        touched = find_tokens(side.offsets, *hunk.wrong_bytes)
        _fill(ops, touched, _OPS[hunk.kind])
        if not hunk.in_mask:
            continue
        marked = [t for t in range(*touched) if t not in empty]
        if hunk.wrong_bytes.start == hunk.wrong_bytes.end:
            gaps[touched.start] = True
            if not marked:
                marked = find_anchors(touched.start, count, empty, anchor)
                marked = _keep_step(marked, hunk, touched.start, empty, step_of, anchor)
                # An anchor that does not stand in the repair as it is was replaced, not just form.
                for token in marked:
                    ops[token] = EQUAL if ops[token] == EQUAL else SUBSTITUTED
        else:
            marked = _drop_blanks(marked, hunk, side, step_of)
        for token in marked:
            loss[token] = True
        tokens[index] = marked
    for token in side.empty:
        ops[token] = EQUAL
    return Marks(
        np.frombuffer(ops, dtype=np.int8),
        np.frombuffer(loss, dtype=np.bool_),
        np.frombuffer(gaps, dtype=np.bool_),
        tokens,
    )


def _keep_step(
    anchors: list[int],
    hunk: Hunk,
    gap: int,
    empty: frozenset[int],
    steps: Sequence[int],
    anchor: str,
) -> list[int]:
    """Keep the anchors in the step that the insertion belongs to; else take its neighbour there.

    What is missing at the end of a step is that step's mistake, not the next one's.
    """
    own = [token for token in anchors if steps[token] == hunk.wrong_step]
    if own or anchor == "none":
        return own
    both = find_anchors(gap, len(steps), empty, "both")
    return [token for token in both if steps[token] == hunk.wrong_step] or anchors


def _drop_blanks(marked: list[int], hunk: Hunk, side: Side, steps: Sequence[int]) -> list[int]:
    """Leave out tokens of other steps of which the hunk holds white space only.

    A line break that goes with the next step does not touch the step that it ends.
    """
    if len(marked) < 2 or steps[marked[0]] == steps[marked[-1]]:
        return marked
    (start, end), edges = hunk.wrong_bytes, side.offsets
    spoken = {
        steps[token]
        for token in marked
        if side.raw[max(start, edges[token]) : min(end, edges[token + 1])].strip()
    }
    return [token for token in marked if steps[token] in spoken] or marked


def _fill(array: bytearray, span: Span, value: int) -> None:
    array[span.start : span.end] = bytes((value,)) * (span.end - span.start)


def find_anchors(gap: int, count: int, empty: frozenset[int], anchor: str) -> list[int]:
    """Return the tokens that stand for an insertion before token `gap`.

    Tokens without text are never anchors; where one side has no token the other side's is taken.
    """
    behind = next((t for t in range(gap, count) if t not in empty), None)
    before = next((t for t in range(gap - 1, -1, -1) if t not in empty), None)
    if anchor == "none":
        return []
    if anchor == "both":
        chosen = [before, behind]
    elif anchor == "previous":
        chosen = [behind if before is None else before]
    else:
        chosen = [before if behind is None else behind]
    return [token for token in chosen if token is not None]


def mark_right(hunks: Sequence[Hunk], side: Side) -> NDArray[np.bool_]:
    """Return bool[U]: the tokens of the repair that are new in it."""
    mask = bytearray(len(side.ids))
    for hunk in hunks:
        if hunk.in_mask and hunk.right_bytes.start != hunk.right_bytes.end:
            _fill(mask, find_tokens(side.offsets, *hunk.right_bytes), True)
    for token in side.empty:
        mask[token] = False
    return np.frombuffer(mask, dtype=np.bool_)


def find_step_ids(side: Side) -> NDArray[np.int16]:
    """Return int16[T]: the step that the last byte of each token lies in.

    The last byte, because a token such as " Step" begins with the white space before its step.
    """
    count = len(side.ids)
    step_ids = np.zeros(count, dtype=np.int16)
    firsts = [bisect_right(side.offsets, start) - 1 for start in side.step_starts[1:]]
    for step, (first, end) in enumerate(pairwise([*firsts, count]), start=1):
        step_ids[first:end] = step
    return step_ids
