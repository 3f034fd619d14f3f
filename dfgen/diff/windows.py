"""Align rows that are too long and too different for an exact alignment.

Units that occur exactly once on both sides, in the same order, are taken as fixed points (the idea
of patience diff); what lies between two of them is aligned exactly if it is small enough and cut
into windows of equal share otherwise. The result is a valid edit script, not always the shortest.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

from rapidfuzz.distance import Levenshtein

Box = tuple[int, int, int, int]


def align_windows(wrong: Sequence[str], right: Sequence[str], max_cells: int) -> list[Box]:
    """Return edits (i0, i1, j0, j1) in order; touching ones are not merged."""
    edits: list[Box] = []
    for box in _split_at_anchors(wrong, right):
        for i0, i1, j0, j1 in _cut(box, max_cells):
            edits += [
                (i0 + op.src_start, i0 + op.src_end, j0 + op.dest_start, j0 + op.dest_end)
                for op in Levenshtein.opcodes(wrong[i0:i1], right[j0:j1], score_hint=31)
                if op.tag != "equal"
            ]
    return edits


def _split_at_anchors(wrong: Sequence[str], right: Sequence[str]) -> Iterator[Box]:
    i, j = 0, 0
    for ai, aj in find_anchors(wrong, right):
        yield i, ai, j, aj
        i, j = ai + 1, aj + 1
    yield i, len(wrong), j, len(right)


def find_anchors(wrong: Sequence[str], right: Sequence[str]) -> list[tuple[int, int]]:
    """Return the longest increasing chain of units unique on both sides, as (i, j)."""
    counts_wrong, counts_right = Counter(wrong), Counter(right)
    places = {key: j for j, key in enumerate(right) if counts_right[key] == 1}
    pairs = [
        (i, places[key]) for i, key in enumerate(wrong) if counts_wrong[key] == 1 and key in places
    ]
    tails: list[int] = []
    tail_index: list[int] = []
    previous: list[int] = []
    for index, (_, j) in enumerate(pairs):
        at = bisect_left(tails, j)
        previous.append(tail_index[at - 1] if at else -1)
        if at == len(tails):
            tails.append(j)
            tail_index.append(index)
        else:
            tails[at], tail_index[at] = j, index
    chain: list[tuple[int, int]] = []
    at = tail_index[-1] if tail_index else -1
    while at >= 0:
        chain.append(pairs[at])
        at = previous[at]
    return chain[::-1]


def _cut(box: Box, max_cells: int) -> Iterator[Box]:
    """Cut a box into windows so that all of them together stay within max_cells."""
    i0, i1, j0, j1 = box
    n, m = i1 - i0, j1 - j0
    parts = -(-n * m // max_cells) if n and m else 1
    for part in range(parts):
        yield (
            i0 + n * part // parts,
            i0 + n * (part + 1) // parts,
            j0 + m * part // parts,
            j0 + m * (part + 1) // parts,
        )
