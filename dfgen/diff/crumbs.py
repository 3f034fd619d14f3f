"""Merge chance agreements between two long edits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfgen.diff.align import Edit, TypedEdit
from dfgen.diff.atoms import Units
from dfgen.diff.ties import find_break

if TYPE_CHECKING:
    from dfgen.config.mask import MaskConfig


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
        if merged and not form and not merged[-1][1]:
            last = merged[-1][0]
            if _is_crumb(last, edit, wrong, right, config):
                merged[-1] = Edit(last.i0, edit.i1, last.j0, edit.j1), False
                continue
        merged.append((edit, form))
    return merged


def _is_crumb(before: Edit, after: Edit, wrong: Units, right: Units, config: MaskConfig) -> bool:
    if after.i0 - before.i1 > config.crumb_max_units:
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
