"""The value stage with the real vLLM: by ids in process, by text through a server."""

from __future__ import annotations

import json
import shutil
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
        run.set_stage("value", state="running", counts={})
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


def compare(rows: dict[str, Any], others: dict[str, Any]) -> None:
    """Each drew anew, so that they agree as far as shares of 8 do."""
    assert rows.keys() == others.keys() and len(rows) > 5
    first, second = list_values(rows), list_values(others)
    assert first.keys() == second.keys() and len(first) > 40
    pairs = np.array([[first[place], second[place]] for place in first])
    gaps = pairs[:, 0] - pairs[:, 1]
    assert abs(gaps.mean()) < 0.06
    # Two shares of 8 with a chance of one half differ by .25 in the root mean square.
    assert np.sqrt((gaps**2).mean()) < 0.25
    assert np.corrcoef(pairs.T)[0, 1] > 0.8


@pytest.fixture(scope="module")
def theirs(drawn: Path, reference: Any) -> dict[str, Any]:
    """By transformers."""
    return value(drawn, reference)


def test_values_of_vllm_are_those_of_transformers(
    drawn: Path, engine: Any, theirs: dict[str, Any]
) -> None:
    ours = value(drawn, engine)
    assert {row["prefix"] for row in (*ours.values(), *theirs.values())} == {"ids"}
    compare(ours, theirs)


def test_values_by_text_through_a_server_are_those_by_ids(
    drawn: Path, theirs: dict[str, Any], tmp_path: Path
) -> None:
    root = Path(shutil.copytree(drawn, tmp_path / "run"))
    for path in (root / "values").glob("*"):
        path.unlink()
    options = ("--max-model-len", "256", "--kv-cache-memory-bytes", "64M")
    with serve(POLICY, "policy", tmp_path, *options) as served:
        policy = f"{{engine: openai, model: policy, base_url: '{served.url}', concurrency: 8}}"
        run_dfgen(
            *("value", root, "--set", f"value.draws={DRAWS}"),
            *("--set", f"value.engine={policy}", "--no-masks"),
        )
    rows = Run.open_or_create(root, None).table("values").iter_rows()
    by_text = {row["trajectory_id"]: row for row in rows}
    assert {row["prefix"] for row in by_text.values()} == {"text"}
    compare(by_text, theirs)
