"""Makes the view of a picture: the bytes that policy, repairer and trainer are all shown.

Engines, servers and trainers decode pictures each in their own way: some turn a photo upright and
some do not, transparent parts become white or black, 16-bit greys are cut. So nobody is shown the
user's bytes unless all ways lead to the same pixels; whoever opens a view and converts it to RGB,
with Pillow or another reader, has the pixels of `decode_image`.

The prompts table keeps the user's bytes, and `prompt_id` is made of those.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property

from dfgen.pictures.decode import decode_image
from dfgen.pictures.header import find_plain_type

# Level 6, zlib's usual one, makes a photo 14 % smaller in four times the time.
_COMPRESSION = 1


@dataclass(frozen=True)
class View:
    """A picture as everybody is shown it.

    Attributes:
        data: the encoded file.
        mime: its type: image/png, image/jpeg or image/webp.
        changed: False if `data` are the bytes that were given.
    """

    data: bytes = field(repr=False)
    mime: str
    changed: bool

    @cached_property
    def sha256(self) -> str:
        """Hex digest of `data`."""
        return hashlib.sha256(self.data).hexdigest()


def make_view(data: bytes) -> View:
    """Make the view of an encoded picture.

    A picture that is a PNG, JPEG or WebP already, opaque 8-bit RGB or grey, upright and of one
    frame, is given back byte for byte; its header alone is read. Any other is decoded by the rules
    of `dfgen.pictures.decode` and encoded as PNG, 8-bit RGB, without metadata. Pixels depend on
    nothing but `data` (and, for lossy formats, their decoder); the PNG's bytes also on the zlib
    that Pillow was built with. A view is its own view.

    Raises:
        RowError: image_corrupt: it has to be changed and cannot be decoded.
    """
    mime = find_plain_type(data)
    if mime is not None:
        return View(data, mime, changed=False)
    return View(encode_png(data), "image/png", changed=True)


def encode_png(data: bytes) -> bytes:
    """Return the pixels of an encoded picture as PNG. Raises `RowError`: image_corrupt."""
    picture = decode_image(data)
    # What Pillow carries over from the source (profile, transparent colour) would be written.
    picture.info = {}
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=_COMPRESSION)
    return stream.getvalue()


class RecentViews:
    """Remembers views that had to be made, because many requests show one picture.

    Views that are the bytes themselves cost nothing to find again and are not kept. May be used by
    several threads.

    Args:
        max_bytes: of all views that are kept; the one used least recently goes first.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, View] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def make_view(self, data: bytes, sha256: str) -> View:
        """Make the view of a picture, or find it again.

        Args:
            data: the encoded picture.
            sha256: hex digest of `data`.

        Raises:
            RowError: see `make_view`.
        """
        with self._lock:
            known = self._kept.get(sha256)
            if known is not None:
                self._kept.move_to_end(sha256)
                return known
        view = make_view(data)
        if view.changed:
            self._keep(sha256, view)
        return view

    def _keep(self, sha256: str, view: View) -> None:
        with self._lock:
            if sha256 in self._kept or len(view.data) > self._max_bytes:
                return
            self._kept[sha256] = view
            self._size += len(view.data)
            while self._size > self._max_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._size -= len(dropped.data)
