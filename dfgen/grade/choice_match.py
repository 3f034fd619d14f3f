# ruff: noqa: E501, PLR0911 - tables of words, one return for each kind
"""Finds which of the given choices a stated answer means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from dfgen.grade.canonical import write_canonical
from dfgen.grade.choice_label import Label, find_last_label, read_label
from dfgen.grade.comparing import compare_values
from dfgen.grade.decimal_mark import guess_mark
from dfgen.grade.reading import read_values
from dfgen.grade.text import compare_texts
from dfgen.grade.text_form import compare_words, normalise_text
from dfgen.grade.values import About, Bound, Listing, Negated, Range, Value, Words

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig

_ARTICLE = re.compile(r"\W*[AI]\s+[a-z]")
_OWN_LABEL = re.compile(r"\s*[(\[]?([A-Za-zА-Яа-я])[)\].:]\s+(?=\S)")
_AFTER_LABEL = re.compile(
    r"\W{0,4}(?:(?:the\s)?(?:answer|option|choice)\s(?:is\s)?)?[(\[*]{0,3}\s?[A-Za-zА-Яа-я]\s?[)\]*]{0,3}\s?[.:：、,)=–—-]*\s*(?P<rest>\S.*)",
    re.DOTALL | re.IGNORECASE,
)
_NEGATED = re.compile(
    r"(?<!\w)(?:not|n't|no|never|neither|nicht|kein\w*|не|ні|нет)(?!\w)|不", re.IGNORECASE
)
_DENIED_LABEL = re.compile(
    r"\W{0,3}(?:(?:option|choice|answer)\s)?\(?[A-Z]\)?\W{0,3}\s(?:is|was|seems|looks|must be|can be)\s(?:\w+\s)?"
    r"(?:wrong|incorrect|not|false|out|impossible|excluded|eliminated)(?!\w)",
    re.IGNORECASE,
)
_EITHER = re.compile(r"(?<!\w)(?:or|oder|ou|або|или)(?!\w)|或", re.IGNORECASE)
_FEWEST_WORDS = 4
_CJK = re.compile(r"[\u4e00-\u9fff]")
_WEIGHS = re.compile(
    r"(?<!\w)(?:choose|pick|select|correct|wrong|incorrect|right|leaving|leaves|so|therefore|thus|hence|must be|choice|option|answer|not)(?!\w)|选|答案|所以|因此|正确",
    re.IGNORECASE,
)
_NONE = re.compile(r"(?<!\w)none of|(?<!\w)neither|以上都不", re.IGNORECASE)


class Meant(NamedTuple):
    """Indices of the choices meant (several for multiple answers) and how the text says so."""

    indices: tuple[int, ...]
    how: str


def strip_own_labels(choices: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """Return the choices without their own letters, when all of them begin with the right one."""
    matches = [_OWN_LABEL.match(choice) for choice in choices]
    if len(choices) > 1 and all(
        match is not None and match[1].upper() == label
        for match, label in zip(matches, labels, strict=False)
    ):
        return tuple(
            choice[match.end() :] if match else choice
            for choice, match in zip(choices, matches, strict=True)
        )
    return tuple(choices)


def find_meant(
    text: str, labels: Sequence[str], choices: Sequence[str], config: GradeConfig
) -> Meant | None:
    """Return the choices that `text` means, None when it cannot be told.

    Tried in this order: a letter by itself, the text of one choice, a letter with a mark or a noun
    ("B. seven", "option B"; letter and text must agree), the value of exactly one choice, the text
    of exactly one choice after what may be an article ("A dog is seen"), a letter and a sentence
    ("B because"), the text of exactly one choice somewhere in the statement.
    """
    label = read_label(text, labels)
    by_label = None
    if label is not None and _DENIED_LABEL.match(text):
        return None
    if label is not None:
        named = ", ".join(labels[index] for index in label.indices)
        by_label = Meant(label.indices, f"letter {named}")
        if label.certain and len(re.findall(r"[^\W_]", text)) == 1:
            return by_label
    same = _find_same(text, choices)
    if len(same) == 1:
        return Meant((same[0],), f"text of {labels[same[0]]}")
    discussed = _read_discussion(text, label, labels)
    if discussed is not None:
        return discussed
    if label is not None and label.certain:
        return _check_agreement(text, label, by_label, labels, choices, config)
    by_value = find_by_value(text, choices, config)
    if by_value is not None:
        return Meant(by_value, f"number of {', '.join(labels[index] for index in by_value)}")
    contained = _find_contained(text, choices)
    by_words = (
        Meant((contained,), f"text of {labels[contained]} in the statement")
        if contained is not None
        else None
    )
    return (by_words or by_label) if _ARTICLE.match(text) else (by_label or by_words)


def _read_discussion(text: str, label: Label | None, labels: Sequence[str]) -> Meant | None:
    """A statement that weighs letters against each other: "B seems right, but D is correct"."""
    if len(text.split()) < _FEWEST_WORDS and not _CJK.search(text):
        return None
    if label is not None and len(label.indices) > 1:
        return None
    span = find_last_label(text, 0, labels)
    if span is None:
        return None
    index = list(labels).index(text[slice(*span)])
    if label is not None and (
        label.indices == (index,) or (not label.certain and not _WEIGHS.search(text))
    ):
        return None
    if label is None and not _WEIGHS.search(text):
        return None
    return Meant((index,), f"letter {labels[index]}")


def _find_same(text: str, choices: Sequence[str]) -> list[int]:
    stated = normalise_text(text)
    exact = [index for index, choice in enumerate(choices) if choice.strip() == text.strip()]
    if len(exact) == 1:
        return exact
    canonical = write_canonical(text).replace(" ", "")
    alike = [
        index
        for index, choice in enumerate(choices)
        if canonical and write_canonical(choice).replace(" ", "") == canonical
    ]
    if len(alike) == 1:
        return alike
    same = [
        index for index, choice in enumerate(choices) if stated and normalise_text(choice) == stated
    ]
    if len(same) > 1:  # ff and Ff
        same = [index for index in same if compare_words(text, choices[index]) is not None]
    return same


def _check_agreement(
    text: str,
    label: Label,
    by_label: Meant | None,
    labels: Sequence[str],
    choices: Sequence[str],
    config: GradeConfig,
) -> Meant | None:
    """A letter with the text of another choice means neither: "C. 80,000" where C is 90,000."""
    match = _AFTER_LABEL.fullmatch(text.strip())
    if match is None or len(label.indices) != 1 or not choices:
        return by_label
    rest, own = match["rest"].strip(" *_`$.()"), label.indices[0]
    if not rest or own >= len(choices):
        return by_label
    first = re.split(r"(?<=[^\d])\.\s|\n|;", rest, maxsplit=1)[0]
    others = _find_same(first, choices) or list(find_by_value(first, choices, config) or ())
    if others and own not in others:
        both = sorted({own, *others})
        return Meant(tuple(both), f"letter {labels[own]}, but the text of {labels[others[0]]}")
    if (
        not others
        and _is_value(first)
        and _is_value(choices[own])
        and _agrees(first, choices[own], config) is False
    ):
        return Meant((), f"letter {labels[own]}, but another text than that of {labels[own]}")
    return by_label


def _is_value(text: str) -> bool:
    values = read_values(text)
    return bool(values) and not isinstance(values[0], Words)


def _agrees(text: str, choice: str, config: GradeConfig) -> bool | None:
    outcomes = [
        compare_values(wanted, given, config).equal
        for wanted in _read(choice, config)
        for given in _read(text, config)
    ]
    if any(outcomes):
        return True
    return None if None in outcomes or not outcomes else False


@lru_cache(maxsize=1024)
def _read_cached(text: str, mark: str) -> tuple[Value, ...]:
    return read_values(text, guess_mark(text, mark).mark)


def _read(text: str, config: GradeConfig) -> tuple[Value, ...]:
    return _read_cached(text, config.decimal_mark)


def find_by_value(text: str, choices: Sequence[str], config: GradeConfig) -> tuple[int, ...] | None:
    """Return the one choice whose value `text` states, or the several that a list states."""
    found = [value for value in _read(text, config) if not isinstance(value, Words)]
    if not found:
        return None
    equal = _find_equal(found, choices, config)
    if len(equal) == 1:
        return tuple(equal)
    listing = next((value for value in found if isinstance(value, Listing)), None)
    if listing is not None and not equal:
        parts = [_find_equal([item], choices, config) for item in listing.items]
        if all(len(part) == 1 for part in parts):
            return tuple(sorted({part[0] for part in parts}))
    return None


def _find_equal(found: Sequence[Value], choices: Sequence[str], config: GradeConfig) -> list[int]:
    return [
        index
        for index, choice in enumerate(choices)
        if any(
            not isinstance(wanted, Words) and compare_values(wanted, given, config).equal
            for wanted in _read(choice, config)
            for given in found
        )
    ]


def _find_contained(text: str, choices: Sequence[str]) -> int | None:
    """Return the one choice whose words occur in the statement.

    A choice inside another choice that also occurs ("square" in "no square") does not count.
    """
    if _NONE.search(text) or (_EITHER.search(text) and not any(map(_EITHER.search, choices))):
        return None
    if any(isinstance(value, About | Bound | Negated | Range) for value in read_values(text)):
        return None  # "at least 15"
    for index, choice in enumerate(choices):
        others = [other for place, other in enumerate(choices) if place != index]
        if compare_texts(text, choice) and not any(compare_texts(text, other) for other in others):
            return index
    stated = normalise_text(text)
    forms = [normalise_text(choice) for choice in choices]
    padded = f" {stated} "
    hits = [index for index, form in enumerate(forms) if len(form) > 1 and f" {form} " in padded]
    widest = [
        index
        for index in hits
        if not any(forms[index] != forms[other] and forms[index] in forms[other] for other in hits)
    ]
    if len(widest) != 1:
        return None
    before = padded.split(f" {forms[widest[0]]} ", maxsplit=1)[0]
    if _NEGATED.search(" ".join(before.split()[-4:])) and not _NEGATED.search(choices[widest[0]]):
        return None
    return widest[0]
