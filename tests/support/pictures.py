"""Small pictures for tests, made by Pillow, every kind that real data sets hold."""

from __future__ import annotations

import io
import struct
import zlib

import PIL.Image

_ORIENTATION_TAG = 0x0112


def encode(picture: PIL.Image.Image, kind: str, **options: object) -> bytes:
    """Return a picture as a file of a Pillow format."""
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def make_png(number: int = 0, width: int = 12, height: int = 8) -> bytes:
    """Return a PNG whose colour, and so whose bytes, differ by number."""
    colour = (number % 256, number // 256 % 256, 99)
    return encode(PIL.Image.new("RGB", (width, height), colour), "PNG")


def draw_corner(width: int = 16, height: int = 8) -> PIL.Image.Image:
    """Return a black picture whose upper left quarter is red: shows how it was turned."""
    picture = PIL.Image.new("RGB", (width, height), "black")
    picture.paste("red", (0, 0, width // 2, height // 2))
    return picture


def make_oriented(orientation: int, kind: str = "JPEG") -> bytes:
    """Return the corner picture with an EXIF orientation, stored 16 x 8."""
    exif = PIL.Image.Exif()
    exif[_ORIENTATION_TAG] = orientation
    return encode(draw_corner(), kind, exif=exif)


def make_broken_exif_jpeg() -> bytes:
    """Return a JPEG with good pixels and an EXIF block of garbage."""
    return encode(draw_corner(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff garbage")


def make_truncated_jpeg() -> bytes:
    """Return the first two thirds of a JPEG."""
    data = encode(PIL.Image.effect_mandelbrot((64, 64), (-2, -1.5, 1, 1.5), 99), "JPEG")
    return data[: len(data) * 2 // 3]


def make_bomb_png(width: int = 20_000, height: int = 20_000) -> bytes:
    """Return a PNG of some 100 bytes that claims to be huge."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def make_animated_gif() -> bytes:
    """Return a GIF whose first frame is red and whose second is blue."""
    frames = [PIL.Image.new("RGB", (10, 6), colour) for colour in ("red", "blue")]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)


def make_cmyk_jpeg() -> bytes:
    """Return a red JPEG in printing colours."""
    return encode(PIL.Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95)


def make_grey16_png(value: int = 32768) -> bytes:
    """Return a PNG of 16-bit grey, one value everywhere."""
    return encode(PIL.Image.new("I;16", (8, 8), value), "PNG")


def make_webp() -> bytes:
    """Return a green WebP."""
    return encode(PIL.Image.new("RGB", (9, 7), (0, 255, 0)), "WEBP", lossless=True)


def make_transparent_png() -> bytes:
    """Return a PNG that is black everywhere and transparent in its left half."""
    picture = PIL.Image.new("RGBA", (8, 4), (0, 0, 0, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 4, 4))
    return encode(picture, "PNG")


def make_palette_png() -> bytes:
    """Return a PNG with a palette whose colour 0 is transparent, and of that colour."""
    return encode(PIL.Image.new("P", (4, 4), 0), "PNG", transparency=0)
