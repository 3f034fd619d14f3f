"""Lays an answer out as people read it: step by step, the wrong side beside the repaired side.

The repaired side has no step ids of its own. What stands outside the hunks is equal on both sides,
so a step's place in the repair follows from its place in the completion and the lengths of the
hunks before it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dfgen.report.shortening import shorten

EQUAL = 0


@dataclass(frozen=True, slots=True)
class Token:
    """One sampled token.

    Attributes:
        index: its place in `completion_ids`.
        text: the characters that begin in it; empty for special tokens and for the later parts of
            a character that several tokens share.
        op: as in `token_ops`; 0 where there is no repair.
        masked: whether it carries gradient (`loss_mask`).
        probability: under the policy, or None if it is not known.
        weight: in [0, 1], or None if no weights were computed.
        hunk: index of the edit that it belongs to, or None.
    """

    index: int
    text: str
    op: int
    masked: bool
    probability: float | None
    weight: float | None
    hunk: int | None


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the repaired text; `hunk` is the edit that wrote it, None where it was kept."""

    text: str
    hunk: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """One step on both sides.

    Attributes:
        role: as in `step_roles`; None where there is no repair.
        tokens: the wrong side.
        gaps: place in `tokens` -> the edits that insert before it (len(tokens): at the end).
        pieces: the repaired side; empty where there is no repair.
    """

    role: str | None
    tokens: tuple[Token, ...]
    gaps: Mapping[int, tuple[int, ...]]
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class View:
    """A trajectory laid out for reading.

    Attributes:
        hunks: as stored in the mask row.
        length: T: how many tokens the completion has, special ones included.
        masked: how many of them carry gradient.
    """

    steps: tuple[Step, ...]
    hunks: tuple[dict[str, Any], ...]
    length: int
    masked: int


LONGEST = 4000
"""Tokens of an answer that are laid out at most; of a longer one, what stands around its edits."""


def build_view(whole: Mapping[str, Any], budget: int = LONGEST) -> View:
    """Lay out a row of the masks table, cut to about `budget` tokens (dfgen.report.shortening)."""
    stored: list[dict[str, Any]] = json.loads(whole["hunks"]) if whole["hunks"] else []
    row, places = shorten(whole, stored, budget)
    hunks = [(number, hunk) for number, hunk in enumerate(places) if hunk is not None]
    tokens = _read_tokens(row, hunks)
    gaps = _find_gaps(row, hunks)
    starts = [
        index
        for index, step in enumerate(row["step_ids"])
        if index == 0 or step != row["step_ids"][index - 1]
    ]
    ends = [*starts[1:], len(tokens)]
    rows = [row["step_ids"][start] for start in starts]
    sides = _split_repair(row, hunks, [(rows[i], starts[i]) for i in range(len(starts))])
    steps = []
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        last = number == len(starts) - 1
        inside = {
            at - start: found
            for at, found in gaps.items()
            if start <= at < end or (last and at == end)
        }
        roles = row["step_roles"]
        role = roles[rows[number]] if roles and rows[number] < len(roles) else None
        steps.append(Step(role, tuple(tokens[start:end]), inside, sides[number]))
    return View(tuple(steps), tuple(stored), len(whole["completion_ids"]), sum(whole["loss_mask"]))


Places = Sequence[tuple[int, Mapping[str, Any]]]
"""Number and places of each edit that is shown."""


def _read_tokens(row: Mapping[str, Any], hunks: Places) -> list[Token]:
    data = row["completion"].encode()
    edges = [_to_character(data, offset) for offset in row["token_bytes"]]
    ops = list(row["token_ops"] or [EQUAL] * len(row["completion_ids"]))
    owners: dict[int, int] = {}
    for number, hunk in hunks:
        for index in range(*hunk["wrong_tokens"]):
            owners.setdefault(index, number)
    for index in range(len(ops) - 1, 0, -1):
        # The rest of a character is invisible: its first token shows the change for all of it.
        if row["token_bytes"][index] < edges[index] == edges[index + 1]:
            ops[index - 1] = ops[index - 1] or ops[index]
    logprobs = row["logprobs"]
    return [
        Token(
            index=row["indices"][index],
            text=data[edges[index] : edges[index + 1]].decode(),
            op=ops[index],
            masked=row["loss_mask"][index],
            probability=None if logprobs is None else _to_probability(logprobs[index]),
            weight=None if row["weights"] is None else row["weights"][index],
            hunk=owners.get(index) if ops[index] else None,
        )
        for index in range(len(ops))
    ]


def _to_character(data: bytes, offset: int) -> int:
    """The first byte of a character at or after an offset."""
    while offset < len(data) and data[offset] & 0xC0 == 0x80:
        offset += 1
    return offset


def _to_probability(logprob: float | None) -> float | None:
    if logprob is None or math.isnan(logprob):
        return None
    return min(1.0, math.exp(logprob))


def _find_gaps(row: Mapping[str, Any], hunks: Places) -> dict[int, tuple[int, ...]]:
    """Token index -> the edits that insert before it."""
    found: dict[int, list[int]] = {
        index: [] for index, gap in enumerate(row["gap_mask"] or ()) if gap
    }
    for number, hunk in hunks:
        start, end = hunk["wrong_bytes"]
        if start != end or not found:
            continue
        # An insertion inside a token marks that token's gap, so the nearest marked one is its own.
        nearest = min(found, key=lambda index: (abs(row["token_bytes"][index] - start), index))
        found[nearest].append(number)
    return {index: tuple(numbers) for index, numbers in found.items()}


def _split_repair(
    row: Mapping[str, Any], hunks: Places, steps: Sequence[tuple[int, int]]
) -> list[tuple[Piece, ...]]:
    """The repaired text of each step; `steps` gives its id and its first token."""
    if row["repair"] is None:
        return [()] * len(steps)
    data = row["repair"].encode()
    starts: list[int] = []
    for step, first in steps:
        at = row["token_bytes"][first] if first else 0
        shift, reached = 0, 0
        for _, hunk in hunks:
            if hunk["wrong_step"] < step:
                (w0, w1), (r0, r1) = hunk["wrong_bytes"], hunk["right_bytes"]
                shift += (r1 - r0) - (w1 - w0)
                reached = max(reached, r1)
        # A place that an edit moved may fall inside a character: the step then starts behind it.
        start = min(max(at + shift, reached, *starts[-1:]), len(data)) if first else 0
        starts.append(_to_character(data, start))
    ends = [*starts[1:], len(data)]
    return [_cut_pieces(data, hunks, span) for span in zip(starts, ends, strict=True)]


def _cut_pieces(data: bytes, hunks: Places, span: tuple[int, int]) -> tuple[Piece, ...]:
    pieces = []
    at, end = span
    for number, hunk in hunks:
        begin, stop = max(at, hunk["right_bytes"][0]), min(end, hunk["right_bytes"][1])
        if begin >= stop:
            continue
        pieces.append(Piece(data[at:begin].decode(), None))
        pieces.append(Piece(data[begin:stop].decode(), number))
        at = stop
    pieces.append(Piece(data[at:end].decode(), None))
    return tuple(piece for piece in pieces if piece.text)
