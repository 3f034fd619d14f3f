# ruff: noqa: PLR0911, PLR0912 - one return for each kind
"""Reads signs of equality and order: x = 5, 2 + 3 = 5, -3 < x < 2, x ∈ (1, 2), 1/3 ≈ 0.33."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from dfgen.grade.brackets import find_top, split_top
from dfgen.grade.expression import list_names, read_expression
from dfgen.grade.number_token import Mark
from dfgen.grade.value_phrases import AND, EQUAL, MATH, NAME, OPEN_SUM, POWER_OF_NAME, RELATION
from dfgen.grade.values import About, Bound, Equation, Group, Listing, Named, Value, Words

_FLIPPED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤", "≠": "≠"}


class RelationReader(ABC):
    """The part of the reader that knows = < > ≤ ≥ ≠ ∈ ≈.

    Args:
        mark: decimal mark for numbers that can be read in two ways.
    """

    def __init__(self, mark: Mark) -> None:
        self._mark = mark

    @abstractmethod
    def read(self, text: str, depth: int) -> list[Value]:
        """Return the readings of a part."""

    @abstractmethod
    def read_one(self, text: str, depth: int) -> Value | None:
        """Return the most literal reading of a part."""

    @abstractmethod
    def _split_list(self, text: str, *, bracketed: bool) -> list[str]: ...

    @abstractmethod
    def _read_group(self, text: str, depth: int) -> list[Value]: ...

    def _read_relations(self, text: str, depth: int) -> list[Value]:
        if not RELATION.search(text):
            return []
        members = split_top(text, RELATION)
        signs = find_top(text, RELATION)
        if len(members) < 2 or len(members) != len(signs) + 1:
            return []
        pieces = self._split_list(text, bracketed=False)
        if len(pieces) > 1 and sum(bool(RELATION.search(piece)) for piece in pieces) > 1:
            values = [self.read_one(piece, depth) for piece in pieces]
            return (
                []
                if None in values
                else [Listing(tuple(value for value in values if value is not None))]
            )
        joined = split_top(text, AND)
        if len(joined) == 2 and all(RELATION.search(piece) for piece in joined):
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
        if len(signs) == 2 and NAME.fullmatch(members[1]) and all(sign in "<≤" for sign in signs):
            ends = [self.read_one(members[0], depth), self.read_one(members[2], depth)]
            if ends[0] is not None and ends[1] is not None:
                group = Group(
                    "(" if signs[0] == "<" else "[",
                    ")" if signs[1] == "<" else "]",
                    (ends[0], ends[1]),
                )
                return [Bound("..", group, members[1].strip())]
        if len(signs) == 2 and NAME.fullmatch(members[1]) and all(sign in ">≥" for sign in signs):
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
        if NAME.fullmatch(left):
            value = self.read_one(right, depth)
            if value is not None and not isinstance(value, Words):
                return [Bound(sign, value, left.strip())]
        if NAME.fullmatch(right):
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

    def _read_equalities(self, text: str, depth: int) -> list[Value]:
        if "≈" in text:
            return self._read_approximation(text, depth)
        members = [member.strip() for member in split_top(text, EQUAL)]
        if len(members) < 2 or not members[-1]:
            return []
        if not members[0]:
            return self.read(members[-1], depth + 1)
        first, last = members[0], members[-1]
        value = self.read_one(last, depth)
        if len(members) == 2 and NAME.fullmatch(last) and not NAME.fullmatch(first):
            turned = self.read_one(first, depth)
            return [] if turned is None else [Named(last, turned)]
        if value is None:
            return []
        nodes = [read_expression(member, self._mark) for member in members]
        if NAME.fullmatch(first) or not MATH.search(first):
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
            if len(members) == 2 and nodes[1] is not None and list_names(nodes[1]):
                return [Equation((nodes[0], nodes[1]), ("=",))]  # 12 = 2x + 3y
            return [value]  # 3 + 2 = 5
        if len(members) > 2 or OPEN_SUM.fullmatch(first) or POWER_OF_NAME.fullmatch(first):
            both = nodes[0] is not None and nodes[1] is not None and len(members) == 2
            equation = [Equation((nodes[0], nodes[1]), ("=",))] if both else []  # type: ignore[arg-type]
            return [Named(first, value), *equation]
        if nodes[0] is not None and nodes[1] is not None:
            return [Equation((nodes[0], nodes[1]), ("=",))]
        if re.search(r"[A-Za-z]{3,}", first):
            return [Named(first, value)]
        return []

    def _read_approximation(self, text: str, depth: int) -> list[Value]:
        members = [member.strip() for member in text.split("≈")]
        if len(members) > 4 or not members[-1]:
            return []
        if NAME.fullmatch(members[0]) or not MATH.search(members[0]):
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
