from __future__ import annotations

from fractions import Fraction

import pytest

from dfgen.config.grade import GradeConfig
from dfgen.grade import grade
from dfgen.grade.decimal_mark import guess_mark
from dfgen.grade.evaluate import evaluate
from dfgen.grade.reading import read_values
from dfgen.grade.values import Scalar

BOTH = [  # the same with either decimal mark
    ("1,5", "1.5"),
    ("1.5", "1.5"),
    ("0,500", "0.5"),
    ("0.500", "0.5"),
    ("1.500,5", "1500.5"),
    ("1,500.5", "1500.5"),
    ("1,234,567.89", "1234567.89"),
    ("1.234.567,89", "1234567.89"),
    ("1,234,567", "1234567"),
    ("1.234.567", "1234567"),
    ("12,34,567", "1234567"),
    ("1 500", "1500"),
    ("1\u00a0500", "1500"),
    ("1\u202f500,25", "1500.25"),
    ("1'500.25", "1500.25"),
    ("1’500", "1500"),
    ("1_500", "1500"),
    ("1234,5", "1234.5"),
    (".5", "0.5"),
    (",5", "0.5"),
    ("１２．５", "12.5"),
    ("٣٫٥", "3.5"),
    ("١٬٥٠٠", "1500"),
    ("१२", "12"),
    ("1{,}5", "1.5"),
    ("11,\\! 111,\\! 100", "11111100"),
]


def read_statement(text: str, mark: str) -> Scalar | None:
    """The plain number that a text states."""
    found = read_values(text, mark)  # type: ignore[arg-type]
    return next((value for value in found if isinstance(value, Scalar) and value.plain), None)


@pytest.mark.parametrize("mark", ["point", "comma"])
@pytest.mark.parametrize(("text", "value"), BOTH)
def test_numbers_that_show_their_mark(text: str, value: str, mark: str) -> None:
    quantity = read_statement(text, mark)
    assert quantity is not None
    assert evaluate(quantity.node) == Fraction(value)
    assert quantity.note == ""


@pytest.mark.parametrize(
    ("text", "point", "comma"), [("1,500", "1500", "1.5"), ("1.500", "1.5", "1500")]
)
def test_ambiguous_numbers_follow_the_mark_and_say_so(text: str, point: str, comma: str) -> None:
    for mark, value in (("point", point), ("comma", comma)):
        quantity = read_statement(text, mark)
        assert quantity is not None
        assert evaluate(quantity.node) == Fraction(value)
        assert quantity.note == f"{text} read as {value}"


@pytest.mark.parametrize(
    "text", ["1,2,3", "1.2.3", "1,23,4", "1.234,567.8", "12:30", "1,500.000.5"]
)
def test_what_is_no_number(text: str) -> None:
    assert read_statement(text, "point") is None


GUESSES = [
    ("The length is 2.5 and 1,500.", "point"),
    ("Die Länge ist 2,5 und 1.500.", "comma"),
    ("The answer is 1,500.", "point"),
    ("Die Antwort ist 1.500.", "comma"),
    ("La réponse est 1.500", "comma"),
    ("Відповідь: 1,500", "comma"),
    ("The pair (1,2) and [3,4]: 1,500", "point"),
    ("The café in Los Angeles has 1,500 seats.", "point"),
    ("It is in this list: i, I, ii. I think it is 1,500", "point"),  # no dotless i among them
    ("答案是1,500", "point"),
]


@pytest.mark.parametrize(("text", "mark"), GUESSES)
def test_the_mark_of_a_text(text: str, mark: str) -> None:
    assert guess_mark(text).mark == mark


VERDICTS = [
    ("Die Antwort ist 1.500 Euro.", "1500", "auto", True),
    ("The answer is 1.500 m.", "1.5", "auto", True),
    ("The answer is 1,500.", "1500", "auto", True),
    ("The answer is 1,500.", "1.5", "auto", False),
    ("The answer is 1,500.", "1.5", "comma", True),
    ("The answer is 1.500.", "1500", "comma", True),
    ("Die Antwort ist 1.500.", "1.5", "point", True),
    ("Відповідь: 3,14", "3.14", "auto", True),
    ("Answer: 3.14", "3,14", "auto", True),
]


@pytest.mark.parametrize(("completion", "answer", "mark", "correct"), VERDICTS)
def test_verdicts(completion: str, answer: str, mark: str, correct: bool) -> None:
    config = GradeConfig(decimal_mark=mark)  # type: ignore[arg-type]
    verdict = grade(completion, answer, config=config)
    assert verdict.correct is correct, verdict
    if "1.500" in completion or "1,500" in completion:
        assert "read as" in verdict.detail
