"""Extends edits over LaTeX groups: no hunk begins inside {...} and ends outside of it."""

from __future__ import annotations

from collections.abc import Sequence

from dfgen.diff.align import Edit, TypedEdit
from dfgen.diff.atoms import Units

#: An edit that would grow by more units than this is left as it is.
_FURTHEST = 48


def snap_groups(edits: list[TypedEdit], wrong: Units, right: Units) -> list[TypedEdit]:
    """Extend changes of content over the rest of each group they cut.

    x^{n+1} -> x^{n}+1 moves a brace: the group is wrong as a whole, and a brace alone is nothing
    that could be learned from.
    """
    if not any(not form and _holds_brace(edit, wrong, right) for edit, form in edits):
        return edits
    snapped = list(edits)
    at = 0
    while at < len(snapped):
        edit, form = snapped[at]
        if not form and _holds_brace(edit, wrong, right):
            low, high, edit = _grow(snapped, at, wrong, right)
            snapped[low : high + 1] = [(edit, False)]
            at = low
        at += 1
    return snapped


def _holds_brace(edit: Edit, wrong: Units, right: Units) -> bool:
    keys = (*wrong.keys[edit.i0 : edit.i1], *right.keys[edit.j0 : edit.j1])
    return "{" in keys or "}" in keys


def _grow(edits: Sequence[TypedEdit], at: int, wrong: Units, right: Units) -> tuple[int, int, Edit]:
    """Return the first and last edit that become one, and that one."""
    low = high = at
    i0, i1, j0, j1 = start = edits[at][0]
    for _ in range(_FURTHEST):
        sides = (wrong.keys[i0:i1], right.keys[j0:j1])
        closers, openers = (max(counts) for counts in zip(*map(_count_open, sides), strict=True))
        if closers:
            before = edits[low - 1][0] if low else Edit(0, 0, 0, 0)
            if i0 > before.i1 and j0 > before.j1:
                i0, j0 = i0 - 1, j0 - 1
            elif low:
                low, i0, j0 = low - 1, before.i0, before.j0
            else:
                break
        elif openers:
            behind = edits[high + 1][0] if high + 1 < len(edits) else None
            ends = (behind.i0, behind.j0) if behind else (len(wrong), len(right))
            if i1 < ends[0] and j1 < ends[1]:
                i1, j1 = i1 + 1, j1 + 1
            elif behind:
                high, i1, j1 = high + 1, behind.i1, behind.j1
            else:
                break
        else:
            return low, high, Edit(i0, i1, j0, j1)
    return at, at, start


def _count_open(keys: Sequence[str]) -> tuple[int, int]:
    """Return how many braces close a group that began before, and how many are left open."""
    closers = openers = 0
    for key in keys:
        if key == "{":
            openers += 1
        elif key == "}" and openers:
            openers -= 1
        elif key == "}":
            closers += 1
    return closers, openers
