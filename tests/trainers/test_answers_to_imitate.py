"""TRL and ms-swift, each in its own environment, read the tables of answers and contexts."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import PIL.Image
import pyarrow.parquet as pq
import pytest

from dfgen.export.exporting import export_tables
from dfgen.store.finished import open_finished
from tests.support.sample_run import make_run
from tests.support.trainer_envs import ROOT, run_in

POLICY = ROOT / "dfgen/demo/models/policy"

pytestmark = pytest.mark.trainers


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    run = make_run(folder / "run", prompts=6, samples=3)
    names = ["sft", "chord", "privileged"]
    export_tables(open_finished(run), names, folder / "out")
    return folder / "out"


def read(folder: Path) -> list[dict[str, Any]]:
    (file,) = folder.glob("*.parquet")
    return pq.read_table(file).to_pylist()


def test_trl_imitates_and_composes_teachers_prompts(tables: Path, tmp_path: Path) -> None:
    folders = (str(tables / "sft"), str(tables / "privileged"))
    seen = run_in("trl", "check_sft.py", *folders, str(POLICY), home=tmp_path)
    assert seen["loss"] > 0
    assert seen["moved"] > 50
    answers = {row["messages"][-1]["content"] for row in read(tables / "sft")}
    assert len(seen["seen"]) == 4
    for row in seen["seen"]:
        # The loss is on the answer alone, and on what ends it.
        assert any(row["text"].startswith(answer) for answer in answers)
        assert row["pixels"] == [3, 64, 64]
    wanted = [
        f"{row['question']}\n\n{row['privileged_context']}" for row in read(tables / "privileged")
    ]
    assert seen["teacher"] == wanted


def test_swift_shows_the_teacher_more_and_imitates(tables: Path, tmp_path: Path) -> None:
    folders = (str(tables / name) for name in ("privileged", "chord", "sft"))
    seen = run_in("swift", "check_swift_tables.py", *folders, home=tmp_path)
    for row, wanted in zip(seen["teacher"], read(tables / "privileged"), strict=True):
        assert row["trajectory_id"] == wanted["trajectory_id"]
        assert row["student"] == wanted["messages"]
        assert row["messages"] == [{"role": "user", "content": wanted["teacher_prompt"]}]
        assert row["pictures"] == list(map(hash_pixels, wanted["images"]))
    for rows, name in zip(seen["answers"], ("chord", "sft"), strict=True):
        for row, wanted in zip(rows, read(tables / name), strict=True):
            assert {"messages", "images"} <= set(row["columns"])
            assert row["messages"] == wanted["messages"]
            assert row["pictures"] == list(map(hash_pixels, wanted["images"]))


def hash_pixels(image: dict[str, Any]) -> str:
    with PIL.Image.open(io.BytesIO(image["bytes"])) as picture:
        return hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest()
