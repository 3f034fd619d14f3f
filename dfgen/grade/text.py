# ruff: noqa: E501, PLR0911 - tables of words, one return for each kind
"""Grades text: equal after normalisation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dfgen.grade.canonical import write_canonical
from dfgen.grade.decisive import contradict
from dfgen.grade.extract import extract_answer, make_verdict, shorten
from dfgen.grade.text_form import compare_words, is_same_formula, names_ion, normalise_text

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig
    from dfgen.grade.verdict import Verdict

NAME = "text"
_YES_NO = {
    **dict.fromkeys(
        ("yes", "ja", "oui", "sí", "si", "sim", "так", "да", "是", "是的", "对", "はい", "true", "yeah", "yep", "correct"), True
    ),
    **dict.fromkeys(
        ("no", "nein", "non", "não", "ні", "нет", "否", "不是", "不", "不对", "いいえ", "nee", "false", "nope", "incorrect"), False
    ),
}  # fmt: skip
_TRUTH = frozenset({"true", "false"})
_LONGEST_SIGNS = 200
_LINKS_TRIED = 8
_LINK = re.compile(
    r"\b(?:is|are|was|were|ist|sind|lautet|est|sont|es|son|è|é|be|shows?|named|called|becomes?)\s+(?:that\s|indeed\s|likely\s|probably\s|clearly\s|simply\s)?"
    r"|(?<!\w)(?:це|є|это|является)\s+|[:：=—→]\s*|是|为",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"(?<!\w)(?:not|n't|never|no longer|neither|cannot|nicht|kein\w*|не|ні|нет|pas)(?!\w)|不",
    re.IGNORECASE,
)
_TRAILING = re.compile(
    r"[,;(]\s*(?:not|rather than|instead of|because|since|as|which|und nicht|а не|而不是)(?!\w).*|\s(?:because|since|rather than|instead of|as shown|as seen|in the (?:picture|image))(?!\w).*|，而?不是.*|因为.*",
    re.IGNORECASE | re.DOTALL,
)
_STATED_TRUTH = re.compile(
    r"(?<!\w)(?:is|are)\s(true|false|correct|incorrect|yes|no)[.!\s]*$", re.IGNORECASE
)
_FIRST_WORD = re.compile(r"[^\w]*([\w']+)")
_NO_ONE = re.compile(
    r"no(?:\s+(?:one|body|man|person|thing|idea|clue|information|answer|doubt|problem|question|matter|wonder|need|\w+ can)|t\b)",
    re.IGNORECASE,
)


def compare_texts(found: str, expected: str) -> str | None:
    """Return how the two texts agree, as a clause of evidence; None when they do not."""
    if names_ion(expected):  # the charge counts: Cl is not Cl^-
        return "the same formula" if is_same_formula(found, expected) else None
    agreement = compare_words(found, expected)
    if agreement is not None:
        return agreement
    if _write_signs(found) == _write_signs(expected) != "":
        return "the same signs"
    if _turn_angle(_write_signs(found)) == _write_signs(expected) != "":
        return "the same angle, named from its other side"
    if is_same_formula(found, expected):
        return "the same formula"
    wanted = normalise_text(expected)
    if not wanted:
        return None
    if wanted in _YES_NO:
        return _compare_yes_no(found, wanted)
    shorter = _TRAILING.sub("", found[:2000]).strip()
    if shorter and shorter != found and (agreement := compare_words(shorter, expected)):
        return agreement
    # "The animal is a dog" answers "dog"; "not a dog" does not equal it.
    for match in [*_LINK.finditer(shorter)][-_LINKS_TRIED:]:
        if (
            _NEGATED.search(shorter[max(0, match.start() - 20) : match.end()])
            and ":" not in match[0]
        ):
            continue
        rest = shorter[match.end() :]
        if agreement := compare_words(rest, expected):
            return f"equal after {match[0].strip()!r}"
    return None


def _write_signs(text: str) -> str:
    """ "angle ABC" and ∠ABC, △ and triangle; case counts here."""
    if len(text) > _LONGEST_SIGNS:
        return ""
    plain = write_canonical(text).replace("triangle ", "△").replace("angle ", "∠")
    return plain.strip(" .").replace(" ", "") if re.search(r"[∠△⊥∥≅]", plain) else ""


def _turn_angle(signs: str) -> str:
    """∠CDB is ∠BDC."""
    return f"∠{signs[:0:-1]}" if re.fullmatch(r"∠[A-Z]{3}", signs) else ""


def _compare_yes_no(found: str, wanted: str) -> str | None:
    """ "Yes, there is one" says yes; "No. Yes." and "No one can say" say nothing."""
    match = _FIRST_WORD.match(found)
    first = match[1].casefold() if match else ""
    if first not in _YES_NO:
        cjk = re.match(r"\W*(不是|不对|不|否|是的|是|对)", found)
        first = cjk[1] if cjk else ""
    if (
        first not in _YES_NO
        and (said := _STATED_TRUTH.search(found))
        and not _NEGATED.search(found)
    ):
        first = said[1].casefold()
    if first not in _YES_NO or ((first in _TRUTH) != (wanted in _TRUTH) and wanted in _TRUTH):
        return None
    if match and _NO_ONE.match(found[match.start(1) :]) and "," not in found[:4]:
        return None
    if _YES_NO[first] is not _YES_NO[wanted]:
        return None
    pieces = re.split(r"[,.;:!?\n\s。，！？]+", found.strip())
    alone = re.split(r"[.;!?\n,。，！？]+", found)
    for piece in alone[1:]:
        word = piece.strip().casefold()
        if word in _YES_NO and _YES_NO[word] is not _YES_NO[wanted]:
            return None
    if (
        len(pieces) > 2
        and pieces[1].casefold() in {"or", "and", "oder", "und", "або", "или"}
        and pieces[2].casefold() in _YES_NO
    ):
        return None
    return f"begins with {first!r}"


def grade_text(
    completion: str,
    answer: str,
    choices: Sequence[str],  # noqa: ARG001 - every grader has these arguments
    config: GradeConfig,
) -> Verdict:
    """Grade words: Unicode NFKC, ordinary case, articles, punctuation and markup do not matter."""
    extraction = extract_answer(completion, kind="text", fallback=config.fallback)
    if extraction.text is None:
        return make_verdict(NAME, False, extraction, answer, "no answer was found")
    agreement = compare_texts(extraction.text, answer)
    if (
        agreement is not None
        and extraction.span
        and _is_reversed(completion, extraction.span[1], answer)
    ):
        agreement = None
    if (
        agreement is None
        and extraction.method == "whole_text"
        and normalise_text(answer) not in _YES_NO
        and _is_first_sentence(extraction.text, answer)
    ):
        agreement = "equal to the only sentence that answers"
    words = re.findall(r"[^\W\d_]+", extraction.text.casefold())[:40]
    if agreement is not None and contradict(normalise_text(answer).split(), words) is None:
        return make_verdict(NAME, True, extraction, answer, agreement)
    detail = f"{shorten(extraction.text)!r} is not {shorten(answer)!r}"
    return make_verdict(NAME, False, extraction, answer, detail)


def _is_reversed(completion: str, end: int, answer: str) -> bool:
    """ "No. Yes.": a yes or no that the next sentence takes back."""
    wanted = _YES_NO.get(normalise_text(answer))
    match = re.match(r"[.!,;\s]{1,3}([^\W\d_]{1,7})\s{0,2}(?:[.!]|$)", completion[end : end + 16])
    return (
        wanted is not None
        and match is not None
        and _YES_NO.get(match[1].casefold()) is (not wanted)
    )


def _is_first_sentence(text: str, answer: str) -> bool:
    """A bare answer before a sentence that explains it: "Dog. It barks."."""
    sentences = re.split(r"(?<=[.!])\s+", text.strip())
    return (
        len(sentences) == 2
        and compare_words(sentences[0], answer) is not None
        and not _NEGATED.search(sentences[1][:40])
    )
