"""The form in which two texts are compared: without case, articles, punctuation and markup."""

from __future__ import annotations

import re
import unicodedata

from dfgen.grade.latex_text import to_plain_text

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
# Elsewhere these are also pronouns and prepositions; at the start they are articles.
_LEADING_ARTICLE = re.compile(
    r"^(?:der|die|das|ein|eine|le|la|les|un|une|el|los|las|una|il|lo|gli|o|os|um|uma|het|een)\s+(?=\w)"
)
_ELISION = re.compile(r"\bl['’](?=\w)")
_HYPHEN = re.compile(r"-(?!\d)")
_LONGEST = 20_000


def normalise_text(text: str) -> str:
    """Return `text` in Unicode NFKC, case-folded, without articles, punctuation and markup.

    Signs that carry meaning stay: + - * / < = > % and those of currencies between or before words.
    """
    plain = unicodedata.normalize("NFKC", to_plain_text(text[:_LONGEST])).casefold()
    plain = _ELISION.sub("", plain)
    kept = "".join(
        character if _is_kept(character) else "" if character in "'’`" else " "
        for character in plain
    )
    kept = _HYPHEN.sub(" ", kept)
    kept = _ARTICLE.sub(" ", kept) if len(kept.split()) > 1 else kept
    words = " ".join(kept.split())
    return _LEADING_ARTICLE.sub("", words, count=1)


def is_written_the_same(left: str, right: str) -> bool:
    """Return whether two pieces of mathematics differ in delimiters, fonts and white space only.

    Here brackets, letters and commas count, other than in `normalise_text`.
    """
    if len(left) > _LONGEST or len(right) > _LONGEST:
        return left == right
    form = " ".join(to_plain_text(left).split())
    return form != "" and form == " ".join(to_plain_text(right).split())


def _is_kept(character: str) -> bool:
    return (
        character.isalnum()
        or unicodedata.category(character) in {"Sm", "Sc", "Mn", "Mc"}
        or (character in "-/*%°")
    )
