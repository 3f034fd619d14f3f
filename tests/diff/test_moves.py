"""A clause that only stands elsewhere is a move."""

from __future__ import annotations

from dfgen.diff import PairDiff
from tests.diff.pairs import diff, read_marked

CLAUSE = "We count the red ones first."
REST = "There are five blue squares in the picture here today."


def find_kinds(result: PairDiff) -> list[str]:
    """The kinds of all hunks but those of the blank in front of the first word."""
    return sorted(hunk.kind for hunk in result.hunks if hunk.kind != "format")


def test_a_moved_sentence() -> None:
    result = diff(f"{CLAUSE} {REST}", f"{REST} {CLAUSE}")
    assert find_kinds(result) == ["move", "move"]
    for index, hunk in enumerate(result.hunks):
        if hunk.moved:
            assert hunk.partner is not None
            assert result.hunks[hunk.partner].partner == index
    assert not result.loss_mask.any()
    assert not result.gap_mask.any()
    assert not result.repair_mask.any()
    assert 3 in result.token_ops


def test_moves_off() -> None:
    result = diff(f"{CLAUSE} {REST}", f"{REST} {CLAUSE}", moves=False)
    assert find_kinds(result) == ["deletion", "insertion"]
    assert CLAUSE in read_marked(result)


def test_a_changed_clause_is_no_move() -> None:
    result = diff(f"{CLAUSE} {REST}", f"{REST} {CLAUSE.replace('red', 'green')}")
    assert find_kinds(result) == ["deletion", "insertion"]


def test_single_words_do_not_move() -> None:
    result = diff("now we go home and then we eat", "we go home and then we eat now")
    assert find_kinds(result) == ["deletion", "insertion"]
    moved = diff(
        "now we go home and then we eat", "we go home and then we eat now", move_min_units=1
    )
    assert find_kinds(moved) == ["move", "move"]
