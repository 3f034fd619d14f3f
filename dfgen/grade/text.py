"""The text grader: equal after normalisation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dfgen.grade.extract import extract_answer, make_verdict, shorten
from dfgen.grade.text_form import normalise_text

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig
    from dfgen.grade.verdict import Verdict

NAME = "text"
_YES_NO = {
    **dict.fromkeys(("yes", "ja", "oui", "sí", "si", "sim", "так", "да", "是", "はい"), True),
    **dict.fromkeys(("no", "nein", "non", "não", "ні", "нет", "否", "いいえ", "nee"), False),
}
_LINKS_TRIED = 8
_LINK = re.compile(
    r"\b(?:is|are|was|were|ist|sind|lautet|est|sont|es|son|è|é|це|є|это|является)\s+|[:：=—]\s*",
    re.IGNORECASE,
)


def compare_texts(found: str, expected: str) -> str | None:
    """Return how the two texts agree, as a clause of evidence; None when they do not."""
    wanted, stated = normalise_text(expected), normalise_text(found)
    if not wanted:
        return "both are written the same" if found.strip() == expected.strip() else None
    if stated == wanted:
        return "equal after normalisation"
    if wanted in _YES_NO:
        first = re.match(r"\w+", stated)
        if first and _YES_NO.get(first[0]) is _YES_NO[wanted] and first[0] in _YES_NO:
            return f"begins with {first[0]!r}"
        return None
    # "The animal is a dog" answers "dog"; "not a dog" does not equal it.
    for match in [*_LINK.finditer(found[:2000])][-_LINKS_TRIED:]:
        if normalise_text(found[match.end() :]) == wanted:
            return f"equal after {match[0].strip()!r}"
    return None


def grade_text(
    completion: str,
    answer: str,
    choices: Sequence[str],  # noqa: ARG001 - every grader has these arguments
    config: GradeConfig,
) -> Verdict:
    """Grade words: Unicode NFKC, case, articles, punctuation and markup do not matter."""
    extraction = extract_answer(completion, kind="text", fallback=config.fallback)
    if extraction.text is None:
        return make_verdict(NAME, False, extraction, answer, "no answer was found")
    agreement = compare_texts(extraction.text, answer)
    if agreement is not None:
        return make_verdict(NAME, True, extraction, answer, f"text: {agreement}")
    detail = f"text: {shorten(extraction.text)!r} is not {shorten(answer)!r}"
    return make_verdict(NAME, False, extraction, answer, detail)
