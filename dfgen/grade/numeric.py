"""Grades numbers: with tolerance, decimal marks of several languages, and units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dfgen.grade.comparing import compare_values
from dfgen.grade.decimal_mark import guess_mark
from dfgen.grade.extract import Extraction, extract_conclusion, make_verdict, shorten
from dfgen.grade.reading import read_values
from dfgen.grade.text_form import is_written_the_same
from dfgen.grade.values import About, Bound, Listing, Named, Negated, Range, Scalar, Value, Words

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig
    from dfgen.grade.verdict import Verdict

NAME = "numeric"


def read_expected(answer: str, config: GradeConfig) -> Scalar | None:
    """Return the reference answer as one plain quantity, None when it is none."""
    for value in read_values(answer, guess_mark(answer, config.decimal_mark).mark):
        inner = value.value if isinstance(value, About | Named) else value
        inner = inner.value if isinstance(inner, About) else inner
        if isinstance(inner, Scalar) and inner.plain:
            return inner
    return None


def reads_as_value(text: str, config: GradeConfig) -> bool:
    """Say whether a text as a whole is a value, and not words."""
    values = read_values(text, guess_mark(text, config.decimal_mark).mark)
    return bool(values) and not isinstance(values[0], Words | Negated)


def find_number(completion: str, config: GradeConfig) -> Extraction:
    """Return the stated answer, or else what the last sentence concludes."""
    mark = guess_mark(completion, config.decimal_mark).mark

    def can_be_read(text: str) -> bool:
        return any(map(str.isdigit, text)) or "\\" in text or bool(_list_numbers(text, mark))

    return extract_conclusion(
        completion,
        accept=can_be_read,
        overrules=lambda line: line.final and can_be_read(line.text),
        fallback=config.fallback,
        last_number=config.last_number,
        decimal_mark=config.decimal_mark,
        reads=lambda text: reads_as_value(text, config),
    )


def _list_numbers(text: str, mark: object) -> list[Value]:
    values = read_values(text, mark)  # type: ignore[arg-type]
    return [
        value
        for value in values
        if isinstance(value, Scalar | Named | About | Bound | Range | Listing | Negated)
    ]


def grade_numeric(
    completion: str,
    answer: str,
    choices: Sequence[str],  # noqa: ARG001 - every grader has these arguments
    config: GradeConfig,
) -> Verdict:
    """Grade by number alone: an expression or a word is wrong. Bounded in time, linear."""
    extraction = find_number(completion, config)
    if extraction.text is None:
        return make_verdict(NAME, False, extraction, answer, "no answer was found")
    expected = read_expected(answer, config)
    if expected is not None and is_written_the_same(extraction.text, answer):
        return make_verdict(NAME, True, extraction, answer, "written the same")
    guess = guess_mark(completion, config.decimal_mark)
    found = read_values(extraction.text, guess.mark)
    if expected is None:
        detail = f"no single number in {shorten(answer)!r}"
        return make_verdict(NAME, None, extraction, answer, detail)
    readable = [value for value in found if _is_number(value)]
    if not readable:
        detail = f"no single number in {shorten(extraction.text)!r}"
        unread = not found and any(map(str.isdigit, extraction.text))
        return make_verdict(NAME, None if unread else False, extraction, answer, detail)
    outcomes = [compare_values(expected, value, config) for value in readable]
    outcome = next((outcome for outcome in outcomes if outcome.equal), outcomes[0])
    notes = [
        note
        for note in (
            _note(readable, guess.reason),
            f"expected {expected.note}" if expected.note else "",
        )
        if note
    ]
    return make_verdict(
        NAME, outcome.equal, extraction, answer, "; ".join([outcome.detail, *notes])
    )


def _is_number(value: Value) -> bool:
    if isinstance(value, Named | About):
        return _is_number(value.value)
    return isinstance(value, Negated | Bound) or (isinstance(value, Scalar) and value.plain)


def _note(values: Sequence[Value], reason: str) -> str:
    for value in values:
        inner = value.value if isinstance(value, About | Named) else value
        if isinstance(inner, Scalar) and inner.note:
            return f"{inner.note}: {reason}"
    return ""
