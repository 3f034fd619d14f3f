"""Makes the edits of a pair as they are stored (hunks) from its edit script."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from dfgen.diff.edit_script import Script
from dfgen.diff.hunks import Hunk, Kind, RepairerEdit, Role
from dfgen.diff.project import find_resplit, find_tokens
from dfgen.diff.roles import Around, assign_roles
from dfgen.diff.spans import Span
from dfgen.diff.tokenised import Side
from dfgen.diff.values import find_numbers

#: How far a hunk looks back in its line for the expression it is the result of, in bytes.
_CONTEXT = 200


def build_hunks(
    script: Script, left: Side, right: Side, edits: Sequence[RepairerEdit]
) -> list[Hunk]:
    """Give every change its bytes, tokens, steps, kind, values, role and reason."""
    if not script.changes:
        return []
    spans = settle_on_tokens(
        find_byte_spans(script, left, right), (left.raw, right.raw), (left.offsets, right.offsets)
    )
    tokens = find_token_spans(spans, left, right)
    texts = [(left.raw[a[0] : a[1]].decode(), right.raw[b[0] : b[1]].decode()) for a, b in spans]
    kinds = [_name_kind(script, index) for index in range(len(spans))]
    roles = _find_roles(spans, texts, kinds, left, right)
    reasons = _find_reasons(spans, left, edits)
    hunks: list[Hunk] = []
    for index, ((a, b), (t, u), (old, new)) in enumerate(zip(spans, tokens, texts, strict=True)):
        old_value, new_value = _find_values(old, new)
        edit = reasons.get(index)
        hunks.append(
            Hunk(
                kind=kinds[index],
                wrong_bytes=a,
                right_bytes=b,
                wrong_text=old,
                right_text=new,
                wrong_tokens=t,
                right_tokens=u,
                wrong_step=find_wrong_step(a, b, left, right),
                right_step=find_step(right, b.start),
                in_mask=kinds[index] not in ("format", "move"),
                old_value=old_value,
                new_value=new_value,
                role=roles.get(index),
                partner=script.partners.get(index),
                reason=edit.reason if edit else None,
                reason_kind=edit.kind if edit else None,
            )
        )
    return hunks


def _name_kind(script: Script, index: int) -> Kind:
    change = script.changes[index]
    if change.form:
        return "format"
    if index in script.partners:
        return "move"
    if change.wrong.start == change.wrong.end:
        return "insertion"
    return "deletion" if change.right.start == change.right.end else "substitution"


def _find_values(old: str, new: str) -> tuple[str | None, str | None]:
    """Return the number that changed, if each side has exactly one."""
    old_values = find_numbers(old)
    if len(old_values) != 1:
        return None, None
    new_values = find_numbers(new)
    if len(new_values) != 1 or old_values == new_values:
        return None, None
    return old_values[0], new_values[0]


def _find_roles(
    spans: Sequence[Place],
    texts: Sequence[tuple[str, str]],
    kinds: Sequence[Kind],
    left: Side,
    right: Side,
) -> dict[int, Role]:
    chosen = [k for k, kind in enumerate(kinds) if kind not in ("format", "move")]

    def read_around(index: int) -> tuple[Around, Around]:
        a, b = spans[chosen[index]]
        return _read_around(left, a), _read_around(right, b)

    roles = assign_roles([texts[k] for k in chosen], read_around)
    return dict(zip(chosen, roles, strict=True))


def _read_around(side: Side, span: Span) -> Around:
    before = side.raw[max(0, span.start - _CONTEXT) : span.start].decode("utf-8", "ignore")
    behind = side.raw[span.end : span.end + _CONTEXT].decode("utf-8", "ignore")
    return before.rpartition("\n")[2], behind.partition("\n")[0]


def _find_reasons(
    spans: Sequence[Place], left: Side, edits: Sequence[RepairerEdit]
) -> dict[int, RepairerEdit]:
    """Find the hunks inside the text that the repairer said it changed."""
    reasons: dict[int, RepairerEdit] = {}
    starts = [a.start for a, _ in spans]
    for edit in edits:
        raw = edit.find.encode("utf-8", "replace")
        start = left.raw.find(raw) if raw else -1
        # A text that occurs twice names no place.
        if start < 0 or left.raw.find(raw, start + 1) >= 0:
            continue
        end = start + len(raw)
        for index in range(bisect_left(starts, start), len(spans)):
            if starts[index] > end:
                break
            if spans[index][0].end <= end:
                reasons.setdefault(index, edit)
    return reasons


#: A span on the wrong side and the one it corresponds to on the right side.
Place = tuple[Span, Span]


def find_byte_spans(script: Script, left: Side, right: Side) -> list[Place]:
    """Return the bytes of each change."""
    changes = script.changes
    a = left.chars.to_bytes([place for change in changes for place in change.wrong])
    b = right.chars.to_bytes([place for change in changes for place in change.right])
    return [(Span(a[k], a[k + 1]), Span(b[k], b[k + 1])) for k in range(0, 2 * len(changes), 2)]


def find_token_spans(spans: Sequence[Place], left: Side, right: Side) -> list[Place]:
    """Find the tokens of each hunk, with the neighbours that are split in another way."""
    tokens = [(find_tokens(left.offsets, *a), find_tokens(right.offsets, *b)) for a, b in spans]
    wrong, other = (left.ids, left.offsets), (right.ids, right.offsets)
    ends = (left.offsets[-1], right.offsets[-1])
    for index in range(len(spans) + 1):
        w0, r0 = (spans[index - 1][0].end, spans[index - 1][1].end) if index else (0, 0)
        w1, r1 = (spans[index][0].start, spans[index][1].start) if index < len(spans) else ends
        i, j, i_end, j_end = find_resplit(wrong, other, (w0, w1, r0, r1), left.is_canonical)
        if index:
            t, u = tokens[index - 1]
            if i > t.end or j > u.end:
                tokens[index - 1] = Span(t.start, max(t.end, i)), Span(u.start, max(u.end, j))
        if index < len(spans):
            t, u = tokens[index]
            if i_end < t.start or j_end < u.start:
                tokens[index] = (
                    Span(min(t.start, i_end), t.end),
                    Span(min(u.start, j_end), u.end),
                )
    return tokens


def find_step(side: Side, at: int) -> int:
    """Return the step that a byte lies in."""
    return max(bisect_right(side.step_starts, at) - 1, 0)


def find_wrong_step(a: Span, b: Span, left: Side, right: Side) -> int:
    """Return the step of the completion that a hunk belongs to.

    An insertion belongs to the step before it if it continues that step in the repair, else to
    the step that follows.
    """
    if a.start < a.end:
        return find_step(left, _skip_blanks(left.raw, a))
    first = _skip_blanks(right.raw, b)
    if a.start > 0 and b.start > 0 and find_step(right, b.start - 1) == find_step(right, first):
        return find_step(left, a.start - 1)
    return find_step(left, _skip_blanks(left.raw, Span(a.start, min(a.start + 64, len(left.raw)))))


def _skip_blanks(raw: bytes, span: Span) -> int:
    """Return the first byte of a span that is not white space, or its last."""
    text = raw[span.start : span.end]
    return max(min(span.start + len(text) - len(text.lstrip()), span.end - 1), 0)


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
