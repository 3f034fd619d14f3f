"""Spells SentencePiece tokens: "▁" is a blank, `<0xE2>` a raw byte, a first blank no text."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from dfgen.tokens.pieces import InvalidBytes, PieceTable

BLANK = "▁"
#: What sentencepiece decodes the unknown token to; its blanks are never trimmed.
UNKNOWN = " \u2047 ".encode()
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def parse_byte(token: str) -> bytes | None:
    """Return the byte that a byte-fallback token (`<0xE2>`) stands for, or None."""
    match = _BYTE.fullmatch(token)
    return bytes([int(match[1], 16)]) if match else None


def drop_one_blank(piece: bytes) -> bytes:
    """Drop the dummy blank at the start of a text."""
    return piece[1:] if piece.startswith(b" ") else piece


def drop_blanks(piece: bytes) -> bytes:
    """Drop every blank of the first token, as the Metaspace decoder of `tokenizers` does."""
    return piece.replace(b" ", b"")


def _drop_dummy_prefix(piece: bytes) -> bytes:
    return piece if piece == UNKNOWN else drop_one_blank(piece)


def build_table(processor: Any) -> PieceTable:
    """Build the piece table of a `sentencepiece.SentencePieceProcessor`."""
    size = processor.GetPieceSize()
    pieces: list[bytes | None] = []
    special = np.zeros(size, dtype=np.bool_)
    is_byte = np.zeros(size, dtype=np.bool_)
    for index in range(size):
        piece = processor.IdToPiece(index)
        if processor.IsControl(index):
            special[index] = True
            pieces.append(b"")
        elif processor.IsUnknown(index):
            pieces.append(UNKNOWN)
        elif processor.IsByte(index):
            is_byte[index] = True
            pieces.append(parse_byte(piece) or b"")
        else:
            pieces.append(piece.replace(BLANK, " ").encode("utf-8"))
    # The model's own settings need protobuf to read; what it does shows the same.
    ids = processor.EncodeAsIds("a")
    drops = processor.IdToPiece(ids[0]).startswith(BLANK) and processor.DecodeIds(ids)[0] != " "
    trim = _drop_dummy_prefix if drops else None
    return PieceTable(pieces, special, is_byte, trim, InvalidBytes.PER_BYTE)


def list_control_tokens(processor: Any) -> list[str]:
    """List the control symbols of a `sentencepiece.SentencePieceProcessor` as they are written."""
    return [
        processor.IdToPiece(index)
        for index in range(processor.GetPieceSize())
        if processor.IsControl(index)
    ]
