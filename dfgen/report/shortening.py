"""Cuts a very long answer down to what people look at, before anything is laid out.

Kept are the beginning, the end, and every edit with what stands around it, until the budget is
spent. What lies between becomes one token that says how much is left out. The repaired side loses
the same stretches: outside the edits both sides are equal. Nobody reads a megabyte in a terminal,
and laying one out takes minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Hunk = dict[str, Any]
Span = tuple[int, int]

HEAD, TAIL, AROUND, INSIDE = 300, 200, 40, 120
"""Tokens kept at the beginning and the end, on each side of an edit, and of a long edit's two
ends."""
RIGHT_BYTES = 4 * INSIDE
"""Bytes kept of each end of a long edit on the repaired side."""

_OF_TOKENS = ("completion_ids", "loss_mask", "logprobs", "token_ops", "step_ids", "weights")


def shorten(
    row: Mapping[str, Any], hunks: Sequence[Hunk], budget: int
) -> tuple[Mapping[str, Any], list[Hunk | None]]:
    """Cut a row of the masks to about `budget` tokens; a shorter row is given back as it is.

    Args:
        row: with the columns that a view is built of.
        hunks: its edits, as stored.
        budget: tokens to keep.

    Returns:
        A row of the same form with one more column, `indices` (which tokens were kept), and its
        edits with their new places; None for an edit that lies in what was left out.
    """
    total = len(row["completion_ids"])
    if total <= budget and len(row["repair"] or "") <= 8 * budget:
        return {**row, "indices": range(total)}, list(hunks)
    data, repair = row["completion"].encode(), (row["repair"] or "").encode()
    offsets = row["token_bytes"]
    cuts = [
        cut
        for a, b in _find_cuts(total, hunks, budget)
        for cut in _fit_to_characters(data, offsets, a, b)
    ]
    wrong = _Cutting([(offsets[a], offsets[b]) for a, b in cuts], _MARK)
    right = _Cutting(list(_find_right_cuts(cuts, hunks, offsets, repair)), _MARK)
    tokens = _Cutting(cuts, "x")
    short = {
        **row,
        **{name: _cut_list(row[name], cuts) for name in _OF_TOKENS if row[name] is not None},
        "indices": list(_iter_kept(total, cuts)),
        "completion": wrong.apply(data).decode(),
        "repair": None if row["repair"] is None else right.apply(repair).decode(),
        "token_bytes": [wrong.move(offsets[i]) for i in _iter_kept(len(offsets), cuts)],
    }
    if row["gap_mask"] is not None:
        kept = list(_iter_kept(total + 1, cuts))
        short["gap_mask"] = [row["gap_mask"][i] for i in kept]
    for a, _ in cuts:  # the mark is nobody's edit and carries no gradient
        place = tokens.move(a)
        short["loss_mask"][place] = False
        if short["token_ops"] is not None:
            short["token_ops"][place] = 0
    return short, [_move_hunk(hunk, cuts, wrong, right, tokens) for hunk in hunks]


_MARK = " … {:,} bytes left out here … "


class _Cutting:
    """Cuts stretches out of a sequence and puts a mark in the place of each."""

    def __init__(self, cuts: Sequence[Span], mark: str) -> None:
        self._cuts = cuts
        self._marks = [mark.format(b - a).encode() for a, b in cuts]

    def apply(self, data: bytes) -> bytes:
        parts, at = [], 0
        for (a, b), mark in zip(self._cuts, self._marks, strict=True):
            parts += [data[at:a], mark]
            at = b
        return b"".join([*parts, data[at:]])

    def move(self, place: int) -> int:
        """Where a place of the whole is now; one inside of a cut is at its mark."""
        shift = 0
        for (a, b), mark in zip(self._cuts, self._marks, strict=True):
            if place <= a:
                break
            if place < b:
                return a + shift
            shift += len(mark) - (b - a)
        return place + shift


def _find_cuts(total: int, hunks: Sequence[Hunk], budget: int) -> Iterator[Span]:
    """Token ranges to leave out, in order."""
    kept = [(0, min(HEAD, total)), (max(0, total - TAIL), total)]
    size = HEAD + TAIL
    for hunk in hunks:
        first, last = hunk["wrong_tokens"]
        if last - first <= 2 * INSIDE:
            windows = [(first - AROUND, last + AROUND)]
        else:
            windows = [(first - AROUND, first + INSIDE), (last - INSIDE, last + AROUND)]
        size += sum(b - a for a, b in windows)
        if size > budget:
            break
        kept += [(max(0, a), min(total, b)) for a, b in windows]
    # An edit that only a part of would be seen is seen whole, or not at all.
    kept.sort()
    end = kept[0][1]
    for a, b in kept[1:]:
        if a > end + 1:
            yield from _avoid_parts((end, a), hunks)
        end = max(end, b)


def _avoid_parts(cut: Span, hunks: Sequence[Hunk]) -> Iterator[Span]:
    """Move the ends of a cut out of short edits that they would split."""
    a, b = cut
    for hunk in hunks:
        first, last = hunk["wrong_tokens"]
        if last - first > 2 * INSIDE:
            continue
        if first < a < last:
            a = last
        if first < b < last:
            b = first
    if a < b:
        yield a, b


def _find_right_cuts(
    cuts: Sequence[Span], hunks: Sequence[Hunk], offsets: Sequence[int], repair: bytes
) -> Iterator[Span]:
    """The stretches of the repair that the cuts leave out, and the middles of long edits."""
    found = []
    for a, b in cuts:
        start = _to_right(offsets[a], hunks, RIGHT_BYTES, at_start=True)
        end = _to_right(offsets[b], hunks, RIGHT_BYTES, at_start=False)
        found.append((start, end))
    for hunk in hunks:
        start, end = hunk["right_bytes"]
        if end - start > 3 * RIGHT_BYTES:
            found.append((start + RIGHT_BYTES, end - RIGHT_BYTES))
    reached = 0
    for start, end in sorted(found):
        a, b = _to_character(repair, max(start, reached)), _to_character(repair, end)
        if a < b:
            yield a, b
            reached = b


def _to_right(place: int, hunks: Sequence[Hunk], inside: int, *, at_start: bool) -> int:
    """The place of the repair that belongs to one of the completion."""
    shift = 0
    for hunk in hunks:
        (w0, w1), (r0, r1) = hunk["wrong_bytes"], hunk["right_bytes"]
        if w0 < place < w1:
            return int(min(r0 + inside, r1) if at_start else max(r1 - inside, r0))
        if w1 > place or (w1 == place and w0 == w1 and not at_start):
            break
        shift = int(r1 - w1)
    return place + shift


def _cut_list(values: Sequence[Any], cuts: Sequence[Span]) -> list[Any]:
    """The kept values; of each cut the first stays, for the mark."""
    parts: list[Any] = []
    at = 0
    for a, b in cuts:
        parts += values[at : a + 1]
        at = b
    return [*parts, *values[at:]]


def _iter_kept(total: int, cuts: Sequence[Span]) -> Iterator[int]:
    at = 0
    for a, b in cuts:
        yield from range(at, a + 1)
        at = b
    yield from range(at, total)


def _move_hunk(
    hunk: Hunk, cuts: Sequence[Span], wrong: _Cutting, right: _Cutting, tokens: _Cutting
) -> Hunk | None:
    first, last = hunk["wrong_tokens"]
    if any(a <= first and last <= b and (a < b) and (first, last) != (b, b) for a, b in cuts):
        return None
    return {
        **hunk,
        "wrong_tokens": [tokens.move(first), tokens.move(last)],
        "wrong_bytes": [wrong.move(place) for place in hunk["wrong_bytes"]],
        "right_bytes": [right.move(place) for place in hunk["right_bytes"]],
    }


def _fit_to_characters(data: bytes, offsets: Sequence[int], a: int, b: int) -> Iterator[Span]:
    """Make a cut smaller until it begins and ends between characters; nothing if none is left."""
    while a < b and not _starts_character(data, offsets[a]):
        a += 1
    while a < b and not _starts_character(data, offsets[b]):
        b -= 1
    if a < b:
        yield a, b


def _starts_character(data: bytes, place: int) -> bool:
    return place >= len(data) or (data[place] & 0xC0) != 0x80


def _to_character(data: bytes, place: int) -> int:
    while place < len(data) and data[place] & 0xC0 == 0x80:
        place += 1
    return place
