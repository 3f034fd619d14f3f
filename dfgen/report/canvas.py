"""A surface to draw small plots on: rectangles and words, through Pillow.

Why not matplotlib: the card needs bars and words, and every user who publishes would pay for
matplotlib's ten packages and a second of import. Pillow is here already, brings a font of its own,
and draws equal bytes for equal numbers on every machine.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import PIL.ImageFont

Colour = tuple[int, int, int]
Anchor = Literal["left", "middle", "right"]

PAPER: Colour = (255, 255, 255)
INK: Colour = (30, 35, 41)
SOFT: Colour = (92, 101, 112)
LINE: Colour = (229, 225, 216)
BAR: Colour = (125, 138, 153)
PALE: Colour = (190, 197, 206)
WRONG: Colour = (216, 86, 63)
WRONG_PALE: Colour = (238, 176, 163)
WRONG_DARK: Colour = (156, 36, 19)
RIGHT: Colour = (38, 148, 122)

# Drawn at three times the size and shrunk: Pillow's shapes have hard edges otherwise.
_OVERSAMPLING = 3
_SCALE = 2


class Canvas:
    """A white picture measured in points; the PNG has twice as many pixels each way."""

    def __init__(self, width: int, height: int) -> None:
        import PIL.Image
        import PIL.ImageDraw

        self.width = width
        self.height = height
        self._zoom = _SCALE * _OVERSAMPLING
        self._image = PIL.Image.new("RGB", (width * self._zoom, height * self._zoom), PAPER)
        self._draw = PIL.ImageDraw.Draw(self._image)

    def fill(
        self, x: float, y: float, width: float, height: float, colour: Colour, radius: float = 2
    ) -> None:
        """Draw a rectangle with round corners."""
        if width <= 0 or height <= 0:
            return
        zoom = self._zoom
        box = (x * zoom, y * zoom, (x + width) * zoom - 1, (y + height) * zoom - 1)
        round_by = min(radius, width / 2, height / 2) * zoom
        self._draw.rounded_rectangle(box, round_by, fill=colour)

    def write(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 11,
        colour: Colour = SOFT,
        anchor: Anchor = "left",
    ) -> None:
        """Write a line of text; `y` is its baseline."""
        place = {"left": "ls", "middle": "ms", "right": "rs"}[anchor]
        font = _load_font(round(size * self._zoom))
        self._draw.text((x * self._zoom, y * self._zoom), text, colour, font, anchor=place)

    def to_png(self) -> bytes:
        """The picture as PNG, with few colours: flat areas need no more."""
        import PIL.Image

        size = (self.width * _SCALE, self.height * _SCALE)
        small = self._image.resize(size, PIL.Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        small.quantize(64, dither=PIL.Image.Dither.NONE).save(stream, "PNG", optimize=True)
        return stream.getvalue()


@lru_cache
def _load_font(size: int) -> PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont:
    import PIL.ImageFont

    return PIL.ImageFont.load_default(size)
