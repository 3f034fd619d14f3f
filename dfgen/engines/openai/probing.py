"""A small request that a well server answers, made from one that it did not."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import cache

from dfgen.engines.base import ImageData, Message, Request

_QUESTION = "Answer with one word: yes."


def make_probe(request: Request) -> Request:
    """Ask about nothing, with everything else as in a request that failed.

    Model, sampling, schema and template are the same, and there is a picture if there was one: what
    makes a server refuse every row makes it refuse the probe.
    """
    parts = [part for message in request.messages for part in message.content]
    pictured = any(isinstance(part, ImageData) for part in parts)
    content = (*((draw_picture(),) if pictured else ()), _QUESTION)
    return replace(request, key="probe", messages=(Message("user", content),))


@cache
def draw_picture() -> ImageData:
    """A grey square of 64 pixels: large enough for every processor."""
    import hashlib

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "gray").save(buffer, "PNG")
    data = buffer.getvalue()
    return ImageData(data, hashlib.sha256(data).hexdigest(), "image/png")
