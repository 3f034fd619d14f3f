"""Tells the format of a picture by its first bytes, decodes it, and writes it as a data URI."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

from dfgen.errors import InputError

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
)


def find_format(data: bytes) -> str:
    """Find the format of an encoded picture, as MIME types name it (`png`, `jpeg`, `webp`, ...).

    Raises:
        InputError: the bytes begin as none of the known formats does.
    """
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    raise InputError(
        f"these {len(data)} bytes are no picture of a known format.",
        hint="PNG, JPEG, WebP, GIF, BMP and TIFF are known. `dfgen validate RUN` finds damage.",
    )


def write_data_uri(image: Mapping[str, Any]) -> str:
    """Write a picture `{"bytes", "path"}` as `data:image/png;base64,...`. Raises `InputError`."""
    data = image["bytes"]
    return f"data:image/{find_format(data)};base64,{base64.b64encode(data).decode('ascii')}"


def open_picture(image: Mapping[str, Any]) -> Any:
    """Decode `{"bytes", "path"}` to an RGB picture of Pillow.

    Raises:
        InputError: it cannot be decoded, or has so many pixels that Pillow takes it for an attack.
    """
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(image["bytes"])) as opened:
            return opened.convert("RGB")
    # A broken PNG is a SyntaxError of Pillow's, a broken TIFF nearly anything.
    except (
        *(OSError, TypeError, ValueError, SyntaxError, ArithmeticError, LookupError),
        PIL.Image.DecompressionBombError,
    ) as error:
        raise InputError(
            f"a picture cannot be decoded: {error}",
            where=image.get("path"),
            hint="Export or fetch the data set again; `dfgen validate RUN` finds damage.",
        ) from error
