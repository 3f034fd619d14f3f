"""Tells a root mistake from what only follows from it.

Most of what a repair changes is no mistake of its own: a copied count, a sum, the final answer.
Such a hunk carries a value that an earlier hunk changed, or the result of arithmetic on one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dfgen.diff.hunks import Role
from dfgen.diff.values import (
    NUMBER,
    Value,
    divide,
    evaluate_tail,
    find_numbers,
    find_operands,
    read_value,
)

#: One change of text, as (wrong text, right text).
Texts = tuple[str, str]
#: A number of the wrong text and the one that stands for it in the right text.
Values = tuple[Value, Value]
#: What stands before and behind a change in its line.
Around = tuple[str, str]
_MOST_OPERANDS = 6


def assign_roles(
    changes: Sequence[Texts], read_around: Callable[[int], tuple[Around, Around]]
) -> list[Role]:
    """Say of each change whether it is a root or a consequence of those before it.

    Args:
        changes: the texts of each hunk in the mask, in order.
        read_around: returns what stands around a change in its line, on both sides.
    """
    roles: list[Role] = []
    texts: set[Texts] = set()
    values: set[Values] = set()
    for index, change in enumerate(changes):
        copied = change[0].strip().casefold(), change[1].strip().casefold()
        pairs = _pair_numbers(*change)
        follows = False
        if texts:
            # A comma that is exchanged again follows from nothing.
            spoken = all(any(map(str.isalnum, text)) for text in copied)
            follows = (spoken and copied in texts) or (
                bool(pairs)
                and _only_numbers(*change)
                and (
                    all(p in values for p in pairs)
                    or _follow(pairs, change, read_around(index), values)
                )
            )
        roles.append("consequence" if follows else "root")
        texts.add(copied)
        values.update(pairs)
    return roles


def _pair_numbers(old: str, new: str) -> list[Values]:
    if not old or not new:
        return []
    old_numbers, new_numbers = find_numbers(old), find_numbers(new)
    if len(old_numbers) != len(new_numbers):
        return []
    pairs = zip(map(read_value, old_numbers), map(read_value, new_numbers), strict=True)
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def _only_numbers(old: str, new: str) -> bool:
    """Say whether nothing but the numbers changed."""
    return NUMBER.sub("0", old).split() == NUMBER.sub("0", new).split()


def _follow(
    pairs: Sequence[Values],
    change: Texts,
    around: tuple[Around, Around],
    values: set[Values],
) -> bool:
    """Say whether the values of a change are explained by earlier ones."""
    befores = around[0][0], around[1][0]
    if all(pair in values or _follows(pair, befores, values) for pair in pairs):
        return True
    # 4 - 2 becomes 3 - 2 once 4 was corrected to 2 and 2 to 3: the operands are the same things.
    sides = [
        find_operands(before + text + behind, len(before), len(before) + len(text))
        for text, (before, behind) in zip(change, around, strict=True)
    ]
    return _are_corrected(sides[0], sides[1], values)


def _are_corrected(wrong: Sequence[Value], right: Sequence[Value], values: set[Values]) -> bool:
    """Say whether each operand is, in some order, an earlier one as it was corrected, or as is."""
    if not 1 < len(wrong) == len(right) <= _MOST_OPERANDS:
        return False

    def match(index: int, left: list[Value]) -> bool:
        if index == len(wrong):
            return True
        return any(
            (wrong[index] == value or (wrong[index], value) in values)
            and match(index + 1, [*left[:k], *left[k + 1 :]])
            for k, value in enumerate(left)
        )

    return match(0, list(right))


def _follows(pair: Values, context: Texts, values: set[Values]) -> bool:
    """Say whether a value is the result of the expression in front of it, on both sides.

    The wrong expression must give the old value and the right one the new value: the arithmetic
    was right, its inputs were not. Without expressions, the sum, difference or product of two
    earlier changes will do.
    """
    results = evaluate_tail(context[0]), evaluate_tail(context[1])
    if results[0] is not None and results[1] is not None:
        return results == pair
    return pair[0] != pair[1] and any(completes(pair, term, values) for term in values)


def completes(pair: Values, term: Values, values: set[Values]) -> bool:
    """Say whether `term` and another of the values give `pair` on both sides."""
    (old, new), (a, b) = pair, term
    # What the other one must be is looked up, since trying them all takes cubic time in the end.
    others = [(old - a, new - b), (a - old, b - new)]
    if a and b:
        others.append((divide(old, a), divide(new, b)))
    elif (a or not old) and (b or not new):
        others += [(c, d) for c, d in values if a * c == old and b * d == new]
    return any(other in values and other != term for other in others)
