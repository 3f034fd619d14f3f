"""Files that are no files, have no end, unpack to more than they seem, or are damaged."""

from __future__ import annotations

import gzip
import json
import os
import socket
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.hostile.case import GOOD, Case, read_rows, write_rows

LINE = (json.dumps(GOOD) + "\n").encode()


def read_file(make: Callable[[Path], Path], source: str = "jsonl") -> Callable[[Path], str]:
    """Read the file that is made."""
    return lambda folder: read_rows(source=source, path=str(make(folder)))


def link(target: str) -> Callable[[Path], Path]:
    """A link with the name of a file of rows."""

    def make(folder: Path) -> Path:
        file = folder / "rows.jsonl"
        file.symlink_to(target)
        return file

    return make


def make_pipe(folder: Path) -> Path:
    """A named pipe that nobody writes to."""
    file = folder / "rows.jsonl"
    os.mkfifo(file)
    return file


def make_socket(folder: Path) -> Path:
    """A socket."""
    file = Path("rows.jsonl")
    socket.socket(socket.AF_UNIX).bind(str(file))
    return folder / file


def make_folder(folder: Path) -> Path:
    """A folder with the name of a file."""
    (folder / "rows.jsonl").mkdir()
    return folder / "rows.jsonl"


def write(content: bytes, name: str = "rows.jsonl") -> Callable[[Path], Path]:
    """A file with this content."""

    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def pack(size: int, byte: bytes = b"x") -> Callable[[Path], Path]:
    """A gzip file that unpacks to one line of `size` bytes, then a good one."""

    def make(folder: Path) -> Path:
        file = folder / "rows.jsonl.gz"
        with gzip.open(file, "wb", compresslevel=6) as stream:
            for _ in range(size >> 20):
                stream.write(byte * (1 << 20))
            stream.write(b"\n" + LINE)
        return file

    return make


def make_long_line(folder: Path) -> Path:
    """A line of 100 MB, then a good one."""
    file = folder / "rows.jsonl"
    with file.open("wb") as stream:
        stream.write(b'{"question": "')
        for _ in range(100):
            stream.write(b"x" * 1_000_000)
        stream.write(b'", "answer": "1"}\n' + LINE)
    return file


def make_list_line(folder: Path) -> Path:
    """A line of 31 MB whose Python value takes the most memory for its length."""
    file = folder / "rows.jsonl"
    file.write_bytes(b'{"question": [' + b"[]," * 10_300_000 + b"[]]}\n" + LINE)
    return file


def make_pipe_between(folder: Path) -> Path:
    """A folder of rows in which a pipe lies, too."""
    write_rows(folder)
    os.mkfifo(folder / "more.jsonl")
    (folder / "zero.jsonl").symlink_to("/dev/zero")
    (folder / "loop.jsonl").symlink_to("loop.jsonl")
    return folder


def make_odd_name(name: bytes) -> Callable[[Path], Path]:
    """A file of rows with this name, beside another."""

    def make(folder: Path) -> Path:
        write_rows(folder, name="a.jsonl")
        (folder / os.fsdecode(name)).write_bytes(b'{"question": "other", "answer": "1"}\n')
        return folder

    return make


def make_parquet(change: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    """A Parquet file of good rows, changed."""

    def make(folder: Path) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = folder / "rows.parquet"
        rows = [{**GOOD, "question": f"q{number}" * 10} for number in range(1000)]
        pq.write_table(pa.Table.from_pylist(rows), file)
        file.write_bytes(change(file.read_bytes()))
        return file

    return make


def flip(content: bytes) -> bytes:
    """One bit in the middle."""
    middle = len(content) // 3
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def make_deep_parquet(folder: Path) -> Path:
    """A Parquet file whose schema is 400 lists deep."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tests.hostile.rows import make_list_type, nest

    table = {"question": ["q"], "answer": ["1"], "meta": pa.array([nest(400)], make_list_type(400))}
    pq.write_table(pa.table(table), folder / "rows.parquet")
    return folder / "rows.parquet"


def iter_cases() -> Iterator[tuple[str, Callable[[Path], str], str, bool]]:
    """Name, attack, expected outcome, slow or not."""
    refused = "error InputError: .*a device, a pipe or a socket.*"
    skipped = "rejects row_unreadable; 1 prompts"
    yield "/dev/zero", read_file(lambda folder: Path("/dev/zero")), refused, False
    yield "a link to /dev/zero", read_file(link("/dev/zero")), refused, False
    yield "a link to /dev/random", read_file(link("/dev/random")), refused, False
    yield "a named pipe", read_file(make_pipe), refused, False
    yield "a socket", read_file(make_socket), refused, False
    yield "a link to itself", read_file(link("rows.jsonl")), "error InputError: .*", False
    yield (
        "a link to nothing",
        read_file(link("nothing")),
        "error InputError: .*no such file.*",
        False,
    )
    yield (
        "a folder named like a file",
        read_file(make_folder),
        "error InputError: .*no .* file.*",
        False,
    )
    yield "pipes and devices in a folder", read_file(make_pipe_between), "read 1 prompts", False
    yield "an empty file", read_file(write(b"")), "error InputError: .*empty.*", False
    yield "blank lines alone", read_file(write(b"\n \n" * 1000)), "error InputError: .*", False
    yield (
        "NUL bytes alone",
        read_file(write(bytes(100_000))),
        r"(error InputError|rejects).*",
        False,
    )
    yield "UTF-16", read_file(write(LINE.decode().encode("utf-16"))), "error InputError: .*", False
    yield "a JSON array", read_file(write(b"[" + LINE + b"]")), "error InputError: .*array.*", False
    yield "a line of 100 MB", read_file(make_long_line), skipped, False
    yield (
        "a line of 31 MB, all lists",
        read_file(make_list_line),
        skipped.replace("row_unreadable", "question_invalid"),
        True,
    )
    yield "gzip: a line of 512 MB", read_file(pack(512 << 20)), skipped, True
    yield (
        "gzip: a line without end",
        read_file(pack(3 << 30)),
        "error InputError: .*goes on.*",
        True,
    )
    cut = gzip.compress(LINE * 1000)[:-30]
    yield (
        "gzip that breaks off",
        read_file(write(cut, "rows.jsonl.gz")),
        "error InputError: .*",
        False,
    )
    damaged = flip(gzip.compress(os.urandom(5000)))
    yield (
        "gzip that is damaged",
        read_file(write(damaged, "a.jsonl.gz")),
        "error InputError: .*",
        False,
    )
    yield "no gzip", read_file(write(LINE, "rows.jsonl.gz")), "error InputError: .*", False
    yield (
        "zlib, not gzip",
        read_file(write(zlib.compress(LINE), "rows.jsonl.gz")),
        "error InputError: .*",
        False,
    )
    for name, label in ((b"b\xff.jsonl", "not UTF-8"), (b"b\n.jsonl", "of two lines")):
        yield f"a file name {label}", read_file(make_odd_name(name)), "read 2 prompts", False
    parquet = "error InputError: .*cannot be read.*"
    for label, change in {
        "cut in half": lambda content: content[: len(content) // 2],
        "magic alone": lambda content: b"PAR1",
        "magic twice": lambda content: b"PAR1" + bytes(4) + b"PAR1",
        "a footer of 2 GB": lambda content: content[:-8] + b"\xff\xff\xff\x7fPAR1",
        "a footer of zeros": lambda content: content[:-200] + bytes(192) + content[-8:],
    }.items():
        yield f"Parquet: {label}", read_file(make_parquet(change), "parquet"), parquet, False
    yield (
        "Parquet: a flipped byte",
        read_file(make_parquet(flip), "parquet"),
        r"(error InputError|rejects|read).*",
        False,
    )
    yield "Parquet: 400 lists deep", read_file(make_deep_parquet, "parquet"), parquet, False
    yield (
        "Parquet: /dev/zero",
        read_file(lambda folder: Path("/dev/zero"), "parquet"),
        refused,
        False,
    )


def list_cases() -> list[Case]:
    """List them."""
    return [Case("files", *case) for case in iter_cases()]
