"""The format of a picture is told by its bytes, and what Tinker does not take becomes PNG."""

from __future__ import annotations

import base64
import io

import numpy as np
import PIL.Image
import pytest

from dfgen.errors import InputError
from dfgen.trainers.pictures import find_format, write_data_uri
from dfgen.trainers.tinker import prepare_picture

PIXELS = PIL.Image.fromarray(
    np.random.default_rng(0).integers(0, 255, (9, 7, 3)).astype(np.uint8), "RGB"
)


def encode(name: str) -> bytes:
    sink = io.BytesIO()
    PIXELS.save(sink, name, **({"lossless": True} if name == "WEBP" else {}))
    return sink.getvalue()


@pytest.mark.parametrize("name", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_formats_are_told_by_bytes(name: str) -> None:
    data = encode(name)
    assert find_format(data) == name.lower()
    head, text = write_data_uri({"bytes": data, "path": "x.txt"}).split(",")
    assert head == f"data:image/{name.lower()};base64"
    assert base64.b64decode(text) == data


@pytest.mark.parametrize("data", [b"", b"\x89PNG", b"RIFF1234WAVE", b"hello", b"\xff\xd8"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="no picture of a known format"):
        find_format(data)


@pytest.mark.parametrize("name", ["PNG", "JPEG"])
def test_tinker_gets_png_and_jpeg_as_they_are(name: str) -> None:
    data = encode(name)
    assert prepare_picture(data) == (data, name.lower())


@pytest.mark.parametrize("name", ["BMP", "TIFF", "WEBP"])
def test_tinker_gets_others_as_png_with_the_same_pixels(name: str) -> None:
    data, kind = prepare_picture(encode(name))
    assert (kind, find_format(data)) == ("png", "png")
    with PIL.Image.open(io.BytesIO(data)) as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(PIXELS))
