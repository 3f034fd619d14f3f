# ruff: noqa: E501 - tables of words, one kind a line
"""Reads units: enough to see that 24 cm is 0.24 m, that mW is not MW, and 24 cm not 24 kg.

A unit is a product of powers of kinds (length, mass, time, ...) and a factor to their base units.
Factors are exact by definition (SI brochure, 9th edition; international yard and pound of 1959).
Symbols are read with their case, names in any case.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache, lru_cache
from typing import NamedTuple

Kind = tuple[tuple[str, int], ...]

_PREFIXES = {
    "T": "1e12", "G": "1e9", "M": "1e6", "k": "1e3", "h": "1e2", "d": "1e-1", "c": "1e-2", "m": "1e-3",
    "µ": "1e-6", "μ": "1e-6", "u": "1e-6", "n": "1e-9", "p": "1e-12", "f": "1e-15", "P": "1e15", "K": "1e3",
}  # fmt: skip
_PREFIX_NAMES = {
    "tera": "1e12", "giga": "1e9", "mega": "1e6", "kilo": "1e3", "hecto": "1e2", "deci": "1e-1", "dezi": "1e-1",
    "centi": "1e-2", "zenti": "1e-2", "milli": "1e-3", "micro": "1e-6", "mikro": "1e-6", "nano": "1e-9",
    "pico": "1e-12", "femto": "1e-15",
}  # fmt: skip
# kind: (symbols that take prefixes, names that take prefixes, factor)
_PREFIXED: tuple[tuple[str, str, str, str], ...] = (
    ("length", "m", "meter|metre|mètre|metro|metr", "1"),
    ("mass", "g", "gram|gramme|gramm|gramo", "1/1000"),
    ("time", "s", "second|sekunde|seconde|segundo", "1"),
    ("current", "A", "ampere|amp", "1"),
    ("kelvin", "K", "kelvin", "1"),
    ("amount", "mol|mole", "mole", "1"),
    ("frequency", "Hz", "hertz", "1"),
    ("pressure", "Pa", "pascal", "1"),
    ("energy", "J", "joule", "1"),
    ("power", "W", "watt", "1"),
    ("charge", "C", "coulomb", "1"),
    ("voltage", "V", "volt", "1"),
    ("capacitance", "F", "farad", "1"),
    ("resistance", "Ω|ohm|Ohm|ohms", "ohm", "1"),
    ("conductance", "S", "siemens", "1"),
    ("magnetic flux density", "T", "tesla", "1"),
    ("inductance", "H", "henry", "1"),
    ("force", "N", "newton", "1"),
    ("volume", "L|l", "liter|litre|litro", "1/1000"),
    ("data", "B", "byte", "8"),
    ("data", "b|bit", "bit", "1"),
    ("energy", "eV", "electronvolt", "1602176634/10000000000000000000000000000"),
    ("energy", "cal", "calorie|kalorie", "4184/1000"),
    ("energy", "Wh", "watt-hour|watthour", "3600"),
    ("pressure", "bar", "bar", "100000"),
    ("luminous flux", "lm", "lumen", "1"),
    ("dose", "Sv", "sievert", "1"),
    ("pixel", "px", "pixel", "1"),
)
_PLAIN: tuple[tuple[str, str, str], ...] = (
    ("length", "in|inch|inches|zoll", "127/5000"),
    ("length", "ft|foot|feet|fuß", "381/1250"),
    ("length", "yd|yard", "1143/1250"),
    ("length", "mi|mile", "201168/125"),
    ("length", "micron", "1/1000000"),
    ("length", "nmi", "1852"),
    ("length", "ly|light-year|lightyear", "9460730472580800"),
    ("length", "au|astronomical unit", "149597870700"),
    ("length", "м|米|метр|метра|метров|метри|метрів|미터", "1"),
    ("length", "см|厘米|公分|сантиметр|сантиметров|сантиметрів|센티미터", "1/100"),
    ("length", "мм|毫米|миллиметр|миллиметров|міліметр|міліметрів", "1/1000"),
    ("length", "дм|分米", "1/10"),
    ("length", "км|千米|公里|километр|километров|километра|кілометр|кілометрів", "1000"),
    ("length", "微米", "1/1000000"), ("length", "纳米", "1/1000000000"),
    ("length", "英寸", "127/5000"), ("length", "英尺", "381/1250"), ("length", "英里", "201168/125"),
    ("mass", "t|tonne|metric ton|吨|т|тонн|тонна|tonnen", "1000"),
    ("mass", "ton", "1000"),
    ("mass", "lb|lbs|pound", "45359237/100000000"),
    ("mass", "oz|ounce", "45359237/1600000000"),
    ("mass", "克|г|грамм|граммов|грам|грамів", "1/1000"), ("mass", "毫克|мг", "1/1000000"),
    ("mass", "千克|公斤|кг|килограмм|килограммов|кілограм|кілограмів", "1"), ("mass", "斤", "1/2"),
    ("time", "sec|secs|秒|秒钟|с|сек|секунд|секунди|секунды|секунда|초", "1"),
    ("time", "min|mins|minute|minuten|minuto|分钟|分|мин|хв|минут|минуты|хвилин|хвилини|분", "60"),
    ("time", "h|hr|hrs|hour|stunde|stunden|heure|hora|小时|小時|时|ч|год|часов|часа|час|годин|години|시간|std", "3600"),
    ("time", "d|day|tag|tage|tagen|jour|día|dia|天|日|дней|дня|день|днів|дні", "86400"),
    ("time", "wk|week|woche|wochen|semaine|semana|周|星期|недель|недели|тижнів|тижні", "604800"),
    ("calendar", "month|monat|monate|monaten|mois|mes|meses|个月|月|месяцев|місяців", "1"),
    ("calendar", "yr|yrs|year|jahr|jahre|jahren|an|ans|année|año|年|岁|歲|лет|років|роки|years old|year old", "12"),
    ("calendar", "decade", "120"), ("calendar", "century|centuries", "1200"),
    ("volume", "л|升|литр|литров|літр|літрів|리터", "1/1000"), ("volume", "мл|毫升|cc", "1/1000000"),
    ("volume", "gal|gallon", "473176473/125000000000"), ("volume", "qt|quart", "473176473/500000000000"),
    ("volume", "pint", "473176473/1000000000000"),
    ("volume", "立方厘米", "1/1000000"), ("volume", "立方米", "1"), ("volume", "立方分米", "1/1000"),
    ("area", "平方厘米", "1/10000"), ("area", "平方米|坪米", "1"), ("area", "平方千米|平方公里", "1000000"),
    ("area", "平方分米", "1/100"), ("area", "平方毫米", "1/1000000"),
    ("area", "ha|hectare|hektar|公顷", "10000"), ("area", "acre", "40468564224/10000000"),
    ("speed", "kmh|kph|kmph|km/h|км/ч|км/год", "5/18"), ("speed", "mph", "1397/3125"), ("speed", "м/с", "1"),
    ("speed", "kn|knot", "463/900"),
    ("data rate", "bps", "1"), ("data rate", "kbps|Kbps", "1000"), ("data rate", "Mbps", "1000000"), ("data rate", "Gbps", "1000000000"),
    ("data", "KiB|kiB", "8192"), ("data", "MiB", "8388608"), ("data", "GiB", "8589934592"),
    ("angle", "°|deg|degs|degree|grad|градус|градусов|градуса|градусів|градуси|度|도", "1"),
    ("radian", "rad|rads|radian|弧度", "1"),
    ("celsius", "°C|° C|degree Celsius|degree C|deg C|Celsius|摄氏度", "1"),
    ("fahrenheit", "°F|° F|degree Fahrenheit|degree F|deg F|Fahrenheit|华氏度", "1"),
    ("kelvin", "degree Kelvin|°K", "1"),
    ("dollar", "$|usd|dollar|us$|US$|bucks|美元", "1"), ("dollar", "¢|cent|cents", "1/100"),
    ("euro", "€|eur|euro|евро|євро|欧元", "1"), ("sterling", "£|gbp|pounds sterling|英镑", "1"),
    ("sterling", "pence", "1/100"),
    ("yen", "jpy|yen|円|日元", "1"), ("yuan", "元|¥|yuan|rmb|cny|人民币|块", "1"), ("yuan", "角", "1/10"),
    ("hryvnia", "₴|uah|грн|гривень|гривні|гривня", "1"), ("rouble", "₽|rub|руб|рублей|рубля|ruble|rouble", "1"),
    ("rupee", "₹|inr|rupee|rs", "1"), ("won", "₩|krw|won|원", "1"), ("franc", "chf|franc", "1"),
    ("peso", "peso", "1"),
    ("voltage", "вольт", "1"), ("power", "hp|horsepower", "7457/10"), ("power", "瓦", "1"),
    ("frequency", "rpm", "1/60"), ("pressure", "atm|atmosphere", "101325"), ("pressure", "psi", "6894757/1000"),
    ("pressure", "mmHg|mm Hg", "133322387415/1000000000"), ("decibel", "dB|decibel", "1"),
    ("concentration", "M", "1000"), ("acidity", "pH", "1"),
    ("percent", "%|percent|per cent|percentage|pct|prozent|pour cent|por ciento|per cento|процент|процентов"
     "|процента|відсоток|відсотків|відсотки|パーセント|퍼센트|procent|procent", "1"),
    ("percent", "‰|per mille|permille|promille", "1/10"), ("percent", "bp|basis point", "1/100"),
    ("percentage point", "pp|percentage point", "1"),
)  # fmt: skip
_DERIVED: dict[str, Kind] = {
    "area": (("length", 2),),
    "volume": (("length", 3),),
    "speed": (("length", 1), ("time", -1)),
    "frequency": (("time", -1),),
    "charge": (("current", 1), ("time", 1)),
    "data rate": (("data", 1), ("time", -1)),
    "force": (("length", 1), ("mass", 1), ("time", -2)),
    "energy": (("length", 2), ("mass", 1), ("time", -2)),
    "power": (("length", 2), ("mass", 1), ("time", -3)),
    "pressure": (("length", -1), ("mass", 1), ("time", -2)),
    "voltage": (("current", -1), ("length", 2), ("mass", 1), ("time", -3)),
    "resistance": (("current", -2), ("length", 2), ("mass", 1), ("time", -3)),
    "concentration": (("amount", 1), ("length", -3)),
}
_LABELS = {kind: name for name, kind in _DERIVED.items() if name not in {"area", "volume"}}
_SQUARE = re.compile(
    r"(?:square(?=[ -])|sq\.?|quadrat|quadratisch\w*|квадратн\w+|кв\.?)[ -]?(?!units?\b)",
    re.IGNORECASE,
)
_CUBIC = re.compile(
    r"(?:cubic(?=[ -])|cu\.|kubik|кубическ\w+|кубічн\w+|куб\.?)[ -]?(?!units?\b)", re.IGNORECASE
)
_ATOM = re.compile(
    r"degrees? (?:[Cc]elsius|[Ff]ahrenheit|[Kk]elvin|C\b|F\b)|deg\.? ?[CF]\b|° ?[CFK](?![A-Za-z])"
    r"|(?:years?|yrs?) old\b|(?:percentage|basis) points?\b|pounds sterling|metric tons?|per cent\b|per mille\b|pour cent\b"
    r"|por ciento\b|per cento\b|us\$|US\$|light-years?|mm Hg|km/h(?![A-Za-z])|км/ч|км/год|м/с"
    r"|[\u4e00-\u9fff]{1,4}|[A-Za-zµμΩÀ-ÿ\u0400-\u04ff\uac00-\ud7af]{1,24}|[$€£¥₴₹₽₩¢°%‰円]"
)
_POWER = re.compile(
    r"\s?\^\s?\{?\(?\s?(-?\s?[1-4])\s?\)?\}?|(?<=[a-zм])([23])(?![\d.,])| (squared|cubed)(?!\w)"
)
_JOIN = re.compile(
    r"\s?(?:(/|(?<!\w)per(?!\w)|(?<!\w)pro(?!\w)|(?<!\w)an?(?= (?:hour|day|week|minute|second|year|month)))|([·*×⋅]|\s(?=[A-Za-zµΩ]{1,4}\s?\^\s?\{?\(?\s?-))|(?<=\w)-(?=[A-Za-z]))\s?(?:an?\s|the\s)?",
    re.IGNORECASE,
)
_LONGEST = 60


class Unit(NamedTuple):
    """A kind and the factor to its base units."""

    kind: Kind
    factor: Fraction

    @property
    def label(self) -> str:
        """The kind in words: length, force, length^2."""
        if self.kind in _LABELS:
            return _LABELS[self.kind]
        return "·".join(name if power == 1 else f"{name}^{power}" for name, power in self.kind)


def _make(kind: str, factor: Fraction) -> Unit:
    return Unit(_DERIVED.get(kind, ((kind, 1),)), factor)


@cache
def _table() -> tuple[dict[str, Unit], dict[str, Unit]]:
    """Symbols and names as written, and names in lower case."""
    exact: dict[str, Unit] = {}
    folded: dict[str, Unit] = {}
    for kind, symbols, names, size in _PREFIXED:
        factor = Fraction(size)
        for symbol in symbols.split("|"):
            exact[symbol] = _make(kind, factor)
            for prefix, power in _PREFIXES.items():
                # 1e5 l is a litre's business: no "dB" of bytes, no "pc", no "cd".
                if (prefix == "d" and symbol in {"B", "b", "s", "C", "S"}) or (
                    prefix == "K" and symbol not in {"B", "b", "g", "m"}
                ):
                    continue
                exact.setdefault(prefix + symbol, _make(kind, factor * Fraction(power)))
        for name in names.split("|"):
            folded[name] = _make(kind, factor)
            for prefix, power in _PREFIX_NAMES.items():
                folded.setdefault(prefix + name, _make(kind, factor * Fraction(power)))
    for kind, names, size in _PLAIN:
        for name in names.split("|"):
            exact[name] = _make(kind, Fraction(size))
            if len(name) > 1:
                folded[name.casefold()] = exact[name]
    for symbol in (
        "kg",
        "km",
        "cm",
        "mm",
        "ml",
        "hz",
        "khz",
        "ghz",
        "kw",
        "kj",
        "ohm",
        "kwh",
        "kcal",
        "mol",
        "dl",
        "cl",
    ):
        for written, unit in list(exact.items()):
            if written.casefold() == symbol and symbol != "mm":
                folded.setdefault(symbol, unit)
    folded["mhz"] = exact["MHz"]
    return exact, folded


@cache
def _look_up(name: str) -> Unit | None:
    exact, folded = _table()
    if name in exact:
        return exact[name]
    if name.rstrip(".") in exact:
        return exact[name.rstrip(".")]
    if len(name) < 2:
        return None
    lower = " ".join(name.casefold().rstrip(".").split()).replace("° ", "°")
    for form in (lower, lower.removesuffix("s"), lower.removesuffix("es"), lower.removesuffix("n"),
                 lower.replace("degrees ", "degree "), lower.removesuffix("а"), lower.removesuffix("ів")):  # fmt: skip
        if form in folded:
            return folded[form]
    return None


def _read_atom(text: str, position: int) -> tuple[Unit, int] | None:
    power = 1
    if lead := _SQUARE.match(text, position):
        position, power = lead.end(), 2
    elif lead := _CUBIC.match(text, position):
        position, power = lead.end(), 3
    match = _ATOM.match(text, position)
    if match is None:
        return None
    name, end = match[0], match.end()
    # "5 in total" is no length, "5 a day" no ampere.
    if name in {"in", "a", "an", "at", "as"} and re.match(r"\s+\w", text[end:]):
        return None
    unit = _look_up(name)
    while unit is None and "\u4e00" <= name[:1] <= "\u9fff" and len(name) > 1:
        name, end = name[:-1], end - 1
        unit = _look_up(name)
    if unit is None:
        return None
    if (
        text.startswith(".", end)
        and not text.startswith("..", end)
        and text[end + 1 : end + 2] in {" ", ""}
    ):
        end += 1
    if match := _POWER.match(text, end):
        word = match[3]
        power *= (
            int((match[1] or match[2]).replace(" ", "")) if word is None else 2 + (word == "cubed")
        )
        end = match.end()
    return _raise(unit, power), end


def _raise(unit: Unit, power: int) -> Unit:
    if power == 1:
        return unit
    return Unit(tuple((name, exponent * power) for name, exponent in unit.kind), unit.factor**power)


def _multiply(left: Unit, right: Unit) -> Unit:
    powers = dict(left.kind)
    for name, power in right.kind:
        powers[name] = powers.get(name, 0) + power
    kind = tuple(sorted((name, power) for name, power in powers.items() if power))
    return Unit(kind, left.factor * right.factor)


@lru_cache(maxsize=4096)
def read_unit(text: str) -> tuple[Unit, int] | None:
    """Return the unit at the start of `text` and where it ends, None where there is none.

    Args:
        text: canonical text; "km/h", "miles per hour", "kg·m^2/s^2", "square meters", "平方厘米".
    """
    text = text[:_LONGEST]
    found = _read_atom(text, 0)
    if found is None:
        return None
    unit, end = found
    divided = False
    while match := _JOIN.match(text, end):
        following = _read_atom(text, match.end())
        if following is None:
            break
        divided = divided or bool(match[1])
        unit = _multiply(unit, _raise(following[0], -1 if divided else 1))
        end = following[1]
    return unit, end
