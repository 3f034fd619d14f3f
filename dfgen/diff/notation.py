r"""Reads what units say apart from how they are written: x², x^2 and x^{2} are the same."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from dfgen.diff.atoms import Units
from dfgen.diff.letter_case import CHEMICAL, fold_case, list_words
from dfgen.diff.markup import BULLETS, is_formula_mark, is_list_number, is_markup
from dfgen.diff.number_form import read_number_form

#: Commands that change the look and nothing else; `\(`, `$` and their like only open a formula.
_LOOK = re.compile(
    r"\\(?:left|right|middle|[bB]igg?[lrm]?|(?:display|text|script)style|(?:no)?limits|q?quad"
    r"|text(?:rm|sf|it|bf|tt|normal)?|mbox|math(?:rm|it|sf)|[,;:!()\[\]])"
)
_TEXT = re.compile(r"\\(?:text(?:rm|sf|it|bf|tt|normal)?|mbox|math(?:rm|it|sf))")
_FRACTION = re.compile(r"\\[dtc]?frac")
#: Several ways to write one sign, as what it is spelled with.
_SPELLED = {
    "≥": ">=", "⩾": ">=", "≧": ">=", "\\ge": ">=", "\\geq": ">=", "\\geqslant": ">=",
    "≤": "<=", "⩽": "<=", "≦": "<=", "\\le": "<=", "\\leq": "<=", "\\leqslant": "<=",
    "≠": "!=", "\\ne": "!=", "\\neq": "!=", "\\lt": "<", "\\gt": ">",
    "→": "->", "⟶": "->", "\\to": "->", "\\rightarrow": "->", "\\longrightarrow": "->",
    "⇒": "=>", "⟹": "=>", "\\Rightarrow": "=>", "\\implies": "=>", "\\Longrightarrow": "=>",
}  # fmt: skip
_SAME = {
    "\\times": "×", "\\cdot": "×", "·": "×", "⋅": "×", "∙": "×", "✕": "×", "✖": "×",
    "\\div": "/", "÷": "/", "∕": "/", "⁄": "/",
    "\\approx": "≈", "\\pm": "±", "\\mp": "∓", "\\infty": "∞", "\\in": "∈", "\\notin": "∉",
    "\\cup": "∪", "\\cap": "∩", "\\subset": "⊂", "\\subseteq": "⊆", "\\forall": "∀",
    "\\exists": "∃", "\\perp": "⊥", "\\parallel": "∥", "\\cong": "≅", "\\sim": "~", "∼": "~",
    "\\equiv": "≡", "\\emptyset": "∅", "\\varnothing": "∅", "\\partial": "∂", "\\nabla": "∇",
    "\\sum": "∑", "\\prod": "∏", "\\int": "∫", "\\propto": "∝", "\\therefore": "∴",
    "\\because": "∵", "\\sqrt": "√", "\\circ": "°", "\\degree": "°", "º": "°", "˚": "°",
    "\\angle": "angle", "\\measuredangle": "angle", "∠": "angle", "\\triangle": "triangle",
    "△": "triangle", "\\ldots": "...", "\\dots": "...", "\\cdots": "...", "…": "...", "⋯": "...",
    "……": "...", "\\lbrace": "{", "\\rbrace": "}", "\\{": "{", "\\}": "}", "\\lvert": "|",
    "\\rvert": "|", "\\vert": "|", "\\mid": "|", "∣": "|", "\\%": "%", "\\$": "$", "\\#": "#",
    "\\&": "&", "\\_": "_", "\\ell": "ℓ", "\\prime": "'",
    "“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"', "″": '"', "「": '"', "」": '"',
    "『": '"', "』": '"', "‘": "'", "’": "'", "‚": "'", "‹": "'", "›": "'", "′": "'", "´": "'",
    "ʼ": "'", "。": ".", "、": ",", "【": "[", "】": "]", "−": "-", "﹣": "-", "‐": "-", "‑": "-",
}  # fmt: skip
_NAMES = list_words(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp lim max min gcd lcm det"
    " dim mod bmod deg arg sup inf"
)
_PRODUCTS = frozenset({"\\times", "\\cdot", "×", "·", "⋅"})
_VECTORS = frozenset(
    {"\\vec", "\\mathbf", "\\boldsymbol", "\\bm", "\\hat", "\\nabla", "∇", "\\overrightarrow"}
)
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ", "0123456789+-=()ni", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₒₓₙ", "0123456789+-=()aeoxn", strict=True))
_SCRIPTS = frozenset(_RAISED) | frozenset(_LOWERED)
_SIGNS = frozenset("+-−–±")
_DOUBLE_STRUCK = frozenset("ℝℤℕℚℂℙ")
_QUOTES = frozenset("“”„‟«»″‘’‚‹›′´ʼ")
#: How far a brace looks for its partner, in units.
_GROUP = 64


@cache
def _list_greek() -> dict[str, str]:
    letters: dict[str, str] = {}
    for code in range(0x391, 0x3CA):
        name = unicodedata.name(chr(code), "")
        if " LETTER " not in name or "FINAL" in name or "WITH" in name:
            continue
        word = name.rpartition(" ")[2].lower().replace("lamda", "lambda")
        letters["\\" + (word.capitalize() if "CAPITAL" in name else word)] = chr(code)
    variants = ("epsilon", "ε"), ("phi", "φ"), ("theta", "θ"), ("rho", "ρ"), ("pi", "π")
    return letters | {f"\\var{name}": letter for name, letter in variants}


def read_form(units: Units, index: int) -> tuple[str, ...]:
    """Return what a unit says, in pieces; nothing if it is look only.

    Two rows of units that come to the same pieces differ in form only.
    """
    key = units.keys[index]
    first = key[0]
    if first.isalpha() and key.isascii():
        return _read_word(units, index, key)
    if first == "\\":
        return _read_command(units, index, key)
    if first in "{}":
        return _read_brace(units, index, key)
    if _is_look(units, index, key):
        return ()
    if first.isdecimal() or (first == "." and key[1:2].isdecimal()):
        return read_number_form(units, index)
    return _read_sign(units, index, key)


def _is_look(units: Units, index: int, key: str) -> bool:
    """Say whether a sign or number marks up the text: a list, emphasis, a formula, a degree."""
    first = key[0]
    if first == "$":
        return is_formula_mark(units, index)
    if first in "*_`#" or key in BULLETS:
        return is_markup(units, index)
    return is_list_number(units, index) or (key == "^" and _find_degree(units, index + 1))


def _read_word(units: Units, index: int, key: str) -> tuple[str, ...]:
    if (
        key in {"x", "X"}
        and 0 < index < len(units) - 1
        and units.keys[index - 1][-1].isdigit()
        and units.keys[index + 1][0].isdigit()
    ):
        return ("×",)
    if len(key) == 1 or units.text[max(units.starts[index] - 1, 0)] != "\\":
        return (fold_case(units, index),)
    return (key,)


def _read_command(units: Units, index: int, key: str) -> tuple[str, ...]:
    if len(key) > 2 and key[-1] in "0123456789}" and _FRACTION.match(key):
        return read_number_form(units, index)
    if _LOOK.fullmatch(key) or _FRACTION.fullmatch(key):
        return ()
    if key[1:] in _NAMES:
        return (key[1:].removeprefix("b"),)
    greek = _list_greek().get(key)
    if greek is not None:
        return (greek,)
    return _read_sign(units, index, key)


def _read_sign(units: Units, index: int, key: str) -> tuple[str, ...]:
    if key in _SPELLED:
        return tuple(_SPELLED[key])
    if key in _DOUBLE_STRUCK:
        return ("\\mathbb", unicodedata.normalize("NFKC", key))
    if set(key) & _SCRIPTS:
        return _read_scripts(units, index, key)
    sign = key
    if key in _PRODUCTS and any(k in _VECTORS for k in units.keys[max(index - 8, 0) : index + 5]):
        # Of two vectors there are two products.
        sign = key.replace("·", "\\cdot").replace("⋅", "\\cdot").replace("×", "\\times")
    elif key in _QUOTES and _stands_alone(units, index):
        # Text cut into tokens, in which a sign is a word: those who label it count each sign.
        sign = key
    elif key in _SAME:
        sign = _SAME[key]
    elif key == "*" and _is_between_operands(units, index):
        sign = "×"
    elif key in {"–", "－"}:
        sign = _read_dash(units, index)
    elif len(key) > 1 and set(key) == {"."}:
        sign = "..."
    elif not key.isascii():
        sign = _read_foreign(units, index, key)
    return (sign,)


def _read_dash(units: Units, index: int) -> str:
    """Before a number or a term a dash is a minus, or the hyphen of a range."""
    following = units.keys[index + 1] if index + 1 < len(units) else " "
    term = following[0].isnumeric() or following[0] in "\\(.$√" or len(following) == 1
    return "-" if term and following not in BULLETS else "–"


def _read_foreign(units: Units, index: int, key: str) -> str:
    plain = unicodedata.normalize("NFC", key)
    if len(plain) == 1 and (0xFF00 < ord(plain) < 0xFFEF or plain in "µΩÅ℃"):
        plain = unicodedata.normalize("NFKC", plain)
        plain = _SAME.get(plain, plain)
    if plain[0].isalpha() and len(plain) > 1:
        plain = re.sub("[’ʼ]", "'", re.sub("[‐‑]", "-", plain))
        plain = plain.casefold() if fold_case(units, index) != key else plain
    return plain


def _read_scripts(units: Units, index: int, key: str) -> tuple[str, ...]:
    """Spell raised and lowered characters as ^ and _ do."""
    plain = unicodedata.normalize("NFKC", key)
    if set(key) & set(_LOWERED) and CHEMICAL.fullmatch(plain):
        return (plain,)
    pieces: list[str] = []
    opened = ""
    text, start = units.text, units.starts[index]
    if start and text[start - 1] in _SCRIPTS:
        opened = "^" if text[start - 1] in _RAISED else "_"
    for char in key:
        kind = "^" if char in _RAISED else "_" if char in _LOWERED else ""
        if kind and kind != opened:
            pieces.append(kind)
        plain = _RAISED.get(char) or _LOWERED.get(char) or char
        joins = pieces and pieces[-1].isalnum() and (kind == opened) and pieces[-1] not in "^_"
        if joins and plain.isalnum() and (not kind or (plain.isdigit() and pieces[-1].isdigit())):
            pieces[-1] += plain
        else:
            pieces.append(plain)
        opened = kind
    return tuple(pieces)


def _is_between_operands(units: Units, index: int) -> bool:
    if index == 0 or index + 1 >= len(units):
        return False
    before, behind = units.keys[index - 1], units.keys[index + 1]
    if not (before[-1].isalnum() or before[-1] in ")]}") or not (
        behind[0].isalnum() or behind[0] in "(\\["
    ):
        return False
    left = units.starts[index] - units.ends[index - 1]
    return left == units.starts[index + 1] - units.ends[index] and left <= 1


def _stands_alone(units: Units, index: int) -> bool:
    """Say whether a sign has blanks on both sides."""
    text, start, end = units.text, units.starts[index], units.ends[index]
    return text[start - 1 : start].isspace() and text[end : end + 1].isspace()


def _find_degree(units: Units, index: int) -> bool:
    keys = units.keys[index : index + 3]
    return keys[:1] == ["\\circ"] or keys == ["{", "\\circ", "}"]


def _read_brace(units: Units, index: int, key: str) -> tuple[str, ...]:
    r"""Read a brace: around one thing it says nothing, around more what a bracket says.

    The one behind the first part of \frac is the stroke.
    """
    opening = index if key == "{" else _find_partner(units, index, -1)
    closing = index if key == "}" else _find_partner(units, index, 1)
    if opening is None or closing is None or opening == 0:
        return (key,)
    owner, second = units.keys[opening - 1], False
    if owner == "}":
        first = _find_partner(units, opening - 1, -1)
        if first is None or first == 0 or not _FRACTION.fullmatch(units.keys[first - 1]):
            return (key,)
        owner, second = units.keys[first - 1], True
    if _TEXT.fullmatch(owner):
        return ()
    if owner not in {"^", "_", "\\sqrt", "\\mathbb"} and not _FRACTION.fullmatch(owner):
        return (key,)
    inside = units.keys[opening + 1 : closing]
    single = len(inside) <= 1 or (len(inside) == 2 and inside[0] in _SIGNS and owner in "^_")
    pieces = () if single else ("(",) if key == "{" else (")",)
    if key == "}" and not second and _FRACTION.fullmatch(owner):
        pieces = (*pieces, "/")
    return pieces


def _find_partner(units: Units, index: int, way: int) -> int | None:
    depth = 0
    stop = min(index + _GROUP, len(units)) if way > 0 else max(index - _GROUP, -1)
    for k in range(index, stop, way):
        if units.keys[k] == "{":
            depth += 1
        elif units.keys[k] == "}":
            depth -= 1
        if depth == 0:
            return k
    return None
