"""What cannot be scored is refused with a sentence, before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dfgen.config.load import check_pipeline
from dfgen.errors import ConfigError
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.stages.score.running import RECIPE, call, make_pipeline, read


@pytest.fixture
def nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine may be opened."""

    def refuse(config: Any) -> None:
        raise AssertionError(f"{config} is loaded")

    monkeypatch.setattr("dfgen.engines.loading.load_engine", refuse)


@pytest.mark.usefixtures("nothing_is_loaded")
def test_a_server_cannot_score(root: Path) -> None:
    engine = "score.engine={engine: openai, model: m, base_url: 'http://127.0.0.1:1/v1'}"
    result = call("score", root, "--set", engine, code=1)
    assert "the engine 'openai' cannot score given completions" in result.output
    assert "engine: transformers" in result.output
    assert not (root / "scores").exists()


@pytest.mark.usefixtures("nothing_is_loaded")
@pytest.mark.parametrize("lane", ["batch", "files"])
def test_a_policy_whose_answers_came_in_batches_is_named_and_the_way_out(
    lane: str,
) -> None:
    server = {"engine": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1", "lane": lane}
    tree = yaml.safe_load(RECIPE.read_text("utf-8"))
    with pytest.raises(ConfigError) as caught:
        check_pipeline({**tree, "policy": server, "score": {"enabled": True}}, "test")
    assert f"policy is behind a server (lane {lane})" in str(caught.value)
    assert "score.engine" in str(caught.value) and "engine: vllm" in str(caught.value)


@pytest.mark.usefixtures("nothing_is_loaded")
def test_masks_of_pairs_and_carried_over_masks_have_no_answers(root: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"id": "a", "wrong": "2 + 2 = 5", "right": "2 + 2 = 4"}) + "\n")
    call("mask", "--pairs", pairs, "--tokenizer", "demo:policy", "--out", tmp_path / "pairs")
    call("retokenize", root, "--tokenizer", "demo:policy", "--out", tmp_path / "other")
    for name in ("pairs", "other"):
        result = call("score", tmp_path / name, code=1)
        assert "there is nothing to score" in result.output
        assert "score" not in call("stats", tmp_path / name, "--json").output


@pytest.mark.usefixtures("nothing_is_loaded")
def test_nothing_was_drawn_yet(tmp_path: Path) -> None:
    run = Run.open_or_create(tmp_path / "run", make_pipeline())
    result = call("score", run.root, code=1)
    assert "the sample stage has not finished any shard" in result.output


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"score": {"enabled": True, "max_gap": 0}}, "greater than 0"),
        ({"score": {"enabled": True, "max_gap_share": 2}}, "less than or equal to 1"),
        ({"score": {"enabled": True, "completions": "none"}}, "repaired"),
    ],
)
def test_values_that_mean_nothing(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_pipeline(**changes)


def write_import(folder: Path) -> Path:
    """Answers that nobody drew here, with a picture each, and the pipeline that takes them in."""
    from PIL import Image

    Image.new("RGB", (64, 64), (20, 20, 20)).save(folder / "a.png")
    row = {
        "question": "How many red circles plus blue squares?",
        "image": "a.png",
        "answer": "0",
    }
    said = ("Step 1: red circles: I see 1.\nAnswer: 1", "Answer: 0")
    lines = [json.dumps({**row, "response": text, "id": str(i)}) for i, text in enumerate(said)]
    (folder / "said.jsonl").write_text("\n".join(lines) + "\n")
    pipeline = folder / "import.yaml"
    pipeline.write_text(
        f"imports:\n  source: jsonl\n  path: {folder / 'said.jsonl'}\n  image_root: {folder}\n"
        "  tokenizer: demo:policy\n  model: somebody\n"
        "  columns: {question: question, answer: answer, images: image, response: response}\n"
    )
    return pipeline


@pytest.mark.usefixtures("nothing_is_loaded")
def test_imported_answers_name_no_policy(tmp_path: Path) -> None:
    pipeline = write_import(tmp_path)
    call("run", pipeline, "--out", tmp_path / "run")
    result = call("score", tmp_path / "run", code=1)
    assert "score.engine is needed" in result.output


def test_imported_answers_have_nothing_to_differ_from(tmp_path: Path) -> None:
    pipeline = write_import(tmp_path)
    call("run", pipeline, "--out", tmp_path / "run")
    engine = "score.engine={engine: transformers, model: demo:policy, device: cpu}"
    result = call("score", tmp_path / "run", "--set", engine)
    assert "No answer has stored logprobs" in result.output
    scores = read(tmp_path / "run", "scores")
    assert len(scores) == 2
    for key, score in scores.items():
        row = read(tmp_path / "run", "trajectories")[key]
        assert len(score["scored_logprobs"]) == len(row["completion_ids"])
        assert score["logprob_gap"] is score["temperature"] is score["truncated_sampling"] is None
    assert all(row["scored_logprobs"] for row in read(tmp_path / "run", "masks").values())
    assert audit(Run.open_or_create(tmp_path / "run", None)) == []
    call("export", tmp_path / "run", "--to", "groups", "--out", tmp_path / "out")
    origin = json.loads((tmp_path / "out" / "dfgen.json").read_text())["origin"]
    drawn = {origin["sampling"][name] for name in ("temperature", "top_p", "truncated")}
    assert drawn == {origin["scores"]["temperature"]} == {None}
    other = "score.engine={engine: transformers, model: demo:repairer, device: cpu}"
    assert "score.engine.model" in call("score", tmp_path / "run", "--set", other, code=1).output
