"""Finds in an encoded picture where it was taken: EXIF, XMP, IPTC and the texts of PNG files.

Nothing is decoded but metadata, and the pixels' own bytes are looked at only for the beginnings of
it. Metadata that cannot be read counts as holding a position: it is published as it is, and another
reader may read it.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator

# Where EXIF begins in JPEG, PNG, WebP and TIFF, and the spelling of old PNG writers.
_EXIF_SIGNS = (b"Exif", b"eXIf", b"EXIF", b"Raw profile type")
_TIFF_SIGNS = (b"II*\0", b"MM\0*")
_GPS_IFD = 0x8825
_LATITUDE, _LONGITUDE = 2, 4

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_LONGEST_TEXT = 16 * 1024 * 1024
"""Bytes that one compressed text may become; a longer one counts as one that cannot be read."""

_XMP = re.compile(
    rb"GPS(?:Dest)?(?:Latitude|Longitude|Position|Coordinates)|geo:(?:lat|long|lon|Point|alt)\b"
    rb"|(?:Iptc4xmp\w*:|photoshop:)(?:LocationCreated|LocationShown|Sublocation|Location|City)\b"
)
_WORDS = re.compile(
    rb"(?i:gps[ _-]?(?:lat|lon|pos|coord)|geo[: _-]?(?:lat|lon|tag|pos)|\blatitude\b|\blongitude\b)"
)
"""In the free texts of a PNG."""

_IPTC = b"Photoshop 3.0\0"
_IPTC_PLACES = frozenset({26, 27, 90, 92, 95, 100, 101})
"""IPTC-IIM records 2:26 content location code, 2:27 name, 2:90 city, 2:92 sublocation, 2:95
province, 2:100 and 2:101 country: where the picture was taken."""


class _UnreadableError(Exception):
    """Metadata is damaged or far too large."""


def has_gps(data: bytes) -> bool:
    """Say whether an encoded picture tells where it was taken.

    Most pictures have no metadata and are answered from their bytes alone.
    """
    if _names_place(data):
        return True
    try:
        if any(_names_place(text) or _WORDS.search(text) for text in _iter_png_texts(data)):
            return True
        if _has_iptc_place(data):
            return True
    except (_UnreadableError, struct.error):
        return True
    return _has_exif_position(data)


def _names_place(data: bytes) -> bool:
    """Look for the names of XMP in UTF-8 and, in both orders, in UTF-16 and UTF-32."""
    if _XMP.search(data):
        return True
    # A packet of XMP in a wider encoding holds this word in it.
    if not any("xmpmeta".encode(code) in data for code in ("utf-16-le", "utf-16-be", "utf-32-be")):
        return False
    return _XMP.search(data.replace(b"\0", b"")) is not None


def _iter_png_texts(data: bytes) -> Iterator[bytes]:
    """The texts of a PNG file, unpacked, its keywords before them."""
    if not data.startswith(_PNG):
        return
    at = len(_PNG)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in _PNG_TEXTS:
            yield _read_text(kind, data[at + 8 : at + 8 + length])
        at += 12 + length


def _read_text(kind: bytes, content: bytes) -> bytes:
    keyword, _, rest = content.partition(b"\0")
    if kind == b"tEXt":
        text = rest
    elif kind == b"zTXt":
        text = _unpack(rest[1:])
    else:
        packed, rest = rest[:1] == b"\1", rest[2:]
        text = rest.partition(b"\0")[2].partition(b"\0")[2]
        text = _unpack(text) if packed else text
    if keyword.startswith(b"Raw profile type"):
        # Metadata of another kind as hexadecimal digits, after a line each of name and length.
        digits = re.sub(rb"\s", b"", text.strip().partition(b"\n")[2].lstrip().partition(b"\n")[2])
        try:
            text += b" " + bytes.fromhex(digits.decode("ascii"))
        except ValueError as error:
            raise _UnreadableError from error
    return keyword + b" " + text


def _unpack(data: bytes) -> bytes:
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(data, _LONGEST_TEXT)
    except zlib.error as error:
        raise _UnreadableError from error
    if reader.unconsumed_tail:
        raise _UnreadableError
    return text


def _has_iptc_place(data: bytes) -> bool:
    """Look through the IPTC records of a JPEG file for one that names a place."""
    start = data.find(_IPTC)
    while start >= 0:
        at, end = start + len(_IPTC), min(len(data), start + 0xFFFF)
        while at < end:
            at = data.find(b"\x1c\x02", at, end)
            if at < 0 or at + 5 > end:
                break
            size = int.from_bytes(data[at + 3 : at + 5], "big")
            if data[at + 2] in _IPTC_PLACES and size and at + 5 + size <= end:
                return True
            at += 5 + (size if at + 5 + size <= end else 0)
        start = data.find(_IPTC, start + 1)
    return False


def _has_exif_position(data: bytes) -> bool:
    if not data.startswith(_TIFF_SIGNS) and not any(sign in data for sign in _EXIF_SIGNS):
        return False
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(data)) as picture:
            position = picture.getexif().get_ifd(_GPS_IFD)
    except Exception:  # Pillow raises anything on damaged EXIF data
        return True
    return _LATITUDE in position or _LONGITUDE in position
