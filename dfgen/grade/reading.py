"""Reading an answer: the whole text becomes a value of a kind, or it cannot be read.

The parts of this file go from the outside in: words that turn a value into its opposite or a
bound, signs of equality and order, lists, brackets, marked numbers, one quantity, and at last
sentences around a value. Each returns all readings that the writing allows: "2,3" is a number with
a decimal comma and a list of two.
"""

from __future__ import annotations

import re
from functools import lru_cache

from dfgen.grade.canonical import LONGEST, SET_CLOSE, SET_OPEN, write_canonical
from dfgen.grade.expression import Node, list_names, read_expression
from dfgen.grade.number_token import TOKEN, Mark, read_number
from dfgen.grade.reading_marked import join_range, read_marked, read_spelled_clock
from dfgen.grade.reading_scalar import read_scalars
from dfgen.grade.values import (
    About,
    Bound,
    Equation,
    Group,
    Listing,
    Marked,
    Named,
    Negated,
    Scalar,
    Union,
    Value,
    Words,
)  # fmt: skip

_SPACE = r"[\s:,]*"
_NOT = re.compile(
    r"(?:(?:is|are|was|be|it's|it is)\s)?(?:(?:definitely|certainly|clearly|surely)\s)?"
    r"(?:not|isn't|never|neither|other than|anything but|except(?: for)?|different from|cannot be|can't be|nicht|kein\w*"
    r"|не(?:\sє|\sравно|\sдорівнює)?|не|pas|no es|não|nie|不是|不等于|不|ではない)(?=[\s\d$(\\])\s*",
    re.IGNORECASE,
)
_BOUNDS: tuple[tuple[str, str], ...] = (
    ("≥", r"at least|no less than|no fewer than|not less than|not fewer than|a minimum of|minimum|min\.|mindestens|au moins|al menos|至少|不少于|大于等于|大于或等于|не менее|не менше|щонайменше|greater than or equal to|from at least|upwards? of"),
    ("≤", r"at most|no more than|not more than|no greater than|up to|a maximum of|maximum|max\.|höchstens|au plus|a lo sumo|最多|至多|不超过|小于等于|小于或等于|не более|не більше|щонайбільше|less than or equal to"),
    (">", r"strictly more than|more than|greater than|larger than|bigger than|over|above|exceeding|exceeds|mehr als|größer als|über|plus de|plus grand que|más de|大于|超过|多于|более|больше|більше(?: ніж)?|понад"),
    ("<", r"strictly less than|less than|fewer than|smaller than|under|below|lower than|weniger als|kleiner als|unter|moins de|plus petit que|menos de|小于|少于|不到|менее|меньше|менше(?: ніж)?"),
    ("≈", r"about|approx(?:imately|\.)?|roughly|around|circa|ca\.|nearly|almost|close to|somewhere around|something like|an estimated|estimated|etwa|ungefähr|rund|environ|aproximadamente|около|приблизно|примерно|близько|大约|約|约|差不多|≈|~"),
)  # fmt: skip
_BOUND = re.compile(
    "|".join(f"(?P<b{n}>{words})" for n, (_, words) in enumerate(_BOUNDS)), re.IGNORECASE
)
_SUFFIX_BOUND = (
    ("≥", re.compile(r"\s?(?:\+|or more|or greater|or above|or higher|or over|and above|and up|and more|oder mehr|ou plus|o más|или более|або більше|以上|及以上|at least|at minimum|minimum|or older)$", re.IGNORECASE)),
    ("≤", re.compile(r"\s?(?:or less|or fewer|or below|or lower|or under|and below|oder weniger|ou moins|o menos|или менее|або менше|以下|以内|at most|at maximum|maximum|tops|or younger)$", re.IGNORECASE)),
    ("≈", re.compile(r"\s?(?:or so|approximately|approx\.?|roughly|ish|左右|\(approx(?:imately|\.)?\)|\(approximate\)|more or less|give or take)$", re.IGNORECASE)),
)  # fmt: skip
_HEDGE = re.compile(
    r"(?:it\s)?(?:maybe|perhaps|possibly|might be|may be|could be|vielleicht|peut-être|quizás|可能是?|也许是?|возможно|можливо|мабуть|either)\s+",
    re.IGNORECASE,
)
_EXACTLY = re.compile(
    r"(?:exactly|precisely|only|just|simply|namely|equal to|equals|a total of|total of|in total|genau|exactement|ровно|рівно|正好|恰好|共|一共|总共|約数)\s*",
    re.IGNORECASE,
)
_RELATION = re.compile(r"[<>≤≥≠]|∈|∉")
_EQUAL = re.compile(r"(?<![<>!])=(?!=)|≡")
_AND = re.compile(
    r"\s*(?:,\s*)?(?:(?<!\w)(?:and|und|et|та|і|и|as well as)(?!\w)|&|和|与|與|及|と|∧)\s*",
    re.IGNORECASE,
)
_OR = re.compile(
    r"\s*,?\s*(?:(?<![A-Za-z])(?:or|oder|ou)(?![A-Za-z])|(?<!\w)(?:або|или|чи|либо)(?!\w)|或者?|または|∨)\s*,?\s*",
    re.IGNORECASE,
)
_RANGE_WORDS = re.compile(
    r"\s?(?:(?<!\w)(?:to|until|till|through|thru|bis|до|à|al)(?!\w)|至|到|から|~|⋯|\.\.)\s?",
    re.IGNORECASE,
)
_BETWEEN = re.compile(
    r"(?:between|from|zwischen|von|entre|de|між|между|от|від|从)\s(.+?)\s?(?:and|to|und|bis|et|à|y|a|та|і|и|до|到|至)\s(.+)",
    re.IGNORECASE,
)
_HYPHEN_RANGE = re.compile(
    r"([$€£]?\d(?:[\d.,:]*\d)?(?:\s?(?:%|°|[ap]\.?m\.?|[A-Za-z]{1,8}))?)\s?-{1,2}\s?([$€£]?\d(?:[\d.,:]*\d)?(?:\s?[^\d\s].{0,24})?)",
    re.IGNORECASE,
)
_EXPLANATION = re.compile(
    r"[\s,;.]*(?:[,;(-]\s*|\.\s+|\s)(?:because|since|as (?:there|the|it|we)|weil|denn|porque|perché|parce que|бо|тому що|оскільки|так как|потому что|because of|due to"
    r"|因为|where|given|assuming|so that|which|i\.e\.|that is|meaning|as shown|as seen|according to|based on|from the|in the (?:picture|image|diagram|figure))(?!\w).*",
    re.IGNORECASE | re.DOTALL,
)  # fmt: skip
_LINK = re.compile(
    r"(?<!\w)(?:is|are|was|were|be|equals?|makes?|making|gives?|giving|gets?|got|yields?|becomes?|ist|sind|beträgt|ergibt|est|sont|vaut|donne|es|son"
    r"|è|é|є|це|это|равен|равна|равно|дорівнює|totals?|totall?ing|has|have|had|contains?|costs?|needs?|takes?|measures?|weighs?|remains?|leaves?|find|found"
    r"|obtain(?:ed)?|conclude|with|shows?|reads?|counts?|see|of|to|so|thus|hence|therefore|equal to|namely|left|choose|pick|select)(?!\w)\s*:?\s*"
    r"|[:→⇒∴]\s*|是|为|為|等于|有|共|得到?|選|选|は|が",
    re.IGNORECASE,
)  # fmt: skip
_NEGATION_IN = re.compile(
    r"(?<!\w)(?:not|n't|cannot|can't|isn't|aren't|never|neither|nicht|kein\w*|не|pas|no longer|rather than|instead of|unlikely|impossible)(?!\w)|不|ない",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"\?\s*(?=\S)")
_RETRACTION = re.compile(
    r"(?:no|wait|actually|hmm+|sorry|nein|нет|ні|oops|nope|correction|rather)(?:[\s,.:;!-]+(?:wait|actually|it's|it is|that's|it should be|make that|i mean))*[\s,.:;!-]+",
    re.IGNORECASE,
)
_RETRACTED = re.compile(
    r"[\s.,;(-]*(?:(?<!\w)(?:no,? wait|wait|actually|scratch that|correction|i mean|or rather|sorry|hmm+)(?!\w)|不对)[\s,.:;!-]+",
    re.IGNORECASE,
)
_LEAD_WORDS = re.compile(r"(?:[^\W\d_]{2,20}[ -]+){1,6}(?=[-+$€£]?\d)|[\u4e00-\u9fff]{1,8}(?=\d)")
_NAME = re.compile(
    r"\s?(?:[A-Za-zα-ωΑ-Ωℓ](?:'*)(?:_\{?[A-Za-z0-9,]{1,8}\}?)?(?:\([^()=]{1,24}\))?|[∠△]\s?[A-Za-z0-9]{1,4}|\|?[A-Z]{2,5}\|?(?:_\{?\w{1,6}\}?)?"
    r"|m\s?∠\s?[A-Z]{1,3}|\\(?:overline|vec|hat|bar)\s?\{?\w{1,3}\}?|[A-Za-z]_\{[^{}]{1,12}\}(?:\s?:\s?[A-Za-z_{}\d]{1,12})?)\s?"
)
_OPEN_SUM = re.compile(r"\s?[A-Za-z](?:_\{?\w\}?)?(?:\s?[-+*·/]?\s?[A-Za-z](?:_\{?\w\}?)?){1,5}\s?")
_POWER_OF_NAME = re.compile(r"\s?[A-Za-z]\s?\^\s?\{?\s?\d\s?\}?\s?")
_MATH = re.compile(r"[\d+*/^=<>≤≥≠√π∞∪∩±\\_×÷∅∈]")
_WORDY = re.compile(r"[A-Za-z][A-Za-z()]*\d+[A-Za-z\d()+-]*")
_OPENING, _CLOSING = "([{⟨" + SET_OPEN, ")]}⟩" + SET_CLOSE
_POINT = re.compile(r"([A-Z](?:_\{?\w\}?)?'?)\s?(?=\()")
_SPACED = re.compile(
    r"-?\d+(?:\.\d+)?(?: -?\d+(?:\.\d+)?)+(?<! \d{3})|(?:-?\d{1,3} ){2,30}-?\d{1,3}"
)
_DEEPEST = 6
_ENDS = " \t\n.,;:"
_NO_SOLUTION = re.compile(
    r"(?:there (?:is|are) )?no (?:real )?(?:solutions?|roots?)|(?:the )?empty set|no such .{1,30}|∅|keine lösung|无解|немає розв'язків|нет решений",
    re.IGNORECASE,
)
EMPTY = Group(SET_OPEN, SET_CLOSE, ())


def read_values(text: str, mark: Mark = "point") -> tuple[Value, ...]:
    """Return all readings of an answer as a value, the most literal first; () where there is none.

    Args:
        text: an extracted answer or a reference answer; LaTeX and Markdown are allowed.
        mark: decimal mark for numbers that can be read in two ways.
    """
    return _read_cached(text, mark) if len(text) <= LONGEST else ()


@lru_cache(maxsize=2048)
def _read_cached(text: str, mark: Mark) -> tuple[Value, ...]:
    canonical = write_canonical(text)
    return tuple(dict.fromkeys(_Reader(mark).read(canonical, 0)))


def trim(text: str) -> str:
    """Return canonical text without the marks that end a sentence; a factorial stays."""
    number = re.match(r"[\s:;]*([.,]\d)", text)
    text = text[number.start(1) :].rstrip(_ENDS) if number else text.strip(_ENDS)
    while text.endswith("!") and not re.search(r"[\d)}a-z]!$", text):
        text = text[:-1].rstrip(_ENDS)
    if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0]:
        text = text[1:-1].strip(_ENDS)
    return text


def split_top(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Return the parts of `text` between matches of `pattern` that stand outside of brackets."""
    depth = _measure_depth(text)
    if depth is None:
        return [text]
    parts, start = [], 0
    for match in pattern.finditer(text):
        if match.start() < start or depth[match.start()] or match.end() == match.start():
            continue
        parts.append(text[start : match.start()])
        start = match.end()
    return [*parts, text[start:]]


def _measure_depth(text: str) -> list[int] | None:
    """How many brackets are open at each character; half-open intervals count as pairs."""
    depth, level = [], 0
    for character in text:
        if character in _CLOSING:
            level -= 1
            if level < 0:
                return None
        depth.append(level)
        if character in _OPENING:
            level += 1
    return depth if level == 0 else None


_COMMA = re.compile(r",(?!\d)|,(?=\d)")
_SEMICOLON = re.compile(r";|\n")
_LIST_MARK = re.compile(r"、")


class _Reader:
    def __init__(self, mark: Mark) -> None:
        self._mark = mark

    def read(self, text: str, depth: int) -> list[Value]:
        text = trim(text)
        if not text or depth > _DEEPEST:
            return []
        for step in (
            self._read_modified, self._read_retraction, self._read_alternatives, self._read_relations,
            self._read_range, self._read_whole, self._read_list, self._read_equalities, self._read_scalar,
            self._read_shortened, self._read_sentence,
        ):  # fmt: skip
            found = step(text, depth)
            if found:
                return found
        return [] if not _is_wordy(text) else [Words(text)]

    def read_one(self, text: str, depth: int) -> Value | None:
        """The most literal reading of a part."""
        return next(iter(self.read(text, depth + 1)), None)

    # Words and signs around a value ---------------------------------------------------------

    def _read_modified(self, text: str, depth: int) -> list[Value]:
        if text[:1] in "<>≤≥≠≈~" and not _RELATION.search(text[1:]):
            value = self.read_one(text[1:], depth)
            sign = "≈" if text[0] in "≈~" else text[0]
            return [] if value is None else [_bind(sign, value)]
        if match := _BOUND.match(text):
            if (
                not text[match.end() : match.end() + 1].isalpha()
                or "\u4e00" <= text[match.end() - 1]
            ):
                value = self.read_one(text[match.end() :], depth)
                sign = _BOUNDS[int(str(match.lastgroup)[1:])][0]
                if value is not None and not isinstance(value, Words):
                    return [_bind(sign, value)]
        if match := _NOT.match(text):
            if match[0].strip().lower() in {"no", "not", "pas"} and _NO_SOLUTION.fullmatch(text):
                return []
            return [Negated(text)] if text[match.end() :] else []
        for sign, pattern in _SUFFIX_BOUND:
            if match := pattern.search(text):
                value = self.read_one(text[: match.start()], depth)
                if isinstance(value, Scalar) or (sign == "≈" and value is not None):
                    return [_bind(sign, value)]
        if match := _HEDGE.match(text):
            if self.read_one(text[match.end() :], depth) is not None and _MATH.search(text):
                return [Negated(text)]
        if (match := _EXACTLY.match(text)) and text[match.end() :]:
            return self.read(text[match.end() :], depth + 1)
        if _NO_SOLUTION.fullmatch(text):
            return [EMPTY]
        return []

    def _read_retraction(self, text: str, depth: int) -> list[Value]:
        parts = _QUESTION.split(text, maxsplit=1)
        if len(parts) == 2 and _MATH.search(parts[0]):
            rest = parts[1]
            if match := _RETRACTION.match(rest):
                rest = rest[match.end() :]
            return self.read(rest, depth + 1) or [Negated(text)]
        if text.endswith("?") and _MATH.search(text):
            return [Negated(text)]
        parts = _RETRACTED.split(text, maxsplit=1)
        if len(parts) == 2 and parts[0].strip() and _MATH.search(parts[1]):
            return self.read(parts[1], depth + 1)
        return []

    def _read_alternatives(self, text: str, depth: int) -> list[Value]:
        parts = split_top(text, _OR)
        if len(parts) < 2 or not all(part.strip() for part in parts) or not _MATH.search(text):
            return []
        if (
            _SUFFIX_BOUND[0][1].search(text)
            or _SUFFIX_BOUND[1][1].search(text)
            or _SUFFIX_BOUND[2][1].search(text)
        ):
            return []
        values: list[Value] = []
        for part in parts:
            part = _HEDGE.sub("", part.strip(), count=1)
            value = self.read_one(part, depth)
            if value is None:
                return []
            values.extend(value.items if isinstance(value, Listing) else [value])
        if all(isinstance(value, Bound) or _is_interval(value) for value in values):
            return [Union(tuple(values))]
        if all(isinstance(value, Words) for value in values):
            return []
        first = values[0]
        if isinstance(first, Named) and not any(isinstance(value, Named) for value in values[1:]):
            return [Named(first.name, Listing((first.value, *values[1:]), "or"))]
        return [Listing(tuple(values), "or")]

    # Order and ranges -----------------------------------------------------------------------

    def _read_relations(self, text: str, depth: int) -> list[Value]:
        if not _RELATION.search(text):
            return []
        members = split_top(text, _RELATION)
        signs = _find_top(text, _RELATION)
        if len(members) < 2 or len(members) != len(signs) + 1:
            return []
        pieces = self._split_list(text, bracketed=False)
        if len(pieces) > 1 and sum(bool(_RELATION.search(piece)) for piece in pieces) > 1:
            values = [self.read_one(piece, depth) for piece in pieces]
            return (
                []
                if None in values
                else [Listing(tuple(value for value in values if value is not None))]
            )
        joined = split_top(text, _AND)
        if len(joined) == 2 and all(_RELATION.search(piece) for piece in joined):
            values = [self.read_one(piece, depth) for piece in joined]
            return (
                []
                if None in values
                else [Listing(tuple(value for value in values if value is not None))]
            )
        if signs == ["∈"]:
            value = self.read_one(members[1], depth)
            return [] if value is None else [Named(members[0].strip(), value)]
        if len(signs) == 1 and signs[0] in "<>≤≥≠":
            return self._read_single_relation(members, signs[0], depth)
        if len(signs) == 2 and _NAME.fullmatch(members[1]) and all(sign in "<≤" for sign in signs):
            ends = [self.read_one(members[0], depth), self.read_one(members[2], depth)]
            if ends[0] is not None and ends[1] is not None:
                group = Group(
                    "(" if signs[0] == "<" else "[",
                    ")" if signs[1] == "<" else "]",
                    (ends[0], ends[1]),
                )
                return [Bound("..", group, members[1].strip())]
        if len(signs) == 2 and _NAME.fullmatch(members[1]) and all(sign in ">≥" for sign in signs):
            flipped = (
                f"{members[2]}{_FLIPPED[signs[1]]}{members[1]}{_FLIPPED[signs[0]]}{members[0]}"
            )
            return self._read_relations(flipped, depth)
        nodes = [read_expression(member.strip(), self._mark) for member in members]
        if any(node is None for node in nodes):
            return []
        return [Equation(tuple(node for node in nodes if node is not None), tuple(signs))]

    def _read_single_relation(self, members: list[str], sign: str, depth: int) -> list[Value]:
        left, right = members
        if _NAME.fullmatch(left):
            value = self.read_one(right, depth)
            if value is not None and not isinstance(value, Words):
                return [Bound(sign, value, left.strip())]
        if _NAME.fullmatch(right):
            value = self.read_one(left, depth)
            if value is not None and not isinstance(value, Words):
                return [Bound(_FLIPPED[sign], value, right.strip())]
        nodes = (
            read_expression(left.strip(), self._mark),
            read_expression(right.strip(), self._mark),
        )
        if nodes[0] is None or nodes[1] is None:
            return []
        return [Equation((nodes[0], nodes[1]), (sign,))]

    def _read_range(self, text: str, depth: int) -> list[Value]:
        if marked := read_marked(text):
            return list(marked)
        if spelled := read_spelled_clock(text):
            return [spelled]
        pair: tuple[str, str] | None = None
        if match := _BETWEEN.fullmatch(text):
            pair = (match[1], match[2])
        elif (match := _HYPHEN_RANGE.fullmatch(text)) and "--" not in text[1:2]:
            pair = (match[1], match[2])
        else:
            parts = split_top(text, _RANGE_WORDS)
            if len(parts) == 2 and all(part.strip() for part in parts) and "→" not in text:
                pair = (parts[0], parts[1])
        if pair is None:
            return []
        low, high = self.read_one(pair[0], depth), self.read_one(pair[1], depth)
        if low is None or high is None or not _is_countable(low) or not _is_countable(high):
            return []
        return [join_range(low, high)]

    # Brackets and lists -----------------------------------------------------------------------

    def _read_whole(self, text: str, depth: int) -> list[Value]:
        if text in {"∅", "{}", SET_OPEN + SET_CLOSE, "[]", "()"}:
            return [EMPTY]
        if "\\begin" in text:
            return self._read_matrix(text, depth)
        parts = split_top(text, re.compile("∪"))
        if len(parts) > 1:
            values = [self.read_one(part, depth) for part in parts]
            return (
                []
                if None in values
                else [Union(tuple(value for value in values if value is not None))]
            )
        if match := _POINT.match(text):
            inner = self._read_group(text[match.end() :], depth)
            if inner and isinstance(inner[0], Group) and len(inner[0].items) > 1:
                return [Named(match[1], inner[0])]
        return self._read_group(text, depth)

    def _read_group(self, text: str, depth: int) -> list[Value]:
        if (
            text[:1] not in set("([{⟨" + SET_OPEN)
            or text[-1:] not in set(_CLOSING)
            or len(text) < 3
        ):
            return []
        levels = _measure_depth(text)
        if levels is None or any(level == 0 for level in levels[1:-1]):
            return []
        items = self._split_list(text[1:-1], bracketed=True)
        opening, closing = text[0], text[-1]
        if opening == "{":
            opening, closing = SET_OPEN, SET_CLOSE
        if len(items) < 2 and opening != SET_OPEN:
            return []
        values = [self.read_one(item, depth) for item in items]
        if None in values or (
            len(items) == 1 and depth == 0 and text[0] == "{" and not _MATH.search(text)
        ):
            return []
        return [Group(opening, closing, tuple(value for value in values if value is not None))]

    def _read_matrix(self, text: str, depth: int) -> list[Value]:
        match = re.fullmatch(
            r"\\begin\s?\{(\w+\*?)\}(?:\{[clr|]*\})?(.*)\\end\s?\{\1\}", text, re.DOTALL
        )
        if match is None:
            return []
        rows = [row for row in match[2].replace("\\cr", "\n").split("\n") if row.strip()]
        cases = match[1] in {"cases", "aligned", "array*"}
        values: list[Value] = []
        for row in rows:
            cells = [self.read_one(cell, depth) for cell in row.split("&") if cell.strip()]
            if None in cells:
                return []
            kept = tuple(cell for cell in cells if cell is not None)
            values.extend(kept if cases else [Group("row", "row", kept)])
        if cases:
            return [Listing(tuple(values))]
        return [Group("matrix", "matrix", tuple(values))]

    def _split_list(self, text: str, *, bracketed: bool) -> list[str]:
        """The items of a list; a comma between digits belongs to a number where it can."""
        parts = split_top(text, _SEMICOLON)
        if len(parts) > 1:
            return [part for part in (part.strip() for part in parts) if part]
        depth = _measure_depth(text)
        if depth is None:
            return [text]
        inside: set[int] = set()
        wide = bool(re.search(r",\s", text))
        for token in TOKEN.finditer(text):
            if "," not in token[0]:
                continue
            grouped = re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", token[0])
            keep = (
                (wide and grouped) if bracketed else read_number(token[0], self._mark) is not None
            )
            if keep:
                inside.update(range(token.start(), token.end()))
        parts, start = [], 0
        for position, character in enumerate(text):
            if character in ",、" and not depth[position] and position not in inside:
                parts.append(text[start:position])
                start = position + 1
        parts.append(text[start:])
        pieces = [
            piece
            for part in parts
            for piece in (split_top(part, _AND) if _MATH.search(part) or len(parts) > 1 else [part])
        ]
        return [piece for piece in (piece.strip() for piece in pieces) if piece]

    def _read_list(self, text: str, depth: int) -> list[Value]:
        if _SPACED.fullmatch(text):  # "3 5" is no number and no product
            return [
                Listing(
                    tuple(
                        value
                        for item in text.split()
                        for value in read_scalars(item, self._mark)[:1]
                    )
                )
            ]
        found = self._read_items(self._split_list(text, bracketed=False), text, depth)
        if (
            re.fullmatch(r"-?\d{1,9}(?:,-?\d{1,2}){1,20}", text)
            and len(self._split_list(text, bracketed=False)) == 1
        ):
            number = read_scalars(text, self._mark)
            values = [self.read_one(item, depth) for item in self._split_list(text, bracketed=True)]
            return [*number, Listing(tuple(value for value in values if value is not None))]
        return found

    def _read_items(self, items: list[str], text: str, depth: int) -> list[Value]:
        if len(items) < 2:
            return []
        if not _MATH.search(text):
            return []
        scalar = read_scalars(text, self._mark)  # 5 dollars and 25 cents; one thousand and one
        if scalar and isinstance(scalar[0], Scalar):
            return scalar
        if _EXPLANATION.search(text) and _EXPLANATION.sub("", text) != text:
            return []
        values = [self.read_one(item, depth) for item in items]
        if None in values or all(isinstance(value, Words) for value in values):
            return []
        kept = [value for value in values if value is not None]
        last = kept[-1]
        if len(kept) == 2 and isinstance(last, Words) and not isinstance(kept[0], Named):
            return []  # "5, the smallest of them"
        first = kept[0]
        if isinstance(first, Named) and not any(isinstance(value, Named) for value in kept[1:]):
            return [Named(first.name, Listing((first.value, *kept[1:])))]
        return [Listing(tuple(kept))]

    # Equality ---------------------------------------------------------------------------------

    def _read_equalities(self, text: str, depth: int) -> list[Value]:
        if "≈" in text:
            return self._read_approximation(text, depth)
        members = [member.strip() for member in split_top(text, _EQUAL)]
        if len(members) < 2 or not members[-1]:
            return []
        if not members[0]:
            return self.read(members[-1], depth + 1)
        first, last = members[0], members[-1]
        value = self.read_one(last, depth)
        if len(members) == 2 and _NAME.fullmatch(last) and not _NAME.fullmatch(first):
            turned = self.read_one(first, depth)
            return [] if turned is None else [Named(last, turned)]
        if value is None:
            return []
        nodes = [read_expression(member, self._mark) for member in members]
        if _NAME.fullmatch(first) or not _MATH.search(first):
            named: list[Value] = [Named(first, value)]
            if (
                len(members) == 2
                and nodes[0] is not None
                and nodes[1] is not None
                and list_names(nodes[1])
            ):
                named.append(Equation((nodes[0], nodes[1]), ("=",)))
            return named
        if (
            self._read_group(first, depth)
            or re.match(r"\\(?:lim|int|sum|prod|frac|overline|vec|hat|left|angle)", first)
            or "\\" in first
        ):
            return [Named(first, value)]
        if nodes[0] is not None and not list_names(nodes[0]):
            return [value]  # 3 + 2 = 5
        if len(members) > 2 or _OPEN_SUM.fullmatch(first) or _POWER_OF_NAME.fullmatch(first):
            return [Named(first, value)]
        if nodes[0] is not None and nodes[1] is not None:
            return [Equation((nodes[0], nodes[1]), ("=",))]
        if re.search(r"[A-Za-z]{3,}", first):
            return [Named(first, value)]
        return []

    def _read_approximation(self, text: str, depth: int) -> list[Value]:
        members = [member.strip() for member in text.split("≈")]
        if len(members) > 4 or not members[-1]:
            return []
        if _NAME.fullmatch(members[0]) or not _MATH.search(members[0]):
            rest = self.read("≈".join(members[1:]), depth + 1)
            if len(members) == 2:
                return [
                    Named(members[0], About(value))
                    for value in rest[:1]
                    if not isinstance(value, Words)
                ]
            return [Named(members[0], value) for value in rest]
        exact = self.read(members[0], depth + 1)
        rounded = [value for member in members[1:] for value in self.read(member, depth + 1)[:1]]
        return [*exact, *rounded] if exact else []

    # One quantity, and what stands around it -----------------------------------------------------

    def _read_scalar(self, text: str, depth: int) -> list[Value]:  # noqa: ARG002 - one of the steps
        return read_scalars(text, self._mark)

    def _read_shortened(self, text: str, depth: int) -> list[Value]:
        """Without an explanation or a remark in brackets."""
        shorter = _EXPLANATION.sub("", text)
        if shorter == text:
            match = re.search(r"\s?\(([^()]*)\)$", text)
            if match is None or not text[: match.start()].strip():
                match = re.match(r"(.*?\d[^.]*)\.\s+(?=[A-Z])", text, re.DOTALL)
                if match is None:
                    return []
                shorter = match[1]
            elif inner := re.match(
                r"(?:or|i\.e\.,?|=|≈|that is,?|oder|also|或)\s*(.+)", match[1], re.IGNORECASE
            ):
                both = [self.read_one(text[: match.start()], depth), self.read_one(inner[1], depth)]
                if both[0] is None or both[1] is None:
                    return []
                return [both[0]] if match[1][:1] in "=≈" else [Listing((both[0], both[1]), "or")]
            elif re.match(r"(?:not|mod|base|remainder)(?!\w)", match[1], re.IGNORECASE):
                if not match[1].lower().startswith("not"):
                    return []
                shorter = text[: match.start()]
            elif not re.search(r"[^\W\d_]{3,}", match[1]):
                return []
            else:
                shorter = text[: match.start()]
        found = self.read(shorter, depth + 1) if shorter.strip() and shorter != text else []
        return [value for value in found if not isinstance(value, Words)]

    def _read_sentence(self, text: str, depth: int) -> list[Value]:
        """The value that a sentence ends in: "the area is 24 square units"."""
        if not re.search(r"[^\W\d_]{2,}", text):
            return []
        links = list(_LINK.finditer(text))
        for match in links[::-1][:8]:
            rest = trim(text[match.end() :])
            if not rest or not (_MATH.search(rest) or rest[:1].isdigit()):
                continue
            if _NEGATION_IN.search(text[: match.end()]):
                return [Negated(text)]
            values = self.read(rest, depth + 2)
            found: list[Value] = [value for value in values if not isinstance(value, Words)]
            if found:
                lead = text[: match.start()].strip()
                tail = _BOUND.search(lead[-40:])
                if tail and tail.end() == len(lead[-40:]):
                    return [_bind(_BOUNDS[int(str(tail.lastgroup)[1:])][0], found[0])]
                return found
        named = _LEAD_WORDS.match(text)
        if named is None or _NEGATION_IN.search(named[0]) or _BOUND.search(named[0]):
            return []
        values = read_scalars(text[named.end() :], self._mark)
        return [value for value in values if isinstance(value, Scalar)]


_FLIPPED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤", "≠": "≠"}


def _find_top(text: str, pattern: re.Pattern[str]) -> list[str]:
    depth = _measure_depth(text)
    return [
        match[0] for match in pattern.finditer(text) if depth is None or not depth[match.start()]
    ]


def _bind(sign: str, value: Value) -> Value:
    if isinstance(value, Named):
        return (
            Named(value.name, About(value.value))
            if sign == "≈"
            else Bound(sign, value.value, value.name)
        )
    return About(value) if sign == "≈" else Bound(sign, value)


def _is_interval(value: Value) -> bool:
    return isinstance(value, Group) and len(value.items) == 2 and value.opening in {"(", "["}


def _is_countable(value: Value) -> bool:
    if isinstance(value, Scalar):
        return value.plain
    return isinstance(value, About) or (isinstance(value, Marked) and value.kind != "product")


def _is_wordy(text: str) -> bool:
    """Whether the text is words: no number stands by itself and no mathematics."""
    rest = _WORDY.sub(" ", text)
    return not _MATH.search(rest) or not re.search(r"[\d√π∞∪∩±\\×÷∅∈=<>≤≥≠^]", rest)


def make_number(value: int) -> Node:
    """Return the tree of a whole number."""
    from fractions import Fraction

    return Node("num", value=Fraction(value))
