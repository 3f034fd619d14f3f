"""Chooses among edit scripts of the same length, and merges what agrees by chance.

A pure insertion or deletion next to a copy of its own end can stand in several places at the same
cost ("the the cat": which "the" is the extra one?). The place is chosen by meaning; where only the
order decides, the alignment is ambiguous and says so.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING

from dfgen.diff.align import Edit, TypedEdit, join_for_free, merge_touching
from dfgen.diff.atoms import Units

_SENTENCE_ENDS = frozenset(".!?。！？…:;")
_MARK = re.compile(r"(?i)step|</?[a-z]\w*>")

if TYPE_CHECKING:
    from dfgen.config.mask import MaskConfig


def find_break(units: Units, index: int) -> int:
    """Say what begins at a unit: 2 a line, step or tag, 1 a sentence, 0 nothing (or the text).

    It looks at the neighbouring units only, so that text far away cannot change an alignment.
    """
    if index == 0 or index >= len(units):
        return 0
    key = units.keys[index]
    if "\n" in units.text[units.ends[index - 1] : units.starts[index]]:
        return 2
    before = units.keys[index - 1]
    if _MARK.fullmatch(key) and (key[0] == "<" or before[-1] in _SENTENCE_ENDS):
        return 2
    return 1 if before[-1] in _SENTENCE_ENDS or before[0] == "\n" else 0


def settle_ties(edits: list[Edit], wrong: Units, right: Units) -> tuple[list[Edit], bool]:
    """Slide insertions and deletions to their best place.

    Preference, strongest first: touching another hunk (fewer hunks), crossing no step boundary,
    starting or ending at a step or sentence, and the latest place.

    Returns:
        The edits, and whether some place was chosen by its order alone.
    """
    edits = join_for_free(
        edits, lambda i, j, run: _has_step(wrong, i, run) or _has_step(right, j, run)
    )
    settled: list[Edit] = []
    ambiguous = False
    for index, edit in enumerate(edits):
        if edit.i0 != edit.i1 and edit.j0 != edit.j1:
            settled.append(edit)
            continue
        room_left = edit.i0 - (settled[-1].i1 if settled else 0)
        room_left = min(room_left, edit.j0 - (settled[-1].j1 if settled else 0))
        room_right = (
            edits[index + 1].i0 - edit.i1
            if index + 1 < len(edits)
            else min(len(wrong) - edit.i1, len(right) - edit.j1)
        )
        has_next = index + 1 < len(edits)
        units, start, end = (
            (wrong, edit.i0, edit.i1) if edit.i0 != edit.i1 else (right, edit.j0, edit.j1)
        )
        low = _count_slides(units.keys, start - 1, end - 1, room_left, -1)
        high = _count_slides(units.keys, start, end, room_right, 1)
        if low or high:
            merges = {
                -low: bool(settled) and low == room_left,
                high: has_next and high == room_right,
            }
            shift, tied = _choose_shift(units, start, end, range(-low, high + 1), merges)
            ambiguous |= tied
            edit = Edit(*(place + shift for place in edit))  # noqa: PLW2901
        settled.append(edit)
    return merge_touching(settled), ambiguous


def _has_step(units: Units, start: int, count: int) -> bool:
    return any(find_break(units, k) == 2 for k in range(start, start + count + 1))


def _count_slides(keys: list[str], near: int, far: int, room: int, step: int) -> int:
    count = 0
    while count < room and keys[near + count * step] == keys[far + count * step]:
        count += 1
    return count


def _choose_shift(
    units: Units, start: int, end: int, shifts: range, merges: dict[int, bool]
) -> tuple[int, bool]:
    first = start + shifts.start
    breaks = [find_break(units, k) for k in range(first, end + shifts.stop)]
    steps = [0, *accumulate(level == 2 for level in breaks)]
    best: tuple[bool, bool, int] | None = None
    chosen, tied = 0, False
    for shift in shifts:
        lo, hi = start + shift - first, end + shift - first
        crosses = steps[hi] - steps[lo + 1] > 0
        score = (merges.get(shift, False), not crosses, breaks[lo] + breaks[hi])
        if best is None or score >= best:
            tied = score == best
            best, chosen = score, shift
    return chosen, tied


def merge_crumbs(
    edits: list[TypedEdit], wrong: Units, right: Units, config: MaskConfig
) -> list[TypedEdit]:
    """Swallow equalities of a few short units between two long edits.

    The idea is diff-match-patch's semantic clean-up; it is far more careful here, because a mask
    pays for every right token it swallows. Numbers are never crumbs, and a step or sentence
    boundary is never crossed.
    """
    merged: list[TypedEdit] = []
    for edit, form in edits:
        # A change of form alone between two rewrites is chance as well.
        at = 2 if len(merged) > 1 and merged[-1][1] else 1
        if len(merged) >= at and not form and not merged[-at][1]:
            last = merged[-at][0]
            if _is_crumb(last, edit, wrong, right, config):
                merged[-at:] = [(Edit(last.i0, edit.i1, last.j0, edit.j1), False)]
                continue
        merged.append((edit, form))
    return merged


def _is_crumb(before: Edit, after: Edit, wrong: Units, right: Units, config: MaskConfig) -> bool:
    count = after.i0 - before.i1
    if count > config.crumb_max_units or count != after.j0 - before.j1:
        return False
    if min(_size(before), _size(after)) < config.crumb_min_edit:
        return False
    keys = wrong.keys[before.i1 : after.i0]
    if any(len(key) > config.crumb_max_chars or key[0].isdigit() for key in keys):
        return False
    return not any(
        find_break(wrong, before.i1 + k) or find_break(right, before.j1 + k)
        for k in range(len(keys) + 1)
        if before.i1 + k < len(wrong) and before.j1 + k < len(right)
    )


def _size(edit: Edit) -> int:
    """Return the length of the shorter side: a long insertion alone is no rewrite."""
    return min(edit.i1 - edit.i0, edit.j1 - edit.j0)
