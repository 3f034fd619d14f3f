"""Blackens the pictures of a chat: the same sizes, and nothing to be seen in them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import cycle

from dfgen.engines.base import ImageData, Message
from dfgen.records import ImageInfo

_KEPT = 64
"""Sizes of pictures that are remembered."""


def blacken(
    messages: Sequence[Message], pictures: Sequence[ImageInfo]
) -> tuple[Message, ...] | None:
    """Return the chat with every picture black, so that its prompt has the same length in tokens.

    Source of the idea: VPPO (arXiv 2510.09285), which masks the picture to find the tokens that
    depend on it.

    Args:
        messages: a chat.
        pictures: what is known of the prompt's pictures, in their order; a template that shows them
            twice does so in the same order. Not by hash: what is shown is their view.

    Returns:
        None where there is no picture.
    """
    sizes = cycle((info.width, info.height) for info in pictures)
    found = any(isinstance(part, ImageData) for message in messages for part in message.content)
    if not found:
        return None
    return tuple(
        replace(
            message,
            content=tuple(
                make_black(*next(sizes)) if isinstance(part, ImageData) else part
                for part in message.content
            ),
        )
        for message in messages
    )


@lru_cache(maxsize=_KEPT)
def make_black(width: int, height: int) -> ImageData:
    """Make a black RGB picture of this size, as a PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "PNG")
    data = buffer.getvalue()
    return ImageData(data, hashlib.sha256(data).hexdigest(), "image/png")
