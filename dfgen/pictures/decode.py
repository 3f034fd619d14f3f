"""Decodes pictures of every kind to the RGB pixels that people see.

Only formats that servers and processors of VLMs take are opened. Leaving the others out is also a
matter of safety: Pillow hands EPS files to Ghostscript.

What becomes of a picture that is not opaque 8-bit RGB:

    turned by EXIF or XMP     turned upright
    transparent               laid on white, as most transparent pictures are black drawings
    16 bits per channel       the high byte of each value
    32-bit integers, floats   have no white of their own: the largest value decides, see
                              `_scale_to_8_bits`
    palette, grey, CMYK, ...  Pillow's conversion to RGB
    animated                  the first frame
    colour profile (ICC), gamma    not applied, as no processor of a VLM applies them
"""

from __future__ import annotations

import io
import sys
from functools import cache
from typing import TYPE_CHECKING

from dfgen.errors import RowError

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image
    from numpy.typing import NDArray

    from dfgen.config.prompts import ImageLimits

_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_ORIENTATION_TAG = 0x0112
_SWAPPED = 5  # EXIF orientations from here on swap width and height
_PNG_DEPTH = 24  # where a PNG says how many bits a value has
# A grey of few bits is spread over 8 when it is read, its transparent value is not.
_SPREAD = {2: 85, 4: 17}


def decode_image(data: bytes) -> PIL.Image.Image:
    """Return the pixels of an encoded picture as people see them: RGB, upright, on white.

    Raises:
        RowError: image_corrupt.
    """
    return show_picture(load_picture(data), data)


def decode_small(data: bytes, side: int) -> tuple[PIL.Image.Image, tuple[int, int]]:
    """Return the pixels of a picture for a small copy, and the size of the picture itself.

    Args:
        side: in pixels; where the format gives smaller copies for less work (JPEG), one whose
            sides are at least this long is decoded.

    Raises:
        RowError: image_corrupt.
    """
    picture = load_picture(data, draft=side)
    # Only a JPEG is loaded smaller than it is.
    size = _read_size(data) if picture.format in ("JPEG", "MPO") else None
    return show_picture(picture, data), measure_picture(picture, size)


def load_picture(
    data: bytes, limits: ImageLimits | None = None, draft: int | None = None
) -> PIL.Image.Image:
    """Open a picture and decode its first frame, in the mode that the file has.

    Args:
        limits: sizes outside of them are refused before any pixel is decoded.
        draft: see `decode_small`.

    Raises:
        RowError: image_too_large, image_too_small, image_too_narrow, image_corrupt.
    """
    import PIL.Image

    bombs = (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning)
    try:
        picture = PIL.Image.open(io.BytesIO(data), formats=list_formats())
        if limits is not None:
            _check_size(picture.size, limits)
        if draft is not None:
            picture.draft("RGB", (draft, draft))
        picture.load()
    except (RowError, MemoryError):
        raise
    except bombs as error:
        raise RowError("image_too_large", str(error)) from error
    except PIL.UnidentifiedImageError as error:
        known = ", ".join(name for name in list_formats() if name != "MPO")
        raise RowError(
            "image_corrupt",
            f"the picture is in no format that dfgen reads ({known})",
            {"first_bytes": data[:16].hex()},
        ) from error
    except Exception as error:  # Pillow's decoders raise anything on damaged data
        raise RowError("image_corrupt", f"the picture cannot be decoded: {error}") from error
    return picture


def _check_size(size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    evidence = {"width": width, "height": height}
    shown = f"the picture has {width} x {height} pixels"
    if width * height > limits.max_pixels:
        detail = f"{shown}, more than images.max_pixels = {limits.max_pixels:,}"
        raise RowError("image_too_large", detail, evidence)
    if min(size) < limits.min_side:
        detail = f"{shown}: a side is shorter than images.min_side = {limits.min_side}"
        raise RowError("image_too_small", detail, evidence)
    if max(size) > limits.max_aspect * min(size):
        detail = (
            f"{shown}: the longer side is more than images.max_aspect = {limits.max_aspect:g}"
            " times the shorter one"
        )
        raise RowError("image_too_narrow", detail, evidence)


@cache
def list_formats() -> tuple[str, ...]:
    """List the formats that are opened, by Pillow's names, as far as this Pillow knows them."""
    import PIL.Image

    PIL.Image.init()
    return tuple(name for name in _FORMATS if name in PIL.Image.OPEN)


def measure_picture(
    picture: PIL.Image.Image, size: tuple[int, int] | None = None
) -> tuple[int, int]:
    """Return width and height of a loaded picture after its orientation, in pixels.

    Args:
        size: instead of the picture's own.
    """
    width, height = size or picture.size
    return (height, width) if _read_orientation(picture) >= _SWAPPED else (width, height)


def show_picture(picture: PIL.Image.Image, data: bytes) -> PIL.Image.Image:
    """Return the RGB pixels of a loaded picture.

    Args:
        picture: of `load_picture`.
        data: what it was loaded from.

    Raises:
        RowError: image_corrupt: its colours are of a kind that has no conversion to RGB (LAB).
    """
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    turn = turns.get(_read_orientation(picture))
    try:
        rgb = _to_rgb(picture, data)
    except ValueError as error:
        raise RowError(
            "image_corrupt", f"the picture's colours ({picture.mode}) cannot be made RGB: {error}"
        ) from error
    return rgb if turn is None else rgb.transpose(turn)


def _read_size(data: bytes) -> tuple[int, int]:
    import PIL.Image

    with PIL.Image.open(io.BytesIO(data), formats=list_formats()) as picture:
        return picture.size


def _read_orientation(picture: PIL.Image.Image) -> int:
    # Asked after load(): a TIFF is turned while it is loaded and then has no orientation left.
    try:
        value = picture.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF data does not make the pixels unusable
        return 1
    return value if isinstance(value, int) else 1


def _to_rgb(picture: PIL.Image.Image, data: bytes) -> PIL.Image.Image:
    import PIL.Image

    if picture.mode in ("F", "I") or picture.mode.startswith("I;16"):
        return _scale_to_8_bits(picture).convert("RGB")
    if picture.format == "PNG":
        _mend_transparency(picture, data[_PNG_DEPTH])
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        colours = picture.convert("RGBA")
        white = PIL.Image.new("RGBA", colours.size, "white")
        return PIL.Image.alpha_composite(white, colours).convert("RGB")
    return picture.convert("RGB")


def _mend_transparency(picture: PIL.Image.Image, depth: int) -> None:
    """Bring the one transparent colour of a PNG to the 8 bits to which its pixels were brought.

    Pillow leaves it as the file has it. Of 16-bit colours those with equal high bytes are
    transparent together, because the low ones are gone.
    """
    value = picture.info.get("transparency")
    if isinstance(value, int) and picture.mode == "L" and depth in _SPREAD:
        picture.info["transparency"] = value * _SPREAD[depth]
    elif isinstance(value, tuple) and depth == 16:
        picture.info["transparency"] = tuple(each >> 8 for each in value)


def _scale_to_8_bits(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Bring greys of more than 8 bits to 8; Pillow's own conversion cuts all above 255 to white.

    16 bits are 16 bits, however dark the picture: the high byte counts, as Pillow reads colours of
    16 bits. What else there is goes by its largest value: up to 1 (floats) it is taken for shares
    of white, up to 255 for 8 bits, up to 65535 for 16; beyond that the largest value is white.
    Below 0 is black, and so is what is no number.
    """
    import numpy as np
    import PIL.Image

    values = np.asarray(picture)
    if picture.mode.startswith("I;16"):
        grey = (values.astype(np.uint16) >> 8).astype(np.uint8)
        transparent = picture.info.get("transparency")
        if isinstance(transparent, int):
            grey[values == transparent] = 255
        return PIL.Image.fromarray(grey)
    finite = _drop_infinite(values.astype(np.float64))
    top = float(finite.max(initial=0.0))
    if picture.mode == "F" and top <= 1:
        finite = np.rint(finite * 255)
    elif top > 65535:
        finite = finite * (255 / top)
    elif top > 255:
        finite = finite / 256
    return PIL.Image.fromarray(finite.clip(0, 255).astype(np.uint8))


def _drop_infinite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace infinity by the largest number that there is, and what is no number by 0."""
    import numpy as np

    known = values[np.isfinite(values)]
    top = float(known.max(initial=0.0))
    return np.nan_to_num(values, nan=0.0, posinf=top, neginf=-sys.float_info.max)
