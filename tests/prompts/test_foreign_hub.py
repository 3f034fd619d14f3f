"""Data sets of the Hub that name other addresses and files: only their own are ever opened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dfgen.config.prompts import PromptsConfig
from dfgen.prompts.hub_files import fetch_pictures
from tests.hostile.addresses import listen
from tests.support import pictures
from tests.support.hub import HubStub
from tests.support.hub_store import keep_in_git

READ = """
import json, sys
from dfgen.config.prompts import PromptsConfig
from dfgen.errors import DfgenError
from dfgen.prompts.reading import read_prompts
try:
    rows = list(read_prompts(PromptsConfig(source="datasets", path="me/set")))
    print(json.dumps([getattr(row, "reason", "prompt") for row in rows]))
except DfgenError as error:
    print(json.dumps(str(error)))
"""


def read_from_hub(folder: Path, files: dict[str, bytes]) -> object:
    with HubStub(folder) as hub:
        repo = hub.state.create_repo("me/set", False)
        head = repo.commits[repo.branches["main"]]
        kept = {**head.files, **{name: keep_in_git(data) for name, data in files.items()}}
        repo.branches["main"] = repo.add_commit(head.oid, "data", kept).oid
        result = subprocess.run(
            [sys.executable, "-c", READ],
            env={**os.environ, **hub.environment(folder / "home")},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def write_lines(*rows: dict[str, object]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_pictures_of_the_data_set_itself_are_fetched(tmp_path: Path) -> None:
    rows = write_lines({"file_name": "a.png", "question": "q", "answer": "1"})
    files = {"train/metadata.jsonl": rows, "train/a.png": pictures.make_png()}
    assert read_from_hub(tmp_path, files) == ["prompt"]


def test_no_more_is_fetched_than_a_picture_may_have(tmp_path: Path) -> None:
    """The size of a member of an archive is what the archive says; what comes may be more."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", bytes(5000))
    config = PromptsConfig.model_validate(
        {"source": "datasets", "path": str(tmp_path), "images": {"max_bytes": 1000}}
    )
    cell = {"bytes": None, "path": f"zip://a.png::{tmp_path}/a.zip"}
    assert len(fetch_pictures(cell, config, tmp_path)["bytes"]) == 1001


def test_paths_of_this_machine_and_of_others_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(pictures.make_png())
    with listen() as (port, connections):
        paths = ["mine.png", str(tmp_path / "mine.png"), f"file://{tmp_path}/mine.png"]
        paths += [f"http://127.0.0.1:{port}/a.png", "hf://datasets/other/set/a.png"]
        rows = [{"question": f"q{n}", "answer": "1", "image": p} for n, p in enumerate(paths)]
        found = read_from_hub(tmp_path, {"train.jsonl": write_lines(*rows)})
    assert found == ["image_outside"] * 3 + ["image_remote"] * 2
    assert not connections


@pytest.mark.parametrize("name", ["README.md", ".huggingface.yaml"])
def test_a_card_that_takes_rows_from_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    with listen() as (port, connections):
        line = f"data_files: http://127.0.0.1:{port}/a.jsonl"
        matter = f"configs:\n- config_name: default\n  {line}\n"
        card = f"---\n{matter}---\n" if name == "README.md" else matter
        rows = write_lines({"question": "q", "answer": "1"})
        found = read_from_hub(tmp_path, {"a.jsonl": rows, name: card.encode()})
    assert isinstance(found, str) and "takes its rows from elsewhere" in found
    assert not connections
