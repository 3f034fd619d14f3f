"""Addresses in rows and cards: nothing is asked of the network. A listener counts who connects."""

from __future__ import annotations

import json
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dfgen.errors import DfgenError
from tests.hostile.case import Case, read_rows, write_rows
from tests.support import pictures


@contextmanager
def listen() -> Iterator[tuple[int, list[object]]]:
    """Listen on a port of 127.0.0.1; the list grows with every connection."""
    found: list[object] = []
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, address = server.accept()
            except OSError:
                return
            found.append(address)
            connection.close()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server.getsockname()[1], found
    finally:
        server.close()


def attack(prepare: Callable[[Path, str], None], source: str) -> Callable[[Path], str]:
    """Read a data set that names the listener; fails if anybody asked it."""

    def read(folder: Path) -> str:
        with listen() as (port, connections):
            data = folder / "data"
            data.mkdir()
            prepare(data, f"127.0.0.1:{port}")
            try:
                outcome = read_rows(source=source, path=str(data))
            except DfgenError as error:
                outcome = f"error {type(error).__name__}: {str(error).splitlines()[0]:.200}"
            return f"CONNECTED: {outcome}" if connections else outcome

    return read


CELLS = [
    "http://{host}/a.png",
    "HTTPS://{host}/a.png",
    "ftp://{host}/a.png",
    "s3://bucket/a.png",
    "gs://bucket/a.png",
    "hf://datasets/other/set/a.png",
    "hf://{host}/a.png",
    "zip://a.png::http://{host}/a.zip",
    "zip://a.png::hf://datasets/other/set/a.zip",
    "gzip://a.png::http://{host}/a.gz",
    "tar://a.png::https://{host}/a.tar",
    "simplecache::http://{host}/a.png",
    "filecache::zip://a.png::http://{host}/a.zip",
    "zip://a.png::zip://b.zip::http://{host}/c.zip",
    "file:///a::http://{host}/a.png",
    "memory://a.png",
    "github://org:repo@main/a.png",
    "zip://passwd::/etc/passwd",
]


def put_cell(cell: str, wrapped: bool) -> Callable[[Path, str], None]:
    """Rows with an address as their picture."""

    def prepare(folder: Path, host: str) -> None:
        text = cell.format(host=host)
        picture = {"bytes": None, "path": text} if wrapped else text
        write_rows(folder, {"question": "What?", "answer": "1", "image": picture})

    return prepare


CARDS = {
    "data_files: http://{host}/a.jsonl": "http",
    "data_files: [a.jsonl, 'https://{host}/a.jsonl']": "http in a list",
    "data_files: [{{split: train, path: 'http://{host}/a.jsonl'}}]": "http for a split",
    "data_files: hf://datasets/other/set/a.jsonl": "another repository",
    "data_files: 'zip://a.jsonl::http://{host}/a.zip'": "a chain",
    "data_files: s3://bucket/a.jsonl": "s3",
    "data_files: ../secret.jsonl": "a path up",
    "data_files: /etc/passwd": "an absolute path",
    "data_dir: /etc": "an absolute folder",
    "data_dir: ../": "a folder up",
    "data_dir: http://{host}/": "a folder at an address",
}


def put_card(line: str, name: str = "README.md") -> Callable[[Path, str], None]:
    """A card whose one configuration takes its files from there."""

    def prepare(folder: Path, host: str) -> None:
        write_rows(folder)
        write_rows(folder.parent, name="secret.jsonl")
        matter = f"configs:\n- config_name: default\n  {line.format(host=host)}\n"
        text = f"---\n{matter}---\n" if name == "README.md" else matter
        (folder / name).write_text(text)

    return prepare


def put_front_matter(matter: str) -> Callable[[Path, str], None]:
    """A card with this front matter."""

    def prepare(folder: Path, host: str) -> None:
        write_rows(folder)
        (folder / "README.md").write_text(f"---\n{matter}\n---\n")

    return prepare


def put_archive(member: bytes) -> Callable[[Path, str], None]:
    """A zip of a folder of pictures, one of whose pictures is this."""

    def prepare(folder: Path, host: str) -> None:
        with zipfile.ZipFile(folder / "train.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            rows = [{"file_name": n, "question": n, "answer": "1"} for n in ("a.png", "b.png")]
            archive.writestr("metadata.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
            archive.writestr("a.png", member)
            archive.writestr("b.png", pictures.make_png())

    return prepare


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
REFUSED = r"error InputError: .*card of the data set takes its rows from elsewhere.*"


def list_cases() -> list[Case]:
    """List them."""
    found = []
    for cell in CELLS:
        reasons = "image_(?:remote|missing|outside)"
        refused = rf"rejects {reasons}(?:, image_missing; 0|; 1) prompts"
        for source, wrapped in (("jsonl", False), ("datasets", True)):
            name = f"{source}: {cell}"
            found.append(Case("addresses", name, attack(put_cell(cell, wrapped), source), refused))
    for line, name in CARDS.items():
        found.append(
            Case("addresses", f"card: {name}", attack(put_card(line), "datasets"), REFUSED)
        )
    standalone = put_card(next(iter(CARDS)), ".huggingface.yaml")
    found.append(
        Case("addresses", ".huggingface.yaml: http", attack(standalone, "datasets"), REFUSED)
    )
    for name, matter in {"an alias bomb": BOMB, "1,000 lists": "a: " + "[" * 1000}.items():
        attacked = attack(put_front_matter(matter), "datasets")
        found.append(Case("addresses", f"card: {name}", attacked, "error ConfigError: .*"))
    bomb = attack(put_archive(bytes(400 << 20)), "datasets")
    found.append(
        Case(
            "addresses",
            "a picture of 400 MB in a zip",
            bomb,
            "rejects image_too_large; 1 prompts",
            True,
        )
    )
    return found
