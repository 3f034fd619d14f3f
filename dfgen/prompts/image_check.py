"""Verifies pictures, decoding each once: whether it can be shown, and what it is."""

from __future__ import annotations

import hashlib
import warnings

from dfgen.config.prompts import ImageLimits
from dfgen.errors import RowError
from dfgen.pictures.decode import load_picture, measure_picture, show_picture
from dfgen.pictures.header import find_plain_type
from dfgen.records import ImageInfo


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
        RowError: image_missing (no bytes), image_too_large, image_too_small, image_too_narrow,
            image_corrupt.
    """
    import PIL.Image

    check_size(len(data), limits)
    with warnings.catch_warnings():
        # Pillow warns of damaged EXIF data and the like in pictures that decode all the same.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
        picture = load_picture(data, limits)
        width, height = measure_picture(picture)
        if find_plain_type(data) is None:
            # It will be shown as another file, which has to be possible.
            show_picture(picture, data)
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
