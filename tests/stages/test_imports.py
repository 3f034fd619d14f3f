"""`dfgen import`: other models' answers become graded trajectories."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import yaml
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.demo.scenes import iter_scenes


def make_recipe(folder: Path) -> Path:
    rows = []
    for number, scene in enumerate(iter_scenes(3, 5)):
        (folder / f"{number}.png").write_bytes(scene.image_png)
        for model, answer in (("one", scene.answer), ("two", "nothing of the kind")):
            rows.append(
                {
                    "question": scene.question,
                    "image": f"{number}.png",
                    "answer": scene.answer,
                    "response": f"Looking closely.\nAnswer: {answer}",
                    "model": model,
                    "id": f"{model}-{number}",
                    "right": model == "one",
                }
            )
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tree = {
        "imports": {
            "path": str(folder / "answers.jsonl"),
            "columns": {"model": "model", "id": "id", "verdict": "right"},
            "tokenizer": "demo:policy",
        }
    }
    path = folder / "import.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def test_answers_are_encoded_graded_and_accounted_for(tmp_path: Path) -> None:
    recipe, run = make_recipe(tmp_path), tmp_path / "run"
    result = CliRunner().invoke(cli, ["import", str(recipe), "--out", str(run)])
    assert result.exit_code == 0, result.output
    rows = pq.read_table(run / "trajectories").to_pylist()
    assert [row["model"] for row in rows] == ["one", "two"] * 3
    assert [row["reward"] for row in rows] == [1.0, 0.0] * 3
    assert {row["ids_source"] for row in rows} == {"encoded"}
    assert all(row["logprobs"] is None for row in rows)
    assert json.loads(rows[0]["metadata"])["row_id"] == "one-0"
    numbers = json.loads(CliRunner().invoke(cli, ["stats", str(run), "--json"]).stdout)
    assert numbers["people"]["agreement"] == 1.0
    assert CliRunner().invoke(cli, ["validate", str(run)]).exit_code == 0


def test_importing_again_changes_nothing_and_other_answers_are_refused(tmp_path: Path) -> None:
    recipe, run = make_recipe(tmp_path), tmp_path / "run"
    arguments = ["import", str(recipe), "--out", str(run)]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    before = (run / "trajectories" / "part-00000.parquet").read_bytes()
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    assert (run / "trajectories" / "part-00000.parquet").read_bytes() == before
    source = tmp_path / "answers.jsonl"
    source.write_text(source.read_text().replace("closely", "briefly"))
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert "other settings" in result.output


def test_masks_without_a_repairer_are_outcome_masks(tmp_path: Path) -> None:
    recipe, run = make_recipe(tmp_path), tmp_path / "run"
    result = CliRunner().invoke(cli, ["run", str(recipe), "--out", str(run)])
    assert result.exit_code == 0, result.output
    masks = pq.read_table(run / "masks").to_pylist()
    assert [row["mask_source"] for row in masks] == ["correct", "outcome"] * 3
    assert all(all(row["loss_mask"]) for row in masks)
    assert CliRunner().invoke(cli, ["validate", str(run)]).exit_code == 0
