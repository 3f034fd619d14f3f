"""Draws a picture in a terminal: two pixels per character, one above the other."""

from __future__ import annotations

import io
from itertools import zip_longest

import numpy as np
from rich.color import Color
from rich.style import Style
from rich.text import Text

UPPER_HALF = "▀"


def render_picture(data: bytes, columns: int) -> Text | None:
    """Draw an encoded picture at most `columns` characters wide and half as many lines high.

    None if it cannot be decoded.
    """
    import PIL.Image
    import PIL.ImageOps

    try:
        with PIL.Image.open(io.BytesIO(data)) as source:
            source.draft("RGB", (columns * 2, columns * 2))
            picture = PIL.ImageOps.exif_transpose(source).convert("RGBA")
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):
        return None
    sheet = PIL.Image.new("RGBA", picture.size, "white")
    sheet.alpha_composite(picture)
    small = PIL.ImageOps.contain(sheet.convert("RGB"), (columns, columns))
    lines: list[list[list[int]]] = np.asarray(small).tolist()
    text = Text(no_wrap=True)
    for upper, lower in zip_longest(lines[::2], lines[1::2], fillvalue=lines[-1]):
        for over, under in zip(upper, lower, strict=True):
            style = Style(color=Color.from_rgb(*over), bgcolor=Color.from_rgb(*under))
            text.append(UPPER_HALF, style)
        text.append("\n")
    text.rstrip()
    return text
