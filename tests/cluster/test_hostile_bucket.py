"""Objects that somebody else has put beside those of a run: nothing leaves the staging folder."""

from __future__ import annotations

import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from tests.cluster.test_bucket import write_pipeline
from tests.support.bucket_runs import forget_mounts, move_to
from tests.support.s3_server import share_server
from tests.support.scripted_models import Models, answer_by_index
from tests.support.scripted_runs import invoke

pytestmark = pytest.mark.cluster

FOREIGN = [
    "notes.json",
    "run.json/x.json",
    "masks/a.json",
    "journal/mask-00000.jsonl/000000000099",
    "journal/mask-00000.jsonl/²00000000000",
    "elsewhere/x.jsonl/000000000000",
    "ü/ä.json",
    "back\\slash.json",
]
NO_PATHS = [
    "masks/\x1b[31m.json",
    "masks//double.json",
    "masks/../../../evil.json",
    "../evil.json",
    "./evil.json",
]


def put(address: str, key: str, content: bytes) -> None:
    """Put an object as no client of dfgen would."""
    bucket, _, folder = address.removeprefix("s3://").partition("/")
    path = urllib.parse.quote(f"{bucket}/{folder}/{key}", safe="/").replace("..", "%2E%2E")
    url = f"{share_server().endpoint}/{path}"
    with urllib.request.urlopen(urllib.request.Request(url, content, method="PUT")):
        pass


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    models = Models(answer_by_index(["fine", "poor", "fine", "fine"]), {"poor": ["fine"]})
    models.replace_engines(monkeypatch)
    return models


def test_foreign_objects_harm_nothing(
    bucket: str, tmp_path: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{bucket}/runs/a"
    invoke("run", write_pipeline(tmp_path / "q"), "--out", address, "--quiet")
    for key in FOREIGN:
        put(address, key, b"{}")
    there = {path for path in tmp_path.rglob("*") if path.is_file()}
    asked = models.drawn.total(), models.asked.total()
    for command in ("status", "stats", "validate", "run"):
        forget_mounts()
        move_to(tmp_path / f"there-{command}", monkeypatch)
        options = ["--no-check"] if command == "run" else []
        result = CliRunner().invoke(cli, [command, address, *options])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        assert command in ("validate", "run") or result.exit_code == 0, result.output
    assert (models.drawn.total(), models.asked.total()) == asked
    made = {path for path in tmp_path.rglob("*") if path.is_file()} - there
    assert not [path for path in made if path.name in ("evil.json", "notes.json", "x.json")]


@pytest.mark.parametrize("key", NO_PATHS)
def test_names_that_are_no_paths_are_refused(bucket: str, tmp_path: Path, key: str) -> None:
    address = f"{bucket}/runs/a"
    put(address, key, b"{}")
    result = CliRunner().invoke(cli, ["status", address])
    assert result.exit_code == 1
    assert "whose name is no path" in result.output
    assert not [
        path for path in tmp_path.rglob("*.json") if path.name in ("evil.json", "double.json")
    ]
