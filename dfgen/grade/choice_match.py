"""Which of the given choices does a stated answer mean?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dfgen.grade.choice_label import read_label
from dfgen.grade.decimal_mark import guess_mark
from dfgen.grade.quantity_match import match_quantities
from dfgen.grade.quantity_search import read_statement
from dfgen.grade.text_form import normalise_text

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig

_ARTICLE = re.compile(r"\W*[AI]\s+[a-z]")
_OWN_LABEL = re.compile(r"\s*[(\[]?([A-Za-zА-Яа-я])[)\].:]\s+(?=\S)")


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
    """Return the choices that `text` means, None when it cannot be told without algebra.

    Tried in this order: a letter by itself, the text of one choice, a letter with a mark or a noun
    ("B. seven", "option B"), the number of exactly one choice, the text of exactly one choice after
    what may be an article ("A dog is seen"), a letter and a sentence ("B because"), the text of
    exactly one choice somewhere in the statement.
    """
    label = read_label(text, labels)
    by_label = None
    if label is not None:
        named = ", ".join(labels[index] for index in label.indices)
        by_label = Meant(label.indices, f"letter {named}")
        if label.certain and len(re.findall(r"[^\W_]", text)) == 1:
            return by_label
    stated = normalise_text(text)
    forms = [normalise_text(choice) for choice in choices]
    same = [index for index, form in enumerate(forms) if form and form == stated]
    if len(same) == 1:
        return Meant((same[0],), f"text of {labels[same[0]]}")
    if label is not None and label.certain:
        return by_label
    by_number = _find_by_number(text, choices, config)
    if by_number is not None:
        return Meant((by_number,), f"number of {labels[by_number]}")
    contained = _find_contained(stated, forms)
    by_words = (
        Meant((contained,), f"text of {labels[contained]} in the statement")
        if contained is not None
        else None
    )
    return (by_words or by_label) if _ARTICLE.match(text) else (by_label or by_words)


def _find_by_number(text: str, choices: Sequence[str], config: GradeConfig) -> int | None:
    stated = read_statement(text, guess_mark(text, config.decimal_mark).mark)
    if stated is None:
        return None
    equal = []
    for index, choice in enumerate(choices):
        quantity = read_statement(choice, guess_mark(choice, config.decimal_mark).mark)
        if quantity is not None and match_quantities(stated, quantity, config).equal:
            equal.append(index)
    return equal[0] if len(equal) == 1 else None


def _find_contained(stated: str, forms: Sequence[str]) -> int | None:
    """Return the one choice whose words occur in the statement.

    A choice inside another choice that also occurs ("square" in "no square") does not count.
    """
    padded = f" {stated} "
    hits = [index for index, form in enumerate(forms) if len(form) > 1 and f" {form} " in padded]
    widest = [
        index
        for index in hits
        if not any(forms[index] != forms[other] and forms[index] in forms[other] for other in hits)
    ]
    return widest[0] if len(widest) == 1 else None
