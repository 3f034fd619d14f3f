# ruff: noqa: E501, PLR0911 - tables of words, one return for each way to agree
"""Brings two texts into the form in which they are compared: no case, articles or punctuation.

Case counts where it carries meaning (Aa and aa, Co and CO), articles go only where they are
articles (a dog, but Vitamin A), and a list of words may come in any order.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from dfgen.grade.canonical import write_canonical
from dfgen.grade.latex_text import to_plain_text
from dfgen.grade.number_words import read_number_words, write_place

_ARTICLE = re.compile(r"(?<![\w'’-])(?:an|the|a)(?=\s+(?!(?:an|the|a)(?!\w))\w)")
_CAPITAL_ARTICLE = re.compile(r"^\W*(?:An|The|A)(?=\s+[^\W\d_]{2,})(?!\s+(?:an|the|a)(?!\w))")
# Elsewhere these are also pronouns and prepositions; at the start they are articles.
_LEADING_ARTICLE = re.compile(
    r"^(?:der|die|das|ein|eine|le|la|les|un|une|el|los|las|una|il|lo|gli|o|os|um|uma|het|een)\s+(?=\w)"
)
# Los Angeles, El Paso, Le Mans: part of a name.
_PLACE = re.compile(r"\W*(Le|La|Les|El|Los|Las|Il|Lo)\s+(?=[A-Z])")
_ELISION = re.compile(r"\bl['’](?=\w)")
_HYPHEN = re.compile(r"-(?!\d)")
_LONGEST = 20_000
_SHORT = 1000  # texts up to this length are remembered
_TOKEN = re.compile(r"[^\W\d_]+")
_GENES = re.compile(r"(?:([A-Za-z])(?:(?=[A-Za-z])(?i:\1)))+")
_MIXED = re.compile(r"[a-z][A-Z]|[A-Z]{2,}[a-z]")
_LONGEST_SYMBOL = 4
_ORDINARY = frozenset(
    [
        "up",
        "no",
        "on",
        "in",
        "it",
        "is",
        "of",
        "to",
        "do",
        "go",
        "he",
        "me",
        "we",
        "us",
        "at",
        "as",
        "by",
        "if",
        "or",
        "so",
        "my",
        "ox",
        "be",
        "an",
        "am",
        "ah",
        "oh",
        "ok",
        "ad",
        "id",
        "pi",
        "yo",
        "hi",
        "ax",
    ]
)
_SEPARATOR = re.compile(
    r"\s*(?:[,;、，；/\n]|(?<!\w)(?:and|und|et|та|і|и|y|e)(?!\w)|&|和|与|及|と)\s*"
)
_NUMBER_WORD = re.compile(
    r"(?<![\w-])(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)(?![\w-])"
)
_MOST_LISTED = 30
_ION = re.compile(r"(?:[A-Z][a-z]?(?:_?\{?\d{1,2}\}?)?){1,6}\s?(?:\^\s?\{?\d?[+-]\}?|\d?[+-])")
_LONGEST_FORMULA = 200
_FORMULA = re.compile(r"\d?[A-Z][A-Za-z\d()]*\d?[+-]?")
_LEADING = re.compile(
    r"^(?:it is |its |it |colou?r |thats |that is |this is |they are |on |in |at |to |toward |towards )(?:an? |the )?(?=\w{3})"
)
_BETWEEN_WINDS = re.compile(r"\b(north|south) ?(east|west)")
_PLACED = re.compile(r"(\d{1,2})(?:st|nd|rd|th)(?!\w)")
_SETS = {"integers": "z", "integer": "z", "rationals": "q", "natural": "n", "naturals": "n",
    "rational": "q", "reals": "r", "real": "r", "anticlockwise": "counterclockwise",
    "counter clockwise": "counterclockwise", "anti clockwise": "counterclockwise",
}  # fmt: skip
_GENERIC = re.compile(
    r"(?<=\w) (?:numbers?|directions?|colou?rs?|lines?|angles?|place|order|shapes?|solutions?|in (?:colou?r|shape))$"
)
_ENDLESS = re.compile(r"∞|infinite|infinite(?:ly)? many(?: solutions)?|无穷多个?|无数个?")


def normalise_text(text: str) -> str:
    """Return `text` in Unicode NFKC, case-folded, without articles, punctuation and markup.

    Signs that carry meaning stay: + - * / < = > % # and those of currencies between or before words.
    """
    return _normalise_short(text) if len(text) <= _SHORT else _normalise(text[:_LONGEST])


def _normalise(text: str) -> str:
    plain = unicodedata.normalize("NFKC", to_plain_text(text))
    plain = _CAPITAL_ARTICLE.sub(" ", plain, count=1)
    plain = _ARTICLE.sub(" ", plain).casefold()
    plain = _ELISION.sub("", plain)
    kept = "".join(
        character if _is_kept(character) else "" if character in "'’`" else " "
        for character in plain
    )
    words = " ".join(_HYPHEN.sub(" ", kept).split())
    return _LEADING_ARTICLE.sub("", words, count=1)


_normalise_short = lru_cache(maxsize=1024)(_normalise)


def compare_words(found: str, expected: str) -> str | None:
    """Return how two texts agree, as a clause of evidence; None when they do not."""
    wanted, stated = normalise_text(expected), normalise_text(found)
    if not wanted:
        return "both are written the same" if found.strip() == expected.strip() else None
    place = _PLACE.match(expected)
    if _differ_in_case(found, expected) or (
        place and not found.lstrip(" *_\"'").casefold().startswith(place[1].casefold())
    ):
        return None
    if stated == wanted:
        return "equal after normalisation"
    if _singular(stated) == _singular(wanted):
        return "equal but for number words or the plural"
    if _name_bare(stated) == _name_bare(wanted) != "":
        return "equal but for words that say nothing more"
    listed = _list_words(expected)
    if len(listed) > 1 and sorted(listed) == sorted(_list_words(found)):
        return "the same words in another order"
    return None


def _name_bare(text: str) -> str:
    """ "on Tuesday", "an odd number" and "in a clockwise direction" without what goes without saying."""
    text = _BETWEEN_WINDS.sub(r"\1\2", text)
    if place := _PLACED.match(text):
        text = write_place(int(place[1])) + text[place.end() :]
    bare = _GENERIC.sub("", _LEADING.sub("", text, count=1), count=1)
    if _ENDLESS.fullmatch(bare):
        return "infinite"
    return _SETS.get(bare.removeprefix("set of ").removeprefix("all "), bare)


def _list_words(text: str) -> list[str]:
    parts = [part for part in _SEPARATOR.split(to_plain_text(text[:_LONGEST])) if part.strip()]
    return [_singular(normalise_text(part)) for part in parts[: _MOST_LISTED + 1]]


def _singular(text: str) -> str:
    if any(character.isdigit() for character in text) or _NUMBER_WORD.search(text):
        text = _NUMBER_WORD.sub(lambda match: str((read_number_words(match[0]) or ("?",))[0]), text)
    if len(text) > 3 and text.endswith("s") and text[-2] not in "isu":
        return text[:-1]
    return text


def _differ_in_case(found: str, expected: str) -> bool:
    """Whether a word of the reference stands in the answer with a case that means something else."""
    wanted = _TOKEN.findall(to_plain_text(expected[:200]))
    if not wanted or len(wanted) > _MOST_LISTED:
        return False
    given = _TOKEN.findall(to_plain_text(found[:1000]))
    for word in wanted:
        folded = word.casefold()
        same = [other for other in given if other.casefold() == folded]
        if same and word not in same and any(_is_symbol(form) for form in (word, *same)):
            return True
    return False


def _is_symbol(word: str) -> bool:
    """Aa, Co, pH, NaCl, AaBb: case is part of the name."""
    if len(word) == 2:
        return word.casefold() not in _ORDINARY and word.isascii()
    if len(word) < 2:
        return False
    return bool(_GENES.fullmatch(word)) or (
        len(word) <= _LONGEST_SYMBOL and bool(_MIXED.search(word))
    )


def is_written_the_same(left: str, right: str) -> bool:
    """Return whether two pieces of mathematics differ in delimiters, fonts and white space only.

    Here brackets, letters and commas count, other than in `normalise_text`.
    """
    if len(left) > _LONGEST or len(right) > _LONGEST:
        return left == right
    form = " ".join(to_plain_text(left).split())
    return form != "" and form == " ".join(to_plain_text(right).split())


def names_ion(text: str) -> bool:
    """Whether a text is the formula of an ion: Na^+, SO_4^{2-}."""
    return len(text) <= _LONGEST_FORMULA and _ION.fullmatch(write_canonical(text)) is not None


def is_same_formula(text: str, answer: str) -> bool:
    r"""Return whether both are one chemical formula: H2O, H₂O, H_2O, `\\text{H}_2\\text{O}`; Na+, Na⁺."""
    if len(text) > _LONGEST_FORMULA or len(answer) > _LONGEST_FORMULA:
        return False
    left, right = (re.sub(r"[_^{}\s\\$]", "", write_canonical(side)) for side in (text, answer))
    return left == right and _FORMULA.fullmatch(left) is not None


def _is_kept(character: str) -> bool:
    return (
        character.isalnum()
        or unicodedata.category(character) in {"Sm", "Sc", "Mn", "Mc"}
        or (character in "-/*%°#")
    )
