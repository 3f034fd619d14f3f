# ruff: noqa: E501, PLR0911 - tables of words, one return for each kind
"""Reads numbers with a mark between them: times of day, ratios, dates, scores, bases, shares."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from dfgen.grade.expression import Node
from dfgen.grade.number_words import read_number_words
from dfgen.grade.values import Marked, Range, Scalar, Value, Words

_NUMBER = r"\d{1,9}(?:\.\d{1,9})?"
_MERIDIEM = (
    r"(?:\s?(a\.?\s?m\.?|p\.?\s?m\.?)(?![A-Za-z])|\s?(上午|下午|晚上|早上|o'?clock)|\s?(?:Uhr|uhr))"
)
_CLOCK = re.compile(
    rf"(上午|下午|晚上|早上|凌晨)?\s?(\d{{1,2}})\s?:\s?(\d{{2}})(?:\s?:\s?(\d{{2}}))?{_MERIDIEM}?",
    re.IGNORECASE,
)
_HOUR = re.compile(rf"(\d{{1,2}}){_MERIDIEM}", re.IGNORECASE)
_CJK_CLOCK = re.compile(
    r"(上午|下午|晚上|早上|凌晨)?\s?(\d{1,2})\s?[点點时時]\s?(?:(\d{1,2})\s?分?|(半)|整)?"
)
_RATIO = re.compile(rf"({_NUMBER})\s?:\s?({_NUMBER})(?:\s?:\s?({_NUMBER}))?(?:\s?:\s?({_NUMBER}))?")
_SLASHED = re.compile(r"(\d{1,4})\s?/\s?(\d{1,2})\s?/\s?(\d{1,4})|(\d{1,2})\.(\d{1,2})\.(\d{4})")
_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_CJK_DATE = re.compile(r"(?:(\d{4})\s?年)?\s?(\d{1,2})\s?月\s?(\d{1,2})\s?[日号]")
_MONTHS = (
    "january february march april may june july august september october november december",
    "jan feb mar apr may jun jul aug sep oct nov dec", "jänner februar märz april mai juni juli august "
    "september oktober november dezember", "januar februar märz april mai juni juli august sept okt nov dez",
)  # fmt: skip
_MONTH = "|".join(
    sorted(sorted({word for line in _MONTHS for word in line.split()}), key=len, reverse=True)
)
_DAY_FIRST = re.compile(
    rf"(?:the\s)?(\d{{1,2}})(?:st|nd|rd|th|\.)?\s(?:of\s)?({_MONTH})\.?(?:,?\s(\d{{3,4}}))?",
    re.IGNORECASE,
)
_MONTH_FIRST = re.compile(
    rf"({_MONTH})\.?\s(\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s(\d{{3,4}}))?", re.IGNORECASE
)
_WEEKDAY = re.compile(r"(?:on\s)?(?:mon|tues?|wednes|thurs?|fri|satur|sun)day,?\s", re.IGNORECASE)
_SERIAL = re.compile(
    r"\+?\(?\d{1,5}\)?(?:[- ]\d{1,5})*(?:-\d{1,5}){2,}|\d{3}-\d{4}|\(\d{3}\)\s?\d{3}-\d{4}|\d+(?:\.\d+){2,3}"
)
_BASED = re.compile(
    r"\(?(\d{1,60})\)?\s?_\s?\{?\s?(?:\(?(\d{1,2})\)?|(ten|two|eight|sixteen|five))\s?\}?|(\d{1,60})\s(?:in\s)?\(?base\s(\d{1,2}|two|three|four|five|six|seven|eight|nine|ten|sixteen)\)?",
    re.IGNORECASE,
)
_MODULO = re.compile(
    r"(?:[A-Za-z]\s?[≡=]\s?)?(-?\d{1,18})\s?,?\s?\(?\s?\\?(?:mod|pmod|modulo)\s?\{?\s?(\d{1,18})\s?\}?\s?\)?",
    re.IGNORECASE,
)
_REMAINDER = re.compile(
    r"(\d{1,18})\s?,?\s?(?:with\s|and\s)?(?:a\s)?(?:R|r|rem\.?|remainder|rest|余|余数|остача|остаток)(?:\sof)?\s?:?\s?(\d{1,18})"
)
_SHARE = re.compile(
    rf"({_NUMBER})\s?(?:out\sof(?:\sthe)?|von(?:\sden)?|sur|из|з|in every|of(?:\sthe)?)\s({_NUMBER})",
    re.IGNORECASE,
)
_PRODUCT = re.compile(
    rf"({_NUMBER})\s?([×*·]|by)\s?({_NUMBER})(?:\s?(?:[×*·]|by)\s?({_NUMBER}))?", re.IGNORECASE
)
_GROUPED = re.compile(r"\d{1,3}(?:\.\d{3})+")
_DIGITS = {
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "sixteen": 16,
}
_PART_OF_DAY = re.compile(
    r"(?: o'?clock)? (?:in the (morning|afternoon|evening)|at (night))$", re.IGNORECASE
)
_SPELLED_SHARE = re.compile(r"(\w{1,9}) (?:out )?of (?:the )?(\w{1,9})", re.IGNORECASE)
_NOON = re.compile(r"(12(?::00)? )?(noon|midday|midnight)", re.IGNORECASE)
_EVENING = {"下午", "晚上"}
_WORD_TAIL = re.compile(r"(?:\s[^\W\d]{2,20}){0,4}\.?")


def _fractions(*texts: str | None) -> tuple[Fraction, ...]:
    return tuple(Fraction(text) for text in texts if text is not None)


def _read_half_day(*marks: str | None) -> tuple[str, ...]:
    found = next((mark for mark in marks if mark), None)
    if found is None or "clock" in found.lower():
        return ()
    if found in {"上午", "早上", "凌晨"}:
        return ("am",)
    if found in _EVENING:
        return ("pm",)
    return (found.lower().replace(".", "").replace(" ", ""),)


def _read_clock(text: str) -> Marked | None:
    if match := _PART_OF_DAY.search(text):
        text = text[: match.start()] + (" am" if (match[1] or "").lower() == "morning" else " pm")
    if match := _CLOCK.fullmatch(text):
        hour, minute, second = match[2], match[3], match[4] or "0"
        words = _read_half_day(match[1], match[5], match[6])
    elif match := _HOUR.fullmatch(text):
        hour, minute, second = match[1], "0", "0"
        words = _read_half_day(match[2], match[3])
    elif match := _CJK_CLOCK.fullmatch(text):
        hour, minute, second = match[2], "30" if match[4] else match[3] or "0", "0"
        words = _read_half_day(match[1])
    else:
        return None
    return Marked("clock", _fractions(hour, minute, second), words)


def _month_number(name: str) -> int:
    lower = name.lower()
    return next(line.split().index(lower) + 1 for line in _MONTHS if lower in line.split())


def _read_date(text: str) -> list[Marked]:
    if weekday := _WEEKDAY.match(text):
        day = weekday[0].lower().removeprefix("on ").strip(" ,")
        dates = _read_date(text[weekday.end() :])
        return [Marked(date.kind, date.parts, (day,)) for date in dates]
    if match := _ISO.fullmatch(text):
        return [Marked("date", _fractions(*match.groups()))]
    if match := _CJK_DATE.fullmatch(text):
        return [Marked("date", _fractions(match[1] or "0", match[2], match[3]))]
    if match := _DAY_FIRST.fullmatch(text):
        return [
            Marked(
                "date",
                (Fraction(match[3] or 0), Fraction(_month_number(match[2])), Fraction(match[1])),
            )
        ]
    if match := _MONTH_FIRST.fullmatch(text):
        return [
            Marked(
                "date",
                (Fraction(match[3] or 0), Fraction(_month_number(match[1])), Fraction(match[2])),
            )
        ]
    if match := _SLASHED.fullmatch(text):
        # Day and month may stand in either order: compared as written, and never turned round.
        return [Marked("written date", _fractions(*match.groups()))]
    return []


def _read_base(text: str) -> Marked | None:
    match = _BASED.fullmatch(text)
    if match is None:
        return None
    base = match[2] or match[3] or match[5]
    number = int(base) if base.isdigit() else _DIGITS[base.lower()]
    return Marked("base", (*_fractions(match[1] or match[4]), Fraction(number)))


def _number(value: Fraction) -> Node:
    return Node("num", value=value)


@lru_cache(maxsize=1024)
def read_marked(text: str) -> tuple[Value, ...]:
    """Return the readings of canonical text as joined numbers; none where it is something else."""
    if not any(character.isdigit() for character in text) or len(text) > 120:
        return ()
    if clock := _read_clock(text):
        hour, minute, _ = clock.parts
        if clock.words or (hour <= 24 and minute < 60):
            found: list[Value] = [clock]
            if not clock.words and (match := _RATIO.fullmatch(text)):
                found.append(_make_ratio(match))
            return tuple(found)
    if dates := _read_date(text):
        return tuple(dates)
    if match := _RATIO.fullmatch(text):
        return (_make_ratio(match),)
    for read in (_read_base, _read_pair):
        marked = read(text)
        if marked is not None:
            return (marked,)
    if _SERIAL.fullmatch(text) and not _GROUPED.fullmatch(text):
        return (Marked("serial", tuple(Fraction(part) for part in re.findall(r"\d+", text))),)
    return ()


def _make_ratio(match: re.Match[str]) -> Marked:
    parts = _fractions(*match.groups())
    value = _number(parts[0] / parts[1]) if len(parts) == 2 and parts[1] else None
    return Marked("ratio", parts, value=value)


def _read_pair(text: str) -> Marked | None:
    if match := _MODULO.fullmatch(text):
        return Marked("mod", _fractions(*match.groups()))
    if match := _REMAINDER.fullmatch(text):
        return Marked("remainder", _fractions(*match.groups()))
    if (match := re.match(_SHARE, text)) and _WORD_TAIL.fullmatch(text[match.end() :]):
        top, bottom = _fractions(*match.groups())
        return Marked("share", (top, bottom), value=_number(top / bottom) if bottom else None)
    if match := _PRODUCT.fullmatch(text):
        parts = _fractions(match[1], match[3], match[4])
        if parts[1] == 10 and "." in match[1]:
            return None
        value = Fraction(1)
        for part in parts:
            value *= part
        return Marked("product", parts, value=None if match[2].lower() == "by" else _number(value))
    return None


def read_spelled(text: str) -> list[Value]:
    """Read "half past six", "12 noon" and "seven out of ten"."""
    if match := _SPELLED_SHARE.fullmatch(text):
        top, bottom = (_read_small(part) for part in match.groups())
        if top is None or not bottom:
            return []
        return [Marked("share", (top, bottom), value=_number(top / bottom))]
    if match := _NOON.fullmatch(text):
        noon = match[2].lower() != "midnight"
        clock = Marked("clock", (Fraction(12 if noon else 0), Fraction(0), Fraction(0)))
        return [clock] if match[1] else [Words(text), clock]
    clock_read = _read_spelled_clock(text)
    return [] if clock_read is None else [clock_read]


def _read_small(word: str) -> Fraction | None:
    if word.isdigit():
        return Fraction(word)
    found = read_number_words(word)
    return found[0] if found and found[1] == len(word) else None


def _read_spelled_clock(text: str) -> Marked | None:
    match = re.fullmatch(r"(?:a )?(half|quarter) (past|to) (\w+)", text.casefold())
    if match is None:
        return None
    hour = read_number_words(match[3]) or ((Fraction(match[3]), 0) if match[3].isdigit() else None)
    if hour is None:
        return None
    minutes = 30 if match[1] == "half" else 15
    total = int(hour[0]) * 60 + (minutes if match[2] == "past" else -minutes)
    return Marked("clock", (Fraction(total // 60), Fraction(total % 60), Fraction(0)))


def join_range(low: Value, high: Value) -> Range:
    """Return the range of two values; the unit of the second is that of both."""
    if (
        isinstance(low, Scalar)
        and isinstance(high, Scalar)
        and low.unit is None
        and high.unit is not None
    ):
        low = Scalar(low.node, high.unit, low.words, low.plain, low.note)
    return Range(low, high)
