"""Makes requests and real pictures."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from dfgen.engines.base import Decoding, ImageData, Message, Part, Request


def draw_image(color: str, size: tuple[int, int] = (40, 30)) -> ImageData:
    """Encode a picture of one colour as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    data = buffer.getvalue()
    return ImageData(data, hashlib.sha256(data).hexdigest(), "image/png")


def make_request(
    key: object,
    *parts: Part,
    seed: int = 0,
    system: str | None = None,
    chat_template: str | None = None,
    chat_template_args: dict[str, Any] | None = None,
    with_logprobs: bool = True,
    **decoding: Any,
) -> Request:
    """Ask for one completion of at most 12 tokens at temperature 1."""
    messages = [Message("user", tuple(parts))]
    if system is not None:
        messages.insert(0, Message("system", (system,)))
    return Request(
        key=str(key),
        messages=tuple(messages),
        decoding=Decoding(**{"max_tokens": 12, **decoding}),
        seed=seed,
        chat_template=chat_template,
        chat_template_args=chat_template_args or {},
        with_logprobs=with_logprobs,
    )
