"""`dfgen score` on real runs of the demo: what it writes, and how it goes on and stops."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfgen.engines.base import Engine, EngineInfo, ScoreRequest, ScoreResult
from dfgen.errors import EngineError, RunMismatchError
from dfgen.records import Prompt
from dfgen.stages.registry import run_shard
from dfgen.stages.sample.draws import write_chats
from dfgen.stages.score.stage import ScoreStage
from dfgen.stages.session import Session
from dfgen.stages.work import Tools
from dfgen.store.finishing import finish_shard
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.stages.score.running import call, make_pipeline, read, read_files, run_stages_of


class Counting:
    """A real engine that counts what it is asked, and fails after some of it if it should."""

    def __init__(self, engine: Engine, die_after: int | None = None) -> None:
        self.engine: Any = engine
        self.die_after = die_after
        self.asked: list[ScoreRequest] = []

    @property
    def info(self) -> EngineInfo:
        return self.engine.info  # type: ignore[no-any-return]

    def score(self, requests: Iterable[ScoreRequest]) -> Iterator[list[ScoreResult]]:
        def count() -> Iterator[ScoreRequest]:
            for request in requests:
                if len(self.asked) == self.die_after:
                    raise EngineError("the engine has died.")
                self.asked.append(request)
                yield request

        return self.engine.score(count())  # type: ignore[no-any-return]

    def close(self) -> None:
        """The real one goes on."""


def score_all(root: Path, engine: Any, **changes: Any) -> Run:
    """Score a run with an engine that is there already."""
    pipeline = make_pipeline(score={"enabled": True}, **changes)
    run = Run.open_or_create(root, None)
    with run.lock():
        for shard in Session(run, pipeline).list_unfinished("score"):
            run_shard(run, "score", shard, Tools(pipeline, engine))
    return run


def test_scores_are_those_of_the_policy_and_stand_in_the_masks(root: Path, policy: Engine) -> None:
    before = read(root, "masks")
    result = call("score", root)
    assert "48 answers scored" in result.output and "The masks hold the scores." in result.output
    scores, masks = read(root, "scores"), read(root, "masks")
    assert scores.keys() == read(root, "trajectories").keys()
    assert masks.keys() == before.keys()
    repaired = {key for key, row in masks.items() if row["mask_source"] == "repair"}
    assert len(repaired) > 5
    direct = score_directly(root, policy, {key: scores[key]["repair_ids"] for key in repaired})
    for key, row in masks.items():
        score = scores[key]
        assert row["scored_logprobs"] == pytest.approx(row["logprobs"], abs=1e-4)
        assert score["logprob_gap"] == pytest.approx(
            np.abs(np.subtract(row["scored_logprobs"], row["logprobs"])).max(), abs=1e-7
        )
        assert score["temperature"] == 1.0 and score["truncated_sampling"] is False
        assert score["tempered_logprobs"] is score["repair_tempered_logprobs"] is None
        if key in repaired:
            assert row["repair_ids"] == score["repair_ids"]
            assert row["repair_logprobs"] == pytest.approx(direct[key], abs=1e-4)
            # The policy closed its answer, so its repair is closed: a positive teaches to stop.
            assert row["repair_ids"][-1] == row["completion_ids"][-1]
            assert sum(row["weights"]) > 0
            outside = [w for w, m in zip(row["weights"], row["loss_mask"], strict=True) if not m]
            assert not any(outside)
        else:
            assert row["repair_logprobs"] is row["weights"] is None
    run = Run.open_or_create(root, None)
    assert audit(run) == []
    assert run.manifest.get_stage("score").facts["gap"]["largest"] < 1e-4
    call("validate", root)


def score_directly(root: Path, policy: Any, ids: dict[str, list[int]]) -> dict[str, list[float]]:
    """What the engine says of ids, asked without the stage."""
    run, pipeline = Run.open_or_create(root, None), make_pipeline()
    prompts = [Prompt.model_validate(row) for row in run.table("prompts").iter_rows()]
    chats = {prompt.prompt_id: chat for prompt, chat in write_chats(prompts, pipeline.sample)}
    asked = [
        ScoreRequest(key, chats[key.rpartition("-")[0]], tuple(each)) for key, each in ids.items()
    ]
    return {result.key: result.logprobs for results in policy.score(asked) for result in results}


def test_a_dry_run_counts_and_writes_nothing(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    told = json.loads(call("score", root, "--dry-run", "--json").output)["estimate"]
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    repairs = read(root, "repairs")
    assert told["answers"] == 48 and told["repairs"] == len(repairs)
    assert 0 < told["texts_to_read"] <= 48 + len(repairs)
    call("score", root, "-q")
    again = json.loads(call("score", root, "--dry-run", "--json").output)["estimate"]
    assert set(again.values()) == {0}


def test_equal_texts_of_a_prompt_are_read_once(root: Path, policy: Engine) -> None:
    """Copies of an answer share one reading; each is held against its own stored logprobs."""
    run = Run.open_or_create(root, None)
    with run.lock():
        rows = list(run.table("trajectories").iter_rows(0))
        twin = {"completion", "completion_ids", "logprobs", "reward", "verdict", "finish_reason"}
        rows[1] |= {name: rows[0][name] for name in twin}
        finish_shard(run, "sample", 0, rows)
    engine = Counting(policy)
    score_all(root, engine)
    keys = [request.key for request in engine.asked]
    assert len(set(keys)) == len(keys)
    scores = read(root, "scores")
    first, second = rows[0]["trajectory_id"], rows[1]["trajectory_id"]
    assert scores[first]["scored_logprobs"] == scores[second]["scored_logprobs"]
    assert scores[first]["ids_sha256"] == scores[second]["ids_sha256"]


def test_what_was_read_is_not_read_again(root: Path, policy: Engine, tmp_path: Path) -> None:
    """An engine that dies in the middle costs what was in flight; the files are the same."""
    whole = Counting(policy)
    score_all(root, whole)
    expected = read_files(root, "scores", "rejects")
    other = tmp_path / "other"
    import shutil

    shutil.copytree(root, other)
    for path in (other / "scores").glob("*"):
        path.unlink()
    dying = Counting(policy, die_after=len(whole.asked) // 3)
    with pytest.raises(EngineError):
        score_all(other, dying)
    kept = [record for path in (other / "journal").glob("score-*") for record in [path]]
    assert kept
    rest = Counting(policy)
    score_all(other, rest)
    batch = 7
    assert len(rest.asked) <= len(whole.asked) - len(dying.asked) + batch
    # Floats depend on who shares a batch, and the batches end elsewhere after a restart.
    for name, content in read_files(other, "scores", "rejects").items():
        assert name in expected and content
    for key, row in read(other, "scores").items():
        assert row["scored_logprobs"] == pytest.approx(
            read(root, "scores")[key]["scored_logprobs"], abs=1e-5
        )


def test_rows_that_changed_upstream_are_scored_and_the_others_recalled(
    root: Path, policy: Engine
) -> None:
    score_all(root, Counting(policy))
    before = read(root, "scores")
    run = Run.open_or_create(root, None)
    with run.lock():
        rows = list(run.table("trajectories").iter_rows(0))
        changed = rows[2]
        changed["completion_ids"], changed["logprobs"] = changed["completion_ids"][:9], None
        changed["completion"] = Session(run, make_pipeline()).tokenizer.decode(
            changed["completion_ids"]
        )
        finish_shard(run, "sample", 0, rows)
    assert not run.is_done("score", 0)
    engine = Counting(policy)
    score_all(root, engine)
    assert 1 <= len(engine.asked) <= 2, "the shorter answer, and its repair with another end"
    after = read(root, "scores")
    key = changed["trajectory_id"]
    assert len(after[key]["scored_logprobs"]) == 9 and after[key]["logprob_gap"] is None
    assert {k: row for k, row in after.items() if k != key} == {
        k: row for k, row in before.items() if k != key
    }


def disturb(engine: Any, strength: float) -> None:
    """Move the weights of a policy as some training would."""
    import torch

    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in engine._loaded.model.parameters():
            parameter.add_(torch.randn_like(parameter) * parameter.std() * strength)


def test_another_policy_stops_early_and_leaves_nothing(root: Path) -> None:
    from dfgen.engines.loading import load_engine

    config = make_pipeline().policy
    assert config is not None
    engine = load_engine(config)
    disturb(engine, 0.1)
    counting = Counting(engine)
    with pytest.raises(RunMismatchError) as caught:
        score_all(root, counting, prompts={"count": 12, "shard_size": 6})
    assert "differ by more than 0.01" in str(caught.value)
    for word in (
        "checkpoint",
        "chat template",
        "pixel budget",
        "tokenizer",
        "dtype",
        "temperature",
    ):
        assert word in str(caught.value), word
    assert not list((root / "journal").glob("score-*")), "wrong scores are not kept"
    assert not list((root / "scores").glob("*"))


def test_other_weights_are_refused_before_anything_is_scored(root: Path, policy: Engine) -> None:
    run = Run.open_or_create(root, None)
    session = Session(run, make_pipeline())
    from dfgen.stages.score.policy import check_policy

    check_policy(run, policy.info, session.tokenizer)
    for name in ("weights", "chat_template", "tokenizer"):
        other = replace(policy.info, hashes={**policy.info.hashes, name: "0" * 64})
        with pytest.raises(RunMismatchError, match=f"another {name.replace('_', ' ')}"):
            check_policy(run, other, session.tokenizer)
    adapted = replace(policy.info, hashes={**policy.info.hashes, "lora": "0" * 64})
    with pytest.raises(RunMismatchError, match="lora"):
        check_policy(run, adapted, session.tokenizer)


def test_a_placeholder_in_an_answer_is_a_reject_and_its_mask_stays(root: Path, policy: Any) -> None:
    """At temperature 1 a policy may draw the id that stands for a picture."""
    run = Run.open_or_create(root, None)
    placeholder = policy._loaded.parts.image_token_id
    with run.lock():
        rows = list(run.table("trajectories").iter_rows(0))
        wrong = next(row for row in rows if row["reward"] < 1)
        wrong["completion_ids"].insert(5, placeholder)
        wrong["logprobs"].insert(5, -9.0)
        finish_shard(run, "sample", 0, rows)
        # Its repair stays: the text is the same, since special tokens have none.
        finish_shard(
            run,
            "repair",
            0,
            list(run.table("repairs").iter_rows(0)),
            list(run.rejects("repair").iter_rows(0)) if run.rejects("repair").exists(0) else [],
        )
    run_stages_of(root, make_pipeline(score={"enabled": True}), "score", "mask")
    key = wrong["trajectory_id"]
    rejects = {row["row_id"]: row for row in run.rejects("score").iter_rows()}
    assert rejects.keys() == {key}
    assert rejects[key]["reason"] == "ids_invalid" and "picture" in rejects[key]["detail"]
    assert key not in read(root, "scores")
    mask = read(root, "masks")[key]
    assert mask["scored_logprobs"] is mask["repair_logprobs"] is mask["weights"] is None
    assert audit(Run.open_or_create(root, None)) == []


def test_only_repaired_answers_when_that_is_enough(root: Path) -> None:
    call("score", root, "--set", "score.completions=repaired")
    assert read(root, "scores").keys() == read(root, "repairs").keys()
    assert audit(Run.open_or_create(root, None)) == []


def test_other_settings_are_refused_by_name(root: Path) -> None:
    call("score", root, "-q")
    result = call("score", root, "--set", "score.visual=true", code=1)
    assert "score.visual: false -> true" in result.output and "--redo score" in result.output
    result = call("score", root, "--set", "mask.moves=false", code=1)
    assert "only the score section" in result.output


def test_masks_can_wait(root: Path) -> None:
    before = read_files(root, "masks")
    result = call("score", root, "--no-masks")
    assert "The masks are from before" in result.output
    assert read_files(root, "masks") == before
    assert not Run.open_or_create(root, None).is_done("mask", 0)
    run_stages_of(root, make_pipeline(), "mask")
    assert all(row["scored_logprobs"] for row in read(root, "masks").values())


def test_weights_can_be_left_alone(root: Path) -> None:
    pipeline = make_pipeline(score={"enabled": True}, mask={"counterfactual": "off"})
    for path in (root / "masks").glob("*"):
        path.unlink()
    run_stages_of(root, pipeline, "score", "mask")
    rows = read(root, "masks").values()
    assert all(row["weights"] is None for row in rows)
    assert any(row["repair_logprobs"] for row in rows)


def test_the_stage_is_one_of_a_run(tmp_path: Path) -> None:
    """`score.enabled` scores between repair and mask; the masks are made once."""
    pipeline = make_pipeline(
        score={"enabled": True}, prompts={"source": "demo", "count": 3, "seed": 7, "shard_size": 50}
    )
    run = run_stages_of(tmp_path / "run", pipeline, "prompts", "sample", "repair", "score", "mask")
    assert run.generation("masks", 0) == 1
    assert all(row["scored_logprobs"] for row in read(run.root, "masks").values())
    assert ScoreStage().stage in run.stages
