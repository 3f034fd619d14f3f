"""Spells byte-level BPE tokens (GPT-2, Llama 3, Qwen, the demo): each character is one byte."""

from __future__ import annotations

from functools import cache


@cache
def map_chars_to_bytes() -> dict[str, int]:
    """Return the byte each character of a byte-level vocabulary stands for.

    GPT-2 writes the 188 printable Latin-1 bytes as themselves and moves the other 68 to U+0100 and
    up, in order, so that no vocabulary entry holds a blank or a control character.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(0x100) if byte not in set(printable))
    table.update({chr(0x100 + n): byte for n, byte in enumerate(others)})
    return table


def spell_token(token: str) -> bytes:
    """Return the bytes of a byte-level vocabulary entry.

    An entry with any character outside the alphabet is an added token that stands for itself, as
    in the ByteLevel decoder of the `tokenizers` library.
    """
    table = map_chars_to_bytes()
    try:
        return bytes([table[char] for char in token])
    except KeyError:
        return token.encode("utf-8")
