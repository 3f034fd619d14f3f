# ruff: noqa: E501 - tables of words
"""Chooses a grader for an answer: which kind is expected, judged by the reference answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dfgen.grade.brackets import measure_depth
from dfgen.grade.canonical import write_canonical
from dfgen.grade.choice import grade_choice, is_choice_reference, try_choice
from dfgen.grade.comparing import compare_values
from dfgen.grade.comparing_numbers import Outcome
from dfgen.grade.decimal_mark import guess_mark
from dfgen.grade.extract import (
    Extraction,
    extract_conclusion,
    find_visible_start,
    make_verdict,
    shorten,
)
from dfgen.grade.math import ask_algebra
from dfgen.grade.numeric import reads_as_value
from dfgen.grade.reading import read_values
from dfgen.grade.statements import Statement, find_boxes, find_last_row
from dfgen.grade.text import grade_text
from dfgen.grade.text_form import is_same_formula, is_written_the_same, names_ion
from dfgen.grade.values import About, Marked, Named, Negated, Scalar, Value, Words

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig
    from dfgen.grade.verdict import Verdict

NAME = "auto"
_UNREAD = "the answer cannot be read"
_KNOWN = frozenset("√π∞∪∩≤≥≠±∓×÷·∈∅°∠△…→⇒⦃⦄⟨⟩⌊⌋⌈⌉≈⊂⊆∧∨∖ℝℚℤℕℂ")
_LETTERS = re.compile(r"(?!(.*?)([A-J]).*\2)[A-J]{2,6}")
_LETTER_LINKS = re.compile(r"\b(?:and|options?|choices?|both)\b|和|与", re.IGNORECASE)
_MOST_BOXES = 32
_LONGEST = 2000  # characters of a reference answer that are looked at
_CONTENT = re.compile(r"[\d\\$√π∞∅]|[=<>≤≥]")
_WORD = re.compile(r"[^\W\d_]{2,}")
_NAME_WITH_NUMBER = re.compile(r"[^\d=<>≤≥]*?[^\W\d_]{2,}[^\d=]*\d")
_MATHEMATICAL = re.compile(r"[\d+*/^=<>≤≥≠√π∞∪∩±\\_×÷∅∈]")


def choose_grader(answer: str, choices: Sequence[str], config: GradeConfig) -> str:
    """Return choice, numeric, math or text for a reference answer."""
    if choices or is_choice_reference(answer):
        return "choice"
    if len(answer) > _LONGEST:
        return "text"
    values = _read_reference(answer, config)
    if not values:
        return (
            "math"
            if _MATHEMATICAL.search(write_canonical(answer)) and not _is_prose(answer)
            else "text"
        )
    first = values[0]
    if isinstance(first, Words):
        return "text"
    inner = first.value if isinstance(first, About) else first
    return "numeric" if isinstance(inner, Scalar) and inner.plain else "math"


def _is_prose(answer: str) -> bool:
    return len(_WORD.findall(answer)) > 3 and "\\" not in answer and "$" not in answer


def _read_reference(answer: str, config: GradeConfig) -> tuple[Value, ...]:
    """The readings of a reference answer; "Apollo 11" and "two red cubes" are words."""
    values = read_values(answer, guess_mark(answer, config.decimal_mark).mark)
    if not values:
        return (Words(answer),) if names_ion(answer) else values
    first = values[0]
    inner = first.value if isinstance(first, About) else first
    canonical = write_canonical(answer)
    if isinstance(first, Negated) and not _MATHEMATICAL.search(canonical):
        return (Words(answer),)  # "not enough information"
    if isinstance(inner, Scalar):
        named = _NAME_WITH_NUMBER.match(canonical) and not _measures(inner)
        spelled = (
            not _MATHEMATICAL.search(canonical)
            and len(_WORD.findall(canonical)) > 1
            and bool(inner.words)
        )
        if (
            named
            and len(_WORD.findall(canonical)) >= 1
            and not canonical.lstrip("-$(").startswith("\\")
        ) or spelled:
            return (Words(answer),)
        if not inner.plain and re.fullmatch(r"[A-Za-z]{2,}", canonical) and not canonical.isupper():
            return (Words(answer),)
    return values


def _measures(scalar: Scalar) -> bool:
    return scalar.unit is not None or not scalar.plain


def _is_readable(text: str, config: GradeConfig) -> bool:
    return _CONTENT.search(text) is not None or any(
        not isinstance(value, Words)
        for value in read_values(text, guess_mark(text, config.decimal_mark).mark)
    )


def find_value(completion: str, config: GradeConfig) -> Extraction:
    r"""Return the statement of a value; boxes joined by commas or words state one answer."""

    def overrules(line: Statement) -> bool:
        return line.final and _is_readable(line.text, config)

    extraction = extract_conclusion(
        completion,
        accept=lambda text: _is_readable(text, config) or bool(text),
        overrules=overrules,
        fallback=config.fallback,
        last_number=config.last_number,
        decimal_mark=config.decimal_mark,
        reads=lambda text: reads_as_value(text, config),
    )
    if extraction.method != "boxed" or extraction.span is None:
        return extraction
    boxes = find_boxes(completion, find_visible_start(completion))
    first = find_last_row(completion, boxes)[0]
    row = [box for box in boxes if first <= box.start][-_MOST_BOXES:]
    if len(row) < 2 or not any(
        box.inner_start == extraction.span[0] or box.inner_end == extraction.span[1] for box in row
    ):
        return extraction
    outer = [
        box
        for box in row
        if not any(other.start < box.start and box.end <= other.end for other in row)
    ]
    if len(outer) < 2:
        return extraction
    texts = dict.fromkeys(completion[box.inner_start : box.inner_end].strip() for box in outer)
    joined = ", ".join(text for text in texts if text)
    return Extraction(joined or extraction.text, "boxed", extraction.span)


def compare_read(text: str, answer: str, completion: str, config: GradeConfig) -> Outcome:
    """Compare the readings of a statement with those of the reference; None where that takes algebra."""
    expected = _read_reference(answer, config)
    guess = guess_mark(completion, config.decimal_mark)
    found = read_values(text, guess.mark)
    if not expected or not found:
        return Outcome(None, _UNREAD if expected else "the reference cannot be read")
    outcomes: list[Outcome] = []
    for wanted in expected:
        for given in found:
            outcome = compare_values(wanted, given, config)
            if outcome.equal:
                return Outcome(True, outcome.detail + _note(given, guess.reason))
            outcomes.append(Outcome(outcome.equal, outcome.detail + _note(given, guess.reason)))
    return next((outcome for outcome in outcomes if outcome.equal is None), outcomes[0])


def _note(value: Value, reason: str) -> str:
    inner = value.value if isinstance(value, About | Named) else value
    return f"; {inner.note}: {reason}" if isinstance(inner, Scalar) and inner.note else ""


def _names_same_letters(text: str, answer: str) -> bool:
    """The reference AC, of a question whose choices are not at hand: A and C, in any order."""
    if not _LETTERS.fullmatch(answer.strip()) or len(text) > 60:
        return False
    words = re.findall(r"[^\W\d_]+", _LETTER_LINKS.sub(" ", write_canonical(text)))
    if any(len(word) > 1 for word in words) and len(words) > 1:
        return False
    return sorted("".join(words)) == sorted(answer.strip())


def _compare(
    completion: str, answer: str, name: str, config: GradeConfig
) -> tuple[Extraction, Outcome, str]:
    extraction = find_value(completion, config)
    if extraction.text is None:
        return extraction, Outcome(False, "no answer was found"), ""
    if is_written_the_same(extraction.text, answer) or is_same_formula(extraction.text, answer):
        return extraction, Outcome(True, "written the same"), name
    if _names_same_letters(extraction.text, answer):
        return extraction, Outcome(True, "the same letters"), name
    outcome = compare_read(extraction.text, answer, completion, config)
    unread = outcome.detail == _UNREAD and extraction.method == "whole_text"
    if unread and not _is_formula(extraction.text):
        outcome = Outcome(False, "the last sentence states no answer that can be read")
    return extraction, outcome, name


def _needs_algebra(text: str, answer: str, completion: str, config: GradeConfig) -> bool:
    """Whether math-verify may know more: not about units, words and prose."""
    if len(text) > _LONGEST:
        return False
    found = read_values(text, guess_mark(completion, config.decimal_mark).mark)
    values = (*found, *_read_reference(answer, config))
    return not any(
        isinstance(value, Scalar) and value.plain and (value.unit or value.words)
        for value in values
    ) and not (not found and _is_prose(text))


def _is_formula(text: str) -> bool:
    canonical = write_canonical(text)
    if any(not sign.isascii() and not sign.isalnum() and sign not in _KNOWN for sign in canonical):
        return False
    if canonical[-1:] in set("-+*/=^,") or canonical.count("|") % 2:
        return False
    if measure_depth(canonical) is None or re.search(r"%\s?\d", canonical):
        return False
    return not _WORD.search(
        re.sub(r"\\[A-Za-z]+|\b(?:sin|cos|tan|log|ln|exp|sqrt|max|min|lim)\b", " ", text)
    )


def try_auto(
    completion: str, answer: str, choices: Sequence[str], config: GradeConfig
) -> Verdict | None:
    """Return the verdict where no algebra is needed, else None. Bounded in time."""
    name = choose_grader(answer, choices, config)
    if name == "choice":
        return try_choice(completion, answer, choices, config)
    if name == "text":
        return grade_text(completion, answer, choices, config)
    extraction, outcome, decided = _compare(completion, answer, name, config)
    if (
        outcome.equal is None
        and extraction.text is not None
        and _needs_algebra(extraction.text, answer, completion, config)
    ):
        return None
    label = (
        "numeric" if decided == "numeric" and _is_plain(extraction, completion, config) else "math"
    )
    return make_verdict(
        label if decided else name, outcome.equal, extraction, answer, outcome.detail
    )


def _is_plain(extraction: Extraction, completion: str, config: GradeConfig) -> bool:
    values = read_values(extraction.text or "", guess_mark(completion, config.decimal_mark).mark)
    first = values[0] if values else None
    inner = first.value if isinstance(first, About | Named) else first
    return (
        inner is None
        or isinstance(inner, Marked | Words)
        or not isinstance(inner, Scalar)
        or inner.plain
    )


def grade_auto(
    completion: str, answer: str, choices: Sequence[str], config: GradeConfig
) -> Verdict:
    """Grade by the kind of the reference answer; what only algebra can tell goes to math-verify."""
    verdict = try_auto(completion, answer, choices, config)
    if verdict is not None:
        return verdict
    name = choose_grader(answer, choices, config)
    if name == "choice":
        return grade_choice(completion, answer, choices, config)
    extraction, outcome, _ = _compare(completion, answer, name, config)
    assert extraction.text is not None
    equal, detail = ask_algebra(extraction.text, answer, config)
    unread = outcome.detail.endswith("cannot be read")
    if unread and equal is not None and not (equal and _is_formula(extraction.text)):
        equal = None  # math-verify leaves out what it does not understand
    if equal is None:
        return make_verdict("math", None, extraction, answer, f"{outcome.detail}; {detail}")
    return make_verdict(
        "math",
        equal,
        extraction,
        answer,
        f"{shorten(extraction.text)} {detail} {shorten(answer)}",
    )
