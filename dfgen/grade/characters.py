"""Folds characters one to one: offsets in the folded text are those of the original."""

from __future__ import annotations

import unicodedata
from functools import cache

_MAPPED = {
    **dict.fromkeys("\u2212\u2010\u2011\ufe63\uff0d", "-"),
    **dict.fromkeys("\u00a0\u2007\u2009\u202f\u3000\u2008\u200a", " "),
    **dict.fromkeys("\u2019\u2018\uff07\u02bc", "'"),
    **dict.fromkeys("\u066a\uff05\ufe6a", "%"),
    "\u2044": "/",
    "\u2215": "/",
    "\u00d7": "×",
    "\u22c5": "·",
    "\u2219": "·",
    "\u066b": ".",  # Arabic decimal separator
    "\u066c": "'",  # Arabic thousands separator: like the apostrophe it has one meaning only
}


@cache
def _fold(character: str) -> str:
    if character in _MAPPED:
        return _MAPPED[character]
    if character.isdecimal():  # superscripts are digits but not decimals: 10² stays apart from 102
        return str(unicodedata.decimal(character))
    if "\uff01" <= character <= "\uff5e":
        return chr(ord(character) - 0xFEE0)
    return character


def fold_characters(text: str) -> str:
    """Return `text` with digits of all scripts, minus signs, spaces and full-width forms as ASCII.

    The result has the same length.
    """
    return text if text.isascii() else "".join(map(_fold, text))
