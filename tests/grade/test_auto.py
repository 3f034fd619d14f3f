from __future__ import annotations

import pytest

from dfgen.config.grade import GradeConfig
from dfgen.grade import grade
from dfgen.grade.auto import choose_grader

KINDS = [
    ("5", (), "numeric"),
    ("-1,5", (), "numeric"),
    ("24 cm^2", (), "numeric"),
    ("$84.50", (), "numeric"),
    (r"\frac{3}{5}", (), "numeric"),
    ("50%", (), "numeric"),
    ("5 apples", (), "numeric"),
    (r"6\sqrt{2}", (), "math"),
    ("x^2 + 1", (), "math"),
    ("(1, 2)", (), "math"),
    ("1, 2, 3", (), "math"),
    ("2x", (), "math"),
    ("x", (), "math"),
    (r"$\text{Evelyn}$", (), "text"),
    ("3:2", (), "math"),
    ("9!", (), "math"),
    ("cat", (), "text"),
    ("yes", (), "text"),
    ("Apollo 11", (), "text"),
    ("two red cubes", (), "text"),
    ("it's a dog, a cat", (), "text"),
    ("", (), "text"),
    ("B", (), "choice"),
    ("(C)", (), "choice"),
    ("Б", (), "choice"),
    ("5", ("5", "6"), "choice"),
]


@pytest.mark.parametrize(("answer", "choices", "name"), KINDS)
def test_the_kind_of_an_answer(answer: str, choices: tuple[str, ...], name: str) -> None:
    assert choose_grader(answer, choices, GradeConfig()) == name


def test_the_verdict_names_the_grader_that_decided() -> None:
    assert grade("5", "5").grader == "numeric"
    assert grade(r"\boxed{2\sqrt{4}}", "4").grader == "math"
    assert grade("a cat", "cat").grader == "text"
    assert grade("(B)", "B").grader == "choice"


def test_expressions_for_numbers_go_to_algebra() -> None:
    assert grade(r"The answer is $\sqrt{25}$.", "5").correct
    assert grade(r"\boxed{3 \cdot 2^5}", "96").correct
    assert not grade(r"\boxed{\frac{1125\sqrt{5}}{3}}", "750").correct
    assert not grade("= 15\\sqrt{3}", "3").correct


def test_the_configured_grader_is_used_for_auto_only() -> None:
    config = GradeConfig(grader="text")
    assert grade("5.0", "5", config=config).grader == "text"
    assert grade("5.0", "5", answer_type="numeric", config=config).grader == "numeric"


@pytest.mark.parametrize(
    ("completion", "answer", "choices"),
    [
        ("Answer: 7", "8", ()),
        ("Answer: 7", "7", ()),
        ("Answer: seven or so", "8", ()),
        (r"Answer: \frac{x}{2}", r"\frac{x}{3}", ()),
        (r"Answer: x + x", "2x", ()),
        ("Answer: cat", "dog", ()),
        ("Answer: cat", "cat", ()),
        ("Answer: B", "A", ("5", "6")),
        ("Answer: 6", "A", ("5", "6")),
        ("Answer: neither", "A", ("5", "6")),
    ],
)
def test_a_detail_does_not_say_the_graders_name_again(
    completion: str, answer: str, choices: tuple[str, ...]
) -> None:
    verdict = grade(completion, answer, choices=choices)
    assert not verdict.detail.startswith(f"{verdict.grader}:"), verdict
    assert verdict.detail
