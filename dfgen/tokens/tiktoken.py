"""Spells tiktoken's tokens (OpenAI, Kimi, GLM): the vocabulary is raw bytes.

A file of ranks (`o200k_base.tiktoken`) says neither how a text is cut into words before the bytes
are merged nor which special tokens there are; `find_layout` knows both for encodings that have a
name, as the tiktoken package publishes them (`tiktoken_ext.openai_public`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dfgen.tokens.pieces import PieceTable

_END = "<|endoftext|>"
_FILL = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
_BLANKS = (r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+")
_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_BEFORE = r"[^\r\n\p{L}\p{N}]?"

_GPT2 = "|".join(
    [
        r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+",
        *_BLANKS[1:],
    ]
)
_CL100K = "|".join(
    [_ENDINGS, rf"{_BEFORE}\p{{L}}+", r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n]*", *_BLANKS]
)
_QWEN = _CL100K.replace(r"\p{N}{1,3}", r"\p{N}")
_O200K = "|".join(
    [
        f"{_BEFORE}{_UPPER}*{_LOWER}+{_ENDINGS}?",
        f"{_BEFORE}{_UPPER}+{_LOWER}*{_ENDINGS}?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        *_BLANKS,
    ]
)


@dataclass(frozen=True)
class Layout:
    """What a file of ranks leaves out.

    Attributes:
        words: regular expression of the words within which bytes are merged.
        special_tokens: text to id.
    """

    words: str
    special_tokens: dict[str, int] = field(default_factory=dict)


_LAYOUTS = {
    "gpt2": Layout(_GPT2, {_END: 50256}),
    "r50k_base": Layout(_GPT2, {_END: 50256}),
    "p50k_base": Layout(_GPT2, {_END: 50256}),
    "cl100k_base": Layout(
        _CL100K,
        {_END: 100257, **dict(zip(_FILL, range(100258, 100261), strict=True))}
        | {"<|endofprompt|>": 100276},
    ),
    "o200k_base": Layout(_O200K, {_END: 199999, "<|endofprompt|>": 200018}),
    "qwen": Layout(_QWEN, {_END: 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}),
}


def find_layout(name: str) -> Layout:
    """Return words and special tokens of an encoding by the name of its file.

    An unknown name gets the words of `cl100k_base`, which most models since GPT-4 took over
    (Llama 3, GLM; `transformers` assumes them too), and no special tokens. Decoding and byte
    offsets do not depend on the words; the ids of a text that is encoded anew may.
    """
    return _LAYOUTS.get(name, Layout(_CL100K))


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
