r"""Turns LaTeX and Markdown into plain text, for graders that compare numbers, choices, words.

Only markup goes; mathematics that plain text cannot say (`\sqrt`, `\pi`, exponents) stays as it is,
so that a reader of the result can tell an expression from a number.
"""

from __future__ import annotations

import re

# The name goes, its braces are handled later, so nesting of any depth costs one pass.
_WRAPPER = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|normal|sc)?|math(?:rm|bf|it|sf|tt|bb|cal|normal)|mbox|hbox|emph"
    r"|operatorname|boldsymbol|bold|bm|boxed|fbox|displaystyle|textstyle|left|right|big|Big|bigg"
    r"|underline)(?![A-Za-z])\*?"
)
_DEGREE = re.compile(r"\^ ?(?:\{ ?\\(?:circ|degree) ?\}|\\(?:circ|degree)(?![A-Za-z]))|\\degree")
_SPACE = re.compile(r"\\[,;: ]|\\q?quad(?![A-Za-z])|\\(?:th|med|thick)space(?![A-Za-z])")
_FRACTION = re.compile(
    r"(?P<whole>\d)?\s{0,2}\\[dtc]?frac\s{0,2}(?:"
    r"\{\s{0,4}(?P<a>-?[\d.,]{1,40})\s{0,4}\}\s{0,2}\{\s{0,4}(?P<b>-?[\d.,]{1,40})\s{0,4}\}"
    r"|(?P<c>\d)\s{0,2}(?:(?P<d>\d)|\{(?P<e>\d{1,40})\}))"
)
_DELIMITERS = re.compile(r"\\[()\[\]]|(?<!\\)\$")
_DELIMITERS_OR_MONEY = re.compile(r"\\[()\[\]]|(?<!\\)\$(?!\d)")
_GROUPING = re.compile(r",\\!\s{0,2}")
# Pairs only: 2**3 and x_1 are not emphasis.
_EMPHASIS = re.compile(
    r"\*\*([^*\n]{1,300})\*\*|(?<![\w*])\*([^*\s][^*\n]{0,300})\*(?![\w*])"
    r"|(?<!\w)__?([^_\n]{1,300})__?(?!\w)|`{1,3}([^`\n]{1,300})`{1,3}"
)
_LOOSE_EMPHASIS = re.compile(r"(?:(?<![\w)\]}])|^)\*{1,3}(?=\S)|\*{1,3}(?=\s|$)(?<=\S)|`")
_SYMBOLS = {
    r"\%": "%",
    r"\$": "$",
    r"\#": "#",
    r"\&": "&",
    r"\!": "",
    "{,}": ",",
    "{.}": ".",
    r"\times": "×",
    r"\cdot": "·",
    r"\pm": "±",
    r"\approx": "≈",
    r"\euro": "€",
    r"\pounds": "£",
}
_SYMBOL = re.compile(r"\\[%$#&!]|\{[,.]\}|\\(?:times|cdot|pm|approx|euro|pounds)(?![A-Za-z])")
_COMMAND = re.compile(r"\\[A-Za-z]")
_GROUP = re.compile(r"(?<!\^)\{([^{}]{0,300})\}")
_BLANKS = re.compile(r"[^\S\n]+")
_TIMES_STAR = re.compile(r"(?<=\d)\s?\*\s?(?=10\s?(?:\^|\*\*))")


def _write_fraction(match: re.Match[str]) -> str:
    top = match["a"] or match["c"]
    bottom = match["b"] or match["d"] or match["e"]
    lead = f"{match['whole']} " if match["whole"] else " "
    return f"{lead}{top}/{bottom} "


def to_plain_text(text: str) -> str:
    r"""Return `text` without delimiters, fonts, spacing commands and emphasis.

    `\frac{1}{2}` of two numbers becomes 1/2, `3\frac12` becomes 3 1/2, `^\circ` becomes a degree
    sign. Braces stay where a command or an exponent needs them and go otherwise.
    """
    if "\\" in text or "$" in text or "{" in text or "~" in text:
        if "\\" in text:
            text = text.replace("~", " ")
        # An odd dollar is money: $84.50
        odd = (text.count("$") - text.count("\\$")) % 2
        text = (_DELIMITERS_OR_MONEY if odd else _DELIMITERS).sub("", text)
        text = _GROUPING.sub(",", text)
        text = _SYMBOL.sub(lambda match: _SYMBOLS[match[0]], text)
        text = _WRAPPER.sub("", text)
        text = _DEGREE.sub("°", text)
        text = _FRACTION.sub(_write_fraction, text)
        text = _SPACE.sub(" ", text)
        if not _COMMAND.search(text):
            text = _GROUP.sub(r"\1", text)
    text = _TIMES_STAR.sub("×", text)
    text = _EMPHASIS.sub(lambda match: "".join(filter(None, match.groups())), text)
    text = _LOOSE_EMPHASIS.sub("", text)
    return _BLANKS.sub(" ", text).strip()
