"""Finds sentences and steps that stand in another order, before anything else is aligned.

Levenshtein has no word for a swap: it replaces one sentence by the other, word by word. Sentences
that occur once on both sides and are out of order are taken out of both texts, the rest is aligned,
and they are put back as a deletion and an insertion of the same words: a move.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from dfgen.diff.align import Edit, TypedEdit, measure_edit
from dfgen.diff.atoms import Units

_ENDS = frozenset(".!?。！？…")
_CLOSERS = frozenset("\"'”’»)]*_`）」』")
_STOPS = _ENDS | _CLOSERS | {"...", "**", "``"}
_ORDINALS = frozenset({"step", "schritt", "krok", "крок", "шаг", "paso", "étape"})
#: More sentences than this between the first edit and the last are not looked at.
_MOST_SEGMENTS = 400
#: A sentence of which the plain alignment changes at most this share took over another's values.
_SAME_SENTENCE = 1 / 3


class Segment(NamedTuple):
    """A sentence, line or step label: units [start, end)."""

    start: int
    end: int
    label: bool


@dataclass(frozen=True)
class Blocks:
    """Units [start, end) of both sides that moved, in order of each side."""

    wrong: list[tuple[int, int]]
    right: list[tuple[int, int]]

    def drop(self, units: Units, side: str) -> Units:
        """Return the units that did not move."""
        kept = self.list_kept(len(units), side)
        return Units(
            units.text,
            [units.keys[k] for k in kept],
            [*(units.starts[k] for k in kept), units.starts[-1]],
            [*(units.ends[k] for k in kept), units.ends[-1]],
        )

    def list_kept(self, count: int, side: str) -> list[int]:
        """Return the indices of the units that did not move."""
        blocks = self.wrong if side == "wrong" else self.right
        moved = {k for start, end in blocks for k in range(start, end)}
        return [k for k in range(count) if k not in moved]


def find_swaps(edits: Sequence[Edit], wrong: Units, right: Units, min_units: int) -> Blocks | None:
    """Find sentences in another order.

    Args:
        edits: the plain alignment; a pair without a swap is recognised by it at once.
        wrong, right: the units of both texts.
        min_units: shortest sentence that counts as moved.

    Returns:
        The blocks that moved, or None.
    """
    if not _may_swap(edits, wrong, right):
        return None
    first, last = edits[0], edits[-1]
    ours = list_segments(wrong, first.i0, last.i1)
    theirs = list_segments(right, first.j0, last.j1)
    ours, theirs = _join_labels(ours, theirs, wrong, right)
    if min(len(ours), len(theirs)) < 2 or max(len(ours), len(theirs)) > _MOST_SEGMENTS:
        return None
    pairs = _match(ours, theirs, wrong, right)
    if all(a[1] < b[1] for a, b in pairwise(pairs)):
        return None
    pairs = [p for p in pairs if not _took_values(p, pairs, ours, theirs, edits)]
    kept = _keep_heaviest(pairs, ours, min_units)
    labels = [k for k, segment in enumerate(ours) if segment.label]
    crossed = {
        q
        for q in kept
        for p in pairs
        if p not in kept and (p[0] < q[0]) != (p[1] < q[1]) and _has_between(labels, p[0], q[0])
    }
    # The words of two numbered steps that changed places both moved; their numbers did not.
    moved = [
        p for p in pairs if (p not in kept or p in crossed) and _measure(ours[p[0]]) >= min_units
    ]
    if not moved:
        return None
    return _make_blocks(moved, ours, theirs, wrong, right)


def _make_blocks(
    moved: Sequence[tuple[int, int]],
    ours: list[Segment],
    theirs: list[Segment],
    wrong: Units,
    right: Units,
) -> Blocks:
    """Make blocks of the sentences that moved, with the short ones that moved along ("Right.")."""

    def is_same(a: int, b: int) -> bool:
        if not (0 <= a < len(ours) and 0 <= b < len(theirs)) or a in used or b in taken:
            return False
        mine, other = ours[a], theirs[b]
        keys = wrong.keys[mine.start : mine.end]
        return not mine.label and keys == right.keys[other.start : other.end]

    used, taken = {a for a, _ in moved}, {b for _, b in moved}
    blocks: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for a, b in moved:
        low, high = 0, 0
        while is_same(a - low - 1, b - low - 1):
            low += 1
        while is_same(a + high + 1, b + high + 1):
            high += 1
        used.update(range(a - low, a + high + 1))
        taken.update(range(b - low, b + high + 1))
        blocks.append(
            (
                (ours[a - low].start, ours[a + high].end),
                (theirs[b - low].start, theirs[b + high].end),
            )
        )
    return Blocks([mine for mine, _ in blocks], sorted(other for _, other in blocks))


def _has_between(places: Sequence[int], one: int, other: int) -> bool:
    low, high = sorted((one, other))
    return any(low < place < high for place in places)


def _join_labels(
    ours: list[Segment], theirs: list[Segment], wrong: Units, right: Units
) -> tuple[list[Segment], list[Segment]]:
    """Join a label to its sentence where both sides have them together: they move as one."""

    def list_pairs(segments: list[Segment], units: Units) -> dict[tuple[str, ...], int]:
        return {
            tuple(units.keys[a.start : b.end]): k
            for k, (a, b) in enumerate(pairwise(segments))
            if a.label and not b.label
        }

    old, new = list_pairs(ours, wrong), list_pairs(theirs, right)
    both = old.keys() & new.keys()
    return _join_at(ours, {old[key] for key in both}), _join_at(theirs, {new[key] for key in both})


def _join_at(segments: list[Segment], places: set[int]) -> list[Segment]:
    joined: list[Segment] = []
    for k, segment in enumerate(segments):
        if k - 1 in places:
            joined[-1] = Segment(joined[-1].start, segment.end, False)
        else:
            joined.append(segment)
    return joined


def _may_swap(edits: Sequence[Edit], wrong: Units, right: Units) -> bool:
    """Say whether words that the plain alignment takes away come back elsewhere, at least two.

    Of two sentences that differ in anything each has a word that the other has not.
    """
    if len(edits) < 2 and not (edits and measure_edit(edits[0]) > 3):
        return False
    old = {key for e in edits for key in wrong.keys[e.i0 : e.i1] if key[-1].isalnum()}
    return len(old.intersection(k for e in edits for k in right.keys[e.j0 : e.j1])) > 1


def list_segments(units: Units, start: int, end: int) -> list[Segment]:
    """Cut units into sentences, lines and step labels, those that overlap [start, end)."""
    count = len(units)
    while start > 0 and not _opens_segment(units, start):
        start -= 1
    while end < count and not _opens_segment(units, end):
        end += 1
    cuts = [k for k in _list_candidates(units, start, end) if _opens_segment(units, k)]
    segments: list[Segment] = []
    for a, b in zip([start, *cuts], [*cuts, end], strict=True):
        label = _measure_label(units, a, b)
        if label:
            segments.append(Segment(a, a + label, True))
        if a + label < b:
            segments.append(Segment(a + label, b, False))
    return segments


def _list_candidates(units: Units, start: int, end: int) -> list[int]:
    """Return the units in (start, end) that stand behind a line break, a full stop or a quote."""
    found = {k for k, key in enumerate(units.keys[start : end - 1], start + 1) if key in _STOPS}
    at = units.text.find("\n", units.ends[start], units.starts[end - 1])
    while at >= 0:
        index = bisect_left(units.starts, at)
        found.add(index)
        # Where tokens are the units, a line break can be one.
        at = units.text.find("\n", max(units.starts[index], at + 1), units.starts[end - 1])
    return sorted(k for k in found if start < k < end)


def _opens_segment(units: Units, index: int) -> bool:
    blank = units.text[units.ends[index - 1] : units.starts[index]]
    if "\n" in blank:
        return True
    before = units.keys[index - 1]
    if before[-1] in _ENDS:
        # A point inside "e.g." or "3." of a list is followed by no blank or by the item itself.
        return bool(blank) or before[-1] in "。！？"
    return before[-1] in _CLOSERS and index > 1 and units.keys[index - 2][-1] in _ENDS


def _measure_label(units: Units, start: int, end: int) -> int:
    """Return how many units at the start number a step: "Step 1:", "2.", "**Step 3**"."""
    k = start
    while k < end and set(units.keys[k]) <= {"*", "#", "_"}:
        k += 1
    if k < end and units.keys[k].lower() in _ORDINALS:
        k += 1
    if k >= end or not units.keys[k].isdecimal() or len(units.keys[k]) > 3:
        return 0
    k += 1
    while k < end and (units.keys[k] in {".", ":", ")"} or set(units.keys[k]) <= {"*"}):
        k += 1
    named = any(units.keys[j].lower() in _ORDINALS for j in range(start, k))
    return k - start if named or units.keys[k - 1] in {".", ":", ")"} else 0


def _measure(segment: Segment) -> int:
    return segment.end - segment.start


def _match(
    ours: list[Segment], theirs: list[Segment], wrong: Units, right: Units
) -> list[tuple[int, int]]:
    """Pair sentences that occur once on each side, as indices in order of the wrong side."""
    keys = [tuple(wrong.keys[s.start : s.end]) for s in ours]
    others = [tuple(right.keys[s.start : s.end]) for s in theirs]
    counts, other_counts = Counter(keys), Counter(others)
    places = {key: j for j, key in enumerate(others) if other_counts[key] == 1}
    return [
        (i, places[key])
        for i, key in enumerate(keys)
        if counts[key] == 1 and key in places and not ours[i].label
    ]


def _took_values(
    pair: tuple[int, int],
    pairs: Sequence[tuple[int, int]],
    ours: list[Segment],
    theirs: list[Segment],
    edits: Sequence[Edit],
) -> bool:
    """Say whether a sentence stays where it is and has the values of one further off.

    "Left: I see 3. ... Right: I see 4." with 3 and 4 exchanged is another claim, not another order.
    Between neighbours nothing stands that could give either its meaning.
    """
    segment = ours[pair[0]]
    changed, shift = 0, 0
    for edit in edits:
        if edit.i1 <= segment.start:
            shift = edit.j1 - edit.i1
        elif edit.i0 >= segment.end:
            break
        else:
            changed += min(edit.i1, segment.end) - max(edit.i0, segment.start)
    if not changed or changed > _SAME_SENTENCE * _measure(segment):
        return False
    at = bisect_right([s.start for s in theirs], segment.start + shift) - 1
    if at == pair[1]:
        return False
    other = next((a for a, b in pairs if b == at), None)
    if other is None:
        return False
    low, high = sorted((other, pair[0]))
    return not all(ours[k].label for k in range(low + 1, high))


def _keep_heaviest(
    pairs: Sequence[tuple[int, int]], ours: list[Segment], min_units: int
) -> set[tuple[int, int]]:
    """Return the pairs in order that hold the most units; short sentences are not to be moved."""
    weights = [size if (size := _measure(ours[a])) >= min_units else 1000 * size for a, _ in pairs]
    best = list(weights)
    before = [-1] * len(pairs)
    for k in range(len(pairs)):
        for m in range(k):
            if pairs[m][1] < pairs[k][1] and best[m] + weights[k] > best[k]:
                best[k], before[k] = best[m] + weights[k], m
    kept: set[tuple[int, int]] = set()
    at = max(range(len(pairs)), key=best.__getitem__, default=-1)
    while at >= 0:
        kept.add(pairs[at])
        at = before[at]
    return kept


def put_back(typed: Sequence[TypedEdit], blocks: Blocks, count: int, other: int) -> list[TypedEdit]:
    """Turn edits of the units that did not move into edits of all, moves as one-sided edits.

    Args:
        typed: of what `Blocks.drop` left, in order.
        blocks: that moved.
        count, other: how many units the two sides have.
    """
    ours, theirs = blocks.list_kept(count, "wrong"), blocks.list_kept(other, "right")
    walker = _Walker(blocks)
    a = b = 0
    for edit, form in [*typed, (Edit(len(ours), len(ours), len(theirs), len(theirs)), True)]:
        while a < edit.i0:
            walker.meet(ours[a], theirs[b])
            a, b = a + 1, b + 1
        olds, news = _list_runs(ours[edit.i0 : edit.i1]), _list_runs(theirs[edit.j0 : edit.j1])
        for k in range(max(len(olds), len(news))):
            walker.change(
                olds[k] if k < len(olds) else None, news[k] if k < len(news) else None, form
            )
        a, b = edit.i1, edit.j1
    walker.pass_moved(count, other)
    return walker.edits


def _list_runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and runs[-1][1] == index:
            runs[-1] = runs[-1][0], index + 1
        else:
            runs.append((index, index + 1))
    return runs


class _Walker:
    """Walks both sides; `i` and `j` are the next units."""

    def __init__(self, blocks: Blocks) -> None:
        self.wrong, self.right = dict(blocks.wrong), dict(blocks.right)
        self.edits: list[TypedEdit] = []
        self.i = self.j = 0

    def pass_moved(self, i: int, j: int) -> None:
        """Note the blocks that moved away or here, up to (i, j)."""
        while self.i < i:
            end = self.wrong[self.i]
            self.edits.append((Edit(self.i, end, self.j, self.j), False))
            self.i = end
        while self.j < j:
            end = self.right[self.j]
            self.edits.append((Edit(self.i, self.i, self.j, end), False))
            self.j = end

    def meet(self, i: int, j: int) -> None:
        """Step over an equal unit."""
        self.pass_moved(i, j)
        self.i, self.j = i + 1, j + 1

    def change(self, old: tuple[int, int] | None, new: tuple[int, int] | None, form: bool) -> None:
        """Note an edit of units that did not move."""
        self.pass_moved(old[0] if old else self.i, new[0] if new else self.j)
        i1, j1 = old[1] if old else self.i, new[1] if new else self.j
        self.edits.append((Edit(self.i, i1, self.j, j1), form))
        self.i, self.j = i1, j1
