# ruff: noqa: E501 - tables of words
"""Grades multiple choice: by letter, by the text of the choice, by its value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dfgen.grade.choice_label import choose_labels, read_label
from dfgen.grade.choice_match import Meant, find_meant, strip_own_labels
from dfgen.grade.comparing import compare_values
from dfgen.grade.decimal_mark import guess_mark
from dfgen.grade.extract import Extraction, extract_answer, make_verdict, shorten
from dfgen.grade.latex_text import to_plain_text
from dfgen.grade.math import ask_algebra
from dfgen.grade.reading import read_values
from dfgen.grade.text import compare_texts
from dfgen.grade.values import Words

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig
    from dfgen.grade.verdict import Verdict

NAME = "choice"
_LETTER = re.compile(r"\s*\(?[A-JА-Д]\)?\.?\s*")
_LETTERS = re.compile(r"\s*\(?[A-J]\)?(?:\s?(?:,|;|&|and|\s)\s?\(?[A-J]\)?){1,5}\.?\s*")
_LABELLED = re.compile(
    r"\s*(?:\(([A-J])\)|([A-J])\)|([A-J])\s?[.:](?=\s))\s*(?![A-Z]\.)(?P<rest>\S.*)", re.DOTALL
)
_SPECIES = re.compile(r"[a-z]+")
_SHORT = 200
_LONGEST_ALGEBRA = 500
_HEDGE = re.compile(
    r"(?<!\w)(?:none|no idea|unsure|not sure|cannot|can't|unclear|unknown|don't know|insufficient|both|either|all of)(?!\w)",
    re.IGNORECASE,
)


class _Question(NamedTuple):
    labels: tuple[str, ...]
    texts: tuple[str, ...]
    expected: Meant | None
    own_text: str | None


def is_choice_reference(answer: str) -> bool:
    """Say whether a reference answer without choices names one: B, (B), A and C, or "C. 90,000"."""
    if len(answer) > 300:
        return False
    plain = to_plain_text(answer)
    if _LETTER.fullmatch(plain) or _LETTERS.fullmatch(plain):
        return True
    return _find_own_text(plain) is not None


def _find_own_text(answer: str) -> str | None:
    """The text of "C. 90,000"; none in "E. coli" and "A. A. Milne"."""
    match = _LABELLED.fullmatch(answer)
    if match is None or (match[3] and _SPECIES.fullmatch(match["rest"].strip())):
        return None
    return match["rest"].strip()


def _read_question(answer: str, choices: Sequence[str], config: GradeConfig) -> _Question:
    labels = choose_labels(answer, len(choices))
    texts = strip_own_labels(choices, labels)
    own_text = None if choices else _find_own_text(to_plain_text(answer))
    if own_text is not None:
        match = _LABELLED.fullmatch(to_plain_text(answer))
        letter = next(filter(None, match.groups()[:3])) if match else "A"
        return _Question(
            labels, texts, Meant((labels.index(letter),), f"letter {letter}"), own_text
        )
    return _Question(labels, texts, find_meant(answer, labels, texts, config), None)


def check_reference(
    answer: str, choices: Sequence[str], config: GradeConfig | None = None
) -> str | None:
    """Return why a multiple-choice reference can never be answered, None where all is well.

    Every answer to such a prompt would be graded wrong, and repaired for money.

    Args:
        answer: the reference answer.
        choices: the texts of the choices; none: there is nothing to check.
        config: how to grade; unset: the defaults.
    """
    if not choices:
        return None
    if config is None:
        from dfgen.config.grade import GradeConfig

        config = GradeConfig()
    question = _read_question(answer, choices, config)
    known = question.expected is not None and all(
        index < len(choices) for index in question.expected.indices
    )
    if question.expected is not None and known and question.expected.indices:
        return None
    if any(ask_text(answer, text) for text in question.texts):
        return None
    letters = ", ".join(question.labels[: len(choices)])
    return (
        f"the answer {shorten(answer, 60)!r} names none of the {len(choices)} choices ({letters})"
    )


def ask_text(answer: str, choice: str) -> bool:
    """Say whether two texts have the same letters and digits, whatever stands between them."""
    left, right = (re.sub(r"[\W_]", "", side.casefold()) for side in (answer, choice))
    return bool(left) and left == right


def _find_answer(completion: str, question: _Question, config: GradeConfig) -> Extraction:
    def names_one(text: str) -> bool:
        if question.own_text is not None and not read_label(text, question.labels):
            return bool(text.strip())
        return find_meant(text, question.labels, question.texts, config) is not None

    found = extract_answer(
        completion,
        kind="choice",
        labels=question.labels,
        accept=names_one,
        overrules=lambda line: _names_a_letter(line.text, question.labels),
        fallback=config.fallback,
    )
    whole = completion.strip()
    if found.method == "last_choice" and found.span and "\n" not in whole and len(whole) <= _SHORT:
        # "C. 12" is a letter with a text that must agree.
        begin = completion.index(whole)
        if found.span[0] - begin <= 3 and _find_own_text(whole) is not None:
            return Extraction(whole, "last_choice", (begin, begin + len(whole)))
    return found


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
        return _compare_without_choices(extraction, answer, config)
    if question.own_text is not None:
        return _compare_labelled(extraction, question, answer, config)
    meant = find_meant(extraction.text, question.labels, question.texts, config)
    if meant is None:
        return (
            None
            if _may_be_algebra(extraction.text, question)
            else _refuse(extraction, question, answer)
        )
    return _compare(meant, question, extraction, answer)


def _compare(meant: Meant, question: _Question, extraction: Extraction, answer: str) -> Verdict:
    assert question.expected is not None
    correct = set(meant.indices) == set(question.expected.indices)
    wanted = ", ".join(question.labels[index] for index in question.expected.indices)
    got = ", ".join(question.labels[index] for index in meant.indices) or "none"
    detail = f"{got} by {meant.how}, expected {wanted}"
    return make_verdict(NAME, correct, extraction, answer, detail)


def _is_same_answer(found: str, expected: str, config: GradeConfig) -> bool:
    if compare_texts(found, expected) is not None:
        return True
    return any(
        compare_values(wanted, given, config).equal
        for wanted in read_values(expected, guess_mark(expected, config.decimal_mark).mark)
        for given in read_values(found, guess_mark(found, config.decimal_mark).mark)
        if not isinstance(wanted, Words)
    )


def _compare_labelled(
    extraction: Extraction, question: _Question, answer: str, config: GradeConfig
) -> Verdict:
    """The reference is "C. 90,000": the letter, the text, or both, but not one against the other."""
    text, own = extraction.text or "", question.own_text or ""
    label = read_label(text, question.labels)
    assert question.expected is not None
    if label is not None and label.certain:
        correct = label.indices == question.expected.indices
        rest = _find_own_text(to_plain_text(text))
        if correct and rest is not None and any(map(str.isalnum, rest)):
            short = re.split(r"(?<=\D)\.\s|\n|[;,]\s(?=because|since|as )", rest, maxsplit=1)[0]
            contrary = not _is_same_answer(short, own, config) and (
                any(map(str.isdigit, short)) or len(short.split()) <= 4
            )
            correct = not (
                contrary and not re.match(r"because|since|as |the ", short, re.IGNORECASE)
            )
        return make_verdict(
            NAME, correct, extraction, answer, f"letter and text of {shorten(text)!r}"
        )
    correct = _is_same_answer(text, own, config)
    return make_verdict(NAME, correct, extraction, answer, f"the text of {shorten(text)!r}")


def _compare_without_choices(extraction: Extraction, answer: str, config: GradeConfig) -> Verdict:
    """The reference answer is none of the choices: all that is left is to compare the two."""
    note = "the expected answer names none of the choices"
    correct = _is_same_answer(extraction.text or "", answer, config)
    how = "but both are the same" if correct else "different text"
    return make_verdict(NAME, correct, extraction, answer, f"{note}; {how}")


def _refuse(extraction: Extraction, question: _Question, answer: str) -> Verdict:
    """A value or letter that is none of the choices is wrong; words may mean one of them."""
    text = extraction.text or ""
    values = read_values(text)
    wordy = all(isinstance(value, Words) for value in values) and not any(map(str.isdigit, text))
    unread = wordy and not _HEDGE.search(text) and len(re.findall(r"[^\W\d_]", text)) > 1
    unread = (
        unread
        and bool(question.texts)
        and any(len(choice) > 2 for choice in question.texts)
        and extraction.method != "whole_text"
    )
    detail = f"{shorten(text)!r} names none of the choices"
    return make_verdict(NAME, None if unread else False, extraction, answer, detail)


def _may_be_algebra(text: str, question: _Question) -> bool:
    mathematical = ("\\", "^", "√", "π")
    return (
        len(text) <= _LONGEST_ALGEBRA
        and any(any(sign in side for sign in mathematical) for side in (*question.texts, text))
        and not read_values(text)
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
        if ask_algebra(extraction.text or "", text, config)[0]
    )
    if len(equal) != 1:
        return _refuse(extraction, question, answer)
    return _compare(Meant(equal, "algebra"), question, extraction, answer)
