"""Checks mask rows against what they promise, by code that had no part in making them.

Hunks are applied here byte by byte, steps and offsets are compared with the text itself, and equal
tokens are looked up in the repair; nothing of `dfgen.diff` is used.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from dfgen.records import is_right

if TYPE_CHECKING:
    from dfgen.tokens.tokenizer import TextTokenizer

Row = dict[str, Any]

EQUAL, SUBSTITUTED, DELETED, MOVED, FORMAT = range(5)
ABOVE_ZERO = 1e-3
"""How far a logprob may be above 0: half precision rounds it there."""
SCORED = ("scored_logprobs", "tempered_logprobs")
REPAIR_SCORED = ("repair_logprobs", "repair_tempered_logprobs")
VISUAL = ("visual_kl", "visual_log_ratio")
UNMARKED = {"format", "move"}
"""Kinds of hunks whose tokens are not in loss_mask."""
ROLES = {"unchanged", "first", "consequence", "independent"}


def check_masks(rows: Iterable[Row], tokenizer: TextTokenizer | None) -> Iterator[str]:
    """Find every broken promise of every row, as `trajectory_id: sentence`."""
    seen: set[str] = set()
    for row in rows:
        name = row["trajectory_id"]
        if name in seen:
            yield f"{name}: stands twice."
        seen.add(name)
        for problem in check_mask(row, tokenizer):
            yield f"{name}: {problem}"


def check_mask(row: Row, tokenizer: TextTokenizer | None) -> Iterator[str]:
    """Find the broken promises of one row."""
    broken = list(_check_lengths(row))
    if broken:  # nothing else can be looked at when arrays do not line up
        yield from broken
        return
    for check in _CHECKS:
        yield from check(row)
    if row["mask_source"] == "repair":
        for check in _REPAIR_CHECKS:
            yield from check(row)
    if tokenizer is not None:
        yield from _check_decoding(row, tokenizer)


def _check_lengths(row: Row) -> Iterator[str]:
    tokens, size = len(row["completion_ids"]), len(row["completion"].encode())
    expected = {
        "loss_mask": tokens,
        "logprobs": tokens,
        "token_ops": tokens,
        "gap_mask": tokens + 1,
        "token_bytes": tokens + 1,
        "step_ids": tokens,
        "weights": tokens,
        **dict.fromkeys((*SCORED, *VISUAL), tokens),
    }
    if row["repair_ids"] is not None:
        expected |= dict.fromkeys(("repair_mask", *REPAIR_SCORED), len(row["repair_ids"]))
    for column, length in expected.items():
        # Rows of an older dfgen lack columns that came later.
        if row.get(column) is not None and len(row[column]) != length:
            yield f"{column} has length {len(row[column])}, not {length}."
    offsets = row["token_bytes"]
    if offsets and (offsets[0] != 0 or offsets[-1] != size):
        yield f"token_bytes runs from {offsets[0]} to {offsets[-1]}, the text from 0 to {size}."
    if any(a > b for a, b in pairwise(offsets)):
        yield "token_bytes goes back."


def _check_source(row: Row) -> Iterator[str]:
    repaired = row["mask_source"] == "repair"
    for column in ("token_ops", "gap_mask", "repair", "repair_ids", "repair_mask", "hunks"):
        if (row[column] is not None) != repaired:
            state = "missing" if repaired else "set"
            yield f"{column} is {state}, but mask_source is {row['mask_source']}."
    for column in REPAIR_SCORED:
        if row.get(column) is not None and not repaired:
            yield f"{column} is set, but mask_source is {row['mask_source']}."
    if not repaired and len(set(row["loss_mask"])) > 1:
        yield "loss_mask is neither all true nor all false, but there is no repair."
    if (row["mask_source"] == "correct") != is_right(row["reward"]):
        yield f"mask_source is {row['mask_source']}, but the reward is {row['reward']}."


def _check_undecided(row: Row) -> Iterator[str]:
    """An answer that nobody could read has no reward and no loss."""
    undecided = row["undecided"]
    if undecided is None:
        return
    if undecided is not True:
        yield "undecided is false; it is true or null."
    elif row["mask_source"] != "outcome" or row["reward"]:
        yield (
            f"undecided, but mask_source is {row['mask_source']} and the reward {row['reward']}, "
            "not outcome and 0."
        )
    elif any(row["loss_mask"]):
        yield "undecided, but loss_mask is not all false."


def _check_values(row: Row) -> Iterator[str]:
    for column in ("logprobs", *SCORED, *REPAIR_SCORED):
        values = row.get(column) or ()
        if any(value is not None and value > ABOVE_ZERO for value in values):
            yield f"a value of {column} is above 0."
        if any(value is None or not math.isfinite(value) for value in values):
            yield f"a value of {column} is null or not a finite number."
    for value in row.get("hunk_values") or ():
        for name in ("value_before", "value_wrong", "value_repaired"):
            if value[name] is not None and not 0 <= value[name] <= 1:
                yield f"a {name} is outside [0, 1]."
    for column in VISUAL:
        if any(value is None or not math.isfinite(value) for value in row.get(column) or ()):
            yield f"a value of {column} is null or not finite."
    if any(value is not None and value < 0 for value in row.get("visual_kl") or ()):
        yield "a value of visual_kl is below 0."
    if any(not 0 <= value <= 1 for value in row["weights"] or ()):
        yield "a weight is outside [0, 1]."
    if any(b < a for a, b in pairwise(row["step_ids"])):
        yield "step_ids goes back."


def _check_hunks(row: Row) -> Iterator[str]:
    wrong, right = row["completion"].encode(), row["repair"].encode()
    built, at, other = bytearray(), 0, 0
    for index, hunk in enumerate(json.loads(row["hunks"])):
        (start, end), (new_start, new_end) = hunk["wrong_bytes"], hunk["right_bytes"]
        if start < at:
            yield f"hunk {index} overlaps the one before."
            return
        if wrong[start:end] != hunk["wrong_text"].encode():
            yield f"hunk {index} does not find {hunk['wrong_text']!r} in the completion."
        if wrong[at:start] != right[other:new_start]:
            yield f"the texts differ before hunk {index}."
        built += wrong[at:start] + hunk["right_text"].encode()
        at, other = end, new_end
    built += wrong[at:]
    if bytes(built) != right:
        yield "applying the hunks to the completion does not give the repair."
    values = row.get("hunk_values")
    if values is not None and len(values) != len(json.loads(row["hunks"])):
        yield f"hunk_values has length {len(values)}, and there are other hunks."


def _check_marks(row: Row) -> Iterator[str]:
    operations, hunks = row["token_ops"], json.loads(row["hunks"])
    if any(not EQUAL <= operation <= FORMAT for operation in operations):
        yield "token_ops holds a code outside 0..4."
    if row["completion"] == row["repair"] and (any(row["loss_mask"]) or any(operations)):
        yield "both texts are equal, but something is marked."
    covered = set[int]()
    for hunk in hunks:
        covered.update(range(*hunk["wrong_tokens"]))
    outside = [i for i, operation in enumerate(operations) if operation and i not in covered]
    if outside:
        yield f"token {outside[0]} is marked as changed, but lies in no hunk."
    for start, end in _find_anchor_runs(row["loss_mask"], operations):
        if not any(row["gap_mask"][start : end + 1]):
            yield f"token {start} is in loss_mask, but is neither changed nor beside an insertion."
            break


def _check_changed(row: Row) -> Iterator[str]:
    """Tokens of changed text are in loss_mask, unless only form or place changed.

    A hunk may leave out tokens of which it holds nothing but white space, if it marks another.
    """
    text, offsets, mask = row["completion"].encode(), row["token_bytes"], row["loss_mask"]
    for index, hunk in enumerate(json.loads(row["hunks"])):
        start, end = hunk["wrong_bytes"]
        if hunk["kind"] in UNMARKED or start == end:
            continue
        reached = range(bisect_right(offsets, start) - 1, bisect_left(offsets, end))
        touched = [i for i in reached if offsets[i] < offsets[i + 1]]
        if not any(mask[i] for i in touched):
            yield f"hunk {index} is a {hunk['kind']} and none of its tokens is in loss_mask."
            continue
        for i in touched:
            held = text[max(start, offsets[i]) : min(end, offsets[i + 1])]
            if held.strip() and not mask[i]:
                yield f"token {i} is changed by hunk {index}, but is not in loss_mask."
                break


def _find_anchor_runs(mask: list[bool], operations: list[int]) -> Iterator[tuple[int, int]]:
    """Runs [start, end) of masked equal tokens: one token, or its pieces after retokenizing.

    A piece may stand for another form only (the blank of " 1"), beside one that is equal.
    """
    start = None
    for index in range(len(mask) + 1):
        anchored = index < len(mask) and mask[index] and operations[index] in (EQUAL, FORMAT)
        if anchored and start is None:
            start = index
        elif not anchored and start is not None:
            if EQUAL in operations[start:index]:
                yield start, index
            start = None


def _check_equal_tokens(row: Row) -> Iterator[str]:
    """Text of equal, unmasked tokens comes back in the repair in the same order.

    Compared as bytes, because ids as sampled may split the same text in another way than the
    canonical ids of the repair.
    """
    text, offsets = row["completion"].encode(), row["token_bytes"]
    kept = b"".join(
        text[offsets[i] : offsets[i + 1]]
        for i, operation in enumerate(row["token_ops"])
        if operation == EQUAL and not row["loss_mask"][i]
    )
    position = iter(row["repair"].encode())
    if not all(byte in position for byte in kept):
        yield "the text of the unmasked equal tokens is not a subsequence of the repair."


def _check_steps(row: Row) -> Iterator[str]:
    labels, changed, roles = row["step_labels"], row["step_changed"], row["step_roles"]
    if not len(labels) == len(changed) == len(roles):
        yield "step_labels, step_changed and step_roles differ in length."
        return
    if row["step_ids"] and max(row["step_ids"]) >= len(labels):
        yield f"step_ids names step {max(row['step_ids'])} of {len(labels)}."
    if set(roles) - ROLES:
        yield f"step_roles holds {sorted(set(roles) - ROLES)}."
    if any(not 0 <= share <= 1 for share in changed):
        yield "step_changed is outside [0, 1]."
    touched = [index for index, label in enumerate(labels) if label]
    if row["first_error_step"] != (touched[0] if touched else -1):
        yield f"first_error_step is {row['first_error_step']}, but steps {touched} are touched."


def _check_decoding(row: Row, tokenizer: TextTokenizer) -> Iterator[str]:
    if tokenizer.decode(row["completion_ids"]) != row["completion"]:
        yield "decoding completion_ids does not give completion."
    if row["repair_ids"] is not None and tokenizer.decode(row["repair_ids"]) != row["repair"]:
        yield "decoding repair_ids does not give repair."
    if row["mask_source"] == "repair":
        canonical = tokenizer.encode(row["completion"])
        visible = _drop_empty(row["completion_ids"], row["token_bytes"])
        if canonical == visible:
            kept = [
                row["completion_ids"][i]
                for i, operation in enumerate(row["token_ops"])
                if operation == EQUAL
                and not row["loss_mask"][i]
                and row["token_bytes"][i] < row["token_bytes"][i + 1]
            ]
            position = iter(row["repair_ids"])
            if not all(token in position for token in kept):
                yield "the unmasked equal tokens are not a subsequence of repair_ids."


def _drop_empty(ids: Sequence[int], offsets: Sequence[int]) -> list[int]:
    return [token for i, token in enumerate(ids) if offsets[i] < offsets[i + 1]]


Check = Callable[[Row], Iterator[str]]

_CHECKS: tuple[Check, ...] = (_check_source, _check_undecided, _check_values)
_REPAIR_CHECKS: tuple[Check, ...] = (
    _check_hunks,
    _check_marks,
    _check_changed,
    _check_equal_tokens,
    _check_steps,
)
