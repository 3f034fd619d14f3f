"""Tells from a file's header whether everybody sees the same picture in it, whoever decodes it.

Nothing is decoded: of a PNG the chunks are walked over, of JPEG and WebP Pillow reads the header.
In doubt the answer is no, and `decode` makes the pixels.
"""

from __future__ import annotations

import io
import re
import struct

_PNG_SIGN = b"\x89PNG\r\n\x1a\n"
# Bit depth and colour type: 8-bit grey, 8-bit RGB.
_PNG_PLAIN = (b"\x08\x00", b"\x08\x02")
# A transparent colour, an animation.
_PNG_ODD = (b"tRNS", b"acTL")
_PNG_TEXT = (b"tEXt", b"zTXt", b"iTXt")
# Names of texts from which Pillow takes the orientation, too.
_PNG_EXIF = (b"exif", b"Raw profile type")
_PNG_XMP = (b"xmp", b"XML:com.adobe.xmp")
_XMP_TURNED = re.compile(rb"tiff:Orientation(=[\"']|>)\s*[2-8]")
_ORIENTATION_TAG = 0x0112
_MIME_TYPES = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "WEBP": "image/webp"}


def find_plain_type(data: bytes) -> str | None:
    """Return the MIME type of a file whose picture needs no change; None if it does, or may.

    It needs none if it is a PNG, JPEG or WebP, of 8-bit grey or RGB, without transparency, of one
    frame (MPO, a JPEG with others behind it, counts as one), and no EXIF or XMP data turn it. A
    picture that needs none may still be damaged.
    """
    if data.startswith(_PNG_SIGN):
        return "image/png" if _is_plain_png(data) else None
    if data.startswith((b"\xff\xd8\xff", b"RIFF")):
        return _find_photo_type(data)
    return None


def _is_plain_png(data: bytes) -> bool:
    if data[24:26] not in _PNG_PLAIN:
        return False
    position, end = len(_PNG_SIGN), len(data)
    while position + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IEND":
            return True
        if kind in _PNG_ODD:
            return False
        if kind == b"eXIf" and is_turned(data[position + 8 : position + 8 + length]):
            return False
        if kind in _PNG_TEXT and _may_turn(kind, data[position + 8 : position + 8 + length]):
            return False
        position += length + 12
    return False


def _may_turn(kind: bytes, chunk: bytes) -> bool:
    name, _, text = chunk.partition(b"\0")
    if name.startswith(_PNG_EXIF):
        return True
    if name not in _PNG_XMP:
        return False
    # Compressed texts are not looked into.
    packed = kind == b"zTXt" or (kind == b"iTXt" and text[:1] != b"\0")
    return packed or _XMP_TURNED.search(text) is not None


def _find_photo_type(data: bytes) -> str | None:
    import PIL.Image

    try:
        picture = PIL.Image.open(io.BytesIO(data), formats=("JPEG", "WEBP"))
    except Exception:  # Pillow raises anything on damaged data; `decode` says what is wrong
        return None
    if picture.mode not in ("L", "RGB"):
        return None
    if picture.format == "WEBP" and getattr(picture, "is_animated", False):
        return None
    exif, xmp = picture.info.get("exif"), picture.info.get("xmp")
    if exif and is_turned(exif):
        return None
    if xmp and _XMP_TURNED.search(xmp if isinstance(xmp, bytes) else str(xmp).encode()):
        return None
    return _MIME_TYPES.get(picture.format or "")


def is_turned(exif: bytes) -> bool:
    """Tell whether EXIF data say that a picture is not upright, or may do so: they are damaged.

    Args:
        exif: a TIFF header with its first directory, with or without `Exif` before it.
    """
    data = exif
    while data.startswith(b"Exif\0\0"):
        data = data[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return True
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for index in range(count):
            place = start + 2 + 12 * index
            tag, kind, number = struct.unpack_from(order + "HHI", data, place)
            if tag == _ORIENTATION_TAG:
                (value,) = struct.unpack_from(order + "H", data, place + 8)
                return not (kind == 3 and number == 1 and not 2 <= value <= 8)
    except struct.error:
        return True
    return False
