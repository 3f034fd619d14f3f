"""The last number of a text that states no answer."""

from __future__ import annotations

import re

from dfgen.grade.characters import fold_characters
from dfgen.grade.number_token import Mark
from dfgen.grade.quantity_search import find_quantities

_SEGMENT = re.compile(
    r"\$\$(?P<a>[^$]{1,500})\$\$|(?<!\\)\$(?P<b>[^$\n]{1,500})\$"
    r"|\\\((?P<c>[^\n]{1,500}?)\\\)|\\\[(?P<d>[^\[\]]{1,500})\\\]"
)
_PART_BEFORE = frozenset("{^_\\/")
_PART_AFTER = re.compile(r"[}^_{\\/]|[A-Za-zπ]")
_BEFORE = re.compile(r"\S{0,200}\Z")
_AFTER = re.compile(r"\S{0,200}")


def find_last_quantity(completion: str, start: int, mark: Mark) -> tuple[int, int] | None:
    r"""Return the offsets of the last number from `start` on, with its sign and unit.

    A number that is part of an expression comes with all of it: the 3 of `$15\sqrt{3}$` is no
    answer by itself.
    """
    text = fold_characters(completion[start:])
    found = find_quantities(text, mark)
    if not found:
        return None
    begin, end = found[-1].start, found[-1].end
    if len(found) > 1 and text[found[-2].end : begin].strip() in {"≈", "≃", "≅"}:
        begin = found[-2].start  # the exact value comes before its rounding
    for match in _SEGMENT.finditer(text):
        if match.start() <= begin and end <= match.end():
            inner = next(name for name in "abcd" if match[name])
            return start + match.start(inner), start + match.end(inner)
    before = text[begin - 1] if begin else ""
    if before in _PART_BEFORE or _PART_AFTER.match(text, end):
        head = _BEFORE.search(text, max(0, begin - 200), begin)
        tail = _AFTER.match(text, end)
        begin = head.start() if head else begin
        end = tail.end() if tail else end
        end -= len(text[begin:end]) - len(text[begin:end].rstrip(".,;:!?"))
    return start + begin, start + end
