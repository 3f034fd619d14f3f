# ruff: noqa: E501, PLR0912, PLR0915 - tables of words, one return for each kind
"""Reads numbers in words: "twenty-five", "three quarters", "二十五", "fünf", "5万"."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache, lru_cache

# From zero on.
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty",
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn "
    "sechzehn siebzehn achtzehn neunzehn zwanzig",
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize",
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince",
    "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici",
    "zero um dois três quatro cinco seis sete oito nove dez onze doze",
    "нуль один два три чотири п'ять шість сім вісім дев'ять десять одинадцять дванадцять тринадцять "
    "чотирнадцять п'ятнадцять шістнадцять сімнадцять вісімнадцять дев'ятнадцять двадцять",
    "ноль один два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать тринадцать "
    "четырнадцать пятнадцать шестнадцать семнадцать восемнадцать девятнадцать двадцать",
)
_TENS = (
    "twenty thirty forty fifty sixty seventy eighty ninety",
    "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig",
    "двадцять тридцять сорок п'ятдесят шістдесят сімдесят вісімдесят дев'яносто",
    "двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто",
    "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa",
)
_SCALES = {
    "hundred|hundreds|hundert|cent mille": 100,
    "thousand|thousands|tausend|millier|milliers|mille|mil|тысяча|тысячи|тысяч|тыс.|тыс|тисяча|тисячі|тисяч|тис.|тис": 10**3,
    "million|millions|millionen|mio|mio.|mln|millón|millones|мільйон|мільйони|мільйонів|миллион|миллиона|миллионов|млн": 10**6,
    "billion|billions|milliard|milliards|milliarde|milliarden|mrd|mrd.|bn|мільярд|мільярди|мільярдів|миллиард|миллиарда|миллиардов|млрд": 10**9,
    "trillion|trillions": 10**12, "lakh|lakhs|lac|lacs": 10**5, "crore|crores": 10**7,
    "dozen|dozens|dutzend|douzaine|docena": 12, "gross": 144,
    "百": 100, "千": 1000, "万": 10**4, "萬": 10**4, "百万": 10**6, "千万": 10**7, "亿": 10**8, "億": 10**8, "十": 10,
    "백": 100, "천": 1000, "만": 10**4, "억": 10**8,
}  # fmt: skip
_PART = re.compile(
    r"[\s-]+(a|one|two|three|four|five|seven|nine)[\s-]+([a-z]{4,9})(?!\w)", re.IGNORECASE
)
_ENGLISH = frozenset(_SMALL[0].split()[2:] + _TENS[0].split())
_ATTACHED = {"k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "bn": 10**9}
_FRACTIONS = {
    "half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
    "eighth": 8, "ninth": 9, "tenth": 10, "twelfth": 12, "hundredth": 100, "thousandth": 1000, "sixteenth": 16,
}  # fmt: skip
_ORDINALS = {
    word: place
    for place, word in enumerate(
        [
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
            "ninth",
            "tenth",
            "eleventh",
            "twelfth",
        ],
        1,
    )
}
_MORE_FRACTIONS = {
    "anderthalb": Fraction(3, 2),
    "eineinhalb": Fraction(3, 2),
    "demi": Fraction(1, 2),
}
_WORD = re.compile(r"\s*-?\s*([A-Za-zÀ-ÿ\u0400-\u04ff']+)(?![\w'])")
_CJK = re.compile(
    r"[零〇一二两兩三四五六七八九十百千万萬亿億]+(?:点[零〇一二三四五六七八九]+(?![分十]))?"
)
_CJK_DIGITS = {
    sign: value
    for value, signs in enumerate(
        ("零〇", "一", "二两兩", "三", "四", "五", "六", "七", "八", "九")
    )
    for sign in signs
}
_CJK_UNITS = {"十": 10, "百": 100, "千": 1000}
_CJK_MYRIADS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_CJK_SHORT = re.compile(r"([百千万萬亿億])([一二两兩三四五六七八九])$")
_CJK_SHARE = re.compile(
    r"([零一二两三四五六七八九十百千万\d]+)分之([零一二两三四五六七八九十百千万\d.]+)"
)
_SCALE = re.compile(
    r"\s?(?:(" + "|".join(sorted((re.escape(word) for words in _SCALES for word in words.split("|")), key=len, reverse=True))
    + r")(?![A-Za-zÀ-ÿ\u0400-\u04ff])|(bn|[kKMB])(?![A-Za-z/^]))(?:\s(?:of|de)\s)?",
    re.IGNORECASE,
)  # fmt: skip


@cache
def _table() -> dict[str, int]:
    # Several languages share words ("six") but never with different values.
    table = {word: value for line in _SMALL for value, word in enumerate(line.split())}
    for line in _TENS:
        table.update({word: value * 10 for value, word in enumerate(line.split(), 2)})
    units = _SMALL[1].split()[1:10]
    for tens, word in enumerate(_TENS[1].split(), 2):
        table.update(
            {
                ("ein" if unit == "eins" else unit) + "und" + word: tens * 10 + value
                for value, unit in enumerate(units, 1)
            }
        )
    return table


@cache
def _scales() -> dict[str, int]:
    return {word: value for words, value in _SCALES.items() for word in words.split("|")}


def read_scale(text: str, position: int) -> tuple[int, int] | None:
    """Return the factor of a scale word at `position` ("5 thousand", "5k", "5万") and where it ends.

    A letter counts only where it touches the number, "5 K" are kelvins.
    """
    match = _SCALE.match(text, position)
    if match is None:
        return None
    if match[1] == "千" and text[match.end() : match.end() + 1] in set("克米瓦焦卡帕赫伏安"):
        return None  # 5千克 are five kilograms
    if match[1]:
        factor = _scales().get(match[1]) or _scales().get(match[1].casefold())
        return (factor, match.end()) if factor else None
    if match[0][0].isspace() or match[2] not in _ATTACHED:
        return None
    return _ATTACHED[match[2]], match.end()


@lru_cache(maxsize=2048)
def read_number_words(text: str) -> tuple[Fraction, int] | None:
    """Return the number that begins `text` in words and where it ends, None where none does."""
    if match := _CJK_SHARE.match(text):
        bottom, top = _read_cjk(match[1]), _read_cjk(match[2])
        return (top / bottom, match.end()) if bottom and top is not None else None
    if match := _CJK.match(text):
        value = _read_cjk(match[0])
        return None if value is None else (value, match.end())
    return _read_words(text[:200])


def _read_cjk(text: str) -> Fraction | None:
    if text.replace(".", "").isdigit():
        return Fraction(text)
    whole, _, decimals = text.partition("点")
    if len(whole) > 1 and all(sign in _CJK_DIGITS for sign in whole):  # 二零二四
        value = int("".join(str(_CJK_DIGITS[sign]) for sign in whole))
    else:
        value = section = digit = 0
        if (short := _CJK_SHORT.search(whole)) is not None:  # 三千五 is 3500, 一百零四 is 104
            below = {**_CJK_UNITS, **_CJK_MYRIADS}[short[1]] // 10
            digit = _CJK_DIGITS[short[2]] * below
            value, digit, whole = digit, 0, whole[: short.start() + 1]
            rest = _read_cjk(whole)
            return None if rest is None else rest + value
        for sign in whole:
            if sign in _CJK_DIGITS:
                digit = _CJK_DIGITS[sign]
            elif sign in _CJK_UNITS:
                section += (digit or (1 if not section or sign == "十" else 0)) * _CJK_UNITS[sign]
                digit = 0
            elif sign in _CJK_MYRIADS:
                value = (value + section + digit) * _CJK_MYRIADS[sign]
                section = digit = 0
            else:
                return None
        value += section + digit
    result = Fraction(value)
    for place, sign in enumerate(decimals, 1):
        result += Fraction(_CJK_DIGITS[sign], 10**place)
    return result


def read_place(text: str) -> int | None:
    """Return the place that a text names as a whole: "third", "the twelfth"."""
    word = text.strip(" .").casefold().removeprefix("the ").removesuffix(" place")
    return _ORDINALS.get(word)


def write_place(place: int) -> str:
    """Return the word of a place: "third" for 3; digits beyond the words that are known."""
    return next((word for word, value in _ORDINALS.items() if value == place), str(place))


def read_ordinal(text: str) -> tuple[int, int] | None:
    """Return the place that begins `text` ("third from the left") and where it ends."""
    match = _WORD.match(text)
    value = _ORDINALS.get(match[1].casefold()) if match else None
    return (value, match.end()) if match and value and match.end() < len(text) else None


def names_number(word: str) -> bool:
    """Whether an English word names a number from two to ninety-nine by itself."""
    return word in _ENGLISH


def _read_words(text: str) -> tuple[Fraction, int] | None:
    table, scales = _table(), _scales()
    position = end = 0
    total = current = Fraction(0)
    seen = last_small = False
    while match := _WORD.match(text, position):
        word = match[1].casefold()
        if word in _MORE_FRACTIONS and not seen:
            return _MORE_FRACTIONS[word], match.end()
        denominator = _FRACTIONS.get(word) or _FRACTIONS.get(word.removesuffix("s"))
        if (
            denominator
            and (seen or word in {"half", "quarter"} or position)
            and not (seen and denominator > 2 and current == 0)
        ):
            if not seen and denominator not in {2, 4} and match.end() < len(text.rstrip(" .")):
                break  # "a third person"
            return (current or Fraction(1)) / denominator + total, match.end()
        if (
            word in {"a", "an", "one"}
            and (
                share := re.match(
                    r"\s*-?\s*(half|quarter|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|dozen|hundred|thousand|million)\b",
                    text[match.end() :],
                    re.IGNORECASE,
                )
            )
            and not seen
        ):
            if word != "one" and share[1].casefold() in {"dozen", "hundred", "thousand", "million"}:
                current, seen, position = Fraction(1), True, match.end()
                continue
            if word != "one":
                position = match.end()
                continue
        if word in table:
            value = table[word]
            if last_small and not (current % 100 >= 20 and current % 10 == 0 and value < 10):
                break
            current += value
            seen = last_small = True
        elif word in scales and seen and word not in {"mil", "mille"}:
            if scales[word] == 100:
                current *= 100
            else:
                total += (current or 1) * scales[word]
                current = Fraction(0)
            last_small = False
        elif word == "and" and seen:
            after = _WORD.match(text, match.end())
            part = _PART.match(text, match.end())
            bottom = _FRACTIONS.get(part[2].casefold().removesuffix("s")) if part else None
            if part and bottom:
                top = table.get(part[1].casefold(), 1)
                return total + current + Fraction(top, bottom), part.end()
            if after is None or after[1].casefold() not in table or not (total or current >= 100):
                break
            position = match.end()
            last_small = False
            continue
        elif word == "point" and seen:
            decimals = ""
            position = match.end()
            while (digit := _WORD.match(text, position)) and table.get(
                digit[1].casefold(), 10
            ) < 10:
                decimals += str(table[digit[1].casefold()])
                position = digit.end()
            return (total + current + Fraction("0." + decimals), position) if decimals else None
        else:
            break
        position = end = match.end()
    return (total + current, end) if seen else None
