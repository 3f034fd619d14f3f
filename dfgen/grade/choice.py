"""The multiple choice grader: by letter, by the text of the choice, by its value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dfgen.grade.choice_label import choose_labels, read_label
from dfgen.grade.choice_match import Meant, find_meant, strip_own_labels
from dfgen.grade.extract import Extraction, extract_answer, make_verdict, shorten
from dfgen.grade.math import is_equal_mathematics
from dfgen.grade.numeric import compare_numbers
from dfgen.grade.text import compare_texts

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig
    from dfgen.grade.verdict import Verdict

NAME = "choice"


class _Question(NamedTuple):
    labels: tuple[str, ...]
    texts: tuple[str, ...]
    expected: Meant | None


def _read_question(answer: str, choices: Sequence[str], config: GradeConfig) -> _Question:
    labels = choose_labels(answer, len(choices))
    texts = strip_own_labels(choices, labels)
    return _Question(labels, texts, find_meant(answer, labels, texts, config))


def _find_answer(completion: str, question: _Question, config: GradeConfig) -> Extraction:
    return extract_answer(
        completion,
        kind="choice",
        labels=question.labels,
        accept=lambda text: find_meant(text, question.labels, question.texts, config) is not None,
        overrules=lambda line: _names_a_letter(line.text, question.labels),
        fallback=config.fallback,
    )


def _names_a_letter(text: str, labels: Sequence[str]) -> bool:
    label = read_label(text, labels)
    return label is not None and label.certain


def try_choice(
    completion: str, answer: str, choices: Sequence[str], config: GradeConfig
) -> Verdict | None:
    """Return the verdict unless only algebra can tell which choice is meant. Bounded in time."""
    question = _read_question(answer, choices, config)
    extraction = _find_answer(completion, question, config)
    if extraction.text is None:
        return make_verdict(NAME, False, extraction, answer, "no answer was found")
    if question.expected is None:
        return _compare_without_choices(completion, extraction, answer, config)
    meant = find_meant(extraction.text, question.labels, question.texts, config)
    if meant is None:
        return None if _may_be_algebra(extraction.text, question) else _refuse(extraction, answer)
    return _compare(meant, question, extraction, answer)


def _compare(meant: Meant, question: _Question, extraction: Extraction, answer: str) -> Verdict:
    assert question.expected is not None
    correct = set(meant.indices) == set(question.expected.indices)
    wanted = ", ".join(question.labels[index] for index in question.expected.indices)
    got = ", ".join(question.labels[index] for index in meant.indices)
    detail = f"choice: {got} by {meant.how}, expected {wanted}"
    return make_verdict(NAME, correct, extraction, answer, detail)


def _compare_without_choices(
    completion: str, extraction: Extraction, answer: str, config: GradeConfig
) -> Verdict:
    """The reference answer is none of the choices: all that is left is to compare the two."""
    note = "the expected answer names none of the choices"
    agreement = compare_texts(extraction.text or "", answer)
    numeric = compare_numbers(completion, answer, config) if agreement is None else None
    correct = agreement is not None or (numeric is not None and numeric.correct)
    how = agreement or (numeric.detail if numeric else "different text")
    return make_verdict(NAME, correct, extraction, answer, f"choice: {note}; {how}")


def _refuse(extraction: Extraction, answer: str) -> Verdict:
    detail = f"choice: {shorten(extraction.text)!r} names none of the choices"
    return make_verdict(NAME, False, extraction, answer, detail)


def _may_be_algebra(text: str, question: _Question) -> bool:
    mathematical = ("\\", "^", "√", "π")
    return (
        len(text) <= 500
        and any(
            any(map(str.isdigit, side)) or any(sign in side for sign in mathematical)
            for side in question.texts
        )
        and (any(map(str.isdigit, text)) or any(sign in text for sign in mathematical))
    )


def grade_choice(
    completion: str, answer: str, choices: Sequence[str], config: GradeConfig
) -> Verdict:
    """Grade multiple choice; a value is compared with each choice by algebra. May hang."""
    verdict = try_choice(completion, answer, choices, config)
    if verdict is not None:
        return verdict
    question = _read_question(answer, choices, config)
    extraction = _find_answer(completion, question, config)
    equal = tuple(
        index
        for index, text in enumerate(question.texts)
        if is_equal_mathematics(extraction.text or "", text, config)
    )
    if len(equal) != 1:
        return _refuse(extraction, answer)
    return _compare(Meant(equal, "algebra"), question, extraction, answer)
