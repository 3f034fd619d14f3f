from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfgen.config.grade import GradeConfig
from dfgen.grade import GradeItem, GradePool, Verdict, extract_answer, find_answer_spans, grade
from dfgen.grade.grading import grade_inline
from tests.support.bounded import bounded_work

PIECES = [
    "\\boxed{",
    "}",
    "{",
    "\\frac",
    "\\frac{1}{2}",
    "$",
    "$$",
    "\\(",
    "\\]",
    "<answer>",
    "</answer>",
    "<think>",
    "</think>",
    "Answer:",
    "The answer is ",
    "Відповідь: ",
    "答案是",
    "(A)",
    "B",
    "option c",
    "1",
    "1,5",
    "1.500,5",
    " ",
    "\n",
    "½",
    "٣",
    "×10³",
    "%",
    "-",
    "−",
    "=",
    "≈",
    "\\",
    "\x00",
    "\ud800",
    "\u202e",
    "é",
    "**",
    "cm^2",
    "/0",
    "^",
    "_",
    "999999999999999999999999999999",
    "1e999",
    "\\text{",
    "and",
    ",",
]
anything = st.one_of(
    st.text(max_size=60),
    st.text(st.characters(codec=None), max_size=40),  # lone surrogates too
    st.lists(st.sampled_from(PIECES), max_size=14).map("".join),
)
TYPES = st.sampled_from(["auto", "math", "choice", "numeric", "text"])


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(anything, anything, TYPES, st.lists(anything, max_size=4))
def test_cheap_grading_never_raises(
    completion: str, answer: str, answer_type: str, choices: list[str]
) -> None:
    item = GradeItem(completion, answer, answer_type, tuple(choices))
    verdict = grade_inline(item, GradeConfig())
    if verdict is None:
        return
    check(verdict, completion)
    # A broken grader also gives a verdict; here none may be broken.
    assert "Error" not in verdict.detail or "Error" in completion + answer, verdict


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(anything)
def test_an_answer_equals_itself_whatever_it_is(answer: str) -> None:
    check(grade(answer, answer, answer_type="text"), answer)


def check(verdict: Verdict, completion: str) -> None:
    assert verdict.correct in {True, False}
    assert 0.0 <= verdict.reward <= 1.0
    assert verdict.method in {
        "boxed", "answer_tag", "answer_line", "last_number", "last_choice", "whole_text", "none",
    }  # fmt: skip
    assert (verdict.extracted is None) == (verdict.method == "none"), verdict
    for text in (verdict.detail, verdict.expected, verdict.extracted or ""):
        text.encode("utf-8")
    assert "\n" not in verdict.detail


@given(anything)
def test_spans_point_at_the_text(completion: str) -> None:
    for kind in ("number", "choice", "text"):
        found = extract_answer(completion, kind=kind, labels="ABCD")
        if found.span is not None:
            assert completion[slice(*found.span)] == found.text
    find_answer_spans(completion)


LONG = [
    "a",
    "(",
    "{",
    "}",
    "\\",
    "$",
    "1",
    "9 ",
    "1,",
    "1.",
    "<answer>",
    "</think>",
    "\\boxed{",
    "answer ",
    "answer: ",
    "The answer is ",
    "**",
    " ",
    "\n",
    "\x00",
    "\ud800",
    "-",
    "/",
    "=",
    "≈",
    "の",
    "答案",
    "½",
    "\\frac{1}",
    "\\text{",
    "(A) ",
    "A and ",
    "^",
    "$1$ ",
    "1 2/3 ",
    ". ",
    "и ",
    "\\boxed{5} and ",
]


@pytest.mark.parametrize("piece", LONG)
def test_time_is_linear_in_the_length(piece: str) -> None:
    text = (piece * 100_000)[:100_000]
    with bounded_work():
        for answer_type in ("auto", "choice", "math", "numeric", "text"):
            choices = ("red 5", text) if answer_type == "choice" else ()
            grade_inline(GradeItem(text, "5", answer_type, choices), GradeConfig())
        grade_inline(GradeItem("5", text), GradeConfig())
        find_answer_spans(text)


@pytest.mark.parametrize(
    "completion",
    [
        "\\boxed{" * 3000,
        "{" * 5000,
        "\\frac{" * 2000 + "1",
        "(" * 3000 + ")" * 3000,
        "$" + "{" * 60 + "}" * 60 + "$",
    ],
)
def test_deep_nesting(completion: str) -> None:
    with GradePool(GradeConfig(timeout_s=1.0)) as pool:
        assert not pool.grade_one(GradeItem(completion, "4")).correct


@pytest.mark.parametrize("answer", ["5", "B", "cat", "x^2"])
def test_boxes_in_boxes_cost_no_more_than_their_length(answer: str) -> None:
    text = "\\boxed{" * 14_000 + "5" + "}" * 14_000
    with bounded_work():  # a copy for each box takes minutes
        grade_inline(GradeItem(text, answer), GradeConfig())
        find_answer_spans(text)


def test_wrong_argument_types_are_verdicts_too() -> None:
    verdict = grade(None, "4")  # type: ignore[arg-type]
    assert not verdict.correct
    assert "Error" in verdict.detail


def test_importing_is_light() -> None:
    script = (
        "import sys, dfgen.grade; "
        "print([name for name in ('sympy', 'math_verify', 'pydantic', 'pyarrow', 'transformers')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
