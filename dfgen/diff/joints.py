"""The same letters with blanks in other places: "can not" / "cannot", "a - b" / "a-b"."""

from __future__ import annotations

from collections.abc import Sequence

from dfgen.diff.align import Edit, TypedEdit
from dfgen.diff.atoms import Units


def peel_joints(edit: Edit, wrong: Units, right: Units) -> list[TypedEdit]:
    """Split parts off both ends of an edit that differ only in where their blanks are.

    Two numbers that become one are content: "1 2" is not "12".

    Returns:
        The parts in order, with True for those that are format-only.
    """
    i, j = _walk(wrong.keys[edit.i0 : edit.i1], right.keys[edit.j0 : edit.j1])
    head = Edit(edit.i0, edit.i0 + i, edit.j0, edit.j0 + j)
    k, m = _walk(
        [key[::-1] for key in reversed(wrong.keys[head.i1 : edit.i1])],
        [key[::-1] for key in reversed(right.keys[head.j1 : edit.j1])],
    )
    tail = Edit(edit.i1 - k, edit.i1, edit.j1 - m, edit.j1)
    middle = Edit(head.i1, tail.i0, head.j1, tail.j0)
    parts = (head, True), (middle, False), (tail, True)
    return [
        (part, form)
        for part, form in parts
        if wrong.keys[part.i0 : part.i1] != right.keys[part.j0 : part.j1]
    ]


def _walk(wrong: Sequence[str], right: Sequence[str]) -> tuple[int, int]:
    """Return how many units from the start of both sides spell the same text."""
    best, i, j = (0, 0), 0, 0
    ahead = ""  # what the longer side has spelled beyond the shorter
    longer_is_wrong = True
    while True:
        if not ahead:
            best = i, j
            if i == len(wrong) or j == len(right):
                return best
            longer_is_wrong, ahead = True, wrong[i]
            i += 1
            continue
        side, at = (right, j) if longer_is_wrong else (wrong, i)
        if at == len(side):
            return best
        key = side[at]
        joins_numbers = key[-1].isdigit() and len(ahead) != len(key) and ahead[:1].isdigit()
        if joins_numbers or not (ahead.startswith(key) or key.startswith(ahead)):
            return best
        if longer_is_wrong:
            j += 1
        else:
            i += 1
        if len(key) > len(ahead):
            longer_is_wrong, ahead = not longer_is_wrong, key[len(ahead) :]
        else:
            ahead = ahead[len(key) :]
