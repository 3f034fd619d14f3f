"""The value stage with the real vLLM: by ids in process, by text through a server."""

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
from dfgen.stages.session import Session
from dfgen.stages.value.stage import Valuing
from dfgen.stages.work import open_graders
from dfgen.store.counts import count_rows
from dfgen.store.finishing import finish_shard
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.benchmarks.score_speed import repair
from tests.vllm.conftest import POLICY, make_config
from tests.vllm.running import run_dfgen
from tests.vllm.serving import serve

DRAWS = 8


@pytest.fixture(scope="module")
def drawn(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten questions with four answers each, drawn by vLLM and repaired by the truth."""
    pipeline = Pipeline.model_validate(
        {
            "prompts": {"source": "demo", "count": 10, "seed": 3, "shard_size": 5},
            "policy": make_config().model_dump(),
            "sample": {"num_samples": 4, "max_tokens": 64},
        }
    )
    run = Run.open_or_create(tmp_path_factory.mktemp("drawn") / "run", pipeline)
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
        session.close()
    return run.root


def value(root: Path, engine: Any) -> dict[str, Any]:
    """Value a run by an engine that is there; rows by trajectory."""
    run = Run.open_or_create(root, None)
    tree = {**run.manifest.pipeline, "value": {"enabled": True, "draws": DRAWS}}
    pipeline = Pipeline.model_validate(tree)
    with run.lock(), open_graders(pipeline.grade) as pool:
        session = Session(run, pipeline)
        for path in (root / "values").glob("*"):
            path.unlink()
        Valuing(session, engine, pool).execute(session.list_unfinished("value"))
        session.close()
    assert audit(run) == []
    return {row["trajectory_id"]: row for row in run.table("values").iter_rows()}


def list_values(rows: dict[str, Any]) -> dict[tuple[str, str, int], float]:
    """V by answer and place, where continuations were drawn."""
    return {
        (key, point["side"], point["index"]): point["value"]
        for key, row in rows.items()
        for point in row["value_points"]
        if point["draws"]
    }


def test_values_by_ids_by_text_and_by_transformers_agree(
    drawn: Path, engine: Any, reference: Any, tmp_path: Path
) -> None:
    """Each draws anew, so that they agree as far as shares of 8 do."""
    ours, theirs = value(drawn, engine), value(drawn, reference)
    assert ours.keys() == theirs.keys() and len(ours) > 5
    assert {row["prefix"] for row in (*ours.values(), *theirs.values())} == {"ids"}
    options = ("--max-model-len", "256", "--kv-cache-memory-bytes", "64M")
    with serve(POLICY, "policy", tmp_path, *options) as served:
        for path in (drawn / "values").glob("*"):
            path.unlink()
        engine_of = f"{{engine: openai, model: policy, base_url: '{served.url}', concurrency: 8}}"
        run_dfgen(
            *("value", drawn, "--set", f"value.draws={DRAWS}"),
            *("--set", f"value.engine={engine_of}", "--no-masks"),
        )
    run = Run.open_or_create(drawn, None)
    by_text = {row["trajectory_id"]: row for row in run.table("values").iter_rows()}
    assert by_text.keys() == ours.keys()
    assert {row["prefix"] for row in by_text.values()} == {"text"}
    first = list_values(theirs)
    for other in (list_values(ours), list_values(by_text)):
        assert other.keys() == first.keys() and len(first) > 40
        gaps = np.array([other[place] - first[place] for place in first])
        assert abs(gaps.mean()) < 0.06
        # Two shares of 8 with a chance of one half differ by .25 in the root mean square.
        assert np.sqrt((gaps**2).mean()) < 0.25
        pairs = np.array([[other[place], first[place]] for place in first])
        assert np.corrcoef(pairs.T)[0, 1] > 0.8
