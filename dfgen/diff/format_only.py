r"""Tells a change of content from a change of form.

White space between words, case of words, notation (x² / x^2, \dfrac / \frac, ≥ / >=), list markers,
emphasis, quotes and number format (0.50 / 0.5) say the same thing in another way. What a unit says
is read in `notation`; here two rows of units are compared by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

from dfgen.diff.align import Edit, TypedEdit, align_exactly, join_for_free, measure_edit
from dfgen.diff.atoms import Units
from dfgen.diff.notation import read_form

#: Words that may be written as two; other letters that join make another word.
_COMPOUNDS = frozenset({"cannot", "alright", "alot", "zumindest", "sodass"})


#: Letters of two words from which a blank between them can only have slipped.
_LONG_SLIP = 14


def split_by_form(edit: Edit, wrong: Units, right: Units) -> list[TypedEdit]:
    """Split an edit into parts and say of each whether it is format-only.

    Returns:
        Edits in order with True for format-only. Units between the parts are equal.
    """
    if edit.i1 - edit.i0 <= 1 and edit.j1 - edit.j0 <= 1:  # most edits: spare them the rest
        old = read_form(wrong, edit.i0) if edit.i0 < edit.i1 else ()
        new = read_form(right, edit.j0) if edit.j0 < edit.j1 else ()
        return [(edit, old == new)]
    parts: list[TypedEdit] = []
    for part, form in _align_forms(edit, wrong, right):
        if form or part.i0 == part.i1 or part.j0 == part.j1:
            parts.append((part, form))
        else:
            parts += peel_joints(part, wrong, right)
    return parts


class _Pieces:
    """What a row of units says, in pieces, with the unit that each piece comes from."""

    def __init__(self, units: Units, start: int, end: int) -> None:
        self.texts: list[str] = []
        self.owners: list[int] = []
        for index in range(start, end):
            for piece in read_form(units, index):
                self.texts.append(piece)
                self.owners.append(index)

    def is_inside(self, at: int) -> bool:
        """Say whether a place between two pieces is inside a unit."""
        return 0 < at < len(self.owners) and self.owners[at - 1] == self.owners[at]


def _align_forms(edit: Edit, wrong: Units, right: Units) -> list[TypedEdit]:
    ours, theirs = _Pieces(wrong, edit.i0, edit.i1), _Pieces(right, edit.j0, edit.j1)
    if ours.texts == theirs.texts:
        content: list[Edit] = []
    elif not ours.texts or not theirs.texts:
        content = [Edit(0, len(ours.texts), 0, len(theirs.texts))]
    else:
        content = join_for_free(align_exactly(ours.texts, theirs.texts))
        content = _snap_to_units(content, ours, theirs)
    parts = _spread(edit, content, ours, theirs, wrong, right)
    if content and sum(measure_edit(part) for part, form in parts if not form) >= measure_edit(
        edit
    ):
        return [(edit, False)]
    return parts


def _snap_to_units(edits: list[Edit], ours: _Pieces, theirs: _Pieces) -> list[Edit]:
    """Extend edits of pieces until they begin and end where units do, on both sides."""
    snapped: list[Edit] = []
    for index, (a, b, c, d) in enumerate(edits):
        i0, i1, j0, j1 = a, b, c, d
        low = snapped[-1].i1 if snapped else 0
        while i0 > low and (ours.is_inside(i0) or theirs.is_inside(j0)):
            i0, j0 = i0 - 1, j0 - 1
        high = edits[index + 1].i0 if index + 1 < len(edits) else len(ours.texts)
        while i1 < high and (ours.is_inside(i1) or theirs.is_inside(j1)):
            i1, j1 = i1 + 1, j1 + 1
        if snapped and i0 <= snapped[-1].i1 and (ours.is_inside(i0) or theirs.is_inside(j0)):
            snapped[-1] = Edit(snapped[-1].i0, i1, snapped[-1].j0, j1)
        else:
            snapped.append(Edit(i0, i1, j0, j1))
    return snapped


def _spread(
    edit: Edit,
    content: Sequence[Edit],
    ours: _Pieces,
    theirs: _Pieces,
    wrong: Units,
    right: Units,
) -> list[TypedEdit]:
    """Turn edits of pieces into edits of units, with the changes of form between them."""
    parts: list[TypedEdit] = []
    i, j = edit.i0, edit.j0
    a, b = 0, 0
    for change in [
        *content,
        Edit(len(ours.texts), len(ours.texts), len(theirs.texts), len(theirs.texts)),
    ]:
        # Pieces of equal form before this change, as many at a time as make whole units.
        while a < change.i0:
            a, b = a + 1, b + 1
            if ours.is_inside(a) or theirs.is_inside(b):
                continue
            ends = ours.owners[a - 1] + 1, theirs.owners[b - 1] + 1
            parts += _trim_pair(Edit(i, ends[0], j, ends[1]), wrong, right)
            i, j = ends
        if change.i0 == change.i1 and change.j0 == change.j1:
            break
        start_i = ours.owners[change.i0] if change.i0 < change.i1 else i
        start_j = theirs.owners[change.j0] if change.j0 < change.j1 else j
        if (start_i, start_j) != (i, j):
            parts.append((Edit(i, start_i, j, start_j), True))
        i = ours.owners[change.i1 - 1] + 1 if change.i0 < change.i1 else start_i
        j = theirs.owners[change.j1 - 1] + 1 if change.j0 < change.j1 else start_j
        parts.append((Edit(start_i, i, start_j, j), False))
        a, b = change.i1, change.j1
    if (i, j) != (edit.i1, edit.j1):
        parts += _trim_pair(Edit(i, edit.i1, j, edit.j1), wrong, right)
    return parts


def _trim_pair(edit: Edit, wrong: Units, right: Units) -> list[TypedEdit]:
    """Leave units that are the same text at both ends out of a change of form."""
    i0, i1, j0, j1 = edit
    while i0 < i1 and j0 < j1 and wrong.keys[i1 - 1] == right.keys[j1 - 1]:
        i1, j1 = i1 - 1, j1 - 1
    while i0 < i1 and j0 < j1 and wrong.keys[i0] == right.keys[j0]:
        i0, j0 = i0 + 1, j0 + 1
    return [(Edit(i0, i1, j0, j1), True)] if i0 != i1 or j0 != j1 else []


def peel_joints(edit: Edit, wrong: Units, right: Units) -> list[TypedEdit]:
    """Split parts off both ends of an edit that differ only in where their blanks are.

    "a - b" is "a-b"; but letters that join make another word, digits another number.

    Returns:
        The parts in order, with True for those that are format-only.
    """
    ours, theirs = wrong.keys[edit.i0 : edit.i1], right.keys[edit.j0 : edit.j1]
    i, j = _count_same_spelling(ours, theirs, 1)
    head = Edit(edit.i0, edit.i0 + i, edit.j0, edit.j0 + j)
    k, m = _count_same_spelling(ours[i:], theirs[j:], -1)
    tail = Edit(edit.i1 - k, edit.i1, edit.j1 - m, edit.j1)
    middle = Edit(head.i1, tail.i0, head.j1, tail.j0)
    parts = (head, True), (middle, False), (tail, True)
    return [
        (part, form)
        for part, form in parts
        if wrong.keys[part.i0 : part.i1] != right.keys[part.j0 : part.j1]
    ]


def _count_same_spelling(
    wrong: Sequence[str], right: Sequence[str], way: Literal[1, -1]
) -> tuple[int, int]:
    """Return how many units from the start (1) or end (-1) of both sides spell the same text."""
    wrong, right = wrong[::way], right[::way]
    ends_i, ends_j = list(accumulate(map(len, wrong))), list(accumulate(map(len, right)))
    i = j = 0
    while i < len(wrong) and j < len(right):
        i1, j1 = i, j
        while ends_i[i1] != ends_j[j1]:
            if ends_i[i1] < ends_j[j1]:
                i1 += 1
            else:
                j1 += 1
            if i1 == len(wrong) or j1 == len(right):
                return i, j
        if not _spell_the_same(wrong[i : i1 + 1][::way], right[j : j1 + 1][::way]):
            return i, j
        i, j = i1 + 1, j1 + 1
    return i, j


def _spell_the_same(wrong: Sequence[str], right: Sequence[str]) -> bool:
    """Say whether two rows of units differ in blanks only, and the blanks make no other words.

    Short words can become others by a blank that slips ("an ice" / "a nice"); as many long ones
    cannot ("largercircle now" / "larger circlenow").
    """
    if "".join(wrong) != "".join(right):
        return False
    slip = len(wrong) == len(right) and sum(map(len, wrong)) >= _LONG_SLIP
    cuts = [set(accumulate(map(len, side), initial=0)) for side in (wrong, right)]
    for side, others in ((wrong, cuts[1]), (right, cuts[0])):
        at = 0
        for unit in side:
            for place in range(1, len(unit)):
                if at + place in others and not _may_part(unit, place, slip):
                    return False
            at += len(unit)
    return True


def _may_part(unit: str, place: int, slip: bool) -> bool:
    """Say whether a blank inside a unit leaves it what it is."""
    if unit[0] in "\\." or unit[0].isdigit() or len(set(unit)) == 1:
        return False  # a number, a command, a run of signs
    if slip or unit.casefold() in _COMPOUNDS:
        return True
    return not (_is_letter(unit[place - 1]) and _is_letter(unit[place]))


def _is_letter(char: str) -> bool:
    """Say whether a character belongs to a script that writes blanks between words."""
    return char.isalnum() and not 0x2E80 <= ord(char) < 0xAC00
