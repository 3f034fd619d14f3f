"""Makes pictures small enough to stand inside a page.

Every picture is decoded and encoded again: what a page shows is pixels, never bytes (EXIF with a
place, an SVG with a script) of somebody's file.
"""

from __future__ import annotations

import base64
import io
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import PIL.Image

# By area, not by side: a strip of a table keeps the height of its letters, and so does a page.
LARGEST_AREA = 600 * 800
LARGEST_SIDE = 2048
# Up to this side a picture is kept pixel by pixel: icons, drawn scenes, crops of digits.
EXACT_SIDE = 128
_SCALES = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.22, 0.15)
_SMALLEST_SIDE = 96
# Letters survive a coarse picture better than a small one.
_QUALITIES = (80, 60, 40, 25, 12)
_SHADES = 16


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture as a data URL, with the size of the original in pixels."""

    url: str
    width: int
    height: int
    exact: bool


def make_thumbnail(
    data: bytes, max_bytes: int, area: int = LARGEST_AREA, side: int = LARGEST_SIDE
) -> Thumbnail | None:
    """Shrink an encoded picture; None if it cannot be decoded.

    Args:
        data: the encoded picture.
        max_bytes: of the encoded thumbnail, before base64. A picture that stays larger even at 96
            pixels is given all the same.
        area, side: pixels of the thumbnail, and of its longer side, at most; a larger picture is
            made smaller.
    """
    import PIL.Image

    from dfgen.errors import RowError
    from dfgen.pictures.decode import decode_small

    try:
        with warnings.catch_warnings():
            # Pillow warns of damaged metadata in pictures that decode all the same.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            picture, size = decode_small(data, side)
    except RowError:
        return None
    factor = min(1.0, math.sqrt(area / math.prod(picture.size)), side / max(picture.size))
    picture = _shrink(picture, factor)
    exact = max(picture.size) <= EXACT_SIDE
    encoded = b""
    for encoded in _try_sizes(picture, exact):
        if len(encoded) <= max_bytes:
            break
    url = f"data:image/webp;base64,{base64.b64encode(encoded).decode('ascii')}"
    return Thumbnail(url, *size, exact)


def _try_sizes(picture: PIL.Image.Image, exact: bool) -> Iterator[bytes]:
    """Ever smaller encodings of a picture: coarser first, then of fewer pixels."""
    import PIL.Image

    if exact:
        yield _encode(picture, lossless=True)
    yield _encode(picture, quality=_QUALITIES[0])
    # A page of print is a few shades of grey, which stay sharp at a tenth of the size.
    yield _encode(picture.quantize(_SHADES, dither=PIL.Image.Dither.NONE), lossless=True)
    for scale in _SCALES:
        scale = max(scale, min(1.0, _SMALLEST_SIDE / max(picture.size)))  # noqa: PLW2901
        smaller = _shrink(picture, scale)
        for quality in _QUALITIES:
            yield _encode(smaller, quality=quality)


def _shrink(picture: PIL.Image.Image, factor: float) -> PIL.Image.Image:
    import PIL.Image

    if factor >= 1:
        return picture
    size = [max(1, round(side * factor)) for side in picture.size]
    return picture.resize((size[0], size[1]), PIL.Image.Resampling.LANCZOS)


def _encode(picture: PIL.Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, "WEBP", method=4, **options)
    return stream.getvalue()
