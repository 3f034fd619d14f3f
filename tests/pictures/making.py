"""Pictures in every mode and file format that Pillow can write, turned and not."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import PIL.Image
from hypothesis import strategies as st

from tests.support.pictures import encode

ORIENTATION_TAG = 0x0112
KINDS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16", "I", "F", "CMYK")
TURNABLE = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF")
_LOSSLESS = {"WEBP": {"lossless": True}}


def draw(mode: str, seed: int, size: tuple[int, int]) -> PIL.Image.Image:
    """Draw noise in a mode; whatever can be transparent is so in places."""
    width, height = size
    rng = np.random.default_rng(seed)
    bytes_of = {"LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}
    if mode in bytes_of:
        noise = rng.integers(0, 256, (height, width, bytes_of[mode]), np.uint8)
        return PIL.Image.frombytes(mode, size, noise.tobytes())
    if mode in ("I;16", "I", "F"):
        top = {"I;16": 65536, "I": 2 ** (8 * rng.integers(1, 4)), "F": 1 + 300 * rng.random()}[mode]
        noise = rng.random((height, width)) * top
        kind = {"I;16": "<u2", "I": "<i4", "F": "<f4"}[mode]
        return PIL.Image.frombytes(mode, size, noise.astype(kind).tobytes())
    grey = PIL.Image.frombytes("L", size, rng.integers(0, 256, (height, width), np.uint8).tobytes())
    if mode == "PA":
        return draw("RGBA", seed, size).convert("PA")
    return grey.convert(mode)


def try_encode(picture: PIL.Image.Image, kind: str, **options: Any) -> bytes | None:
    """Encode, without loss where the format can; None where it has no such mode."""
    try:
        return encode(picture, kind, **_LOSSLESS.get(kind, {}), **options)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def make_exif(orientation: int) -> PIL.Image.Exif:
    exif = PIL.Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    return exif


@st.composite
def files(draw_from: Any) -> bytes:
    """Encoded pictures of every kind: mode, format, orientation, transparent colour, frames."""
    kind = draw_from(st.sampled_from(KINDS))
    mode = draw_from(st.sampled_from(MODES))
    size = (draw_from(st.integers(1, 9)), draw_from(st.integers(1, 9)))
    picture = draw(mode, draw_from(st.integers(0, 999)), size)
    options: dict[str, Any] = {}
    if kind in TURNABLE and draw_from(st.booleans()):
        options["exif"] = make_exif(draw_from(st.integers(1, 8)))
    if kind in ("PNG", "GIF") and mode in ("P", "L", "1") and draw_from(st.booleans()):
        options["transparency"] = draw_from(st.integers(0, 255))
    if kind in ("PNG", "GIF", "WEBP", "TIFF") and draw_from(st.integers(0, 5)) == 0:
        options |= {"save_all": True, "append_images": [draw(mode, 1000, size)]}
    data = try_encode(picture, kind, **options)
    return data if data is not None else encode(picture.convert("RGB"), "PNG")


def make_chunk(kind: bytes, body: bytes) -> bytes:
    """Return one chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def make_png(
    rows: np.ndarray, depth: int, colour: int, before: bytes = b"", behind: bytes = b""
) -> bytes:
    """Write a PNG by hand, of any depth and colour type.

    Args:
        rows: [height, width, channels] whole numbers below 2**depth.
        before: chunks between header and pixels.
        behind: chunks between pixels and end.
    """
    height, width, channels = rows.shape
    lines = b""
    for row in rows.reshape(height, width * channels):
        bits = "".join(format(int(value), f"0{depth}b") for value in row)
        bits += "0" * (-len(bits) % 8)
        lines += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            make_chunk(b"IHDR", header),
            before,
            make_chunk(b"IDAT", zlib.compress(lines)),
            behind,
            make_chunk(b"IEND", b""),
        )
    )
