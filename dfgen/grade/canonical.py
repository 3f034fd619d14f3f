# ruff: noqa: E501 - tables of words
r"""Gives mathematics one spelling: LaTeX, Unicode and keyboard forms of the same become equal.

`\sqrt 2`, `√2` and `sqrt(2)`, `x²` and `x^2`, `\leq`, `<=` and `≤`, every dash that is used for minus:
what reads answers sees only one of each. Nothing is dropped that could mean something: a command
that is not known here stays as it is, so that the reader stumbles over it.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from dfgen.grade.characters import fold_characters

LONGEST = 2000  # characters; a longer statement is prose that states nothing
SET_OPEN, SET_CLOSE = "⦃", "⦄"

_INVISIBLE = re.compile("[\u200b-\u200f\u2060-\u2064\u202a-\u202e\u2066-\u2069\ufeff\u00ad]")
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f]")
_ONE_TO_ONE = str.maketrans({
    **dict.fromkeys("‐‑‒–—―−﹣－⁻ー", "-"),
    **dict.fromkeys("～∼〜˜⁓", "~"), "≪": "<", "≫": ">", **dict.fromkeys("：∶︰", ":"),
    **dict.fromkeys("“”„«»＂", '"'), **dict.fromkeys("（", "("), **dict.fromkeys("）", ")"),
    **dict.fromkeys("⩽≦", "≤"), **dict.fromkeys("⩾≧", "≥"), **dict.fromkeys("⋅∙•", "·"),
    **dict.fromkeys("≃≅≒", "≈"), **dict.fromkeys("⟨〈", "⟨"), **dict.fromkeys("⟩〉", "⟩"),
    "，": ",", "；": ";", "。": ".", "！": "!", "？": "?", "∅": "∅", "∞": "∞", "⁄": "/", "∕": "/",
    "【": "[", "】": "]", "〖": "[", "〗": "]", "✕": "×", "✖": "×", "⨯": "×", "º": "°", "˚": "°",
    "∗": "*", "＋": "+", "＝": "=", "∣": "|", "′": "'", "’": "'", "‘": "'", "″": '"', "Ω": "Ω", "￥": "¥", "＄": "$",
})  # fmt: skip
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁽⁾ⁿⁱˣ", "0123456789+()nix")
_SUPERSCRIPT = re.compile("[⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁽⁾ⁿⁱˣ]+")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-")
_SUBSCRIPT = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋]+")
_LETTERS = re.compile("[\U0001d400-\U0001d7ff]")  # mathematical alphabets: 𝜋, 𝑥
_ROOT = re.compile("[∛∜]")
_VULGAR = re.compile("[¼½¾⅐-⅞]")
_GREEK = [
    "alpha",
    "α",
    "beta",
    "β",
    "gamma",
    "γ",
    "delta",
    "δ",
    "epsilon",
    "ε",
    "varepsilon",
    "ε",
    "zeta",
    "ζ",
    "eta",
    "η",
    "theta",
    "θ",
    "vartheta",
    "θ",
    "iota",
    "ι",
    "kappa",
    "κ",
    "lambda",
    "λ",
    "mu",
    "μ",
    "nu",
    "ν",
    "xi",
    "ξ",
    "pi",
    "π",
    "rho",
    "ρ",
    "sigma",
    "σ",
    "tau",
    "τ",
    "upsilon",
    "υ",
    "phi",
    "φ",
    "varphi",
    "φ",
    "chi",
    "χ",
    "psi",
    "ψ",
    "omega",
    "ω",
    "Gamma",
    "Γ",
    "Delta",
    "Δ",
    "Theta",
    "Θ",
    "Lambda",
    "Λ",
    "Xi",
    "Ξ",
    "Pi",
    "Π",
    "Sigma",
    "Σ",
    "Phi",
    "Φ",
    "Psi",
    "Ψ",
    "Omega",
    "Ω",
]
_SYMBOLS = [
    "infty",
    "∞",
    "cup",
    "∪",
    "cap",
    "∩",
    "emptyset",
    "∅",
    "varnothing",
    "∅",
    "le",
    "≤",
    "leq",
    "≤",
    "leqslant",
    "≤",
    "ge",
    "≥",
    "geq",
    "≥",
    "geqslant",
    "≥",
    "ne",
    "≠",
    "neq",
    "≠",
    "lt",
    "<",
    "gt",
    ">",
    "pm",
    "±",
    "mp",
    "∓",
    "times",
    "×",
    "cdot",
    "·",
    "div",
    "÷",
    "in",
    "∈",
    "notin",
    "∉",
    "approx",
    "≈",
    "simeq",
    "≈",
    "equiv",
    "≡",
    "circ",
    "∘",
    "degree",
    "°",
    "angle",
    "∠",
    "measuredangle",
    "∠",
    "triangle",
    "△",
    "mid",
    "|",
    "vert",
    "|",
    "lvert",
    "|",
    "rvert",
    "|",
    "langle",
    "⟨",
    "rangle",
    "⟩",
    "ldots",
    "…",
    "dots",
    "…",
    "cdots",
    "…",
    "to",
    "→",
    "rightarrow",
    "→",
    "Rightarrow",
    "⇒",
    "implies",
    "⇒",
    "land",
    "∧",
    "wedge",
    "∧",
    "lor",
    "∨",
    "vee",
    "∨",
    "perp",
    "⊥",
    "parallel",
    "∥",
    "cong",
    "≅",
    "sim",
    "~",
    "euro",
    "€",
    "pounds",
    "£",
    "yen",
    "¥",
    "textdegree",
    "°",
    "celsius",
    "℃",
    "ell",
    "ℓ",
    "hbar",
    "ħ",
    "subset",
    "⊂",
    "subseteq",
    "⊆",
    "setminus",
    "∖",
    "ast",
    "*",
    "star",
    "*",
    "prime",
    "'",
    "backslash",
    "∖",
    "lbrace",
    "⦃",
    "rbrace",
    "⦄",
    "colon",
    ":",
    "lfloor",
    "⌊",
    "rfloor",
    "⌋",
    "lceil",
    "⌈",
    "rceil",
    "⌉",
    "bullet",
    "·",
    "therefore",
    "∴",
    "because",
    "∵",
    "lbrack",
    "[",
    "rbrack",
    "]",
    "lparen",
    "(",
    "rparen",
    ")",
    "percent",
    "%",
    "square",
    "□",
    "dotsc",
    "…",
    "dotsb",
    "…",
    "textminus",
    "-",
    "minus",
    "-",
    "bigtriangleup",
    "△",
    "vartriangle",
    "△",
    "complement",
    "∁",
]
_COMMANDS = {
    **dict(zip(_GREEK[::2], _GREEK[1::2], strict=True)),
    **dict(zip(_SYMBOLS[::2], _SYMBOLS[1::2], strict=True)),
    **dict.fromkeys(("left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr"), ""),
    **dict.fromkeys(("displaystyle", "textstyle", "limits", "nolimits", "hfill", "rm", "bf", "it"), ""),
    **dict.fromkeys(("quad", "qquad", "thinspace", "medspace", "thickspace", "space", "newline", "checkmark"), " "),
    **dict.fromkeys(("dfrac", "tfrac", "cfrac"), "\\frac"),
    **dict.fromkeys(("dbinom", "tbinom"), "\\binom"),
}  # fmt: skip
FUNCTIONS = frozenset(
    [
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "tanh",
        "ln",
        "log",
        "lg",
        "exp",
        "max",
        "min",
        "gcd",
        "lcm",
    ]
)
_WRAPPERS = (
    r"text(?:bf|it|rm|sf|tt|normal|sc|up|normal)?|math(?:rm|bf|it|sf|tt|bb|cal|normal|scr|frak)|mbox|hbox"
    r"|emph|operatorname\*?|boldsymbol|bold|bm|boxed|fbox|underline|mathop|ensuremath|textnormal|phantom"
)
_WRAPPER = re.compile(rf"\\(?:{_WRAPPERS})\s?\{{([^{{}}]{{0,400}})\}}")
_BARE_WRAPPER = re.compile(rf"\\(?:{_WRAPPERS})(?![A-Za-z])")
_UNIT_VECTOR = re.compile(r"\\(?:vec|hat|widehat)\s?\{?\s?\\?([ijk])(?:math)?\s?(?![A-Za-z])\}?")
_SEGMENT = re.compile(r"\\overline\s?\{\s?([A-Z]{2})\s?\}")
_COMMAND = re.compile(r"\\([A-Za-z]+)\s?")
_ESCAPED = {
    "%": "%", "$": "$", "#": "#", "&": "&", "_": "_", "{": SET_OPEN, "}": SET_CLOSE, "|": "|",
    "!": "", ",": " ", ";": " ", ":": " ", " ": " ", ">": " ", "(": " ", ")": " ", "[": " ", "]": " ",
}  # fmt: skip
_ESCAPE = re.compile(r"\\([%$#&_{}|!,;: >()\[\]])")
_TWICE = re.compile(r"\\\\(?=[A-Za-z]{2})")
_MATH_MODE = re.compile(r"(?<!\\)\$(?=[^\s$])([^$\n]{0,1000}?)(?<=[^\s\\])\$(?!\d)")
_WIDE_MATH_MODE = re.compile(r"(?<!\\)\$\s([^$\n]{1,1000}?)\s\$(?!\d)")
_DEGREE = re.compile(r"\^\s?(?:\{\s?(?:∘|°|o)\s?\}|∘|°|o(?![A-Za-z])|\(\s?∘\s?\))")
_EMPHASIS = re.compile(
    r"\*\*([^*\n]{1,300})\*\*|(?<![\w*)])\*([^*\s][^*\n]{0,300}?)\*(?![\w*(])"
    r"|(?<!\w)__([^_\n]{1,300})__(?!\w)|`{1,3}([^`\n]{1,300})`{1,3}"
)
_LOOSE_EMPHASIS = re.compile(r"(?:^|(?<=\s))\*{1,3}(?=\S)(?!\s?\d*\s?[-+*/])|(?<=\S)\*{1,3}$|`")
_REPEATING = re.compile(
    r"(\d{0,18})\.(\d{0,12})(?:\\(?:overline|bar|dot|overset\{[.·]\}|widehat|hat)\s?\{?(\d{1,12})\}?"
    r"(?:\\dot\s?\{?(\d)\}?)?|\((\d{1,12})\)(?![\d!^])|(\d{0,11}\d[\u0304\u0305\u0307])(?:\.\.\.|…)?)"
)
_DOT_PAIR = re.compile(r"(\d{0,18})\.(\d{0,12})\\dot\s?\{?(\d)\}?(\d{0,10})\\dot\s?\{?(\d)\}?")
_ENDLESS = re.compile(r"(?<![\d.])(\d{1,12})\.(\d{0,6}?)(\d{1,6}?)(\3{2,})\d{0,5}(?:\.\.\.+|…)")
_ERA_FIRST = re.compile(r"^\s?(A\.?\s?D\.?|B\.?\s?C\.?(?:\s?E\.?)?)\s?(\d{1,4})$")
_TIMES_X = re.compile(r"(?<=\d)(\s?)[xX](\s?)(?=\d)")
_NOT_EQUAL = re.compile(r"\\not\s?=|\\not\s?\\?equal")
_SETS_OF_NUMBERS = dict(zip("RQZNC", "ℝℚℤℕℂ", strict=True))
_NUMBER_SETS = re.compile(r"\\mathbb\s?\{?([RQZNC])\}?")
_ELEMENT = re.compile(r"(?<=[a-z])\s(?:in|belongs to)\s(?=[\[(])")
_UNION = re.compile(r"(?<=[)\]])\s?(?:U|union)\s?(?=[(\[])")
_ASCII_SIGNS = (("<=", "≤"), (">=", "≥"), ("!=", "≠"), ("==", "="), ("=<", "≤"))
_GROUPING = re.compile(r"(?<=\d),\s?\\!\s?(?=\d)|(?<=\d)\{,\}(?=\d)|(?<=\d)\\,(?=\d{3}(?!\d))")
_BLANKS = re.compile(r"[^\S\n]+")


def _repeat(whole: str, lead: str, cycle: str) -> str:
    """0.1(6) is 0.16 - 0.1 over 0.9: an exact fraction."""
    bottom = (10 ** len(cycle) - 1) * 10 ** len(lead)
    top = int((whole or "0") + lead + cycle) - int((whole or "0") + (lead or ""))
    return rf"(\frac{{{top}}}{{{bottom}}})"


def _write_repeating(match: re.Match[str]) -> str:
    whole, lead, over, last, round_brackets, marked = match.groups()
    if marked is not None:
        digits = re.sub(r"\D", "", marked)
        return _repeat(whole, lead + digits[:-1], digits[-1])
    return _repeat(whole, lead, (over or round_brackets) + (last or ""))


def _write_command(match: re.Match[str]) -> str:
    name = match[1]
    if name in FUNCTIONS:
        return f" {name} "
    found = _COMMANDS.get(name)
    if found is None:
        return "\\" + name + (" " if match[0][-1:].isspace() else "")
    return found


def _expand_latex(text: str) -> str:
    text = text.replace("$$", " ")
    if "\\" in text:
        text = text.replace("~", " ")
    if "\\begin" not in text:
        text = _TWICE.sub(r"\\", text)
    text = text.replace("\\\\", "\n")
    text = _MATH_MODE.sub(r"\1", text)
    text = _WIDE_MATH_MODE.sub(r"\1", text)
    text = _GROUPING.sub(",", text)
    text = _NOT_EQUAL.sub("≠", text)
    text = _NUMBER_SETS.sub(lambda match: _SETS_OF_NUMBERS[match[1]], text)
    text = _ESCAPE.sub(lambda match: _ESCAPED[match[1]], text)
    for _ in range(6):
        text, count = _WRAPPER.subn(r"\1", text)
        if not count:
            break
    text = _BARE_WRAPPER.sub("", text)
    text = _SEGMENT.sub(r"\1", _UNIT_VECTOR.sub(r"\1", text))
    return _COMMAND.sub(_write_command, text)


def write_canonical(text: str) -> str:
    r"""Return `text` on one line in the spelling that the readers know. Time is linear.

    Superscripts become `^{..}`, sets of LaTeX have the brackets ⦃ ⦄, fractions stay `\frac{a}{b}`,
    repeating decimals become fractions; delimiters, fonts, emphasis and invisible characters go.
    """
    return _write(text[: 4 * LONGEST])


@lru_cache(maxsize=1024)
def _write(text: str) -> str:
    text = _INVISIBLE.sub("", text)
    if not text.isascii():
        text = fold_characters(_EMOJI.sub(" ", _mark_superscripts(text).translate(_ONE_TO_ONE)))
        text = text.replace("℃", "°C").replace("℉", "°F").replace("㎝", "cm").replace("㎡", "m^2")
    if "{," in text:
        text = text.replace("{,}", ",")
    if "\\" in text or "$" in text:
        text = _expand_latex(text)
    for written, sign in _ASCII_SIGNS:
        if written in text:
            text = text.replace(written, sign)
    if "^" in text:
        text = _DEGREE.sub("°", text)
    if "*" in text or "`" in text or "__" in text:
        text = _EMPHASIS.sub(lambda match: "".join(filter(None, match.groups())), text)
        text = _LOOSE_EMPHASIS.sub("", text).replace("**", "^")
    if "." in text:
        text = _DOT_PAIR.sub(lambda m: _repeat(m[1], m[2], m[3] + m[4] + m[5]), text)
        text = _REPEATING.sub(_write_repeating, text)
        text = _ENDLESS.sub(lambda m: _repeat(m[1], m[2], m[3]), text)
        text = text.replace("...", "…")
    if "[" in text or "(" in text:
        text = _ELEMENT.sub(" ∈ ", text)
        text = _UNION.sub("∪", text)
        text = text.replace("-inf,", "-∞,").replace("-infinity", "-∞").replace("infinity)", "∞)")
    text = _ERA_FIRST.sub(r"\2 \1", text)
    text = _TIMES_X.sub("×", text)
    text = text.replace("{-}", "-").replace("{+}", "+")
    return _BLANKS.sub(" ", text).replace("\n", " \n ").strip()


def _mark_superscripts(text: str) -> str:
    def raise_up(match: re.Match[str]) -> str:
        sign = "-" if match[0].startswith("⁻") else ""
        return f"^{{{sign}{match[0].lstrip('⁻').translate(_SUPERSCRIPTS)}}}"

    def spell(match: re.Match[str]) -> str:
        top, _, bottom = unicodedata.normalize("NFKC", match[0]).partition("\u2044")
        return rf"\frac{{{top}}}{{{bottom or 10}}}"

    text = _LETTERS.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = _ROOT.sub(lambda match: f"\\sqrt[{3 if match[0] == '∛' else 4}]", text)
    text = _SUPERSCRIPT.sub(raise_up, text)
    text = _SUBSCRIPT.sub(lambda match: f"_{{{match[0].translate(_SUBSCRIPTS)}}}", text)
    return _VULGAR.sub(spell, text)
