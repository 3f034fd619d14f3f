r"""Tell a change of content from a change of form.

White space, case, LaTeX spelling (\dfrac / \frac, \left( / (), bullets, emphasis and number format
(0.50 / 0.5) say the same thing in another way. Two units of the same `form` differ in format only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache

from dfgen.diff.align import Edit, TypedEdit, align_exactly, join_for_free, measure_edit
from dfgen.diff.atoms import Units

_SYNONYMS = {
    "\\dfrac": "\\frac", "\\tfrac": "\\frac", "\\cfrac": "\\frac",
    "\\leq": "\\le", "\\geq": "\\ge", "\\neq": "\\ne", "\\leqslant": "\\le", "\\geqslant": "\\ge",
    "\\rightarrow": "\\to", "\\dots": "\\ldots", "\\cdots": "\\ldots",
    "\\lbrace": "\\{", "\\rbrace": "\\}", "\\lvert": "|", "\\rvert": "|", "\\vert": "|",
    "\\mathrm": "\\text", "\\textrm": "\\text", "\\mbox": "\\text",
}  # fmt: skip
#: Commands that change the look and nothing else; `\(`, `$` and their like only open a formula.
_LOOK = re.compile(
    r"\\(?:left|right|[bB]igg?[lr]?|(?:display|text)style|(?:no)?limits|q?quad|[,;:!()\[\]])"
)
_BULLETS = frozenset({"-", "*", "•", "+", "–", "‣", "◦"})
#: How far markup looks for its line, so that one endless line costs no quadratic time.
_NEAR = 4096
#: Longer rows of digits are compared as text.
_LONGEST_NUMBER = 60
_FRACTION = re.compile(r"\\[dtc]?frac(?:\{(\d+)\}\{(\d+)\}|\s?(\d)\s?(\d))")
_GROUPING = re.compile(r"\{,\}|\\,|[,\u00a0\u202f]")


@lru_cache(maxsize=65536)  # the same few numbers come again and again
def read_number(text: str) -> Fraction | None:
    r"""Return the exact value of a number unit (1,234.50, 3/4, \frac{3}{4}, 1.5e-3), or None."""
    if len(text) > _LONGEST_NUMBER:
        return None
    fraction = _FRACTION.fullmatch(text)
    if fraction:
        parts = [part for part in fraction.groups() if part is not None]
    elif text[:1].isdigit() or text[:1] == ".":
        parts = _GROUPING.sub("", text).split("/")
    else:
        return None
    try:
        values = [Decimal(part) for part in parts]
    except InvalidOperation:
        return None
    # Exponents beyond this would make a Fraction of a million digits.
    if len(values) > 2 or any(abs(value.adjusted()) > 60 for value in values):
        return None
    top, bottom = Fraction(values[0]), Fraction(values[1]) if len(values) == 2 else Fraction(1)
    return top / bottom if bottom else None


def find_form(units: Units, index: int) -> str:
    """Return what a unit says apart from its look; "" if it is look only."""
    key = units.keys[index]
    first = key[0]
    if first.isalpha():
        # A single letter is a name: x is not X, and option A is not option a.
        return key.casefold() if len(key) > 1 and not _is_in_command(units, index) else key
    if first.isdigit() or (first == "." and len(key) > 1) or first == "\\":
        if _LOOK.fullmatch(key):
            return ""
        value = read_number(key)
        return _SYNONYMS.get(key, key) if value is None else f"={value}"
    if first in "*_`#" or key in _BULLETS:
        return "" if _is_markup(units, index) else key
    if first == "$":
        return "" if _is_formula_mark(units, index) else key
    return key


def split_by_form(edit: Edit, wrong: Units, right: Units) -> list[TypedEdit]:
    """Split an edit into parts and say of each whether it is format-only.

    Returns:
        Edits in order with True for format-only. Units between the parts are equal.
    """
    if edit.i1 - edit.i0 <= 1 and edit.j1 - edit.j0 <= 1:  # most edits: spare them the rest
        old = find_form(wrong, edit.i0) if edit.i0 < edit.i1 else ""
        new = find_form(right, edit.j0) if edit.j0 < edit.j1 else ""
        return [(edit, old == new)]
    parts: list[TypedEdit] = []
    for part, form in _align_forms(edit, wrong, right):
        if form or part.i0 == part.i1 or part.j0 == part.j1:
            parts.append((part, form))
        else:
            parts += peel_joints(part, wrong, right)
    return parts


def _align_forms(edit: Edit, wrong: Units, right: Units) -> list[TypedEdit]:
    shown_i, forms_i = _read_forms(wrong, edit.i0, edit.i1)
    shown_j, forms_j = _read_forms(right, edit.j0, edit.j1)
    if forms_i == forms_j:
        content: list[Edit] = []
    elif not forms_i or not forms_j:
        content = [Edit(0, len(forms_i), 0, len(forms_j))]
    else:
        content = join_for_free(align_exactly(forms_i, forms_j))
        if sum(map(measure_edit, content)) >= measure_edit(edit):
            return [(edit, False)]
    ends_i, ends_j = [*shown_i, edit.i1], [*shown_j, edit.j1]
    parts: list[TypedEdit] = []
    i, j = edit.i0, edit.j0
    a, b = 0, 0
    for change in [*content, Edit(len(forms_i), len(forms_i), len(forms_j), len(forms_j))]:
        # Pairs of equal form before this change, each with the markup in front of it.
        while a < change.i0:
            parts += _split_pair(Edit(i, ends_i[a] + 1, j, ends_j[b] + 1), wrong, right)
            i, j = ends_i[a] + 1, ends_j[b] + 1
            a, b = a + 1, b + 1
        if change.i0 == change.i1 and change.j0 == change.j1:
            break
        start_i = ends_i[change.i0] if change.i0 < change.i1 else i
        start_j = ends_j[change.j0] if change.j0 < change.j1 else j
        if (start_i, start_j) != (i, j):
            parts.append((Edit(i, start_i, j, start_j), True))
        i = ends_i[change.i1 - 1] + 1 if change.i0 < change.i1 else start_i
        j = ends_j[change.j1 - 1] + 1 if change.j0 < change.j1 else start_j
        parts.append((Edit(start_i, i, start_j, j), False))
        a, b = change.i1, change.j1
    if (i, j) != (edit.i1, edit.j1):
        parts.append((Edit(i, edit.i1, j, edit.j1), True))
    return parts


def _read_forms(units: Units, start: int, end: int) -> tuple[list[int], list[str]]:
    forms = [(k, find_form(units, k)) for k in range(start, end)]
    return [k for k, form in forms if form], [form for _, form in forms if form]


def _split_pair(edit: Edit, wrong: Units, right: Units) -> list[TypedEdit]:
    """Drop the last unit of both sides from a format change if it is the same text."""
    if wrong.keys[edit.i1 - 1] == right.keys[edit.j1 - 1]:
        edit = Edit(edit.i0, edit.i1 - 1, edit.j0, edit.j1 - 1)
    return [(edit, True)] if edit.i0 != edit.i1 or edit.j0 != edit.j1 else []


def _is_in_command(units: Units, index: int) -> bool:
    return units.starts[index] > 0 and units.text[units.starts[index] - 1] == "\\"


def _is_markup(units: Units, index: int) -> bool:
    """Say whether a sign is a bullet, a heading or emphasis rather than an operator."""
    text, start, end = units.text, units.starts[index], units.ends[index]
    line = text.rfind("\n", max(0, start - _NEAR), start) + 1
    blank_after = end == len(text) or text[end].isspace()
    key = units.keys[index]
    opens_line = start == line or (start - line < _NEAR and text[line:start].isspace())
    if opens_line and blank_after and (key in _BULLETS or key[0] == "#"):
        return True
    if key[0] not in "*_`":
        return False
    before = text[start - 1] if start else " "
    after = text[end] if end < len(text) else " "
    if before.isspace() and after.isspace():
        return False
    inside_word = before.isalnum() or before in ")}"
    return not (inside_word and (after.isalnum() or after in "({\\-"))


def _is_formula_mark(units: Units, index: int) -> bool:
    """Say whether a dollar sign opens or closes a formula; alone on its line it is money."""
    text, start = units.text, units.starts[index]
    line_start = text.rfind("\n", max(0, start - _NEAR), start) + 1
    line_end = text.find("\n", start, start + _NEAR)
    return text.count("$", line_start, line_end if line_end >= 0 else start + _NEAR) % 2 == 0


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
