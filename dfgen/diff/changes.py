"""Turns edits of units into changes of text: exact spans, white space included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dfgen.diff.align import Edit, TypedEdit
from dfgen.diff.atoms import Units
from dfgen.diff.spans import Span


@dataclass(frozen=True)
class Change:
    """Characters `wrong` of the one text become characters `right` of the other.

    Attributes:
        wrong, right: character spans; one of them may be empty, not both.
        form: the change is one of format only.
        edit: the units it came from; an empty edit for white space between equal units.
    """

    wrong: Span
    right: Span
    form: bool
    edit: Edit


def spell_out(
    edits: Sequence[TypedEdit], wrong: Units, right: Units, type_blanks: bool
) -> list[Change]:
    """Turn edits into changes that transform one text into the other exactly.

    White space that differs between units that do not becomes a change of its own.

    Args:
        edits: in order, with their format-only flag; units between them are equal.
        wrong, right: the units of both texts.
        type_blanks: whether a change of white space is format-only.
    """
    writer = _Writer(wrong, right, type_blanks)
    for edit, form in edits:
        writer.pass_equal(edit.i0, edit.j0)
        writer.write(edit, form)
    writer.pass_equal(len(wrong), len(right))
    writer.compare_blank()
    return writer.changes


class _Writer:
    """Walks both texts; `i` and `j` are the next units, `blank_done` the white space before."""

    def __init__(self, wrong: Units, right: Units, type_blanks: bool) -> None:
        self.wrong, self.right = wrong, right
        self.type_blanks = type_blanks
        self.changes: list[Change] = []
        self.i = self.j = 0
        self.blank_done = False

    def compare_blank(self) -> None:
        """Note a difference of the white space before the next units."""
        if self.blank_done:
            self.blank_done = False
            return
        wrong, right, i, j = self.wrong, self.right, self.i, self.j
        if wrong.blank_before(i) != right.blank_before(j):
            a = Span(wrong.end_before(i), wrong.starts[i])
            b = Span(right.end_before(j), right.starts[j])
            a, b = _trim_common(wrong.text, a, right.text, b)
            self.changes.append(Change(a, b, self.type_blanks, Edit(i, i, j, j)))

    def pass_equal(self, i: int, j: int) -> None:
        """Step over equal units up to (i, j)."""
        if i == self.i:
            return
        self.compare_blank()
        wrong, right = self.wrong, self.right
        same = (
            wrong.text[wrong.starts[self.i] : wrong.ends[i - 1]]
            == right.text[right.starts[self.j] : right.ends[j - 1]]
        )
        if same:
            self.i, self.j = i, j
            return
        self.i, self.j = self.i + 1, self.j + 1
        while self.i < i:
            self.compare_blank()
            self.i, self.j = self.i + 1, self.j + 1

    def write(self, edit: Edit, form: bool) -> None:
        """Note an edit; it takes the white space on one of its sides along if it is one-sided."""
        wrong, right = self.wrong, self.right
        if edit.i0 == edit.i1 or edit.j0 == edit.j1:
            self._write_one_sided(edit, form)
        else:
            self.compare_blank()
            a = Span(wrong.starts[edit.i0], wrong.ends[edit.i1 - 1])
            b = Span(right.starts[edit.j0], right.ends[edit.j1 - 1])
            self._note(a, b, form, edit)
        self.i, self.j = edit.i1, edit.j1

    def _note(self, a: Span, b: Span, form: bool, edit: Edit) -> None:
        # Tokens that are split in another way may still spell the same.
        if self.wrong.text[a.start : a.end] != self.right.text[b.start : b.end]:
            self.changes.append(Change(a, b, form, edit))

    def _write_one_sided(self, edit: Edit, form: bool) -> None:
        """Choose the white space that a deletion or an insertion takes along.

        In front of it, if what is behind then stays as it is (" big" of "a big cat"); else behind
        it. Line breaks belong to the text before them ("B.\\n" goes as a whole); a blank belongs to
        the word behind, where it is a change of format of its own.
        """
        wrong, right = self.wrong, self.right
        i0, i1, j0, j1 = edit
        before_wrong, before_right = wrong.blank_before(i0), right.blank_before(j0)
        if i0 == i1:
            behind = right.blank_before(j1)
            fits = behind == before_wrong
        else:
            behind = wrong.blank_before(i1)
            fits = behind == before_right
        starts_line = "\n" in before_wrong and before_wrong == before_right
        takes_behind = "\n" in behind and before_wrong == before_right
        # Nothing stands between it and what is behind ("🦕" of " 🦕👍"): it goes without a blank.
        bare = i0 < i1 and behind == "" and before_wrong == before_right
        if not self.blank_done and (fits or not (starts_line or takes_behind or bare)):
            a = Span(wrong.end_before(i0), wrong.end_before(i1))
            b = Span(right.end_before(j0), right.end_before(j1))
            self._note(a, b, form, edit)
            return
        # What is in front stays, and what is behind is dealt with here.
        a1, b1 = wrong.starts[i1], right.starts[j1]
        a0 = a1 if takes_behind else max(wrong.starts[i0], wrong.end_before(i1))
        b0 = b1 if takes_behind else max(right.starts[j0], right.end_before(j1))
        self._note(Span(wrong.starts[i0], a0), Span(right.starts[j0], b0), form, edit)
        self._note(Span(a0, a1), Span(b0, b1), self.type_blanks, Edit(i1, i1, j1, j1))
        self.blank_done = True


def _trim_common(wrong: str, a: Span, right: str, b: Span) -> tuple[Span, Span]:
    """Leave the white space that both have at the end (then at the start) out of the change."""
    (a0, a1), (b0, b1) = a, b
    while a0 < a1 and b0 < b1 and wrong[a1 - 1] == right[b1 - 1]:
        a1, b1 = a1 - 1, b1 - 1
    while a0 < a1 and b0 < b1 and wrong[a0] == right[b0]:
        a0, b0 = a0 + 1, b0 + 1
    return Span(a0, a1), Span(b0, b1)


def find_moves(
    changes: Sequence[Change], wrong: Units, right: Units, min_units: int
) -> dict[int, int]:
    """Find deletions whose units an insertion brings back unchanged.

    Args:
        changes: in order.
        wrong, right: the units of both texts.
        min_units: shortest clause that counts; a word alone recurs by chance.

    Returns:
        For each moved change the index of its other half, in both directions.
    """
    taken: dict[tuple[str, ...], list[int]] = {}
    put: dict[tuple[str, ...], list[int]] = {}
    for index, change in enumerate(changes):
        i0, i1, j0, j1 = change.edit
        if change.form:
            continue
        if j0 == j1 and i1 - i0 >= min_units:
            taken.setdefault(tuple(wrong.keys[i0:i1]), []).append(index)
        elif i0 == i1 and j1 - j0 >= min_units:
            put.setdefault(tuple(right.keys[j0:j1]), []).append(index)
    partners: dict[int, int] = {}
    for clause, sources in taken.items():
        for source, target in zip(sources, put.get(clause, ()), strict=False):
            partners[source], partners[target] = target, source
    return partners
