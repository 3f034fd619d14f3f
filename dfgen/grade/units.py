"""Known units: enough to see that 24 cm is 0.24 m and that 24 cm is not 24 kg.

Factors are exact by definition (SI brochure, 9th edition; international yard and pound of 1959).
Words that are no known unit ("apples") never decide anything.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache
from typing import NamedTuple

_UNITS = {
    "length": (
        ("nm|nanometer", "1/1000000000"),
        ("µm|μm|um|micrometer|micron", "1/1000000"),
        ("mm|millimeter", "1/1000"),
        ("cm|centimeter|zentimeter|centimetro|centímetro|centimètre", "1/100"),
        ("dm|decimeter|dezimeter", "1/10"),
        ("m|meter|mètre|metro", "1"),
        ("km|kilometer|kilomètre|kilómetro", "1000"),
        ("in|inch|inches", "127/5000"),
        ("ft|foot|feet", "381/1250"),
        ("yd|yard", "1143/1250"),
        ("mi|mile", "201168/125"),
        ("см", "1/100"),
        ("мм", "1/1000"),
        ("м", "1"),
        ("км", "1000"),
    ),
    "mass": (
        ("mg|milligram", "1/1000000"),
        ("g|gram|gramm|gramme", "1/1000"),
        ("kg|kilogram|kilogramm|kilogramme|кг", "1"),
        ("t|tonne", "1000"),
        ("lb", "45359237/100000000"),
        ("oz|ounce", "45359237/1600000000"),
    ),
    "time": (
        ("ms|millisecond", "1/1000"),
        ("s|sec|second|sekunde|seconde|segundo", "1"),
        ("min|minute|minuten|minuto", "60"),
        ("h|hr|hour|stunde|heure|hora", "3600"),
        ("d|day|tag|jour", "86400"),
        ("wk|week|woche", "604800"),
    ),
    "month": (("month|monat|mois", "1"),),
    "year": (("yr|year|jahr|año", "1"),),
    "volume": (
        ("ml|milliliter", "1/1000000"),
        ("cl|centiliter", "1/100000"),
        ("l|L|liter|л", "1/1000"),
    ),
    "speed": (("m/s", "1"), ("km/h|kmh|kph", "5/18"), ("mph", "1397/3125")),
    "degree": (("°|deg|degree|grad", "1"),),
    "radian": (("rad|radian", "1"),),
    "celsius": (("°c", "1"),),
    "fahrenheit": (("°f", "1"),),
    "dollar": (("$|usd|dollar|us$", "1"), ("¢|cents", "1/100")),
    "euro": (("€|eur|euro", "1"),),
    "sterling": (("£|gbp", "1"),),
    "yen": (("¥|jpy|yen|円", "1"),),
    "hryvnia": (("₴|uah|грн", "1"),),
    "energy": (("J|joule", "1"), ("kJ", "1000")),
    "power": (("W|watt", "1"), ("kW", "1000")),
    "voltage": (("V|volt", "1"),),
    "force": (("N|newton", "1"),),
}
_VOLUME_OF_CUBES = ("length", 3)
_UNIT = re.compile(
    r"(?P<lead>(?:square|sq\.?|cubic|cu\.?|quadrat|kubik)\s?)?"
    r"(?P<name>km/h|m/s|°\s?[CcFf]\b|us\$|[^\W\d_²³]{1,20}|[$€£¥₴¢°])\.?"
    r"(?P<power>\s?\^\s?\{?\(?\s?[23]\s?\)?\}?|[²³]|(?<=[a-z])[23](?!\d)| squared?| cubed?)?",
    re.IGNORECASE,
)


class Unit(NamedTuple):
    """A physical kind and the factor to its base unit."""

    kind: tuple[str, int]
    factor: Fraction


@cache
def _table() -> tuple[dict[str, tuple[str, Fraction]], dict[str, tuple[str, Fraction]]]:
    exact = {
        name: (kind, Fraction(factor))
        for kind, rows in _UNITS.items()
        for names, factor in rows
        for name in names.split("|")
    }
    return exact, {name.casefold(): unit for name, unit in exact.items() if len(name) > 1}


def _look_up(name: str) -> tuple[str, Fraction] | None:
    exact, folded = _table()
    plain = name.replace(" ", "")
    if plain in exact:
        return exact[plain]
    # Case matters in one-letter names: N is newton, n is a number.
    lower = plain.casefold().replace("metre", "meter").replace("litre", "liter")
    for form in (lower, lower.removesuffix("s"), lower.removesuffix("n")):
        if form in folded:
            return folded[form]
    return None


def read_unit(text: str) -> tuple[Unit, int] | None:
    """Return the known unit at the start of `text` and where it ends, None where there is none."""
    match = _UNIT.match(text)
    if match is None:
        return None
    name = match["name"]
    # "5 in total" is no length.
    if name == "in" and re.match(r"\s+\w", text[match.end("name") :]):
        return None
    found = _look_up(name)
    if found is None:
        return None
    kind, factor = found
    power = 1
    if match["lead"]:
        power = 3 if match["lead"].casefold().startswith(("cu", "ku")) else 2
    elif match["power"]:
        power = 3 if re.search(r"[3³]|cube", match["power"]) else 2
    if power > 1 and kind != "length":
        return None
    unit = Unit((kind, power), factor**power)
    # A litre is a cubic decimetre.
    return (Unit(_VOLUME_OF_CUBES, factor) if kind == "volume" else unit), match.end()
