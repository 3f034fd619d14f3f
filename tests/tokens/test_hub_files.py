"""Tokenizer files of a model are fetched from a Hub, once, and all of one commit."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from dfgen.demo import locate_model
from dfgen.tokens import load_tokenizer

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
SCRIPT = """
import sys
from dfgen import load_tokenizer
from dfgen.errors import InputError
try:
    loaded = load_tokenizer("somebody/model")
    print(loaded.name, loaded.sha256, sorted({"torch", "transformers"} & set(sys.modules)))
except InputError as error:
    print(error.what.partition(":")[0], "transformers" in sys.modules)
"""


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """A Hub with one model; yields its address and the list of what was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            revision, _, name = self.path.partition("/resolve/")[2].partition("/")
            asked.append(f"{self.command} {revision} {name}")
            content = files.get(name)
            self.send_response(404 if content is None else 200)
            self.send_header("X-Repo-Commit", COMMIT)
            if content is None:
                self.send_header("X-Error-Code", "EntryNotFound")
                content = b""
            self.send_header("ETag", f'"{len(content):040x}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if with_body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def load(address: str, cache: Path) -> str:
    given = {"HF_ENDPOINT": address, "HF_HUB_CACHE": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1"}
    kept = {k: v for k, v in os.environ.items() if k not in {"HF_HUB_OFFLINE", "HTTP_PROXY"}}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**kept, **given},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_files_come_from_one_commit_and_are_kept(tmp_path: Path) -> None:
    policy = locate_model("policy")
    names = ("tokenizer.json", "tokenizer_config.json", "config.json")
    files = {name: (policy / name).read_bytes() for name in names}
    expected = f"somebody/model {load_tokenizer(str(policy)).sha256} []\n"
    with serve(files) as (address, asked):
        assert load(address, tmp_path) == expected
        # The first file fixes the commit; the others are asked for by it.
        assert asked[0] == "HEAD main tokenizer.json"
        assert {line.split()[1] for line in asked if "tokenizer.json" not in line} == {COMMIT}
        assert "GET" in {line.split()[0] for line in asked}
        asked.clear()
        assert load(address, tmp_path) == expected
        assert {line.split()[0] for line in asked} == {"HEAD"}
        assert {line.split()[2] for line in asked} == {"tokenizer.json"}


def test_a_hub_without_tokenizer_json_is_left_to_transformers(tmp_path: Path) -> None:
    with serve({"README.md": b""}) as (address, _):
        assert load(address, tmp_path) == "no tokenizer could be loaded True\n"
