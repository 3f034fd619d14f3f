"""Makes pictures small enough to stand inside a page.

Every picture is decoded and encoded again: what a page shows is pixels, never bytes (EXIF with a
place, an SVG with a script) of somebody's file.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import PIL.Image

LARGEST_SIDE = 448
# Up to this side a picture is kept pixel by pixel: icons, drawn scenes, crops of digits.
EXACT_SIDE = 128
_SIDES = (LARGEST_SIDE, 384, 320, 256, 192, 128, 96)
_QUALITIES = (80, 65, 50, 35)


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture as a data URL, with the size of the original in pixels."""

    url: str
    width: int
    height: int
    exact: bool


def make_thumbnail(data: bytes, max_bytes: int) -> Thumbnail | None:
    """Shrink an encoded picture; None if it cannot be decoded.

    Args:
        data: the encoded picture.
        max_bytes: of the encoded thumbnail, before base64. A picture that stays larger even at 96
            pixels is given all the same.
    """
    import PIL.Image

    from dfgen.errors import RowError
    from dfgen.pictures.decode import decode_small

    try:
        with warnings.catch_warnings():
            # Pillow warns of damaged metadata in pictures that decode all the same.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            picture, size = decode_small(data, LARGEST_SIDE * 2)
    except RowError:
        return None
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    exact = max(picture.size) <= EXACT_SIDE
    encoded = b""
    for encoded in _try_sizes(picture, exact):
        if len(encoded) <= max_bytes:
            break
    url = f"data:image/webp;base64,{base64.b64encode(encoded).decode('ascii')}"
    return Thumbnail(url, *size, exact)


def _try_sizes(picture: PIL.Image.Image, exact: bool) -> Iterator[bytes]:
    """Ever smaller encodings of a picture."""
    if exact:
        yield _encode(picture, lossless=True)
    for side in _SIDES:
        if side < _SIDES[0] and side >= max(picture.size):
            continue
        smaller = picture.copy()
        smaller.thumbnail((side, side))
        for quality in _QUALITIES:
            yield _encode(smaller, quality=quality)


def _encode(picture: PIL.Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "WEBP", method=4, **options)
    return stream.getvalue()
