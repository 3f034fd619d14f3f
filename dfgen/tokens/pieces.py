"""Keeps what each token id stands for in bytes, and turns a row of ids into text.

Every family stores its vocabulary differently, but for all of them the text of a row of ids is the
concatenation of one byte string per id, save for two rules: what happens to the blank in front of
the first token, and what bytes that are not valid UTF-8 turn into. A `PieceTable` holds the byte
strings and those two rules, so offsets come from one cumulative sum instead of from decoding
prefixes, which is quadratic and drifts when a character is split between tokens.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import cast

import numpy as np
from numpy.typing import NDArray

from dfgen.errors import RowError

REPLACEMENT = "\ufffd".encode()


class InvalidBytes(Enum):
    """What ill-formed UTF-8 decodes to."""

    MAXIMAL_SUBPART = "one U+FFFD per maximal ill-formed subpart (Unicode 16, D93b; Rust, Python)"
    WHOLE_RUN = "one U+FFFD per byte of any run of byte tokens that is not valid (HF ByteFallback)"
    PER_BYTE = "one U+FFFD per ill-formed byte (sentencepiece)"


@dataclass(frozen=True)
class PieceTable:
    """The bytes of every id of a vocabulary.

    Args:
        pieces: length V; the UTF-8 bytes an id adds to the text, b"" for special tokens, None for
            an id that no token has.
        special: bool[V]; ids that never show in the text.
        is_byte: bool[V]; ids that stand for one raw byte (byte fallback), used by
            `InvalidBytes.WHOLE_RUN` and `PER_BYTE`.
        trim_first: maps the bytes of the first non-special token to what they are at the start of
            a text (SentencePiece drops the blank it put there), or None.
        invalid: the rule for ill-formed UTF-8.
    """

    pieces: list[bytes | None]
    special: NDArray[np.bool_]
    is_byte: NDArray[np.bool_]
    trim_first: Callable[[bytes], bytes] | None = None
    invalid: InvalidBytes = InvalidBytes.MAXIMAL_SUBPART

    def __post_init__(self) -> None:
        sizes = [-1 if piece is None else len(piece) for piece in self.pieces]
        object.__setattr__(self, "_lengths", np.array(sizes, dtype=np.int32))

    def lookup(self, ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return int32[T], the number of bytes of each id.

        Raises:
            RowError: `token_out_of_vocabulary` if an id has no token.
        """
        lengths: NDArray[np.int32] = self.__dict__["_lengths"]
        if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= len(lengths)):
            bad = int(np.flatnonzero((ids < 0) | (ids >= len(lengths)))[0])
            raise _refuse_id(bad, int(ids[bad]), len(lengths))
        sizes = lengths[ids]
        if sizes.size and int(sizes.min()) < 0:
            bad = int(np.flatnonzero(sizes < 0)[0])
            raise _refuse_id(bad, int(ids[bad]), len(lengths))
        return sizes

    def render(self, ids: Sequence[int] | NDArray[np.int64]) -> tuple[str, NDArray[np.int32]]:
        """Turn ids into text and byte offsets.

        Args:
            ids: length T.

        Returns:
            The text with special tokens left out, and int32[T+1]: token i covers the UTF-8 bytes
            [offsets[i], offsets[i+1]) of that text.
        """
        row = np.asarray(ids, dtype=np.int64)
        sizes = self.lookup(row)
        parts = cast("list[bytes]", list(map(self.pieces.__getitem__, row.tolist())))
        if self.trim_first is not None:
            sizes = self._trim(row, parts, sizes)
        offsets = np.zeros(len(parts) + 1, dtype=np.int32)
        np.cumsum(sizes, out=offsets[1:])
        raw = b"".join(parts)
        try:
            return raw.decode("utf-8"), offsets
        except UnicodeDecodeError:
            return self._render_ill_formed(row, raw, offsets)

    def _trim(
        self, row: NDArray[np.int64], parts: list[bytes], sizes: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        first = next((i for i, special in enumerate(self.special[row]) if not special), None)
        if first is None or self.trim_first is None:
            return sizes
        parts[first] = self.trim_first(parts[first])
        sizes = sizes.copy()
        sizes[first] = len(parts[first])
        return sizes

    def _render_ill_formed(
        self,
        row: NDArray[np.int64],
        raw: bytes,
        offsets: NDArray[np.int32],
    ) -> tuple[str, NDArray[np.int32]]:
        if self.invalid is InvalidBytes.WHOLE_RUN:
            # A run of bytes is judged before the text is trimmed: its first may be a blank.
            parts = [self.pieces[token] for token in row.tolist()]
            parts = _replace_bad_runs(parts, self.is_byte[row], self.special[row])
            sizes = np.array([len(part) for part in parts], dtype=np.int32)
            if self.trim_first is not None:
                sizes = self._trim(row, parts, sizes)
            np.cumsum(sizes, out=offsets[1:])
            return b"".join(parts).decode("utf-8", "replace"), offsets
        spans = find_ill_formed(raw)
        if self.invalid is InvalidBytes.PER_BYTE:
            spans = [(at, at + 1) for start, end in spans for at in range(start, end)]
        return _replace_spans(raw, spans, offsets)


def find_ill_formed(raw: bytes) -> list[tuple[int, int]]:
    """Return the maximal ill-formed subparts of a byte string, as (start, end)."""
    spans: list[tuple[int, int]] = []
    decoder = codecs.utf_8_decode
    at = 0
    while at < len(raw):
        try:
            decoder(raw[at:], "strict", True)
        except UnicodeDecodeError as error:
            spans.append((at + error.start, at + error.end))
            at += error.end
        else:
            break
    return spans


def _replace_spans(
    raw: bytes, spans: list[tuple[int, int]], offsets: NDArray[np.int32]
) -> tuple[str, NDArray[np.int32]]:
    """Put U+FFFD for each span and move the offsets along."""
    out: list[bytes] = []
    # new_at[i] is where raw byte i stands after replacement.
    widths = np.ones(len(raw), dtype=np.int32)
    at = 0
    for start, end in spans:
        out += [raw[at:start], REPLACEMENT]
        # A subpart has at most 3 bytes, so each of its tokens keeps a share of the U+FFFD.
        widths[start:end] = 1
        widths[end - 1] += len(REPLACEMENT) - (end - start)
        at = end
    out.append(raw[at:])
    new_at = np.zeros(len(raw) + 1, dtype=np.int32)
    np.cumsum(widths, out=new_at[1:])
    return b"".join(out).decode("utf-8"), new_at[offsets]


def _replace_bad_runs(
    parts: list[bytes], is_byte: NDArray[np.bool_], special: NDArray[np.bool_]
) -> list[bytes]:
    """Put U+FFFD for each byte of a bad run; special tokens inside a run do not end it."""
    fixed = list(parts)
    at = 0
    while at < len(parts):
        if not is_byte[at]:
            at += 1
            continue
        end = at
        while end < len(parts) and (is_byte[end] or special[end]):
            end += 1
        try:
            b"".join(parts[at:end]).decode("utf-8")
        except UnicodeDecodeError:
            fixed[at:end] = [REPLACEMENT if part else b"" for part in parts[at:end]]
        at = end
    return fixed


def _refuse_id(index: int, token: int, size: int) -> RowError:
    return RowError(
        "token_out_of_vocabulary",
        f"completion_ids[{index}] is {token}, which no token of the vocabulary ({size} ids) has.",
        {"index": index, "token": token, "vocab_size": size},
    )
