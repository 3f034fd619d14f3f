"""The score stage with the real vLLM: what was drawn scores as itself, and pictures matter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")

from dfgen.config.pipeline import Pipeline
from dfgen.records import is_right
from dfgen.stages.ingest import run_prompts
from dfgen.stages.sample.stage import run_sampling
from dfgen.stages.score.stage import Scoring
from dfgen.stages.session import Session
from dfgen.stages.work import open_graders
from dfgen.store.counts import count_rows
from dfgen.store.finishing import finish_shard
from dfgen.store.run import Run
from dfgen.validate.scores import check_scores
from tests.benchmarks.score_speed import repair
from tests.vllm.conftest import make_config


def test_answers_and_repairs_are_scored_with_and_without_pictures(
    engine: Any, reference: Any, tmp_path: Path
) -> None:
    pipeline = Pipeline.model_validate(
        {
            "prompts": {"source": "demo", "count": 8, "seed": 3, "shard_size": 3},
            "policy": make_config().model_dump(),
            "sample": {"num_samples": 3, "max_tokens": 64},
            "score": {"enabled": True, "visual": True},
        }
    )
    run = Run.open_or_create(tmp_path / "run", pipeline)
    with run.lock():
        session = Session(run, pipeline)
        run_prompts(session)
        with open_graders(pipeline.grade) as pool:
            run_sampling(session, engine, pool, session.list_unfinished("sample"))
        run.set_stage("sample", state="done", counts=count_rows(run)["sample"])
        truths = {
            row["prompt_id"]: json.loads(row["metadata"])["demo_truth"]
            for row in run.table("prompts").iter_rows(columns=["prompt_id", "metadata"])
        }
        for shard in run.table("trajectories").shards():
            rows = run.table("trajectories").iter_rows(shard)
            wrong = [row for row in rows if not is_right(row["reward"])]
            finish_shard(run, "repair", shard, [repair(row, truths) for row in wrong])
        Scoring(session, engine).execute(session.list_unfinished("score"))
        ours = {row["trajectory_id"]: row for row in run.table("scores").iter_rows()}
        for path in (tmp_path / "run" / "scores").glob("*"):
            path.unlink()
        Scoring(session, reference).execute(session.list_unfinished("score"))
        session.close()
    theirs = {row["trajectory_id"]: row for row in run.table("scores").iter_rows()}
    assert len(ours) == 24 and ours.keys() == theirs.keys()
    repaired = [key for key, row in ours.items() if row["repair_ids"]]
    assert repaired
    for key, row in ours.items():
        other = theirs[key]
        assert row["logprob_gap"] < 1e-4 and other["logprob_gap"] < 1e-4
        assert row["scored_logprobs"] == pytest.approx(other["scored_logprobs"], abs=1e-4)
        assert row["repair_ids"] == other["repair_ids"]
        if key in repaired:
            assert row["repair_logprobs"] == pytest.approx(other["repair_logprobs"], abs=1e-4)
        # vLLM tells only the token's own logprobs, transformers whole distributions.
        assert row["visual_kl"] is None and other["visual_log_ratio"] is None
        assert min(other["visual_kl"]) >= 0
    ratio = np.concatenate([ours[key]["visual_log_ratio"] for key in ours])
    kl = np.concatenate([theirs[key]["visual_kl"] for key in ours])
    assert np.corrcoef(ratio, kl)[0, 1] > 0.5, "both say what depends on the pictures"
    assert list(check_scores(run)) == []
