"""Makes smaller copies of pictures too large for a server; sends all others as they are."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace

from dfgen.engines.base import ImageData, Message

_QUALITY = 90
_SHRINK = 0.8


def fit_pictures(messages: Sequence[Message], max_bytes: int | None) -> tuple[Message, ...]:
    """Replace pictures above a size limit by JPEG copies below it.

    Args:
        max_bytes: of one encoded picture, before base64; None is no limit.
    """
    if max_bytes is None:
        return tuple(messages)
    return tuple(
        replace(
            message,
            content=tuple(
                shrink_picture(part, max_bytes)
                if isinstance(part, ImageData) and len(part.data) > max_bytes
                else part
                for part in message.content
            ),
        )
        for message in messages
    )


def shrink_picture(image: ImageData, max_bytes: int) -> ImageData:
    """Encode a picture as JPEG, at smaller and smaller sizes until it fits."""
    from PIL import Image

    from dfgen.pictures.decode import decode_image

    canvas = decode_image(image.data)
    while True:
        buffer = io.BytesIO()
        canvas.save(buffer, "JPEG", quality=_QUALITY)
        data = buffer.getvalue()
        if len(data) <= max_bytes or min(canvas.size) < 32:
            return ImageData(data, hashlib.sha256(data).hexdigest(), "image/jpeg")
        width, height = canvas.size
        smaller = (max(1, int(width * _SHRINK)), max(1, int(height * _SHRINK)))
        canvas = canvas.resize(smaller, Image.Resampling.LANCZOS)
