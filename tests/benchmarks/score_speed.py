"""How fast `dfgen score` is beside the engine it drives, how well its scores fit, what it keeps.

Two ways to score the same answers and repairs of the demo's policy, all with pictures:

    bare    `engine.score` over the very requests, results thrown away
    dfgen   the score stage, from the run's tables to the last finished Parquet file

Answers are drawn by the engine itself, repairs written by rule. Starting the engine is left out of
both. Turns alternate; the ratio is of the fastest of each, in processor time of this process, in
which the engine computes, too. Needed: .8. The largest difference between the logprobs stored when
the answers were drawn and those scored is printed; needed: 1e-4.

`--memory`: peak memory of the stage, the engine apart (one that answers at once), over 1,000 to
20,000 answers, each size in a process of its own.

    .venv/bin/python tests/benchmarks/score_speed.py
    .venv/bin/python tests/benchmarks/score_speed.py --memory
    .venv-vllm/bin/python tests/benchmarks/score_speed.py --engine vllm
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

# Read by vLLM when it is imported.
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

from dfgen.config.pipeline import Pipeline
from dfgen.demo.truth import closest_repair
from dfgen.engines.base import EngineInfo, ScoreRequest, ScoreResult
from dfgen.engines.loading import load_engine
from dfgen.records import Repair, is_right
from dfgen.stages.ingest import run_prompts
from dfgen.stages.sample.stage import run_sampling
from dfgen.stages.score.stage import Scoring
from dfgen.stages.score.summary import summarise_gaps
from dfgen.stages.session import Session
from dfgen.stages.work import open_graders
from dfgen.store.counts import count_rows
from dfgen.store.finishing import finish_shard
from dfgen.store.run import Run

MODEL = Path(__file__).parents[2] / "dfgen" / "demo" / "models" / "policy"
ENGINES: dict[str, dict[str, Any]] = {
    "transformers": {"device": "cpu", "batch_size": 64},
    "vllm": {
        "enforce_eager": True,
        "max_model_len": 256,
        "max_num_seqs": 64,
        "kv_cache_memory_bytes": 256 << 20,
        "limit_mm_per_prompt": {"image": 1},
    },
}
RATIO, GAP = 0.8, 1e-4
SAMPLES = 8
SIZES = (1_000, 5_000, 20_000)
GROWTH = 0.10


class Recorder:
    """An engine that remembers what it was asked to score."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.info: EngineInfo = engine.info
        self.requests: list[ScoreRequest] = []

    def score(self, requests: Iterable[ScoreRequest]) -> Iterator[list[ScoreResult]]:
        def note() -> Iterator[ScoreRequest]:
            for request in requests:
                self.requests.append(request)
                yield request

        return self.engine.score(note())  # type: ignore[no-any-return]


class Instant:
    """An engine that scores at once: the same value for every token."""

    info = EngineInfo("instant", "1", "m", None, "float32", None, features=("score",))

    def score(self, requests: Iterable[ScoreRequest]) -> Iterator[list[ScoreResult]]:
        for request in requests:
            yield [ScoreResult(request.key, [-0.5] * len(request.completion_ids))]


def make_pipeline(engine: str, prompts: int) -> Pipeline:
    policy = {"engine": engine, "model": str(MODEL), "dtype": "float32", **ENGINES[engine]}
    return Pipeline.model_validate(
        {
            "prompts": {"source": "demo", "count": prompts, "seed": 11, "shard_size": 32},
            "policy": policy,
            "sample": {"num_samples": SAMPLES, "max_tokens": 64},
            "score": {"enabled": True},
        }
    )


def draw(root: Path, pipeline: Pipeline, engine: Any) -> None:
    """Draw and grade answers, and repair the wrong ones by rule."""
    run = Run.open_or_create(root, pipeline)
    with run.lock():
        session = Session(run, pipeline)
        run_prompts(session)
        run.check_stage("sample", pipeline, {})
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


def repair(row: dict[str, Any], truths: dict[str, Any]) -> Repair:
    return Repair(
        trajectory_id=row["trajectory_id"],
        prompt_id=row["prompt_id"],
        sample_index=row["sample_index"],
        repair=closest_repair(row["completion"], truths[row["prompt_id"]]),
        protocol="rewrite",
        edits=None,
        reward=1.0,
        verdict=row["verdict"],
        edit_ratio=0.1,
        step_edit_ratio=0.1,
        answer_only=False,
        attempts=[],
        model="rule",
        cost_usd=0.0,
    )


def score(root: Path, pipeline: Pipeline, engine: Any) -> Run:
    run = Run.open_or_create(root, None)
    with run.lock():
        session = Session(run, pipeline)
        Scoring(session, engine).execute(session.list_unfinished("score"))
        session.close()
    return run


def measure_speed(engine_name: str, prompts: int, turns: int) -> bool:
    pipeline = make_pipeline(engine_name, prompts)
    assert pipeline.policy is not None
    engine: Any = load_engine(pipeline.policy)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "run"
        draw(root, pipeline, engine)
        recorder = Recorder(engine)
        shutil.copytree(root, Path(folder) / "first")
        gap = summarise_gaps(score(Path(folder) / "first", pipeline, recorder))
        requests = recorder.requests
        tokens = sum(len(request.completion_ids) for request in requests)
        times: dict[str, list[float]] = {"bare": [], "dfgen": []}
        for turn in range(turns):
            copy = Path(folder) / f"turn{turn}"
            shutil.copytree(root, copy)
            before = time.process_time()
            score(copy, pipeline, engine)
            times["dfgen"].append(time.process_time() - before)
            before = time.process_time()
            for _ in engine.score(requests):
                pass
            times["bare"].append(time.process_time() - before)
    engine.close()
    ratio = min(times["bare"]) / min(times["dfgen"])
    print(f"{engine_name} {engine.info.version}, float32, {prompts * SAMPLES:,} answers")
    print(f"{len(requests):,} texts of {tokens:,} tokens to read, {turns} turns each")
    for name, found in times.items():
        each = ", ".join(f"{seconds:.2f}" for seconds in found)
        print(f"{name:<6} {tokens / min(found):8,.0f} tokens per processor second   ({each} s)")
    print(f"dfgen / bare {ratio:.2f}   (needed {RATIO})")
    print(f"largest difference from the stored logprobs {gap['largest']:.1e}   (needed {GAP:g})")
    return ratio >= RATIO and gap["largest"] <= GAP


def measure_peak(root: Path, prompts: int) -> None:
    """Score a run with an engine that answers at once; prints this process's peak in MiB."""
    pipeline = make_pipeline("transformers", prompts).model_copy()
    pipeline = Pipeline.model_validate(
        {**pipeline.model_dump(), "score": {"enabled": True, "max_gap": 1000.0}}
    )
    score(root, pipeline, Instant())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measure_memory() -> bool:
    from tests.support.sample_run import ScriptedPolicy, index_scenes

    peaks = []
    for size in SIZES:
        prompts = size // SAMPLES
        pipeline = make_pipeline("transformers", prompts)
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "run"
            run = Run.open_or_create(root, pipeline)
            with run.lock():
                session = Session(run, pipeline)
                run_prompts(session)
                scenes = index_scenes(session, prompts, 11)
            draw(root, pipeline, ScriptedPolicy(session.tokenizer, scenes, 0))
            command = [sys.executable, __file__, "--score", str(root), "--prompts", str(prompts)]
            peaks.append(float(subprocess.check_output(command, text=True).split()[-1]))
        print(f"{size:>7,} answers: peak {peaks[-1]:.0f} MiB", flush=True)
    growth = peaks[-1] / peaks[0] - 1
    print(f"from {SIZES[0]:,} to {SIZES[-1]:,}: {growth:+.1%}   (allowed {GROWTH:.0%})")
    return growth <= GROWTH


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engine", choices=list(ENGINES), default="transformers")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--score", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.score is not None:
        measure_peak(options.score, options.prompts)
        return
    good = (
        measure_memory()
        if options.memory
        else measure_speed(options.engine, options.prompts, options.turns)
    )
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
