"""Works out the bytes of every id of a `tokenizers.Tokenizer` from its own description."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from dfgen.errors import InputError
from dfgen.tokens import byte_level, sentencepiece, wordpiece
from dfgen.tokens.pieces import InvalidBytes, PieceTable

ToBytes = Callable[[str], bytes]
Trim = Callable[[bytes], bytes] | None


def describe(tokenizer: Any) -> dict[str, Any]:
    """Return the tokenizer's own JSON description."""
    description: dict[str, Any] = json.loads(tokenizer.to_str())
    return description


def build_table(tokenizer: Any, description: dict[str, Any]) -> PieceTable:
    """Build the piece table of a `tokenizers.Tokenizer`.

    Raises:
        InputError: the decoder is of a kind whose text is not a concatenation of pieces.
    """
    to_bytes, trim, byte_fallback = _read_decoder(description.get("decoder"))
    vocab: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
    size = max(vocab.values(), default=-1) + 1
    pieces: list[bytes | None] = [None] * size
    special = np.zeros(size, dtype=np.bool_)
    is_byte = np.zeros(size, dtype=np.bool_)
    for token, index in vocab.items():
        raw = sentencepiece.parse_byte(token) if byte_fallback else None
        is_byte[index] = raw is not None
        pieces[index] = to_bytes(token) if raw is None else raw
    for added in description.get("added_tokens", ()):
        if added["special"]:
            special[added["id"]] = True
            pieces[added["id"]] = b""
    invalid = InvalidBytes.WHOLE_RUN if byte_fallback else InvalidBytes.MAXIMAL_SUBPART
    return PieceTable(pieces, special, is_byte, trim, invalid)


def _read_decoder(decoder: dict[str, Any] | None) -> tuple[ToBytes, Trim, bool]:
    """Return how a token becomes bytes, how the first one is trimmed, and byte fallback."""
    kind = decoder["type"] if decoder else None
    if decoder is None:
        # Without a decoder the library joins tokens with blanks.
        return (lambda token: f" {token}".encode()), sentencepiece.drop_one_blank, False
    if kind == "Sequence" and len(decoder["decoders"]) == 1:
        return _read_decoder(decoder["decoders"][0])
    if kind == "ByteLevel":
        return byte_level.spell_token, None, False
    if kind == "WordPiece":
        prefix = decoder["prefix"]
        return (
            (lambda token: wordpiece.spell_token(token, prefix)),
            (lambda piece: wordpiece.trim_first(piece, prefix)),
            False,
        )
    if kind == "Metaspace":
        mark = decoder["replacement"]
        keeps = decoder.get("prepend_scheme") == "never"
        return (
            (lambda token: token.replace(mark, " ").encode("utf-8")),
            None if keeps else sentencepiece.drop_blanks,
            False,
        )
    if kind == "Sequence":
        return _read_sequence(decoder["decoders"])
    raise _refuse_decoder(kind)


def _read_sequence(steps: list[dict[str, Any]]) -> tuple[ToBytes, Trim, bool]:
    """Read Llama's decoder: Replace("▁", " "), ByteFallback, Fuse, Strip(" ", 1, 0)."""
    replace: list[tuple[str, str]] = []
    byte_fallback = False
    trim: Trim = None
    for step in steps:
        kind = step["type"]
        if kind == "Replace" and "String" in step["pattern"]:
            replace.append((step["pattern"]["String"], step["content"]))
        elif kind == "ByteFallback":
            byte_fallback = True
        elif kind == "Strip" and step["content"] == " " and step["stop"] == 0:
            count = int(step["start"])
            trim = None if count == 0 else _make_strip(count)
        elif kind == "Metaspace":
            replace.append((step["replacement"], " "))
            if step.get("prepend_scheme") != "never":
                trim = sentencepiece.drop_blanks
        elif kind != "Fuse":
            raise _refuse_decoder(kind)

    def to_bytes(token: str) -> bytes:
        for old, new in replace:
            token = token.replace(old, new)
        return token.encode("utf-8")

    return to_bytes, trim, byte_fallback


def _make_strip(count: int) -> Callable[[bytes], bytes]:
    def strip(piece: bytes) -> bytes:
        blanks = len(piece) - len(piece.lstrip(b" "))
        return piece[min(count, blanks) :]

    return strip


def _refuse_decoder(kind: str | None) -> InputError:
    return InputError(
        f"dfgen cannot read the byte offsets of a tokenizer whose decoder is {kind!r}.",
        hint="Byte-level BPE, SentencePiece (Metaspace or byte fallback), WordPiece and tiktoken "
        "are supported.",
    )
