"""Finds the shortest list of edits that leads from one row of words and signs to another.

Rows that are too long and too different for an exact alignment are cut first. Units that occur
exactly once on both sides, in the same order, are taken as fixed points (the idea of patience
diff); what lies between two of them is aligned exactly if it is small enough and cut into windows
of equal share otherwise. The result is a valid edit script, not always the shortest.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress, count, pairwise
from operator import ne
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein

#: First guess of the distance: rapidfuzz works in a band of this width and doubles it as needed.
SCORE_HINT = 31
_LONGEST_GIVEN_UP = 3
_MOST_JOINED = 8


class Edit(NamedTuple):
    """A maximal run of changes: units [i0, i1) of the wrong side become [j0, j1) of the right."""

    i0: int
    i1: int
    j0: int
    j1: int


#: An edit and whether it changes the form only.
TypedEdit = tuple[Edit, bool]


def align_units(
    wrong: Sequence[str], right: Sequence[str], max_cells: int
) -> tuple[list[Edit], bool]:
    """Align two rows of units by Levenshtein distance (insert, delete, substitute cost 1 each).

    Args:
        wrong: length N.
        right: length M.
        max_cells: above this N x M (common ends cut) and far apart, the alignment is windowed.

    Returns:
        The edits in order, and whether they are approximate: valid, but perhaps not the shortest.
        Time is O(N) for equal rows, O(N x distance / 64) in general.
    """
    head, tail = measure_common_ends(wrong, right)
    n, m = len(wrong) - head - tail, len(right) - head - tail
    if n == 0 and m == 0:
        return [], False
    if n == 0 or m == 0:
        return [Edit(head, head + n, head, head + m)], False
    a, b = wrong[head : head + n], right[head : head + m]
    if n * m > max_cells:
        # A band of this width costs as much as max_cells do.
        limit = max(SCORE_HINT, max_cells // (2 * max(n, m)))
        distance = Levenshtein.distance(a, b, score_cutoff=limit, score_hint=SCORE_HINT)
        if distance > limit:
            edits = [Edit(*edit) for edit in align_windows(a, b, max_cells)]
            return [_shift(edit, head) for edit in merge_touching(edits)], True
    return [_shift(edit, head) for edit in align_exactly(a, b)], False


def align_exactly(wrong: Sequence[str], right: Sequence[str]) -> list[Edit]:
    """Align two rows without any limit of size."""
    edits: list[Edit] = []
    for block in Levenshtein.opcodes(wrong, right, score_hint=SCORE_HINT):
        if block.tag == "equal":
            continue
        edit = Edit(block.src_start, block.src_end, block.dest_start, block.dest_end)
        edits.append(edit)
    return merge_touching(edits)


def measure_common_ends(wrong: Sequence[str], right: Sequence[str]) -> tuple[int, int]:
    """Return how many units are equal at the start and, of the rest, at the end."""
    shorter = min(len(wrong), len(right))
    head = _find_difference(wrong, right, shorter)
    tail = _find_difference(reversed(wrong), reversed(right), shorter)
    return head, min(tail, shorter - head)


def _find_difference(wrong: Iterable[str], right: Iterable[str], default: int) -> int:
    """Return the index of the first units that differ, without a loop in Python."""
    return next(compress(count(), map(ne, wrong, right)), default)


def merge_touching(edits: list[Edit]) -> list[Edit]:
    """Join edits that have no equal unit between them."""
    merged: list[Edit] = []
    for edit in edits:
        if merged and merged[-1].i1 == edit.i0 and merged[-1].j1 == edit.j0:
            merged[-1] = Edit(merged[-1].i0, edit.i1, merged[-1].j0, edit.j1)
        else:
            merged.append(edit)
    return merged


def join_for_free(
    edits: list[Edit], keep: Callable[[int, int, int], bool] = lambda _i, _j, _run: False
) -> list[Edit]:
    """Join edits where one longer substitution costs no more than they do.

    "a x" -> "x b" is a deletion and an insertion around x, or two substitutions, at the same cost;
    human post-edit tags see one replacement (MLQE-PE en-de, words: F1 .996 instead of .987). Only
    short equalities are given up, so that a moved clause stays one.

    Args:
        edits: a shortest script, in order.
        keep: whether the `run` equal units from (i, j) must not be given up.
    """
    joined: list[Edit] = []
    at = 0
    while at < len(edits):
        first = edits[at]
        best, cost = at, measure_edit(first)
        for index in range(at + 1, min(len(edits), at + _MOST_JOINED)):
            edit = edits[index]
            if edit.i0 - edits[index - 1].i1 > _LONGEST_GIVEN_UP:
                break
            cost += measure_edit(edit)
            if measure_edit(Edit(first.i0, edit.i1, first.j0, edit.j1)) == cost:
                if any(keep(a.i1, a.j1, b.i0 - a.i1) for a, b in pairwise(edits[best : index + 1])):
                    break
                best = index
        joined.append(Edit(first.i0, edits[best].i1, first.j0, edits[best].j1))
        at = best + 1
    return joined


def measure_edit(edit: Edit) -> int:
    """Return the cost of an edit: as many substitutions as there is room for, then the rest."""
    return max(edit.i1 - edit.i0, edit.j1 - edit.j0)


def merge_touching_content(edits: list[TypedEdit]) -> list[TypedEdit]:
    """Join changes of content that have nothing between them."""
    merged: list[TypedEdit] = []
    for edit, form in edits:
        last = merged[-1] if merged else (edit, True)
        if not form and not last[1] and (last[0].i1, last[0].j1) == (edit.i0, edit.j0):
            merged[-1] = Edit(last[0].i0, edit.i1, last[0].j0, edit.j1), False
        else:
            merged.append((edit, form))
    return merged


def _shift(edit: Edit, by: int) -> Edit:
    return Edit(edit.i0 + by, edit.i1 + by, edit.j0 + by, edit.j1 + by)


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
