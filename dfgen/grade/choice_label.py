"""Letters of choices: which one does a text name?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from dfgen.grade.characters import fold_characters
from dfgen.grade.latex_text import to_plain_text

LATIN = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
CYRILLIC = tuple("АБВГДЕЖЗИК")
_NOUN = (
    r"(?:(?:the|die|la|le|el)\s)?(?:(?:correct|right|final|richtige|correcte|correcta)\s)?"
    r"(?:option|choice|answer|alternative|candidate|figure|letter|opción|opzione|opção|réponse"
    r"|antwort|möglichkeit|variante?|варіант|вариант|відповідь|ответ|选项|選項|选择|選択肢|보기)"
)
_WORD = re.compile(r"[^\W\d_]+")
_CONNECTORS = frozenset(
    {"and", "or", "und", "oder", "et", "ou", "y", "e", "та", "і", "и", "або", "или", "options"}
    | {"option", "choices", "choice", "both", "和", "と"}
)


class Label(NamedTuple):
    """Indices of the named choices, and whether the text names them beyond doubt."""

    indices: tuple[int, ...]
    certain: bool


class _Patterns(NamedTuple):
    whole: re.Pattern[str]
    led: re.Pattern[str]
    noun: re.Pattern[str]
    weak: re.Pattern[str]
    first: re.Pattern[str]
    mentions: re.Pattern[str]
    bare: re.Pattern[str]


def choose_labels(answer: str, count: int) -> tuple[str, ...]:
    """Return the letters of `count` choices, in the alphabet that the reference answer uses.

    Without choices the letters A to J are possible.
    """
    bare = answer.strip().strip("().").upper()
    alphabet = CYRILLIC if bare and all(letter in CYRILLIC for letter in bare) else LATIN
    return alphabet[: count or 10]


@lru_cache(maxsize=64)
def _compile(labels: tuple[str, ...]) -> _Patterns:
    upper = "".join(labels)
    either = upper + upper.lower()
    close = r"[)\]】』]"
    return _Patterns(
        whole=re.compile(rf"\W*(?:(?i:{_NOUN})\W{{0,4}})?[(\[]?\s?([{either}])\s?[)\]]?\W*"),
        led=re.compile(
            rf"\W{{0,3}}(?:[(\[]\s?([{either}])\s?{close}|([{either}]){close}|([{upper}])\s?[.:：、,–—])"
        ),
        noun=re.compile(rf"\W{{0,3}}(?i:{_NOUN})\W{{0,4}}([{either}])(?!\w)"),
        weak=re.compile(rf"\W{{0,3}}([{upper}])(?=\s)"),
        first=re.compile(rf"\s{{0,8}}[(*\[]{{0,3}}([{upper}])(?:[)\].:：]|\*\*)(?!\w)"),
        mentions=re.compile(
            rf"[(（]\s?([{upper}])\s?[)）]|\*\*\(?([{upper}])[).]?\*\*|(?i:{_NOUN})\W{{0,4}}([{upper}])(?!\w)"
            rf"|^\s{{0,8}}([{upper}])[.)]?\s{{0,8}}$|\\text(?:bf)?\{{\(?([{upper}])\)?\}}",
            re.MULTILINE,
        ),
        bare=re.compile(rf"(?<![\w'’.^_\\{{])([{upper}])(?![\w'’^_(={{])(?!\s?[=+*/<>-])"),
    )


def read_label(text: str, labels: Sequence[str]) -> Label | None:
    """Return which of `labels` a stated answer names, None when it names none.

    "(B)", "b", "option B" and "B. seven" are certain; "B because" is not, nor is "A square",
    in which the letter may be an article. Several letters give several indices.
    """
    if not labels or not text or len(text) > 2000:
        return None
    known = tuple(labels)
    patterns = _compile(known)
    plain = fold_characters(to_plain_text(text))
    if match := patterns.whole.fullmatch(plain):
        return Label((known.index(match[1].upper()),), True)
    words = _WORD.findall(plain)
    letters = [word for word in words if len(word) == 1 and word.upper() in known]
    if (
        len(letters) > 1
        and all(word in letters or word.casefold() in _CONNECTORS for word in words)
        and not re.search(r"[\d=+\\^]", plain)
    ):
        return Label(tuple(sorted({known.index(word.upper()) for word in letters})), True)
    for pattern, certain in ((patterns.led, True), (patterns.noun, True), (patterns.weak, False)):
        if match := pattern.match(plain):
            letter = next(filter(None, match.groups()))
            return Label((known.index(letter.upper()),), certain)
    return None


def find_last_label(completion: str, start: int, labels: Sequence[str]) -> tuple[int, int] | None:
    """Return the offsets of the letter that a text without a stated answer settles on.

    A text that begins with "B." or "(B)" answers there; otherwise the last "(B)", "option B",
    "**B**" or line of one letter counts, and at last a lone capital letter that is no article.
    """
    if not labels:
        return None
    patterns = _compile(tuple(labels))
    found = patterns.first.match(completion, start)
    if found is None:
        for match in patterns.mentions.finditer(completion, start):
            found = match
    if found is None:
        for match in patterns.bare.finditer(completion, start):
            following = completion[match.end() : match.end() + 2]
            if match[1] not in "AI" or not following[:1].isspace() or not following[1:].islower():
                found = match
    if found is None:
        return None
    group = next(number for number, letter in enumerate(found.groups(), 1) if letter)
    return found.span(group)
