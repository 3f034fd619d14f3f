"""tiktoken encodings (OpenAI, Kimi, GLM): the vocabulary is raw bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfgen.tokens.pieces import PieceTable


def build_table(encoding: Any) -> PieceTable:
    """Build the piece table of a `tiktoken.Encoding`. Ids without a token stay None."""
    size = encoding.max_token_value + 1
    pieces: list[bytes | None] = [None] * size
    special = np.zeros(size, dtype=np.bool_)
    for token, index in encoding._mergeable_ranks.items():
        pieces[index] = token
    for index in encoding._special_tokens.values():
        pieces[index] = b""
        special[index] = True
    return PieceTable(pieces, special, np.zeros(size, dtype=np.bool_))
