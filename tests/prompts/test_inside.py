"""Which paths of pictures stay in the folder of the data."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.errors import RowError
from dfgen.prompts.inside import check_inside
from tests.prompts.source_files import prompts, rejects, write_lines
from tests.support import pictures


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "secret.png").write_bytes(pictures.make_png())
    folder = tmp_path / "data"
    (folder / "below").mkdir(parents=True)
    (folder / "a.png").write_bytes(pictures.make_png())
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "in.png").symlink_to("a.png")
    return folder


@pytest.mark.parametrize("name", ["a.png", "below/../a.png", "in.png", "missing.png"])
def test_inside(data: Path, name: str) -> None:
    check_inside(data / name, data)


@pytest.mark.parametrize(
    "name", ["../secret.png", "out.png", "below/../../secret.png", "/etc/passwd"]
)
def test_outside(data: Path, name: str) -> None:
    with pytest.raises(RowError, match="image_outside"):
        check_inside(data / name, data)
    with pytest.raises(RowError, match="image_outside"):
        check_inside(data / "a.png", None)


def test_links_of_the_hubs_cache_are_inside(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "1234"
    blobs.mkdir()
    (snapshot / "images").mkdir(parents=True)
    (blobs / "abc").write_bytes(b"x")
    (snapshot / "images" / "a.png").symlink_to(blobs / "abc")
    check_inside(snapshot / "images" / "a.png", snapshot)
    check_inside(snapshot / "images" / "a.png", snapshot / "images")
    with pytest.raises(RowError, match="image_outside"):
        check_inside(tmp_path / "refs", snapshot)


def test_the_setting_decides(data: Path) -> None:
    rows = data.parent / "rows"
    rows.mkdir()
    write_lines(rows / "a.jsonl", [{"question": "q", "answer": 1, "image": "../secret.png"}])
    for source in ("jsonl", "datasets"):
        common = {"source": source, "path": str(rows)}
        (refused,) = rejects(**common, images={"stay_inside": True})
        assert refused.reason == "image_outside" and "stay_inside" in refused.detail
        assert prompts(**common, images={"stay_inside": False})[0].images
        refused = rejects(**common, image_root=str(data), images={"stay_inside": True})[0]
        assert refused.reason == "image_outside"
        wide = {"image_root": str(data.parent / "rows"), "images": {"stay_inside": False}}
        assert prompts(**common, **wide)[0].images
    assert rejects(source="datasets", path=str(rows))[0].reason == "image_outside"
    assert prompts(source="jsonl", path=str(rows))[0].images
