"""Joins a number with its sign, percent sign and unit: they are right or wrong together."""

from __future__ import annotations

import re

from dfgen.diff.align import Edit, TypedEdit, merge_touching_content
from dfgen.diff.atoms import Units
from dfgen.diff.number_form import read_number

_SIGNS = frozenset("+-−–±")
_SUFFIXES = frozenset({"%", "\\%", "°", "‰", "$", "€", "£", "¥"})
_CURRENCY = frozenset("$€£¥")
_OPERAND_ENDS = frozenset(")]}")
_MEASURES = re.compile(
    r"[numcdkMG]?[mgslLVAWJNK]|min|hr?s?|sec|ft|yd|mi|km/h|oz|lbs?|t|[kMG]?(?:Hz|B|Pa)|[FC]|mol"
    r"|rad|deg(?:ree)?s?|percent|px|(?:milli|centi|kilo)?(?:met(?:er|re)|gram|lit(?:er|re))s?"
    r"|inch(?:es)?|foot|feet|(?:mile|second|minute|hour|day|week|month|year|dollar|cent|euro)s?"
)


def snap_quantities(edits: list[TypedEdit], wrong: Units, right: Units) -> list[TypedEdit]:
    """Extend an edit of a sign or a unit over the number it belongs to.

    46 -> -46 inserts a sign, 5 cm -> 5 mm changes a unit: the wrong thing is the whole quantity.
    """
    snapped: list[TypedEdit] = []
    for index, (edit, form) in enumerate(edits):
        i0, i1, j0, j1 = edit
        if not form:
            last_i = snapped[-1][0].i1 if snapped else 0
            next_i = edits[index + 1][0].i0 if index + 1 < len(edits) else len(wrong)
            if i0 > last_i and _is_number(wrong, i0 - 1) and _changes_suffix(edit, wrong, right):
                i0, j0 = i0 - 1, j0 - 1
            if i1 < next_i and _is_number(wrong, i1) and _changes_sign(edit, wrong, right):
                i1, j1 = i1 + 1, j1 + 1
        snapped.append((Edit(i0, i1, j0, j1), form))
    return merge_touching_content(snapped)


def _is_number(units: Units, index: int) -> bool:
    return read_number(units.keys[index]) is not None


def _changes_suffix(edit: Edit, wrong: Units, right: Units) -> bool:
    """Say whether what stands behind a number is its unit, on each side that has anything.

    Where only the case differs (mW, MW), the unit alone is wrong.
    """
    old, new = (u.keys[a:b] for u, a, b in ((wrong, edit.i0, edit.i1), (right, edit.j0, edit.j1)))
    if [key.casefold() for key in old] == [key.casefold() for key in new]:
        return False
    sides = (wrong, edit.i0, edit.i1), (right, edit.j0, edit.j1)
    return all(_is_suffix(units, start) for units, start, end in sides if start < end)


def _is_suffix(units: Units, start: int) -> bool:
    key = units.keys[start]
    gap = units.starts[start] - units.end_before(start)
    if key in _CURRENCY:
        return gap == 0 and (start + 1 == len(units) or not units.keys[start + 1][0].isdigit())
    return (key in _SUFFIXES or _MEASURES.fullmatch(key) is not None) and gap <= 1


def _changes_sign(edit: Edit, wrong: Units, right: Units) -> bool:
    return _has_sign(wrong, edit.i0, edit.i1) or _has_sign(right, edit.j0, edit.j1)


def _has_sign(units: Units, start: int, end: int) -> bool:
    """Say whether units [start, end) end with the sign (or currency) of the number behind."""
    if start == end or units.starts[end] != units.ends[end - 1]:
        return False
    key = units.keys[end - 1]
    if key in _CURRENCY:
        return "$" not in units.text[units.starts[end] : units.starts[end] + 40]
    if key not in _SIGNS:
        return False
    # "3-5" and ") - 5" subtract; a sign has an operator, a bracket or a word before it.
    if end - 1 == 0:
        return True
    before = units.keys[end - 2]
    touching = units.ends[end - 2] == units.starts[end - 1]
    return not (before[-1].isalnum() or before[-1] in _OPERAND_ENDS) or (
        not touching and before[-1].isalpha()
    )
