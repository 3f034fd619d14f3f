"""The auto grader: which kind of answer is expected, judged by the reference answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dfgen.grade.choice import grade_choice, try_choice
from dfgen.grade.latex_text import to_plain_text
from dfgen.grade.math import grade_math, try_math
from dfgen.grade.numeric import compare_numbers, find_number, grade_numeric, read_expected
from dfgen.grade.text import grade_text

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig
    from dfgen.grade.verdict import Verdict

NAME = "auto"
_LETTER = re.compile(r"\s*\(?[A-JА-Д]\)?\.?\s*")
_MATHEMATICAL = re.compile(
    r"\\[A-Za-z{\[(]|\$|[\^=<>≤≥≠√π∞∪∩∈±×÷·{}]|\d\s?[:/*+-]\s?[\d(a-z]|[\d)]\s?[a-zA-Z]\b|\d!"
    r"|[(\[]\s?-?\d[^A-Za-z]*[,;]|^-?\d[\d.]*(?:\s?[,;]\s?-?\d[\d.]*)+$|\bpi\b|\bsqrt"
)
_VARIABLE = re.compile(r"\s*-?[a-z]\s*")
_WORD = re.compile(r"[^\W\d_]+")
_WORD_BEFORE_NUMBER = re.compile(r"[^\d=.]*?[^\W\d_]{2,}[^\d=]*\d")
_LONGEST = 2000  # characters that are looked at for signs of mathematics


def choose_grader(answer: str, choices: Sequence[str], config: GradeConfig) -> str:
    """Return choice, numeric, math or text for a reference answer."""
    if choices:
        return "choice"
    if _LETTER.fullmatch(answer):
        return "choice"
    if len(answer) > _LONGEST:
        return "text"
    quantity = read_expected(answer, config)
    plain = to_plain_text(answer)
    if quantity is not None and not _WORD_BEFORE_NUMBER.match(plain):  # "Apollo 11" is a name
        measured = quantity.unit is not None or quantity.percent
        if measured or plain[:1].isdigit() or len(_WORD.findall(plain)) <= 1:
            return "numeric"
    if _MATHEMATICAL.search(answer) or _VARIABLE.fullmatch(answer):
        return "math"
    return "text"


def try_auto(
    completion: str, answer: str, choices: Sequence[str], config: GradeConfig
) -> Verdict | None:
    """Return the verdict where no algebra is needed, else None. Bounded in time."""
    name = choose_grader(answer, choices, config)
    if name == "choice":
        return try_choice(completion, answer, choices, config)
    if name == "text":
        return grade_text(completion, answer, choices, config)
    if name == "math":
        return try_math(completion, answer, choices, config)
    verdict = compare_numbers(completion, answer, config)
    if verdict is not None:
        return verdict
    extraction = find_number(completion, config)
    if extraction.text is not None and not _MATHEMATICAL.search(extraction.text[:_LONGEST]):
        return grade_numeric(completion, answer, choices, config)
    return None


def grade_auto(
    completion: str, answer: str, choices: Sequence[str], config: GradeConfig
) -> Verdict:
    """Grade by the kind of the reference answer; expressions for numbers go to algebra."""
    verdict = try_auto(completion, answer, choices, config)
    if verdict is not None:
        return verdict
    if choose_grader(answer, choices, config) == "choice":
        return grade_choice(completion, answer, choices, config)
    return grade_math(completion, answer, choices, config)
