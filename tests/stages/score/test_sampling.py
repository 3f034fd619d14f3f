"""Temperature, top-p, truncated rows and pictures: which logprobs are stored, and what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfgen.config.engine import OpenAIConfig, TransformersConfig
from dfgen.config.sample import SampleConfig
from dfgen.config.sampling import Sampling, find_sampling
from dfgen.engines.base import Engine, ScoreRequest
from dfgen.records import Prompt
from dfgen.stages.sample.draws import write_chats
from dfgen.store.finishing import finish_shard
from dfgen.store.run import Run
from tests.stages.score.running import call, make_pipeline, read, run_stages_of

POLICY = TransformersConfig(model="demo:policy")


@pytest.mark.parametrize(
    ("policy", "sample", "expected"),
    [
        (POLICY, {}, Sampling(1.0, False)),
        (POLICY, {"temperature": 0.7}, Sampling(0.7, False)),
        (POLICY, {"top_p": 0.9}, Sampling(1.0, True)),
        (POLICY, {"top_k": 5}, Sampling(1.0, True)),
        (None, {"temperature": 0.7}, Sampling(None, None)),
        (OpenAIConfig(model="m", extra_body={"min_p": 0.1}), {}, Sampling(1.0, True)),
        (OpenAIConfig(model="m", extra_body={"top_k": -1}), {}, Sampling(1.0, False)),
        (OpenAIConfig(model="m", extra_body={"temperature": 0.5}), {}, Sampling(0.5, False)),
        (OpenAIConfig(model="m", extra_body={"seed": None}), {"top_k": 2}, Sampling(1.0, True)),
    ],
)
def test_how_answers_were_drawn(policy: Any, sample: dict[str, Any], expected: Sampling) -> None:
    assert find_sampling(policy, SampleConfig(**sample)) == expected


@pytest.mark.parametrize(
    ("temperature", "expected"), [(None, None), (0.0, None), (1.0, None), (0.7, 0.7), (1.3, 1.3)]
)
def test_what_trainers_divide_by(temperature: float | None, expected: float | None) -> None:
    assert Sampling(temperature, False).trainers_temperature == expected


def test_both_kinds_of_logprobs_are_stored_at_another_temperature(
    cool_root: Path, policy: Any
) -> None:
    """Raw ones equal what sampling stored; tempered ones are softmax(logits / T), uncut."""
    call("score", cool_root)
    scores, rows = read(cool_root, "scores"), read(cool_root, "trajectories")
    for key, score in scores.items():
        assert score["temperature"] == pytest.approx(0.7) and score["truncated_sampling"]
        assert score["logprob_gap"] < 1e-4
        assert len(score["tempered_logprobs"]) == len(rows[key]["completion_ids"])
        repaired = score["repair_ids"] is not None
        assert (score["repair_tempered_logprobs"] is not None) == repaired
    masks = read(cool_root, "masks")
    assert all(row["tempered_logprobs"] for row in masks.values())
    # By another way: the raw logprobs of all tokens that could stand there.
    key = next(key for key in scores if scores[key]["repair_ids"])
    for ids, raw, tempered in (
        (rows[key]["completion_ids"], "scored_logprobs", "tempered_logprobs"),
        (scores[key]["repair_ids"], "repair_logprobs", "repair_tempered_logprobs"),
    ):
        for place in (0, 7, len(ids) - 1):
            every = ask_for_all(cool_root, policy, key, ids[:place])
            assert scores[key][raw][place] == pytest.approx(every[ids[place]], abs=1e-4)
            scaled = np.array(list(every.values())) / 0.7
            expected = every[ids[place]] / 0.7 - np.logaddexp.reduce(scaled)
            assert scores[key][tempered][place] == pytest.approx(expected, abs=1e-3)


def ask_for_all(root: Path, policy: Any, key: str, prefix: list[int]) -> dict[int, float]:
    """Logprob of every token after a prefix; that of the picture's is what is left of 1."""
    run, pipeline = Run.open_or_create(root, None), make_pipeline()
    prompts = [Prompt.model_validate(row) for row in run.table("prompts").iter_rows()]
    chats = {prompt.prompt_id: chat for prompt, chat in write_chats(prompts, pipeline.sample)}
    chat = chats[key.rpartition("-")[0]]
    parts = policy._loaded.parts
    known = [t for t in range(parts.vocabulary) if t not in parts.placeholder_ids]
    asked = [ScoreRequest(str(t), chat, (*prefix, t)) for t in known]
    found = {
        int(result.key): result.logprobs[-1]
        for results in policy.score(asked)
        for result in results
    }
    left = max(1e-12, 1 - float(np.exp(list(found.values())).sum()))
    for token in parts.placeholder_ids:
        found[token] = float(np.log(left / len(parts.placeholder_ids)))
    return found


def test_truncated_answers_have_no_end_and_neither_have_their_repairs(root: Path) -> None:
    run = Run.open_or_create(root, None)
    repaired = read(root, "repairs").keys()
    with run.lock():
        rows = list(run.table("trajectories").iter_rows(0))
        cut = next(row for row in rows if row["trajectory_id"] in repaired)
        end = cut["completion_ids"].pop()
        cut["logprobs"].pop()
        cut["finish_reason"] = "length"
        finish_shard(run, "sample", 0, rows)
    # Only the end is gone, so the repair that was bought still holds.
    with run.lock():
        refused = run.rejects("repair")
        kept = list(refused.iter_rows(0)) if refused.exists(0) else []
        finish_shard(run, "repair", 0, list(run.table("repairs").iter_rows(0)), kept)
    run_stages_of(root, make_pipeline(score={"enabled": True}), "score", "mask")
    scores, masks = read(root, "scores"), read(root, "masks")
    for key in repaired:
        closed = key != cut["trajectory_id"]
        assert len(scores[key]["repair_logprobs"]) == len(scores[key]["repair_ids"])
        assert (scores[key]["repair_ids"][-1] == end) == closed
        assert masks[key]["repair_ids"] == scores[key]["repair_ids"]
    assert scores[cut["trajectory_id"]]["logprob_gap"] < 1e-4


def test_tempered_logprobs_can_be_left_out(cool_root: Path) -> None:
    call("score", cool_root, "--set", "score.tempered=false")
    for score in read(cool_root, "scores").values():
        assert score["tempered_logprobs"] is None and score["temperature"] == pytest.approx(0.7)


def test_vllm_is_refused_at_another_temperature_before_it_is_loaded(cool_root: Path) -> None:
    engine = "score.engine={engine: vllm, model: demo:policy}"
    result = call("score", cool_root, "--set", engine, code=1)
    assert "drawn at temperature 0.7" in result.output and "score.tempered" in result.output


def test_the_manifest_of_an_export_says_which_logprobs_there_are(
    cool_root: Path, tmp_path: Path
) -> None:
    call("score", cool_root)
    call("export", cool_root, "--to", "groups", "--out", tmp_path / "out")
    origin = json.loads((tmp_path / "out" / "dfgen.json").read_text())["origin"]
    assert origin["sampling"]["temperature"] == 0.7 and origin["sampling"]["truncated"] is True
    said = origin["scores"]
    assert said["temperature"] == said["sampling_temperature"] == 0.7
    assert said["truncated"] is True and said["visual"] is None
    assert said["largest_gap"] < 1e-4 and said["compared"] == 48


def test_how_much_tokens_depend_on_the_pictures(root: Path, policy: Engine) -> None:
    """On drawn scenes wrong counts are errors of looking, and the rest mostly is not."""
    call("score", root, "--set", "score.visual=true")
    masks = read(root, "masks")
    assert all(min(row["visual_kl"]) >= 0 for row in masks.values())
    assert all(len(row["visual_kl"]) == len(row["completion_ids"]) for row in masks.values())
    assert all(row["visual_log_ratio"] is None for row in masks.values())
    numbers = json.loads(call("stats", root, "--json").output)
    errors = numbers["errors"]
    assert errors["measure"] == "kl" and errors["perception"] >= 5
    assert errors["counts_told"] >= 0.9
    assert numbers["scores"]["gap_largest"] < 1e-4
    call("validate", root)
    shown = call("inspect", root, "--first", "48").output
    assert "perception" in shown
