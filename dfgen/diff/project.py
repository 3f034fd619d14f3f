"""Finds the tokens that a span of bytes belongs to."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dfgen.diff.spans import Span


def find_tokens(offsets: Sequence[int], start: int, end: int) -> Span:
    """Return the tokens that share a byte with [start, end).

    For an empty span: the token it falls inside of, or the empty span in front of the next token.

    Args:
        offsets: length T + 1, byte offset of each token.
    """
    first = bisect_right(offsets, start) - 1
    if start == end:
        if offsets[first] == start:
            first = bisect_left(offsets, start)
            return Span(first, first)
        return Span(first, first + 1)
    return Span(first, bisect_left(offsets, end))


def project_mask(
    mask: NDArray[np.bool_], token_bytes: NDArray[np.int32], other_token_bytes: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Carry a token mask over to another split of the same text.

    Args:
        mask: bool[T].
        token_bytes: int32[T+1], offsets of the tokens the mask belongs to.
        other_token_bytes: int32[V+1], offsets of the other tokens in the same text.

    Returns:
        bool[V]: true for each token that shares a byte with a token of the mask. Zero-width
        tokens are false.

    Raises:
        ValueError: the offsets are not of the same text or the mask has another length.
    """
    if len(mask) + 1 != len(token_bytes):
        raise ValueError(f"mask has length {len(mask)}, token_bytes {len(token_bytes)}")
    if int(token_bytes[-1]) != int(other_token_bytes[-1]):
        raise ValueError(
            f"the texts differ: {int(token_bytes[-1])} and {int(other_token_bytes[-1])} bytes"
        )
    # covered[k] counts masked bytes before byte k; it is read at the other tokens' edges only.
    masked = np.where(mask, np.diff(token_bytes), 0)
    total = np.concatenate([[0], np.cumsum(masked, dtype=np.int64)])
    at = np.searchsorted(token_bytes, other_token_bytes, side="right") - 1
    at = np.minimum(at, len(mask) - 1) if len(mask) else at * 0
    inside = other_token_bytes - token_bytes[at]
    covered = total[at] + (np.where(mask[at], inside, 0) if len(mask) else 0)
    changed: NDArray[np.bool_] = np.diff(covered) > 0
    return changed


def find_resplit(
    wrong: tuple[Sequence[int], Sequence[int]],
    right: tuple[Sequence[int], Sequence[int]],
    gap: tuple[int, int, int, int],
    is_canonical: Callable[[], bool],
) -> tuple[int, int, int, int]:
    """Find equal text between two hunks that is split into tokens in two ways.

    Args:
        wrong, right: ids and byte offsets of both sides.
        gap: (start, end) of the equal bytes on the wrong side, then on the right side.
        is_canonical: says whether both sides are split as the tokenizer would; then whatever is
            split in two ways belongs to the hunks. Sampled ids may be split in any way, which is
            no edit. Asked only where a difference was found.

    Returns:
        Tokens from the left end of the gap up to which the splits differ, and from which they
        differ again towards the right end: (left_wrong, left_right, right_wrong, right_right).
        Between these the ids are the same, if they are canonical.
    """
    (ids_w, off_w), (ids_r, off_r) = wrong, right
    w0, w1, r0, r1 = gap
    i, j = bisect_left(off_w, w0), bisect_left(off_r, r0)
    i_end, j_end = bisect_right(off_w, w1) - 1, bisect_right(off_r, r1) - 1
    if (
        i_end - i == j_end - j
        and ids_w[i:i_end] == ids_r[j:j_end]
        and off_w[i] - w0 == off_r[j] - r0
    ):
        return i, j, i_end, j_end
    left = _find_first_equal(wrong, right, (i, j, i_end, j_end), r0 - w0)
    if left is None:
        if not is_canonical():
            return i, j, i_end, j_end
        # The whole gap belongs to the hunk before it, or to the one behind if it is the first gap.
        return (i_end, j_end, *((i_end, j_end) if w0 or r0 else (i, j)))
    end = _find_last_equal(wrong, right, (*left, i_end, j_end), r0 - w0)
    if ids_w[left[0] : end[0]] == ids_r[left[1] : end[1]] or not is_canonical():
        return *left, *end
    runs = _find_equal_runs(wrong, right, (*left, *end), r0 - w0)
    first, last = runs[0], runs[-1]
    # Without pre-tokenisation a split can differ far from any edit. One run stays; at the ends of
    # the text it must be the outermost, since no hunk stands beyond it.
    if not (w0 or r0):
        last = first
    elif (w1, r1) == (off_w[-1], off_r[-1]):
        first = last
    else:
        first = last = max(runs, key=lambda run: run[2] - run[0])
    return first[0], first[1], last[2], last[3]


def _find_first_equal(
    wrong: tuple[Sequence[int], Sequence[int]],
    right: tuple[Sequence[int], Sequence[int]],
    box: tuple[int, int, int, int],
    shift: int,
) -> tuple[int, int] | None:
    """Return the first tokens with the same id at the same byte."""
    (ids_w, off_w), (ids_r, off_r) = wrong, right
    i, j, i_end, j_end = box
    while i < i_end and j < j_end:
        # Special tokens have no width and no counterpart.
        if off_w[i] == off_w[i + 1] or off_r[j] == off_r[j + 1]:
            i += off_w[i] == off_w[i + 1]
            j += off_r[j] == off_r[j + 1]
            continue
        a, b = off_w[i] + shift, off_r[j]
        if a == b and ids_w[i] == ids_r[j]:
            return i, j
        i += a <= b
        j += b <= a
    return None


def _find_last_equal(
    wrong: tuple[Sequence[int], Sequence[int]],
    right: tuple[Sequence[int], Sequence[int]],
    box: tuple[int, int, int, int],
    shift: int,
) -> tuple[int, int]:
    """Return where the last tokens with the same id at the same byte end."""
    (ids_w, off_w), (ids_r, off_r) = wrong, right
    i_low, j_low, i, j = box
    while i > i_low and j > j_low:
        if off_w[i] == off_w[i - 1] or off_r[j] == off_r[j - 1]:
            i -= off_w[i] == off_w[i - 1]
            j -= off_r[j] == off_r[j - 1]
            continue
        a, b = off_w[i] + shift, off_r[j]
        if a == b and ids_w[i - 1] == ids_r[j - 1]:
            break
        i -= a >= b
        j -= b >= a
    return i, j


def _find_equal_runs(
    wrong: tuple[Sequence[int], Sequence[int]],
    right: tuple[Sequence[int], Sequence[int]],
    box: tuple[int, int, int, int],
    shift: int,
) -> list[tuple[int, int, int, int]]:
    """Return maximal runs of tokens with the same ids at the same bytes, as (i0, j0, i1, j1)."""
    (ids_w, off_w), (ids_r, off_r) = wrong, right
    i, j, i_end, j_end = box
    runs: list[tuple[int, int, int, int]] = []
    while i < i_end and j < j_end:
        # Special tokens have no width and no counterpart.
        if off_w[i] == off_w[i + 1] or off_r[j] == off_r[j + 1]:
            i += off_w[i] == off_w[i + 1]
            j += off_r[j] == off_r[j + 1]
            continue
        a, b = off_w[i] + shift, off_r[j]
        if a == b and ids_w[i] == ids_r[j]:
            if (
                runs
                and not _has_text(off_w, runs[-1][2], i)
                and not _has_text(off_r, runs[-1][3], j)
            ):
                runs[-1] = (*runs[-1][:2], i + 1, j + 1)
            else:
                runs.append((i, j, i + 1, j + 1))
            i, j = i + 1, j + 1
            continue
        i += a <= b
        j += b <= a
    return runs


def _has_text(offsets: Sequence[int], start: int, end: int) -> bool:
    return offsets[start] < offsets[end]
