"""A number with what belongs to it: sign, fraction, exponent, percent, unit."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

from dfgen.grade.characters import fold_characters
from dfgen.grade.number_token import TOKEN, Mark, read_number
from dfgen.grade.units import Unit, read_unit

_VULGAR = re.compile(r"(\d)?([¼½¾⅐-⅞])")
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_SIGN = re.compile(r"[+-]\s?(?=[\d.,$€£¥₴(])")
_CURRENCY = re.compile(r"(?:[$€£¥₴¢]|US\$|USD|EUR|GBP|UAH)\s?(?=[\d.,+-])")
_EXPONENT = re.compile(
    r"[eE](?P<e>[+-]?\d{1,3})(?![\d.])"
    r"|\s?[×x·*]\s?10\s?(?:\^|\*\*)\s?[{(]?\s?(?P<p>[+-]?\d{1,3})\s?[})]?(?!\d)"
    r"|\s?[×x·*]\s?10(?P<s>[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3})"
)
_SLASH = re.compile(r"\s?/\s?(?=\d)")
_SECOND_HALF = re.compile(r"\s(?P<a>\d{1,9})\s?/\s?(?P<b>\d{1,9})(?![\d.,/])")
_PERCENT = re.compile(
    r"\s{0,2}(?:\\?%|(?:percent(?:age)?|per cent|pct|prozent|pour ?cent|por ciento|per cento"
    r"|відсот\w{1,4}|процент\w{0,4}|パーセント|百分之)(?!\w))",
    re.IGNORECASE,
)
_SCALE = re.compile(
    r"\s?(?P<word>thousand|million|billion|trillion|mio\.?|mrd\.?|millionen|milliarden|millones"
    r"|мільйон\w{0,3}|миллион\w{0,3}|万|亿|億)(?!\w)",
    re.IGNORECASE,
)
_BLANKS = re.compile(r"[ -]{1,2}(?=[^\W\d]|[°$€£¥₴¢])")
_LONGEST_UNIT = 40
_PER = re.compile(r"(?:(?<=[^\W\d])|[^\W\d]{1,12})\s?/\s?[^\W\d]{1,12}(?:\^\{?[23]\}?|[²³])?")
_SCALES = {
    "tho": 3, "mil": 6, "bil": 9, "tri": 12, "mio": 6, "mrd": 9, "мільй": 6, "милли": 6,
    "万": 4, "亿": 8, "億": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quantity:
    """An exact value (percent signs not applied) and its unit.

    Args:
        value: as written: 28 for "28 %".
        percent: whether a percent sign or word follows.
        unit: the known unit, None where there is none or an unknown one.
        start, end: offsets in the text that was read.
        note: how an ambiguous writing was understood.
    """

    value: Fraction
    percent: bool
    unit: Unit | None
    start: int
    end: int
    note: str


def prepare(text: str) -> str:
    """Return folded text in which ½ is written 1/2, the form that `read_quantity` expects."""

    def spell(match: re.Match[str]) -> str:
        top, _, bottom = unicodedata.normalize("NFKC", match[2]).partition("\u2044")
        return f"{match[1]} {top}/{bottom}" if match[1] else f"{top}/{bottom}"

    return fold_characters(_VULGAR.sub(spell, text))


def read_quantity(text: str, mark: Mark, start: int = 0) -> Quantity | None:
    """Return the quantity that begins at `start` of prepared text, None where none does."""
    position = start
    sign = 1
    unit: Unit | None = None
    for _ in range(2):  # "-$5" and "$-5"
        if match := _SIGN.match(text, position):
            sign = -sign if match[0][0] == "-" else sign
            position = match.end()
        if match := _CURRENCY.match(text, position):
            found = read_unit(match[0].strip())
            unit = found[0] if found else None
            position = match.end()
    token = TOKEN.match(text, position)
    number = read_number(token[0], mark) if token else None
    if token is None or number is None:
        return None
    value, position = _read_tail(text, number.value, token.end(), mark)
    if value is None:
        return None
    percent = _PERCENT.match(text, position)
    if percent:
        position = percent.end()
    else:
        blanks = _BLANKS.match(text, position)
        begin = blanks.end() if blanks else position
        if found := read_unit(text[begin : begin + _LONGEST_UNIT]):
            unit, position = found[0], begin + found[1]
        # A compound unit that the table does not know: m/s^2
        if per := _PER.match(text, position if found else begin):
            unit, position = None, per.end()
    return Quantity(sign * value, bool(percent), unit, start, position, number.note)


def _read_tail(
    text: str, value: Fraction, position: int, mark: Mark
) -> tuple[Fraction | None, int]:
    if match := _EXPONENT.match(text, position):
        power = int(match["e"] or match["p"] or match["s"].translate(_SUPERSCRIPT))
        return value * Fraction(10) ** power, match.end()
    if match := _SLASH.match(text, position):
        return _read_denominator(text, value, match.end(), mark)
    if value.denominator == 1 and (match := _SECOND_HALF.match(text, position)):
        if int(match["b"]) == 0:
            return None, position
        return value + Fraction(int(match["a"]), int(match["b"])), match.end()
    if match := _SCALE.match(text, position):
        word = match["word"].casefold()
        power = next((n for name, n in _SCALES.items() if word.startswith(name)), 0)
        power = 9 if word.startswith("milliard") else power
        return value * 10**power, match.end()
    return value, position


def _read_denominator(
    text: str, top: Fraction, position: int, mark: Mark
) -> tuple[Fraction | None, int]:
    token = TOKEN.match(text, position)
    bottom = read_number(token[0], mark) if token else None
    if token is None or bottom is None or bottom.value == 0:
        return None, position
    return top / bottom.value, token.end()
