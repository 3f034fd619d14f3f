"""Pair a clause deleted here with the same clause inserted there."""

from __future__ import annotations

from collections.abc import Sequence

from dfgen.diff.atoms import Units
from dfgen.diff.changes import Change


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
