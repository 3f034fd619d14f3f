# ruff: noqa: E501, PLR0911, PLR0912 - tables of words, one return for each kind
"""Reads an answer: the whole text becomes a value of a kind, or it cannot be read.

The parts of this file go from the outside in: words that turn a value into its opposite or a
bound, signs of equality and order, lists, brackets, marked numbers, one quantity, and at last
sentences around a value. Each returns all readings that the writing allows: "2,3" is a number with
a decimal comma and a list of two.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from dfgen.grade.brackets import CLOSING, measure_depth, split_top, trim
from dfgen.grade.canonical import LONGEST, SET_CLOSE, SET_OPEN, write_canonical
from dfgen.grade.decisive import is_decisive
from dfgen.grade.number_token import TOKEN, Mark, read_number
from dfgen.grade.number_words import read_number_words
from dfgen.grade.reading_marked import join_range, read_marked, read_spelled
from dfgen.grade.reading_relations import RelationReader
from dfgen.grade.reading_scalar import read_scalars
from dfgen.grade.value_phrases import (
    ALL_REAL,
    AND,
    BETWEEN,
    BOUND,
    BOUNDS,
    DISCOURSE,
    EXACTLY,
    EXPLANATION,
    HEDGE,
    HYPHEN_RANGE,
    LEAD_WORDS,
    LINK,
    MATH,
    MEASURED_SIDES,
    MIXED_AND,
    NAMED_RATIO,
    NEGATION_IN,
    NO_LEAD,
    NO_SOLUTION,
    NONE_OF,
    NOT,
    OR,
    POINT,
    QUESTION,
    RANGE_WORDS,
    RELATION,
    RETRACTED,
    RETRACTION,
    SEMICOLON,
    SET_BUILDER,
    SO,
    SPACED,
    SUFFIX_BOUND,
    TURNED,
    WORDY,
)
from dfgen.grade.values import (
    INFINITE,
    MINUS_INFINITE,
    About,
    Bound,
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
_DEEPEST = 6
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


class _Reader(RelationReader):
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
        """Return the most literal reading of a part."""
        return next(iter(self.read(text, depth + 1)), None)

    # Words and signs around a value ---------------------------------------------------------

    def _read_modified(self, text: str, depth: int) -> list[Value]:
        if text[:1] in "<>≤≥≠≈~" and not RELATION.search(text[1:]):
            value = self.read_one(text[1:], depth)
            sign = "≈" if text[0] in "≈~" else text[0]
            return [] if value is None else [_bind(sign, value)]
        if (match := BOUND.match(text)) and (
            not text[match.end() : match.end() + 1].isalpha() or text[match.end() - 1] >= "\u4e00"
        ):
            value = self.read_one(text[match.end() :], depth)
            sign = BOUNDS[int(str(match.lastgroup)[1:])][0]
            if value is not None and not isinstance(value, Words):
                return [_bind(sign, value)]
        if match := NOT.match(text):
            if match[0].strip().lower() in {"no", "not", "pas"} and NO_SOLUTION.fullmatch(text):
                return []
            return [Negated(text)] if text[match.end() :] else []
        for sign, pattern in SUFFIX_BOUND:
            if match := pattern.search(text):
                value = self.read_one(text[: match.start()], depth)
                if isinstance(value, Scalar) or (sign == "≈" and value is not None):
                    return [_bind(sign, value)]
        hedge = HEDGE.match(text) if MATH.search(text) else None
        if hedge and self.read_one(text[hedge.end() :], depth) is not None:
            return [Negated(text)]
        if (match := DISCOURSE.match(text)) and text[match.end() :]:
            return self.read(text[match.end() :], depth + 1)
        if match := NAMED_RATIO.search(text):
            return self.read(text[: match.start()], depth + 1)
        if (match := EXACTLY.match(text)) and text[match.end() :]:
            return self.read(text[match.end() :], depth + 1)
        if NO_SOLUTION.fullmatch(text):
            return [EMPTY]
        return []

    def _read_retraction(self, text: str, depth: int) -> list[Value]:
        parts = QUESTION.split(text, maxsplit=1)
        if len(parts) == 2 and MATH.search(parts[0]):
            rest = parts[1]
            if match := RETRACTION.match(rest):
                rest = rest[match.end() :]
            return self.read(rest, depth + 1) or [Negated(text)]
        if text.endswith("?") and MATH.search(text):
            return [Negated(text)]
        parts = RETRACTED.split(text, maxsplit=1)
        if len(parts) == 2 and parts[0].strip() and MATH.search(parts[1]):
            return self.read(parts[1], depth + 1)
        if match := SO.match(text):  # "4 rows of 7, so 4 × 7 = 28 chairs"
            return [
                value
                for value in self.read(text[match.end() :], depth + 1)
                if not isinstance(value, Words)
            ]
        return []

    def _read_alternatives(self, text: str, depth: int) -> list[Value]:
        parts = split_top(text, OR)
        if len(parts) < 2 or not all(part.strip() for part in parts) or not MATH.search(text):
            return []
        if (
            SUFFIX_BOUND[0][1].search(text)
            or SUFFIX_BOUND[1][1].search(text)
            or SUFFIX_BOUND[2][1].search(text)
        ):
            return []
        values: list[Value] = []
        for part in parts:
            value = self.read_one(HEDGE.sub("", part.strip(), count=1), depth)
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

    def _read_range(self, text: str, depth: int) -> list[Value]:
        if marked := read_marked(text):
            return list(marked)
        if spelled := read_spelled(text):
            return spelled
        if match := MEASURED_SIDES.fullmatch(text):
            sides = [self.read_one(side, depth) for side in match.groups() if side]
            if all(isinstance(side, Scalar) for side in sides):
                return [Group("×", "×", tuple(side for side in sides if side is not None))]
        pair: tuple[str, str] | None = None
        if (match := BETWEEN.fullmatch(text)) or (
            (match := HYPHEN_RANGE.fullmatch(text)) and "--" not in text[1:2] and "=" not in text
        ):
            pair = (match[1], match[2])
        else:
            parts = split_top(text, RANGE_WORDS)
            if len(parts) == 2 and all(part.strip() for part in parts) and "→" not in text:
                pair = (parts[0], parts[1])
        if pair is None:
            return []
        low, high = self.read_one(pair[0], depth), self.read_one(pair[1], depth)
        if low is None or high is None or not _is_countable(low) or not _is_countable(high):
            return []
        found: list[Value] = [join_range(low, high)]
        if re.fullmatch(r"\d+ to \d+", text):
            found.append(Marked("ratio", tuple(Fraction(part) for part in text.split(" to "))))
        return found

    # Brackets and lists -----------------------------------------------------------------------

    def _read_whole(self, text: str, depth: int) -> list[Value]:
        if text in {"∅", "{}", SET_OPEN + SET_CLOSE, "[]", "()"}:
            return [EMPTY]
        if ALL_REAL.fullmatch(text):
            return [Group("(", ")", (MINUS_INFINITE, INFINITE))]
        if "\\begin" in text:
            if text[0] in "([" and text[-1] in ")]":
                text = text[1:-1].strip()
            return self._read_matrix(text, depth)
        if match := TURNED.fullmatch(text):  # ]2, 5[ is (2, 5) in French and German
            text = (
                ("(" if match[1] == "]" else match[1])
                + match[2]
                + (")" if match[3] == "[" else match[3])
            )
        parts = split_top(text, re.compile("∪"))
        if len(parts) > 1:
            values = [self.read_one(part, depth) for part in parts]
            return (
                []
                if None in values
                else [Union(tuple(value for value in values if value is not None))]
            )
        if match := SET_BUILDER.fullmatch(text):
            return self.read(match[1], depth + 1)
        if match := POINT.match(text):
            inner = self._read_group(text[match.end() :], depth)
            if inner and isinstance(inner[0], Group) and len(inner[0].items) > 1:
                return [Named(match[1], inner[0])]
        return self._read_group(text, depth)

    def _read_group(self, text: str, depth: int) -> list[Value]:
        if text[:1] not in set("([{⟨" + SET_OPEN) or text[-1:] not in set(CLOSING) or len(text) < 3:
            return []
        levels = measure_depth(text)
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
            len(items) == 1 and depth == 0 and text[0] == "{" and not MATH.search(text)
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
        parts = split_top(text, SEMICOLON)
        if len(parts) > 1:
            return [part for part in (part.strip() for part in parts) if part]
        depth = measure_depth(text)
        if depth is None:
            return [text]
        inside: set[int] = set()
        wide = bool(re.search(r",\s", text))
        for token in TOKEN.finditer(text):
            if "," not in token[0] or token[0][0] == ",":
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
            for piece in (
                split_top(part, AND)
                if MATH.search(part) or len(parts) > 1 or read_number_words(part.lower())
                else [part]
            )
        ]
        return [piece for piece in (piece.strip() for piece in pieces) if piece]

    def _read_list(self, text: str, depth: int) -> list[Value]:
        if SPACED.fullmatch(text) and not re.fullmatch(r"-?\d{1,3}(?: \d{3})+", text):
            return [Negated(text)]
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
        if not MATH.search(text) and read_number_words(text.lower()) is None:
            return []
        scalar = read_scalars(text, self._mark)  # 5 dollars and 25 cents; one thousand and one
        if scalar and isinstance(scalar[0], Scalar):
            return scalar
        if EXPLANATION.search(text) and EXPLANATION.sub("", text) != text:
            return []
        values = [self.read_one(item, depth) for item in items]
        if None in values or all(isinstance(value, Words) for value in values):
            return []
        kept = [value for value in values if value is not None]
        if isinstance(kept[0], Words):
            return []  # "In the picture, 5 and 6"
        if len(kept) == 2 and isinstance(kept[1], Negated) and any(map(str.isdigit, items[1])):
            return kept[:1]  # "7, not 8"
        last = kept[-1]
        if len(kept) == 2 and isinstance(last, Words) and not isinstance(kept[0], Named):
            return []  # "5, the smallest of them"
        first = kept[0]
        if isinstance(first, Named) and not any(isinstance(value, Named) for value in kept[1:]):
            return [Named(first.name, Listing((first.value, *kept[1:])))]
        mixed = MIXED_AND.fullmatch(text)  # "2 and 3/4" may also be one number
        whole = read_scalars(f"{mixed[1]} {mixed[2]}", self._mark) if mixed else []
        return [Listing(tuple(kept)), *whole]

    # One quantity, and what stands around it -----------------------------------------------------

    def _read_scalar(self, text: str, depth: int) -> list[Value]:  # noqa: ARG002 - one of the steps
        return read_scalars(text, self._mark)

    def _read_shortened(self, text: str, depth: int) -> list[Value]:
        """Without an explanation or a remark in brackets."""
        shorter = EXPLANATION.sub("", text)
        if shorter == text:
            match = re.search(r"\s?\(([^()]*)\)$", text)
            if match is None or not text[: match.start()].strip():
                match = re.match(r"(.*?\d[^.]*)\.\s+(?=[A-Z])", text, re.DOTALL)
                if match is None:
                    return []
                shorter = match[1]
                if len(shorter.split()) > 3 and any(map(str.isdigit, text[match.end() :])):
                    return []  # "I thought it was 28. It is 30."
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
        if NONE_OF.match(text):
            return [Negated(text)]
        links = list(LINK.finditer(text))
        for match in links[::-1][:8]:
            rest = trim(text[match.end() :])
            if not rest or not (MATH.search(rest) or read_number_words(rest.lower())):
                continue
            if NEGATION_IN.search(text[: match.end()]):
                return [Negated(text)]
            values = self.read(rest, depth + 2)
            found: list[Value] = [value for value in values if not isinstance(value, Words)]
            if found:
                lead = text[: match.start()].strip()
                tail = BOUND.search(lead[-40:])
                if tail and tail.end() == len(lead[-40:]):
                    return [_bind(BOUNDS[int(str(tail.lastgroup)[1:])][0], found[0])]
                return [_add_words(value, lead) for value in found]
        named = LEAD_WORDS.match(text)
        if (
            named is None
            or NO_LEAD.search(named[0])
            or NEGATION_IN.search(named[0])
            or BOUND.search(named[0])
        ):
            return []
        values = self.read(text[named.end() :], depth + 1)
        return [
            _add_words(value, named[0])
            for value in values
            if not isinstance(value, Words | Listing)
        ]


def _add_words(value: Value, lead: str) -> Value:
    """ "a decrease of 20%": words before a value that turn it count as those behind it."""
    words = tuple(word for word in re.findall(r"[^\W\d_]+", lead.lower()) if is_decisive(word))
    unit = value.unit if isinstance(value, Scalar) else None
    if lead.strip().lower() == "in" and unit is not None and unit.label in {"time", "calendar"}:
        words = ("later",)  # "in 3 years" is not "3 years ago"
    return (
        replace(value, words=value.words + words) if words and isinstance(value, Scalar) else value
    )


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
    rest = WORDY.sub(" ", text)
    return not MATH.search(rest) or not re.search(r"[\d√π∞∪∩±\\×÷∅∈=<>≤≥≠^]", rest)
