"""Draws a picture in a terminal: two pixels per character, one above the other."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
from rich.color import Color
from rich.style import Style
from rich.text import Text

from dfgen.errors import RowError
from dfgen.pictures.decode import decode_small

UPPER_HALF = "▀"


def render_picture(data: bytes, columns: int) -> Text | None:
    """Draw an encoded picture at most `columns` characters wide and half as many lines high.

    None if it cannot be decoded.
    """
    import PIL.ImageOps

    try:
        picture, _ = decode_small(data, columns * 2)
    except RowError:
        return None
    small = PIL.ImageOps.contain(picture, (columns, columns))
    lines: list[list[list[int]]] = np.asarray(small).tolist()
    text = Text(no_wrap=True)
    for upper, lower in zip_longest(lines[::2], lines[1::2], fillvalue=lines[-1]):
        for over, under in zip(upper, lower, strict=True):
            style = Style(color=Color.from_rgb(*over), bgcolor=Color.from_rgb(*under))
            text.append(UPPER_HALF, style)
        text.append("\n")
    text.rstrip()
    return text
