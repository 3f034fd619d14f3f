"""Where the hunks of a pair lie: bytes, tokens and steps of both sides."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from dfgen.diff.project import find_resplit, find_tokens
from dfgen.diff.script import Script
from dfgen.diff.side import Side
from dfgen.diff.spans import Span

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
        i, j, i_end, j_end = find_resplit(wrong, other, (w0, w1, r0, r1), left.canonical)
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
