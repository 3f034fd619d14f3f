"""Spells WordPiece tokens (BERT): a blank stands before every token that continues no word."""

from __future__ import annotations


def spell_token(token: str, prefix: str) -> bytes:
    """Return the bytes of a WordPiece entry.

    The decoder's English "clean-up" (" ." to ".", " n't" to "n't") is left out on purpose: it
    deletes characters that no token owns.
    """
    if token.startswith(prefix):
        return token[len(prefix) :].encode("utf-8")
    return f" {token}".encode()


def trim_first(piece: bytes, prefix: str) -> bytes:
    """Return the bytes of the first token of a text: no blank, but a continuation shows its mark.

    So does the decoder of the `tokenizers` library.
    """
    return piece[1:] if piece.startswith(b" ") else prefix.encode() + piece
