"""Tells letters whose case carries meaning (mW, Co, Aa, AB in a formula) from ordinary words."""

from __future__ import annotations

import re
from itertools import pairwise

from dfgen.diff.atoms import Units
from dfgen.diff.regions import is_in_region


def list_words(text: str) -> frozenset[str]:
    """Return the words of a text; a long list is easier to read this way."""
    return frozenset(text.split())


#: Words of two letters that are words. Every other one may be a symbol (Co, Mb, aa, pH).
_SHORT_WORDS = list_words(
    "am an as at be by do eh go ha he hi if in is it me my no of oh ok on or so to um up us we ye"
    " mr ms dr st vs al ab da du er es ob um wo zu ja le la les de un en et au ce je se si tu ma ta"
    " sa ne on ou où el lo te su ti di il ho ha io da mi va ik de op te na ze we wy ty on po do za"
    " od ze bo ku às é os as um"
)
#: Pronouns whose capitals are a name: the US is not us.
_NAMES_IN_CAPITALS = frozenset({"us", "he", "it", "or", "in", "al", "am"})
_GEOMETRY = list_words(
    "angle triangle segment line ray arc side point points vector square rectangle quadrilateral"
    " trapezoid parallelogram rhombus polygon pentagon hexagon circle plane diagonal chord"
    " ∠ △ ⊿ ▱ ⊙ \\angle \\triangle \\overline \\overrightarrow \\vec \\parallel \\perp"
)
_RELATIONS = list_words("= + ≅ ≡ ∥ ⊥ ∼ ~ < > ≤ ≥ ∪ ∩ ⊂ ∈ \\cong \\parallel \\perp \\sim")
_VERBS = list_words(
    "has was are and can must will equals plus minus times divides lies does may for"
)
_TEXT_COMMANDS = list_words(
    "\\text \\textrm \\textbf \\textit \\textsf \\texttt \\mbox \\mathrm \\mathbf \\mathit"
    " \\operatorname \\boxed \\emph"
)
_BETWEEN = frozenset({"{", "~", "\\", "\\,", "\\;", "\\:", "\\!", "\\quad"}) | _TEXT_COMMANDS
_VOWELS = frozenset("aeiouyáàâäãåæéèêëíìîïóòôöõøœúùûüýÿ")
_PAIRED = re.compile(r"(?i)(?:([a-z])\1)+")
_ELEMENTS = (
    "H|He|Li|Be|B|C|N|O|F|Ne|Na|Mg|Al|Si|P|S|Cl|Ar|K|Ca|Sc|Ti|V|Cr|Mn|Fe|Co|Ni|Cu|Zn|Ga|Ge|As|Se"
    "|Br|Kr|Rb|Sr|Ag|Cd|Sn|Sb|I|Xe|Cs|Ba|W|Pt|Au|Hg|Pb|Bi|U"
)
CHEMICAL = re.compile(rf"(?:(?:{_ELEMENTS})\d*)+")
UNIT_SYMBOL = re.compile(
    r"(?i)[numcdhkgtpµμ]?(?:[mgslvawjknhftpbωΩ]|Ohm|Hz|Pa|eV|Wh|bit|bps|Bq|Sv|Gy|cal|mol|cd|rad|lm|lx|dB)"
    r"|[km]?ph|rpm|[kmg]?b/s"
)


def fold_case(units: Units, index: int) -> str:
    """Return a word in lower case if its case says nothing, else as it is.

    Args:
        units: of the whole text; neighbours decide.
        index: of a unit that begins with a letter.
    """
    key = units.keys[index]
    if len(key) == 1:
        return key.lower() if key in "aA" and _is_article(units, index) else key
    if key.islower():
        return key.casefold()
    lower = key.casefold()
    return key if _is_symbol(units, index, key, lower) else lower


def _is_symbol(units: Units, index: int, key: str, lower: str) -> bool:
    if any(char.isdigit() for char in key):
        return True
    if not _is_in_text_command(units, index) and (
        _is_script(units, index) or is_in_region(units.text, units.starts[index])
    ):
        return True
    if UNIT_SYMBOL.fullmatch(key) and _follows_number(units, index):
        return True
    if not key.isascii() and not set(lower) & _VOWELS:
        return False  # another script
    return _looks_like_symbol(units, index, key, lower)


def _looks_like_symbol(units: Units, index: int, key: str, lower: str) -> bool:
    if len(key) == 2:
        symbol = lower not in _SHORT_WORDS or (key.isupper() and lower in _NAMES_IN_CAPITALS)
    elif _PAIRED.fullmatch(key):
        symbol = True
    elif key.isupper():
        symbol = _names_something(units, index, lower)
    elif key[1:] != lower[1:]:
        # Capitals inside: NaCl, mPa, AaBb; but wORD is a slip of the shift key.
        slip = len(key) > 3 and key[1:].isupper()
        symbol = (len(key) <= 4 and not slip) or CHEMICAL.fullmatch(key) is not None
    else:
        vowels = set(lower) & _VOWELS
        symbol = len(key) <= 5 and key.isascii() and not vowels and lower != "mrs"
    return symbol


def _follows_number(units: Units, index: int) -> bool:
    r"""Say whether a unit stands behind a number: 5 mW, 5mW, 5\,\text{mW}."""
    at = index - 1
    while at > max(index - 6, 0) and units.keys[at] in _BETWEEN:
        at -= 1
    if at < 0 or not (
        units.keys[at][-1].isdigit() or units.keys[at][-2:].strip("0123456789") == "}"
    ):
        return False
    return units.starts[at + 1] - units.ends[at] <= 1


def _names_something(units: Units, index: int, lower: str) -> bool:
    """Say whether capitals are the corners of a figure or a symbol rather than a loud word."""
    if not set(lower) & _VOWELS:
        return True
    if len(lower) > 5:
        return False
    if all(ord(b) - ord(a) == 1 for a, b in pairwise(lower)):
        return True
    before = units.keys[index - 1].lower() if index else ""
    behind = units.keys[index + 1] if index + 1 < len(units) else ""
    if before in _GEOMETRY or before.removesuffix("s") in _GEOMETRY:
        return True
    return len(lower) <= 4 and (before in _RELATIONS or behind in _RELATIONS)


def _is_script(units: Units, index: int) -> bool:
    """Say whether a unit is a command's name, an index or an exponent."""
    start = units.starts[index]
    before = units.text[start - 1] if start else ""
    if before in {"\\", "_", "^"}:
        return True
    return before == "{" and start > 1 and units.text[start - 2] in "_^"


def _is_in_text_command(units: Units, index: int) -> bool:
    r"""Say whether a unit stands in \text{...}, where words are words."""
    for k in range(index - 1, max(index - 12, 0), -1):
        if units.keys[k] == "}":
            return False
        if units.keys[k] == "{":
            return units.keys[k - 1] in _TEXT_COMMANDS
    return False


def _is_article(units: Units, index: int) -> bool:
    """Say whether A or a is the article: it opens a clause, and a word follows."""
    if index + 1 >= len(units) or is_in_region(units.text, units.starts[index]):
        return False
    word = units.keys[index + 1]
    blank = units.starts[index + 1] > units.ends[index]
    if not blank or len(word) < 3 or not word.isalpha() or not word.islower() or word in _VERBS:
        return False
    return index == 0 or units.keys[index - 1][-1] in ".!?:;,\n\"'“("
