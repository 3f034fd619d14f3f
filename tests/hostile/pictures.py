"""Pictures that are bombs, damaged, not pictures, or not where they may be."""

from __future__ import annotations

import base64
import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image

from tests.hostile.case import Case, read_rows, write_rows
from tests.support import pictures

PNG = pictures.make_png()
JPEG = pictures.make_oriented(1)


def attack(content: bytes) -> Callable[[Path], str]:
    """Read a row with this picture."""

    def read(folder: Path) -> str:
        (folder / "a.png").write_bytes(content)
        return read_rows(source="jsonl", path=str(write_rows(folder, {"image": "a.png", **ROW})))

    return read


ROW = {"question": "What?", "answer": "1"}


def attack_cell(
    cell: Any, prepare: Callable[[Path], object] = lambda folder: None, **settings: Any
) -> Callable[[Path], str]:
    """Read a row with this cell, after something was put into the folder."""

    def read(folder: Path) -> str:
        data = folder / "data"
        data.mkdir()
        prepare(data)
        write_rows(data, {"image": cell, **ROW})
        return read_rows(**{"source": "jsonl", "path": str(data), **settings})

    return read


def make_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def make_png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG whose header says this size, with hardly any pixels."""
    head = make_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = make_chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + pixels + make_chunk(b"IEND", b"")


def make_text_bomb() -> bytes:
    """A small PNG with 200 MB of compressed text."""
    text = make_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200 << 20)))
    return PNG[:33] + text + PNG[33:]


def make_frames() -> bytes:
    """A GIF of 3,000 frames."""
    frames = [PIL.Image.new("P", (8, 8), number % 255) for number in range(3000)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    return stream.getvalue()


def make_looping_tiff() -> bytes:
    """A TIFF whose first directory says that the next is itself."""
    entries = struct.pack("<HHII", 256, 3, 1, 8) + struct.pack("<HHII", 257, 3, 1, 8)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 2) + entries + struct.pack("<I", 8)


def make_sparse(folder: Path) -> None:
    """A file that says it has a terabyte."""
    with (folder / "a.png").open("wb") as stream:
        stream.write(PNG)
        stream.truncate(1 << 40)


def bind(folder: Path) -> None:
    """A socket with the name of a picture."""
    os.chdir(folder)
    socket.socket(socket.AF_UNIX).bind("a.png")


def put_outside(folder: Path) -> None:
    """A picture beside the folder of the data, and a link to it inside."""
    (folder.parent / "secret.png").write_bytes(PNG)
    (folder / "linked.png").symlink_to(folder.parent / "secret.png")
    (folder / "folder").symlink_to(folder.parent)


CONTENTS: dict[str, tuple[bytes, str]] = {
    "50,000 x 50,000 pixels in 1 kB": (make_png(50_000, 50_000), "image_too_large"),
    "2^31 pixels wide": (make_png(2**31 - 1, 1), r"image_\w+"),
    "no pixels": (make_png(0, 0), "image_corrupt"),
    "1 x 100,000 pixels": (make_png(1, 100_000), "image_too_narrow"),
    "7,000 x 7,000 with hardly any data": (make_png(7000, 7000), "image_corrupt"),
    "200 MB of text in a PNG": (make_text_bomb(), r"image_\w+|read"),
    "a PNG chunk of 4 GB": (PNG[:33] + b"\xff\xff\xff\xffIDAT" + PNG[33:], "image_corrupt"),
    "a JPEG that breaks off": (pictures.make_truncated_jpeg(), "image_corrupt"),
    "a GIF of 3,000 frames": (make_frames(), "read"),
    "a GIF of 65,535 x 65,535": (b"GIF89a" + b"\xff" * 4 + bytes(100), r"image_\w+"),
    "a TIFF that points at itself": (make_looping_tiff(), "image_corrupt"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "image_corrupt"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "image_corrupt"),
    "PDF": (b"%PDF-1.7\n", "image_corrupt"),
    "a web page": (b"<!doctype html><p>404</p>", "image_corrupt"),
    "a pickle": (b"\x80\x04\x95cos\nsystem\n(S'true'\ntR.", "image_corrupt"),
    "a zip": (b"PK\x03\x04" + bytes(100), "image_corrupt"),
    "nothing": (b"", "image_missing"),
    "noise": (bytes(range(256)) * 100, "image_corrupt"),
    "a PNG and a megabyte behind it": (PNG + bytes(1 << 20), "read"),
    "damaged EXIF": (pictures.make_broken_exif_jpeg(), "read"),
}
LOCAL = {
    "a picture that is /dev/zero": (attack_cell("/dev/zero"), "image_missing"),
    "a picture that is a pipe": (
        attack_cell("a.png", lambda folder: os.mkfifo(folder / "a.png")),
        "image_missing",
    ),
    "a picture that is a socket": (attack_cell("a.png", bind), "image_missing"),
    "a picture that is a folder": (attack_cell("."), "image_missing"),
    "a picture of a terabyte": (attack_cell("a.png", make_sparse), "image_too_large"),
    "a picture that links to itself": (
        attack_cell("a.png", lambda folder: (folder / "a.png").symlink_to("a.png")),
        "image_missing",
    ),
    "/proc/self/mem": (attack_cell("/proc/self/mem"), "image_missing"),
    "base64 that is none": (attack_cell("data:image/png;base64,!!!!"), "image_corrupt"),
    "base64 of 80 MB": (
        attack_cell("data:image/png;base64," + "A" * 20_000_000, images={"max_bytes": 1000}),
        "image_too_large",
    ),
    "a data URL without a comma": (attack_cell("data:image/png"), "image_corrupt"),
    "a bomb in base64": (
        attack_cell({"bytes": base64.b64encode(make_png(50_000, 50_000)).decode()}),
        "image_too_large",
    ),
}
OUTSIDE = {
    "a path up and out": "../secret.png",
    "a link out": "linked.png",
    "a link to a folder out": "folder/secret.png",
    "up, down and out": "folder/../data/../secret.png",
    "an absolute path": "/etc/passwd",
    "file:// and an absolute path": "file:///etc/passwd",
}


def list_cases() -> list[Case]:
    """List them."""
    found = [
        Case("pictures", name, attack(content), read_as(reason))
        for name, (content, reason) in CONTENTS.items()
    ]
    found += [
        Case("pictures", name, attacked, read_as(reason))
        for name, (attacked, reason) in LOCAL.items()
    ]
    for name, cell in OUTSIDE.items():
        inside = attack_cell(cell, put_outside, source="datasets")
        found.append(Case("pictures", f"{name}, in a data set", inside, read_as("image_outside")))
        mine = attack_cell(cell, put_outside)
        expected = read_as("image_corrupt" if "etc" in cell else "read")
        found.append(Case("pictures", f"{name}, in rows of mine", mine, expected))
    return found


def read_as(reason: str) -> str:
    """Expected: the reason of the row with the picture; the other row has none to be read."""
    rejected = rf"rejects (?:{reason}), image_missing; 0 prompts|rejects (?:{reason}); 1 prompts"
    kept = r"read 2 prompts|rejects image_missing; 1 prompts"
    return f"{rejected}|{kept}" if "read" in reason.split("|") else rejected
