"""The stock loaders of trainers, each in its own environment, read what `dfgen export` writes.

`make trainers-env` builds the environments; without one, its test is skipped.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from dfgen.export.exporting import export_tables
from dfgen.export.load import load_groups
from dfgen.store.finished import open_finished
from tests.support.sample_run import make_run
from tests.support.trainer_envs import ROOT, run_in

POLICY = ROOT / "dfgen/demo/models/policy"

pytestmark = pytest.mark.trainers


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("groups")
    run = make_run(folder / "run", prompts=6, samples=3)
    export_tables(open_finished(run), ["groups"], folder / "table", flat=True)
    return folder / "table"


@pytest.fixture(scope="module")
def expected(groups: Path) -> list[dict[str, Any]]:
    """Question, answer, pixels and masks of every row, by dfgen's own reader."""
    return [
        {
            "prompt_id": row["prompt_id"],
            "question": row["prompt"][-1]["content"][-1]["text"],
            "messages": row["messages"],
            "answer": row["answer"],
            "pictures": [hash_pixels(image["bytes"]) for image in row["images"]],
            "masks": [int(t["loss_mask"].sum()) for t in row["trajectories"]],
        }
        for row in load_groups(groups)
    ]


def test_trl_trains_one_online_step_with_pictures(
    groups: Path, expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    seen = run_in("trl", "check_trl.py", str(groups), str(POLICY), home=tmp_path)
    assert seen["steps"] == 1
    assert seen["grad_norm"] > 0
    assert seen["moved"] > 50
    assert seen["pixel_values"][0][1:] == [3, 64, 64]
    by_id = {row["prompt_id"]: row for row in expected}
    for row in seen["rows"]:
        wanted = by_id[row["prompt_id"]]
        assert row["pictures"] == wanted["pictures"]
        assert row["answer"] == wanted["answer"]
        assert row["masks"] == wanted["masks"]
        assert json.dumps(wanted["question"]) in row["prompt"]


def test_trl_does_not_depend_on_the_order_of_hashes(groups: Path, tmp_path: Path) -> None:
    """TRL looks at one of several columns that a set of names gives first."""
    for seed in ("1", "2"):
        seen = run_in(
            "trl", "check_trl.py", str(groups), str(POLICY), home=tmp_path, PYTHONHASHSEED=seed
        )
        assert seen["steps"] == 1


def test_swift_returns_pictures_and_text(
    groups: Path, expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = next(groups.glob("*.parquet"))
    rows = run_in("swift", "check_swift.py", str(file), home=tmp_path)
    assert [row["messages"] for row in rows] == [row["messages"] for row in expected]
    for key in ("pictures", "answer", "masks"):
        assert [row[key] for row in rows] == [row[key] for row in expected]


def test_verl_returns_pictures_and_text(
    groups: Path, expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = next(groups.glob("*.parquet"))
    rows = run_in("verl", "check_verl.py", str(file), str(POLICY), home=tmp_path)
    for row, wanted in zip(rows, expected, strict=True):
        assert row["text"].count(wanted["question"]) == 1
        assert row["ground_truth"] == wanted["answer"]
        assert row["pictures"] == wanted["pictures"]
        assert row["masks"] == wanted["masks"]


def hash_pixels(data: bytes) -> str:
    with PIL.Image.open(io.BytesIO(data)) as picture:
        return hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest()
