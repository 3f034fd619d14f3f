# ruff: noqa: E501, PLR0911, PLR0912 - tables of words, one return for each kind
"""Reads one quantity: a number or expression with its sign, scale, unit and words, and no rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from dfgen.grade.expression import Node, read_expression
from dfgen.grade.number_token import TOKEN, Mark, find_decided_mark, read_number
from dfgen.grade.number_words import names_number, read_number_words, read_ordinal, read_scale
from dfgen.grade.units import Unit, read_unit
from dfgen.grade.values import Negated, Scalar, Value

_MINUS_WORD = re.compile(
    r"(?:minus|negative|负|負|мінус|минус|moins|menos|meno|マイナス)\s*(?=[\d(.A-Za-zÀ-ÿ\u0400-\u04ff\u4e00-\u9fff$€£√π\\])",
    re.IGNORECASE,
)
_CURRENCY = re.compile(
    r"(US\$|us\$|A\$|C\$|[$€£¥₴₹₽₩]|USD|EUR|GBP|JPY|CNY|RMB|INR|UAH|CHF|Rs\.?)\s?(?=[-+]?[\d.,])"
)
_POWER = re.compile(
    r"[eE](?P<e>[+-]?\d{1,4})(?![\d.A-Za-z])"
    r"|\s?[×·*]\s?10\s?\^\s?\{?\(?\s?(?P<p>[+-]?\s?\d{1,4})\s?\)?\}?(?![\d])"
)
_SECOND_HALF = re.compile(
    r"\s(\d{1,9})\s?/\s?(\d{1,9})(?![\d.,/])|\s?\\frac\s?\{\s?(\d{1,9})\s?\}\s?\{\s?(\d{1,9})\s?\}|\s?\\frac\s?(\d)\s?(\d)"
)
_FRACTION = re.compile(
    r"\s?/\s?(?=[\d])|\\frac\s?\{\s?(-?[\d.,]{1,20})\s?\}\s?\{\s?(-?[\d.,]{1,20})\s?\}"
)
_AND_A_HALF = re.compile(r"\s(?:and\s)?(?:a|one)\s(half|quarter|third)(?!\w)", re.IGNORECASE)
_ORDINAL = re.compile(r"(?:st|nd|rd|th|º|ª)(?!\w)")
_PARENTHESES = re.compile(r"\s?[(\[][^()\[\]]*[)\]]")
_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*\.?")
_CJK = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
_CLEAN = re.compile(r"[^\d+*/^=<>≤≥≠√π∞∪∩±|\\{}\[\]_×·÷%°$€£∠△…:~@#!?]*")
_UNFIT = frozenset(
    [
        "or",
        "oder",
        "ou",
        "або",
        "или",
        "and",
        "und",
        "et",
        "mod",
        "modulo",
        "than",
        "plus",
        "minus",
        "times'",
        "squared",
        "cubed",
        "factorial",
        "point",
        "over",
        "divided",
        "pi",
        "sqrt",
        "sin",
        "cos",
        "tan",
        "log",
        "ln",
        "exp",
        "remainder",
        "base",
        "versus",
        "vs",
        "maybe",
        "perhaps",
        "possibly",
        "and/or",
        "to",
        "bis",
        "through",
        "thru",
    ]
)
_DENIED = frozenset(
    [
        "not",
        "wrong",
        "incorrect",
        "false",
        "impossible",
        "isn't",
        "aren't",
        "never",
        "too",
        "neither",
        "nor",
        "cannot",
        "nicht",
        "falsch",
        "не",
    ]
)
_LONGEST_TAIL = 160
# What stands before words must be more than a word itself: "an ellipse" is no product of a and n.
_MATHEMATICAL = re.compile(r"[\dπ√\\^+*/∞|]")
_MEASURED = re.compile(
    r"[\dπ})]\s?(?:(?:[cmkd]m|kg|mm|ft|cm|km|units?|yd|mi|in)(?:\s?\^\s?\{?[23]\}?)?|\s[mgsLN](?:\s?\^\s?\{?[23]\}?)?|\s?m/s(?:\s?\^\s?\{?2\}?)?)$"
)
_SMALL_MARKS = {"'": ("ft", "′"), '"': ("in", "″")}
_FEET = re.compile(r"(\d{1,3})\s?'\s?(\d{1,2}(?:\.\d+)?)\s?(?:\"|'')?")
_ERA = re.compile(r"\b(?:B\.\s?C\.?(?:\s?E\.?)?|A\.\s?D\.?|C\.\s?E\.?)(?![A-Za-z])")
_OF_ONE = re.compile(r"of (?:an?|one) (?=\w{3})")  # "three quarters of an hour"
_COMPOUND_JOIN = re.compile(r"[\s,]*(?:\b(?:and|und|et|y|та|и)\b)?\s*", re.IGNORECASE)
_BELOW = re.compile(r"\bbelow (?:zero|freezing|sea level|0)\b|零下", re.IGNORECASE)
_ABOVE = re.compile(r"\babove (?:zero|freezing|sea level|0)\b|零上", re.IGNORECASE)


def _num(value: Fraction) -> Node:
    return Node("num", value=value)


def read_scalars(text: str, mark: Mark) -> list[Value]:
    """Return the readings of canonical text as one quantity, the most literal first; [] for none."""
    if _BELOW.search(text):
        inner = read_scalars(_BELOW.sub("", text).strip(), mark)
        return [
            Scalar(Node("neg", (v.node,)), v.unit, v.words, v.plain, v.note)
            for v in inner
            if isinstance(v, Scalar)
        ]
    if _ABOVE.search(text):
        return read_scalars(_ABOVE.sub("", text).strip(), mark)
    return list(_list_readings(text, mark))


def _list_readings(text: str, mark: Mark) -> Iterator[Value]:
    compound = _read_compound(text, mark)
    if compound is not None:
        yield compound
        return
    plain = _read_plain(text, mark)
    if plain is not None:
        yield plain
        if not (
            isinstance(plain, Scalar)
            and plain.unit is not None
            and _read_sign(text)[1] is None
            and text[-1:].isalpha()
            and text[-2:-1].isdigit()
        ):
            return
    yield from _read_calculation(text, mark)


def _read_sign(text: str) -> tuple[int, Unit | None, int]:
    """Return the sign, the currency before the number, and where the number begins."""
    sign, position, unit = 1, 0, None
    for _ in range(3):
        if match := _MINUS_WORD.match(text, position):
            sign, position = -sign, match.end()
        elif match := re.compile(r"[-+]\s?(?=[\d.,$€£¥₴₹\\A-Z(])").match(text, position):
            sign = -sign if match[0][0] == "-" else sign
            position = match.end()
        elif unit is None and (match := _CURRENCY.match(text, position)):
            found = read_unit(
                match[1].removeprefix("A").removeprefix("C")
                if match[1][-1] == "$"
                else match[1].rstrip(".")
            )
            unit = found[0] if found else None
            position = match.end()
        else:
            break
    return sign, unit, position


def read_number_at(text: str, position: int, mark: Mark) -> tuple[Fraction, int, str] | None:
    """Return the value of the number at `position`, with fraction, exponent and scale, and its end."""
    value: Fraction
    note = ""
    if match := re.compile(r"\(\\frac\{(\d+)\}\{(\d+)\}\)").match(
        text, position
    ):  # a repeating decimal
        return Fraction(int(match[1]), int(match[2])), match.end(), ""
    if text.startswith("\\frac", position):
        match = _SECOND_HALF.match(text, position)
        if match is None:
            return None
        top, bottom = (int(part) for part in match.groups() if part)
        return (Fraction(top, bottom), match.end(), "") if bottom else None
    token = TOKEN.match(text, position)
    if token is None:
        words = read_number_words(text[position:])
        if words is None:
            ordinal = read_ordinal(text[position:]) if position == 0 else None
            return (Fraction(ordinal[0]), ordinal[1], "") if ordinal else None
        value, end = words[0], position + words[1]
        if scale := read_scale(text, end):
            value, end = value * scale[0], scale[1]
        return value, end, ""
    number = read_number(token[0], mark)
    if number is None:
        return None
    value, end, note = number.value, token.end(), number.note
    if match := _POWER.match(text, end):
        return (
            value * Fraction(10) ** int((match["e"] or match["p"]).replace(" ", "")),
            match.end(),
            note,
        )
    if match := _FRACTION.match(text, end):
        if not match[0].strip().startswith("/"):
            pass
        else:
            below = TOKEN.match(text, match.end())
            bottom_number = read_number(below[0], mark) if below else None
            if below is None or bottom_number is None or not bottom_number.value:
                return None
            return value / bottom_number.value, below.end(), note
    if value.denominator == 1 and (match := _SECOND_HALF.match(text, end)):
        top, bottom = (int(part) for part in match.groups() if part)
        return (value + Fraction(top, bottom), match.end(), "") if bottom else None
    if match := _AND_A_HALF.match(text, end):
        share = {"half": 2, "quarter": 4, "third": 3}[match[1].lower()]
        return value + Fraction(1, share), match.end(), note
    if scale := read_scale(text, end):
        return value * scale[0], scale[1], note
    return value, end, note


def _read_plain(text: str, mark: Mark) -> Value | None:
    sign, unit, position = _read_sign(text)
    opened = 0
    while text.startswith("(", position) and text.rstrip().endswith(")") and opened < 3:
        inner = text[position + 1 : text.rstrip().rfind(")")]
        if "(" in inner or ")" in inner:
            break
        text, position, opened = inner.strip(), 0, opened + 1
        inner_sign, inner_unit, position = _read_sign(text)
        sign, unit = sign * inner_sign, unit or inner_unit
    found = read_number_at(text, position, mark) or _read_single(text)
    if found is None:
        return None
    value, end, note = found
    if text[position : position + 1].isalpha() and re.match(r"\s+of\b(?! a)", text[end:]):
        return None  # "one of them"
    tail = read_tail(text, end)
    if tail is None:
        return None
    tail_unit, words = tail
    if read_ordinal(text) is not None or _ORDINAL.match(text, end):
        words = ("ordinal", *words)
    if unit is not None and tail_unit is not None:
        if unit.kind[0][0] in dict(tail_unit.kind):
            tail_unit = None if tail_unit.kind == unit.kind else tail_unit
        else:
            powers = [part for part in tail_unit.kind if part[1] < 0]
            if not powers and tail_unit is not None and words[:1] != ("per",):
                return None
    if words and (
        words[-2:] == ("is", "out")
        or _DENIED.intersection(words)
        or any("不" in word for word in words)
    ):
        return Negated(text)
    places = _count_written_places(text, position, end, mark)
    return Scalar(_num(sign * value), unit or tail_unit, words, True, note, places)


def _count_written_places(text: str, position: int, end: int, mark: Mark) -> int | None:
    token = TOKEN.match(text, position)
    if token is None:
        return None
    power = _POWER.match(text, token.end())
    if (power.end() if power else token.end()) != end:
        return None
    shift = int((power["e"] or power["p"]).replace(" ", "")) if power else 0
    sign = "." if (find_decided_mark(token[0]) or mark) == "point" else ","
    return (len(token[0].partition(sign)[2]) if token[0].count(sign) == 1 else 0) - shift


def _read_single(text: str) -> tuple[Fraction, int, str] | None:
    """ "an hour" is one hour."""
    match = re.match(r"(?:an?|per)\s(?=[a-z]{3})", text)
    unit = read_unit(text[match.end() :]) if match else None
    whole = unit is not None and match is not None and match.end() + unit[1] == len(text)
    return (Fraction(1), match.end(), "") if whole and match is not None else None


def read_tail(text: str, end: int) -> tuple[Unit | None, tuple[str, ...]] | None:
    """Return the unit and the words after a number, None where anything else stands there."""
    tail = text[end:]
    if not tail.strip(" .,;"):
        return None, ()
    if len(tail) > _LONGEST_TAIL:
        return None
    if ordinal := _ORDINAL.match(tail):
        tail = tail[ordinal.end() :]
    unit: Unit | None = None
    attached = not tail[:1].isspace()
    stripped = re.sub(r"^\s?-(?=[A-Za-z])", "", tail).lstrip(" ")
    stripped = _OF_ONE.sub("", stripped)
    stripped = _ERA.sub(lambda match: re.sub(r"[.\s]", "", match[0]), stripped)
    if attached and stripped == "b":
        return None  # 65b is a product; bits are written apart
    if found := read_unit(stripped):
        unit, size = found
        following = stripped[size : size + 1]
        if following.isalnum() and not _CJK.match(following):
            return None
        stripped = stripped[size:]
        if unit.label == "angle" and (match := re.match(r"\s?([NSEWCF])(?![A-Za-z])", stripped)):
            return unit, (match[1].lower(),)
    elif attached and re.match(r"[A-Za-zα-ω]{1,2}(?![A-Za-z])|\(|\[|!", stripped):
        return None
    rest = _drop_parentheses(stripped.replace(" to the ", " "))
    if rest is None or not _CLEAN.fullmatch(rest) or re.search(r"(?:^|\s)-(?!\w{2})", rest):
        return None
    words = tuple(word.strip(".").lower() for word in _WORD.findall(rest))
    if _UNFIT.intersection(words) or any(map(names_number, words)):
        return None
    letter = any(len(word) == 1 and word != "a" and not _CJK.match(word) for word in words)
    if letter and not (unit is not None and words in {("n",), ("s",), ("e",), ("w",)}):
        return None
    joined = rest.replace(".", "").lower()
    if match := re.search(r"(?<![a-z])([ap]) ?m(?![a-z])", joined):
        words = (match[1] + "m",)
    return unit, words


def _drop_parentheses(text: str) -> str | None:
    """Without remarks in brackets; None where the brackets may hold mathematics."""
    while match := _PARENTHESES.search(text):
        inner = match[0].strip(" ()[]")
        words = [word for word in _WORD.findall(inner) if len(word) > 2]
        if not words or re.match(
            r"(?:or|not|mod|remainder|about|approx|base|oder|或)\b", inner, re.IGNORECASE
        ):
            return None
        text = text[: match.start()] + " " + text[match.end() :]
    return text


def _read_compound(text: str, mark: Mark) -> Scalar | None:
    """2 hours 30 minutes, 5 ft 6 in, 5'6", 30°15', 5 dollars and 25 cents: one quantity."""
    if feet := _FEET.fullmatch(text):
        text = f"{feet[1]} ft {feet[2]} in"
    sign, currency, position = _read_sign(text)
    if currency is not None:
        return None
    total = Fraction(0)
    first: Unit | None = None
    last: Unit | None = None
    count = 0
    while position < len(text):
        found = read_number_at(text, position, mark)
        if found is None:
            return None
        value, end, _ = found
        unit, end = _read_compound_unit(text, end, last)
        if unit is None:
            return None
        if last is not None and (unit.kind != last.kind or unit.factor >= last.factor):
            return None
        total += value * unit.factor
        first, last, count = first or unit, unit, count + 1
        join = _COMPOUND_JOIN.match(text, end)
        position = join.end() if join else end
        if not text[position:].strip(" ."):
            break
        if (
            count == 1
            and not text[position : position + 1].isdigit()
            and read_number_words(text[position:]) is None
        ):
            return None
    if count < 2 or first is None:
        return None
    return Scalar(_num(sign * total / first.factor), first, (), plain=True)


def _read_compound_unit(text: str, end: int, last: Unit | None) -> tuple[Unit | None, int]:
    tail = text[end:]
    stripped = tail.lstrip(" ")
    start = end + len(tail) - len(stripped)
    mark = stripped[:1]
    if mark in _SMALL_MARKS:
        angle = last is not None and last.label == "angle"
        if angle:
            assert last is not None
            minutes = Fraction(1, 60) if mark == "'" else Fraction(1, 3600)
            return Unit(last.kind, minutes), start + 1
        found = read_unit(_SMALL_MARKS[mark][0])
        return (found[0] if found else None), start + 1
    if last is not None and last.label == "time" and re.match(r"m(?![A-Za-z])", stripped):
        return Unit(last.kind, Fraction(60)), start + 1
    if re.match(r"h(?=\d)", stripped):
        stripped = "h"
    found = read_unit(re.split(r"(?<=[A-Za-z])(?=\d)|,| and ", stripped, maxsplit=1)[0])
    if found is None:
        return None, end
    unit, size = found
    if any(power != 1 for _, power in unit.kind) or len(unit.kind) != 1:
        return None, end
    following = text[start + size : start + size + 1]
    if following.isalpha() and not _CJK.match(following):
        return None, end
    return unit, start + size


def _read_calculation(text: str, mark: Mark) -> Iterator[Value]:
    sign, currency, position = _read_sign(text)
    if currency is None:
        if _MINUS_WORD.match(text):
            node = read_expression(text[position:], mark)
            if node is not None:
                yield Scalar(Node("neg", (node,)) if sign < 0 else node)
                return
        measured = _MEASURED.search(text) is not None
        node = None if measured else read_expression(text, mark)
        if node is not None:
            if node.op == "deg":
                yield Scalar(node.args[0], read_unit("°")[0])  # type: ignore[index]
            else:
                yield Scalar(node)
            return
    body = text[position:] if currency is not None else text
    tried = 0
    for match in re.finditer(
        r"(?<=[\d)}π!\]∞])\s?(?=[A-Za-z°%‰µμ\u0400-\u04ff\u4e00-\u9fff$€])|(?<=[A-Za-z\d)}])\s(?=[^\W\d])",
        body,
    ):
        head, tail = body[: match.start()], match.end()
        if tried >= 6 or not head.strip():
            break
        tried += 1
        node = read_expression(head, mark) if _MATHEMATICAL.search(head) else None
        if node is None:
            continue
        found = read_tail(body, tail)
        if found is None:
            continue
        unit, words = found
        if unit is None and not words:
            continue
        if _DENIED.intersection(words):
            return
        yield Scalar(
            Node("neg", (node,)) if sign < 0 and currency is not None else node,
            currency or unit,
            words,
        )
        return
    if currency is not None:
        node = read_expression(body, mark)
        if node is not None:
            yield Scalar(Node("neg", (node,)) if sign < 0 else node, currency)
