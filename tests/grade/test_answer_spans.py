from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.grade import find_answer_spans

CASES = [
    ("So 2 + 2 = 4. Thus \\boxed{4}.", ["Thus \\boxed{4}."]),
    ("\\boxed{4} is it.\nMore words.\nThe end", ["\\boxed{4}", "The end"]),
    ("One. Two.\nAnswer: 5\nGood bye.", ["Answer: 5", "Good bye."]),
    ("<answer>5</answer> done", ["<answer>5</answer> done"]),
    ("<think>The answer is 4.</think>\nIt is 4.", ["answer is 4", "It is 4."]),
    ("Only one sentence", ["Only one sentence"]),
    ("", []),
    (" \n\n", []),
]


@pytest.mark.parametrize(("completion", "texts"), CASES)
def test_where_the_answer_is_stated(completion: str, texts: list[str]) -> None:
    assert [completion[start:end] for start, end in find_answer_spans(completion)] == texts


@given(st.text(alphabet=st.sampled_from("a5. \n\\boxed{}<answer>/:$"), max_size=80))
def test_spans_are_ordered_disjoint_and_inside(completion: str) -> None:
    last = 0
    for start, end in find_answer_spans(completion):
        assert last <= start < end <= len(completion)
        last = end
