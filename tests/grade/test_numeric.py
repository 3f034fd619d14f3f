from __future__ import annotations

import pytest

from dfgen.config.grade import GradeConfig
from dfgen.grade import grade

CASES = [
    ("The answer is 3.", "3.0", True, "|3 - 3| <= 3e-06"),
    (r"\boxed{24 \text{ cm}^2}", "24", True, "unit on one side only"),
    ("24", "24 cm", True, "unit on one side only"),
    ("0.24 m", "24 cm", True, "units converted"),
    ("2 h", "120 min", True, "units converted"),
    ("1 l", "1000 cm^3", True, "units converted"),
    ("24 kg", "24 cm", False, "units differ in kind: mass and length"),
    ("24 cm", "24 cm^2", False, "units differ in power: 1 and 2"),
    ("€5", "$5", False, "units differ in kind: euro and dollar"),
    ("5 apples", "5", True, "<= 5e-06"),
    ("50%", "50", True, "percent sign on one side only"),
    ("50", "50 %", True, "percent sign on one side only"),
    ("0.5", "50%", True, "percent sign applied"),
    ("50 percent", "0.5", True, "percent sign applied"),
    ("0.5%", "50%", False, ">"),
    (r"\frac{1}{2}", "0.5", True, "<= 1e-06"),
    ("1 1/2", "1.5", True, "<="),
    ("1.5e3", "1500", True, "<="),
    ("−7", "-7", True, "|-7 - -7| <= 7e-06"),
    ("-7", "7", False, ">"),
    ("3.14", "3.14159", False, ">"),
    ("The answer is 5 because 2 + 3 = 5", "5", True, "<="),
    ("x ≈ 0.3333", "1/3", False, ">"),
    ("1/3 ≈ 0.3333", "1/3", True, "<="),
    ("1/3 ≈ 0.3333", "0.3333", True, "<="),
    ("The answer is three.", "3", True, "<= 3e-06"),
    ("many", "3", False, "no single number in 'many'"),
    ("", "3", False, "no answer was found"),
    ("3", "many", False, "no single number in 'many'"),
    (r"\boxed{x = 1, y = 2}", "2", False, "no single number"),
]


@pytest.mark.parametrize(("completion", "answer", "correct", "detail"), CASES)
def test_numbers(completion: str, answer: str, correct: bool, detail: str) -> None:
    verdict = grade(completion, answer, answer_type="numeric")
    assert verdict.correct is correct, verdict
    assert verdict.reward == float(correct)
    assert verdict.grader == "numeric"
    assert verdict.expected == answer
    assert detail in verdict.detail or verdict.detail == "written the same"


def test_tolerances() -> None:
    loose = GradeConfig(relative_tolerance=0.05)
    assert grade("105", "100", config=loose).correct
    assert not grade("106", "100", config=loose).correct
    assert not grade("105", "100").correct
    absolute = GradeConfig(relative_tolerance=0, absolute_tolerance=0.5)
    assert grade("3.5", "3", config=absolute).correct
    assert not grade("3.6", "3", config=absolute).correct
    exact = GradeConfig(relative_tolerance=0, absolute_tolerance=0)
    assert grade("0.1", "1/10", config=exact).correct


def test_units_can_be_ignored() -> None:
    ignore = GradeConfig(units="ignore")
    assert grade("24 kg", "24 cm", config=ignore).correct
    assert not grade("0.24 m", "24 cm", config=ignore).correct


def test_huge_numbers_are_compared_exactly() -> None:
    assert grade("1" + "0" * 250, "1e250").correct
    assert not grade("1e-250", "1e250").correct
    assert not grade("1e999", "1e998").correct


def test_the_last_word_overrules_an_intermediate_box() -> None:
    text = "first \\boxed{200} cents. Final Answer: The final answer is 10,455 dollars."
    verdict = grade(text, "10455")
    assert verdict.correct
    assert verdict.method == "answer_line"
