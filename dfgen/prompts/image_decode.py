"""Decodes pictures: once to verify them, and again when an engine needs the pixels.

Only formats that servers and processors of VLMs take are opened. Leaving the others out is also a
matter of safety: Pillow hands EPS files to Ghostscript.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from functools import cache
from typing import TYPE_CHECKING

from dfgen.config.prompts import ImageLimits
from dfgen.errors import RowError
from dfgen.records import ImageInfo

if TYPE_CHECKING:
    import PIL.Image

_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_ORIENTATION_TAG = 0x0112


def verify_image(data: bytes, limits: ImageLimits) -> ImageInfo:
    """Decode a picture once and say what it is.

    Size in bytes and in pixels is checked before any pixel is decoded. Of an animation the first
    frame counts. Changes the warning filters for the time of the call, so it is for one thread.

    Args:
        data: the encoded file.
        limits: what a picture may be.

    Returns:
        SHA-256 of `data`, format (Pillow's name; MPO counts as JPEG), width and height in pixels
        after EXIF orientation.

    Raises:
        RowError: image_missing (no bytes), image_too_large, image_corrupt.
    """
    import PIL.Image

    check_size(len(data), limits)
    with warnings.catch_warnings():
        # Pillow warns of damaged EXIF data and the like in pictures that decode all the same.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
        picture = _load(data, limits.max_pixels)
        width, height = picture.size
        if _read_orientation(picture) >= 5:
            width, height = height, width
    kind = picture.format or "unknown"
    return ImageInfo(
        sha256=hashlib.sha256(data).hexdigest(),
        format="JPEG" if kind == "MPO" else kind,
        width=width,
        height=height,
    )


def check_size(size: int, limits: ImageLimits) -> None:
    """Refuse a file of `size` bytes that is empty or above the limit, before it is read.

    Raises:
        RowError: image_missing, image_too_large.
    """
    if size == 0:
        raise RowError("image_missing", "the picture has no bytes")
    if size > limits.max_bytes:
        raise RowError(
            "image_too_large",
            f"the picture has {size:,} bytes, more than images.max_bytes = {limits.max_bytes:,}",
            {"bytes": size},
        )


def decode_image(data: bytes) -> PIL.Image.Image:
    """Return the pixels as people see them: RGB, EXIF orientation applied, on white.

    Transparent parts become white, as servers of VLMs do it: most transparent pictures are black
    drawings, which would vanish on black. Greys of 16 or 32 bits are scaled to 8. Of an animation
    the first frame is returned.

    Raises:
        RowError: image_corrupt.
    """
    from PIL.Image import Transpose

    picture = _load(data, None)
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
    rgb = _to_rgb(picture)
    return rgb if turn is None else rgb.transpose(turn)


@cache
def _list_formats() -> tuple[str, ...]:
    import PIL.Image

    PIL.Image.init()
    return tuple(name for name in _FORMATS if name in PIL.Image.OPEN)


def _load(data: bytes, max_pixels: int | None) -> PIL.Image.Image:
    import PIL.Image

    bombs = (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning)
    try:
        picture = PIL.Image.open(io.BytesIO(data), formats=_list_formats())
        width, height = picture.size
        if max_pixels is not None and width * height > max_pixels:
            raise RowError(
                "image_too_large",
                f"the picture has {width} x {height} pixels, more than images.max_pixels"
                f" = {max_pixels:,}",
                {"width": width, "height": height},
            )
        picture.load()
    except (RowError, MemoryError):
        raise
    except bombs as error:
        raise RowError("image_too_large", str(error)) from error
    except PIL.UnidentifiedImageError as error:
        known = ", ".join(name for name in _list_formats() if name != "MPO")
        raise RowError(
            "image_corrupt",
            f"the picture is in no format that dfgen reads ({known})",
            {"first_bytes": data[:16].hex()},
        ) from error
    except Exception as error:  # Pillow's decoders raise anything on damaged data
        raise RowError("image_corrupt", f"the picture cannot be decoded: {error}") from error
    return picture


def _read_orientation(picture: PIL.Image.Image) -> int:
    # Asked after load(): a TIFF is turned while it is loaded and then has no orientation left.
    try:
        value = picture.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF data does not make the pixels unusable
        return 1
    return value if isinstance(value, int) else 1


def _to_rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    import PIL.Image

    if picture.mode in ("F", "I") or picture.mode.startswith("I;16"):
        return _scale_to_8_bits(picture).convert("RGB")
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        colours = picture.convert("RGBA")
        white = PIL.Image.new("RGBA", colours.size, "white")
        return PIL.Image.alpha_composite(white, colours).convert("RGB")
    return picture.convert("RGB")


def _scale_to_8_bits(picture: PIL.Image.Image) -> PIL.Image.Image:
    # Pillow's own conversion cuts every value above 255 to white.
    import numpy as np
    import PIL.Image

    values = np.nan_to_num(np.asarray(picture).astype(np.float64))
    top = float(values.max(initial=0.0))
    if picture.mode.startswith("I;16") or 255 < top < 65536:
        values = values / 257
    elif top > 255:
        values = values * (255 / top)
    elif picture.mode == "F" and top <= 1:
        values = values * 255
    return PIL.Image.fromarray(values.clip(0, 255).astype(np.uint8))
