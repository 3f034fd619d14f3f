"""Among equally short scripts the one with meaning is taken."""

from __future__ import annotations

import pytest

from tests.diff.pairs import diff, list_hunks

CASES = [
    # wrong, right, hunks, ambiguous
    ("the the cat", "the cat", [("del", " the", "")], True),
    ("a b a b c", "a b c", [("del", " a b", "")], True),
    ("So x. So y.", "So x. So z. So y.", [("ins", "", " So z.")], False),
    ("A.\n\nC.", "A.\n\nB.\n\nC.", [("ins", "", "B.\n\n")], False),
    ("A.\n\nB.\n\nC.", "A.\n\nC.", [("del", "B.\n\n", "")], False),
    # two substitutions rather than a deletion and an insertion around x
    ("k a x k", "k x b k", [("sub", "a x", "x b")], False),
    # a slide that joins two hunks
    ("p q a a r", "p s a r", [("sub", "q a", "s")], False),
]


@pytest.mark.parametrize(("wrong", "right", "hunks", "ambiguous"), CASES)
def test_table(wrong: str, right: str, hunks: list[tuple[str, str, str]], ambiguous: bool) -> None:
    result = diff(wrong, right)
    assert [(h.kind[:3], h.wrong_text, h.right_text) for h in result.hunks] == hunks
    assert result.quality.ambiguous is ambiguous


def test_whole_sentences_are_inserted() -> None:
    wrong = "First we add. Then we stop."
    right = "First we add. Then we check. Then we stop."
    assert list_hunks(wrong, right) == [("ins", "", " Then we check.")]


def test_no_hunk_crosses_a_step_boundary_for_free() -> None:
    wrong = "Step 1: a\nStep 2: b\nStep 3: c"
    right = "Step 1: a\nStep 2: b\nStep 2: b\nStep 3: c"
    (hunk,) = diff(wrong, right).hunks
    assert hunk.right_text == "Step 2: b\n"


def test_ties_off_keeps_what_the_aligner_gives() -> None:
    result = diff("the the cat", "the cat", ties=False)
    assert not result.quality.ambiguous
    assert len(result.hunks) == 1


def test_crumbs() -> None:
    wrong = "one two three four of six seven eight nine"
    right = "uno due tre quattro of sei sette otto nove"
    assert [h.wrong_text for h in diff(wrong, right).hunks] == [wrong]
    assert len(diff(wrong, right, crumbs=False).hunks) == 2
    # a change of form between two rewrites is one, too
    cased = right.replace(" of ", " OF ")
    assert [h.wrong_text for h in diff(wrong, cased).hunks] == [wrong]
    # a number is no crumb, nor is anything at a sentence boundary
    assert len(diff(wrong.replace("of", "5"), right.replace("of", "5")).hunks) == 2
    assert len(diff(wrong.replace("of", "a."), right.replace("of", "a.")).hunks) == 2
    assert len(diff("a of b", "x of y").hunks) == 2
