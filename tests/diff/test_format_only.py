"""White space, case, bullets and emphasis are form and never in the mask."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.diff.pairs import diff, list_hunks, marked

FORM = [
    ("a cat", "a  cat"),
    ("a cat. It", "a cat.\n\nIt"),
    ("a\u00a0cat", "a cat"),
    ("the cat", "The CAT"),
    ("THE CAT SAT", "the cat sat"),
    ("**Answer:** 5 cats", "Answer: 5 cats"),
    ("The *red* one", "The red one"),
    ("The _red_ one", "The red one"),
    ("`red` one", "red one"),
    ("- red\n- blue", "* red\n* blue"),
    ("- red\n- blue", "red\nblue"),
    ("## Result\nred", "Result\nred"),
    ("can not", "cannot"),
    ("a - b", "a-b"),
    ("Kyiv - Lviv", "Kyiv-Lviv"),
    ("a cat ", "a cat"),
    (" a cat", "a cat"),
    ("\n", ""),
    ("你好 世界", "你好世界"),
]


@pytest.mark.parametrize(("wrong", "right"), FORM)
def test_form(wrong: str, right: str) -> None:
    for one, other in ((wrong, right), (right, wrong)):
        result = diff(one, other)
        assert {hunk.kind for hunk in result.hunks} == {"format"}
        assert not result.loss_mask.any()
        assert not result.repair_mask.any()
        assert not result.gap_mask.any()
        assert not result.step_labels.any()
        assert result.first_error_step == -1
        assert result.quality.n_hunks == 0


CONTENT = [
    ("a cat", "a dog", ["cat"]),
    ("option A", "option B", ["A"]),
    ("option A", "option a", ["A"]),
    ("2 * 3", "2 3", ["*"]),
    ("a_1 = b", "a1 = b", ["a_1"]),
    ("3 - 2", "3 2", ["-"]),
    ("The Cat sat", "the dog sat", ["Cat"]),  # case beside a real change
    ("**Red** is 5", "blue is 5", ["Red"]),
]


@pytest.mark.parametrize(("wrong", "right", "expected"), CONTENT)
def test_content(wrong: str, right: str, expected: list[str]) -> None:
    assert marked(wrong, right) == expected


def test_switched_off_form_counts() -> None:
    assert marked("a cat sat", "a CAT sat", format_only=False) == ["cat"]
    assert list_hunks("a cat", "a  cat", format_only=False)[0][0] != "for"


WORDS = st.lists(
    st.sampled_from(["cat", "46", "3.5", "x", "\\alpha", "(", ".", "世", "é"]), max_size=20
)
BLANKS = st.sampled_from([" ", "  ", "\n", "\n\n", "\t", "\u00a0"])


@given(WORDS, st.data())
def test_white_space_alone_marks_nothing(words: list[str], data: st.DataObject) -> None:
    one = "".join(word + data.draw(BLANKS) for word in words)
    other = "".join(word + data.draw(BLANKS) for word in words)
    result = diff(one, other)
    assert not result.loss_mask.any()
    assert not result.repair_mask.any()
