"""Finds which decimal mark a text uses, for numbers that can be read in two ways."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from dfgen.grade.characters import fold_characters
from dfgen.grade.number_token import TOKEN, Mark, find_decided_mark

# Small words and letters of languages that write 3,5 (CLDR: decimal "," in de, fr, es, it, pt, nl,
# pl, uk, ru, cs, tr, vi, id; Mexican Spanish writes the point and is the known exception).
_CERTAIN = re.compile(
    r"[\u0400-\u04ff]{3}|\b(?:antwort|lösung|ergebnis|réponse|respuesta|risposta|resposta"
    r"|antwoord|odpowiedź|cevap)\b",
    re.IGNORECASE,
)
# One "café" or "Los Angeles" makes no text Spanish. No dotless i in the class: it would match every
# i when case is ignored.
_HINT = re.compile(
    r"[äöüßéèêàçñõãąęłśźżğşøå]|\b(?:und|ist|der|das|sind|les|est|donc|el|los|het|een|jest|czyli)\b",
    re.IGNORECASE,
)
_HINTS_NEEDED = 3
_THIN_SPACE = re.compile(r"\\,")  # 1\,200 has no comma
_BRACKETS = frozenset("([{")
_SAMPLE = 4000  # characters of a completion that are enough to see its habits


class MarkGuess(NamedTuple):
    """The decimal mark and the reason, for people."""

    mark: Mark
    reason: str


# A grader asks up to three times about one completion, and a prompt's samples share an answer.
@lru_cache(maxsize=16)
def guess_mark(text: str, configured: str = "auto") -> MarkGuess:
    """Return the decimal mark for the ambiguous numbers of `text`.

    Args:
        text: a completion or an answer.
        configured: `GradeConfig.decimal_mark`.
    """
    if configured == "point":
        return MarkGuess("point", "decimal_mark: point")
    if configured == "comma":
        return MarkGuess("comma", "decimal_mark: comma")
    sample = _THIN_SPACE.sub(" ", fold_characters(text[-_SAMPLE:]))
    votes = {"point": 0, "comma": 0}
    for match in TOKEN.finditer(sample):
        decided = find_decided_mark(match[0])
        # (1,2) is a pair, not one and a fifth.
        pair = "," in match[0] and sample[max(match.start() - 1, 0)] in _BRACKETS
        if decided is not None and not pair:
            votes[decided] += 1
    if votes["comma"] > votes["point"]:
        return MarkGuess("comma", "other numbers of the text have a decimal comma")
    if votes["point"] > votes["comma"]:
        return MarkGuess("point", "other numbers of the text have a decimal point")
    if _CERTAIN.search(sample) or len(_HINT.findall(sample)) >= _HINTS_NEEDED:
        return MarkGuess("comma", "the language of the text writes a decimal comma")
    return MarkGuess("point", "nothing in the text says otherwise")
