"""Make the hunks of a pair from its edit script."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from dfgen.diff.hunks import Hunk, Kind, RepairerEdit, Role
from dfgen.diff.places import (
    Place,
    find_byte_spans,
    find_step,
    find_token_spans,
    find_wrong_step,
)
from dfgen.diff.roles import assign_roles
from dfgen.diff.script import Script
from dfgen.diff.settle import settle_on_tokens
from dfgen.diff.side import Side
from dfgen.diff.spans import Span
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

    def read_before(index: int) -> tuple[str, str]:
        a, b = spans[chosen[index]]
        return _read_before(left, a), _read_before(right, b)

    roles = assign_roles([texts[k] for k in chosen], read_before)
    return dict(zip(chosen, roles, strict=True))


def _read_before(side: Side, span: Span) -> str:
    raw = side.raw[max(0, span.start - _CONTEXT) : span.start]
    return raw.decode("utf-8", "ignore").rpartition("\n")[2]


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
