"""Prepares one text of a pair: its tokens, units, steps and byte offsets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dfgen.diff.atoms import Units, split_atoms, split_tokens
from dfgen.diff.spans import ByteMap
from dfgen.diff.steps import find_step_starts
from dfgen.errors import RowError
from dfgen.tokens.tokenizer import TextTokenizer


@dataclass(frozen=True)
class Side:
    """A tokenised text.

    Attributes:
        text: what the ids decode to.
        ids: length T; `row` is the same as an array, which takes a while to make of a list.
        empty: the indices of tokens without text: special ones, and the blank that SentencePiece
            puts in front of a text.
        ending: the special tokens that end the row, such as the end of text.
        offsets: length T + 1, byte offset of each token; `edges` is the same as an array.
        chars: character to byte offsets.
        units: what is aligned.
        step_starts: byte offset of each step.
        is_canonical: says whether the ids are what the tokenizer makes of the text; it costs an
            encoding, once.
    """

    text: str
    raw: bytes
    ids: list[int]
    row: NDArray[np.int64]
    empty: list[int]
    ending: list[int]
    offsets: list[int]
    edges: NDArray[np.int32]
    chars: ByteMap
    units: Units
    step_starts: list[int]
    is_canonical: Callable[[], bool]


def read_side(
    ids: Sequence[int],
    tokenizer: TextTokenizer,
    *,
    canonical: bool,
    atoms: bool,
    steps: str,
    spaced: bool = False,
) -> Side:
    """Decode ids and cut their text into units and steps.

    Args:
        ids: length T.
        tokenizer: of the policy.
        canonical: whether ids are what the tokenizer makes of the text. Sampled ids need not be;
            then tokens of the canonical encoding are the units, so that a different split of the
            same text is no difference.
        atoms: cut into words and numbers instead of tokens.
        steps: the way of `MaskConfig.steps`.
        spaced: blanks stand between the words of Chinese text.

    Raises:
        RowError: `token_out_of_vocabulary`.
    """
    row = np.asarray(ids, dtype=np.int64)
    text, edges = tokenizer.render(row)
    tokens: list[int] = row.tolist()
    chars = ByteMap(text)
    if atoms:
        units = split_atoms(text, spaced)
    else:
        cuts = edges
        if not canonical:
            again, cuts = tokenizer.render(tokenizer.encode(text))
            cuts = cuts if again == text else edges
        units = split_tokens(text, cuts, chars)
    starts = chars.to_bytes(find_step_starts(text, steps))
    return Side(
        text=text,
        raw=text.encode(),
        ids=tokens,
        row=row,
        empty=np.flatnonzero(edges[1:] == edges[:-1]).tolist(),
        ending=tokenizer.take_ending(tokens),
        offsets=edges.tolist(),
        edges=edges,
        chars=chars,
        units=units,
        step_starts=starts,
        is_canonical=cache(lambda: canonical or _is_canonical(text, tokens, edges, tokenizer)),
    )


def _is_canonical(
    text: str, tokens: list[int], edges: NDArray[np.int32], tokenizer: TextTokenizer
) -> bool:
    shown = np.flatnonzero(edges[1:] > edges[:-1]).tolist()
    other = tokenizer.encode(text)
    _, ends = tokenizer.render(other)
    visible = np.flatnonzero(ends[1:] > ends[:-1]).tolist()
    return [tokens[k] for k in shown] == [other[k] for k in visible]


def check_text(side: Side, text: str) -> None:
    """Check that sampled ids are the ids of the text they come with.

    Raises:
        RowError: `completion_mismatch`.
    """
    if side.text == text:
        return
    at = next(
        (k for k, (a, b) in enumerate(zip(side.text, text, strict=False)) if a != b),
        min(len(side.text), len(text)),
    )
    raise RowError(
        "completion_mismatch",
        f"completion_ids decode to another text than the completion; first at character {at}: "
        f"{side.text[at : at + 20]!r} and {text[at : at + 20]!r}.",
        {"character": at},
    )
