"""The numeric grader: numbers with tolerance, decimal marks of several languages and units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dfgen.grade.decimal_mark import guess_mark
from dfgen.grade.extract import Extraction, extract_answer, make_verdict, shorten
from dfgen.grade.quantity import Quantity
from dfgen.grade.quantity_match import match_quantities
from dfgen.grade.quantity_search import read_alternatives, read_statement
from dfgen.grade.text_form import is_written_the_same

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig
    from dfgen.grade.verdict import Verdict

NAME = "numeric"


def read_expected(answer: str, config: GradeConfig) -> Quantity | None:
    """Return the reference answer as a quantity, None when it is none."""
    return read_statement(answer, guess_mark(answer, config.decimal_mark).mark)


def compare_numbers(completion: str, answer: str, config: GradeConfig) -> Verdict | None:
    """Return the numeric verdict, None where the stated answer is no plain number.

    None means that another grader has to look: the statement may be an expression.
    """
    expected = read_expected(answer, config)
    guess = guess_mark(completion, config.decimal_mark)
    extraction = find_number(completion, config)
    if extraction.text is None:
        return make_verdict(NAME, False, extraction, answer, "no answer was found")
    if expected is not None and is_written_the_same(extraction.text, answer):
        return make_verdict(NAME, True, extraction, answer, "numeric: written the same")
    alternatives = read_alternatives(extraction.text, guess.mark)
    if not alternatives or expected is None:
        return None
    matches = [(found, match_quantities(found, expected, config)) for found in alternatives]
    found, match = next((pair for pair in matches if pair[1].equal), matches[0])
    notes = [f"{found.note}: {guess.reason}"] if found.note else []
    notes += [f"expected {expected.note}"] if expected.note else []
    detail = "; ".join([f"numeric: {match.detail}", *notes])
    return make_verdict(NAME, match.equal, extraction, answer, detail)


def find_number(completion: str, config: GradeConfig) -> Extraction:
    """Return the stated answer, or else the last number."""
    mark = guess_mark(completion, config.decimal_mark).mark

    def can_be_read(text: str) -> bool:
        return any(map(str.isdigit, text)) or "\\" in text or read_statement(text, mark) is not None

    return extract_answer(
        completion,
        kind="number",
        accept=can_be_read,
        overrules=lambda line: line.final and can_be_read(line.text),
        fallback=config.fallback,
        decimal_mark=config.decimal_mark,
    )


def grade_numeric(
    completion: str,
    answer: str,
    choices: Sequence[str],  # noqa: ARG001 - every grader has these arguments
    config: GradeConfig,
) -> Verdict:
    """Grade by number alone: an expression or a word is wrong. Bounded in time, linear."""
    verdict = compare_numbers(completion, answer, config)
    if verdict is not None:
        return verdict
    extraction = find_number(completion, config)
    side = answer if read_expected(answer, config) is None else extraction.text
    return make_verdict(
        NAME, False, extraction, answer, f"numeric: no single number in {shorten(side)!r}"
    )
