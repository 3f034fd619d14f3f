"""Aligns the two texts of a pair and refines the alignment, one refinement after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dfgen.diff.align import Edit, TypedEdit, align_units
from dfgen.diff.atoms import Units
from dfgen.diff.changes import Change, find_moves, spell_out
from dfgen.diff.format_only import peel_joints, split_by_form
from dfgen.diff.groups import snap_groups
from dfgen.diff.quantities import snap_quantities
from dfgen.diff.swaps import find_swaps, put_back
from dfgen.diff.ties import merge_crumbs, settle_ties

if TYPE_CHECKING:
    from dfgen.config.mask import MaskConfig


@dataclass(frozen=True)
class Script:
    """The changes of a pair.

    Attributes:
        changes: in order, exact to the character.
        partners: for each half of a move the index of its other half.
        ambiguous: several scripts were equally good and only order chose.
        approximate: the script may not be the shortest.
    """

    changes: list[Change]
    partners: dict[int, int]
    ambiguous: bool
    approximate: bool


def find_script(wrong: Units, right: Units, config: MaskConfig) -> Script:
    """Align the units of two texts and refine the alignment as the switches of `config` say."""
    edits, approximate = align_units(wrong.keys, right.keys, config.max_cells)
    swaps = find_swaps(edits, wrong, right, config.move_min_units) if config.moves else None
    if swaps is None:
        typed, ambiguous = _refine(edits, wrong, right, config)
    else:
        ours, theirs = swaps.drop(wrong, "wrong"), swaps.drop(right, "right")
        edits, approximate = align_units(ours.keys, theirs.keys, config.max_cells)
        typed, ambiguous = _refine(edits, ours, theirs, config)
        typed = put_back(typed, swaps, len(wrong), len(right))
    changes = spell_out(typed, wrong, right, config.format_only)
    partners = find_moves(changes, wrong, right, config.move_min_units) if config.moves else {}
    return Script(changes, partners, ambiguous, approximate)


def _refine(
    edits: list[Edit], wrong: Units, right: Units, config: MaskConfig
) -> tuple[list[TypedEdit], bool]:
    ambiguous = False
    if config.ties:
        edits, ambiguous = settle_ties(edits, wrong, right)
    typed: list[TypedEdit] = [(edit, False) for edit in edits]
    if config.format_only:
        typed = [part for edit in edits for part in split_by_form(edit, wrong, right)]
    elif not wrong.text.isascii():
        typed = [part for edit in edits for part in _peel_same_text(edit, wrong, right)]
    if config.whole_atoms:
        typed = snap_groups(snap_quantities(typed, wrong, right), wrong, right)
    if config.crumbs:
        typed = merge_crumbs(typed, wrong, right, config)
    return typed, ambiguous


def _peel_same_text(edit: Edit, wrong: Units, right: Units) -> list[TypedEdit]:
    """Split off units that spell the same, blanks included: Chinese cut into words in two ways."""
    if edit.i0 == edit.i1 or edit.j0 == edit.j1:
        return [(edit, False)]
    parts = peel_joints(edit, wrong, right)
    same = [
        form
        and wrong.text[wrong.starts[e.i0] : wrong.ends[e.i1 - 1]]
        == right.text[right.starts[e.j0] : right.ends[e.j1 - 1]]
        for e, form in parts
    ]
    return [(e, flag) for (e, _), flag in zip(parts, same, strict=True)]
