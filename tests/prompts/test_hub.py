from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import datasets
import pytest

from dfgen.config.prompts import PromptsConfig
from dfgen.errors import InputError
from dfgen.prompts.reading import describe_source
from tests.prompts.source_files import prompts, read, write_lines
from tests.support import pictures

# A JPEG, because decoding and encoding it again would change its bytes.
JPEG = [pictures.make_oriented(number) for number in (1, 6)]


@pytest.fixture
def table() -> Any:
    features = datasets.Features(
        {
            "question": datasets.Value("string"),
            "images": datasets.List(datasets.Image()),
            "answer": datasets.ClassLabel(names=["cat", "dog"]),
            "reward_model": {"ground_truth": datasets.Value("string")},
            "unused": datasets.Image(),
        }
    )
    cells = [{"bytes": data, "path": "a.jpg"} for data in JPEG]
    columns = {
        "question": ["a", "b", "c"],
        "images": [cells, cells[:1], cells[:1]],
        "answer": [1, 0, -1],
        "reward_model": [{"ground_truth": "7"}] * 3,
        "unused": [{"bytes": b"broken", "path": None}] * 3,
    }
    return datasets.Dataset.from_dict(columns, features=features)


def check(path: Path) -> None:
    rows = read(source="datasets", path=str(path))
    assert [image.bytes for image in rows[0].images] == JPEG  # type: ignore[union-attr]
    assert [row.answer for row in rows[:2]] == ["dog", "cat"]  # type: ignore[union-attr]
    assert rows[2].reason == "answer_missing"  # type: ignore[union-attr]
    assert rows[1].source == f"{path.name}/train:1"  # type: ignore[union-attr]
    described = describe_source(PromptsConfig(source="datasets", path=str(path)))
    assert described["files"]
    nested = prompts(
        source="datasets", path=str(path), columns={"answer": "reward_model.ground_truth"}
    )
    assert [prompt.answer for prompt in nested] == ["7"] * 3


def test_parquet_folder(tmp_path: Path, table: Any) -> None:
    table.to_parquet(tmp_path / "train-00000-of-00001.parquet")
    check(tmp_path)


def test_saved_to_disk(tmp_path: Path, table: Any) -> None:
    table.save_to_disk(tmp_path / "one")
    check(tmp_path / "one")
    datasets.DatasetDict({"train": table}).save_to_disk(tmp_path / "all")
    check(tmp_path / "all")
    with pytest.raises(InputError, match=r"no split 'test'(.|\n)*has: train"):
        read(source="datasets", path=str(tmp_path / "all"), split="test")


@pytest.mark.parametrize("packed", [False, True])
def test_image_folder(tmp_path: Path, packed: bool) -> None:
    folder = tmp_path / "set" / "train"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(JPEG[1])
    write_lines(folder / "metadata.jsonl", [{"file_name": "a.jpg", "question": "q", "answer": 3}])
    if packed:
        with zipfile.ZipFile(tmp_path / "set" / "train.zip", "w") as archive:
            for file in folder.iterdir():
                archive.write(file, file.name)
                file.unlink()
        folder.rmdir()
    (prompt,) = prompts(source="datasets", path=str(tmp_path / "set"))
    assert prompt.images[0].bytes == JPEG[1]
    assert prompt.images[0].path == "a.jpg"
    assert prompt.answer == "3"


def test_jsonl_without_features(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG[0])
    rows = [{"question": "q", "image": "a.jpg", "answer": 3, "images": None}]
    write_lines(tmp_path / "train.jsonl", rows)
    (prompt,) = prompts(source="datasets", path=str(tmp_path), columns={"images": "image"})
    assert prompt.images[0].bytes == JPEG[0]


def test_failures_are_one_clear_error(
    tmp_path: Path, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.to_parquet(tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(InputError, match=r"split foo(.|\n)*Bad split: foo.*\['train'\]"):
        read(source="datasets", path=str(tmp_path), split="foo")
    with pytest.raises(InputError, match=r"no column 'q'.*\n.*question"):
        read(source="datasets", path=str(tmp_path), columns={"question": "q"})
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"nobody/nothing.*cannot be read(.|\n)*network"):
        read(source="datasets", path="nobody/nothing")
    with pytest.raises(InputError, match=r"nobody/nothing.*cannot be read"):
        describe_source(PromptsConfig(source="datasets", path="nobody/nothing"))


def test_progress_bars_are_as_they_were(tmp_path: Path, table: Any) -> None:
    table.to_parquet(tmp_path / "train-00000-of-00001.parquet")
    before = datasets.is_progress_bar_enabled()
    read(source="datasets", path=str(tmp_path))
    assert datasets.is_progress_bar_enabled() == before
