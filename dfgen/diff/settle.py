"""Move one-sided changes over white space so that they begin and end where tokens do."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from dfgen.diff.spans import Span

_BLANKS = frozenset(b" \t\n\r")
_FURTHEST = 8


def settle_on_tokens(
    spans: list[tuple[Span, Span]],
    raw: tuple[bytes, bytes],
    offsets: tuple[Sequence[int], Sequence[int]],
) -> list[tuple[Span, Span]]:
    r"""Slide insertions and deletions over equal white space.

    Deleting "\n\nB." and deleting "B.\n\n" gives the same text; with the tokens "A", ".\n\n", "B",
    ".\n\n" only the second leaves every remaining token whole.

    Args:
        spans: byte spans of the changes on the wrong and on the right side, in order.
        raw: both texts in UTF-8.
        offsets: byte offsets of the tokens of both texts.
    """
    settled: list[tuple[Span, Span]] = []
    for index, (a, b) in enumerate(spans):
        side = 0 if a.start != a.end else 1
        if a.start != a.end and b.start != b.end:
            settled.append((a, b))
            continue
        before = settled[-1] if settled else (Span(0, 0), Span(0, 0))
        behind = spans[index + 1] if index + 1 < len(spans) else None
        left = min(a.start - before[0].end, b.start - before[1].end, _FURTHEST)
        ends = (behind[0].start, behind[1].start) if behind else (len(raw[0]), len(raw[1]))
        right = min(ends[0] - a.end, ends[1] - b.end, _FURTHEST)
        low, high = _measure_slide(raw[side], (a, b)[side], left, right)
        shift = 0
        if low or high:
            shift = _choose_shift(a, b, range(-low, high + 1), raw, offsets)
        settled.append((_shift(a, shift), _shift(b, shift)))
    return settled


def _measure_slide(raw: bytes, span: Span, left: int, right: int) -> tuple[int, int]:
    low = 0
    while low < left and raw[span.start - 1 - low] in _BLANKS:
        if raw[span.start - 1 - low] != raw[span.end - 1 - low]:
            break
        low += 1
    high = 0
    while high < right and raw[span.start + high] in _BLANKS:
        if raw[span.start + high] != raw[span.end + high]:
            break
        high += 1
    return low, high


def _choose_shift(
    a: Span,
    b: Span,
    shifts: range,
    raw: tuple[bytes, bytes],
    offsets: tuple[Sequence[int], Sequence[int]],
) -> int:
    """Choose most token edges first, then the start of a line, then the shortest way."""

    def rate(shift: int) -> tuple[int, bool, int]:
        at = a.start + shift
        starts_line = raw[0][at - 1 : at] == b"\n" and raw[0][at : at + 1] != b"\n"
        return _count_edges(a, b, shift, offsets), starts_line, -abs(shift)

    return max(shifts, key=rate)


def _count_edges(a: Span, b: Span, shift: int, offsets: tuple[Sequence[int], Sequence[int]]) -> int:
    edges = 0
    for offset, span in ((offsets[0], a), (offsets[1], b)):
        for place in span:
            edges += offset[bisect_left(offset, place + shift)] == place + shift
    return edges


def _shift(span: Span, by: int) -> Span:
    return Span(span.start + by, span.end + by)
