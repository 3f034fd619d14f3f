"""The whole repair stage against a loopback server: finished, verified repairs per second.

    python tests/benchmarks/repair_stage.py

A scripted policy answers the demo's questions; the server knows the right text of each wrong answer
and gives it after 50 ms. What is timed is everything that `dfgen repair` does for one repair: read
the trajectory and the picture, write the prompt, send it, read the answer, compare the texts, run
all checks with the grader, journal it, write the Parquet files. Beside it, in the same run, the
same requests are sent by the client alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from dfgen.config.engine import OpenAIConfig, Price
from dfgen.config.pipeline import Pipeline
from dfgen.demo.truth import closest_repair
from dfgen.engines.base import derive_seed
from dfgen.engines.openai.engine import OpenAIEngine
from dfgen.grade.pool import GradePool
from dfgen.records import Trajectory
from dfgen.stages.ingest import run_prompts
from dfgen.stages.repair.prompt import hash_template
from dfgen.stages.repair.requests import Repairer
from dfgen.stages.repair.select import needs_repair
from dfgen.stages.repair.stage import run_repair
from dfgen.stages.sample.stage import run_sampling
from dfgen.stages.session import Session
from dfgen.store.run import Run
from tests.benchmarks.repair_speed import start_server
from tests.support.sample_run import ScriptedPolicy, finish_stage, index_scenes

CONCURRENCY, LATENCY = 64, 0.05
NEEDED = 0.9


def make_pipeline(prompts: int, url: str) -> Pipeline:
    return Pipeline.model_validate(
        {
            "seed": 5,
            "prompts": {"source": "demo", "count": prompts, "seed": 5, "shard_size": 100},
            "policy": {"engine": "transformers", "model": "demo:policy"},
            "sample": {"num_samples": 4, "max_tokens": 64},
            "repair": {
                "engine": {
                    "engine": "openai",
                    "model": "m",
                    "base_url": url,
                    "concurrency": CONCURRENCY,
                },
                "answer": "blind",
                "max_edit_ratio": 1.0,
            },
        }
    )


def sample(session: Session, pool: GradePool, prompts: int) -> None:
    """Have the scripted policy answer."""
    run_prompts(session)
    policy = ScriptedPolicy(session.tokenizer, index_scenes(session, prompts, 5), 5)
    session.run.check_stage("sample", session.pipeline, {})
    run_sampling(session, policy, pool, session.list_unfinished("sample"))
    finish_stage(session.run, "sample")


def list_answers(session: Session) -> dict[str, str]:
    """The right text of every wrong answer, by the seed of the request for it."""
    run = session.run
    truths = {
        row["prompt_id"]: json.loads(row["metadata"])["demo_truth"]
        for row in run.table("prompts").iter_rows(columns=["prompt_id", "metadata"])
    }
    answers = {}
    for row in run.table("trajectories").iter_rows():
        trajectory = Trajectory.model_validate(row)
        if needs_repair(trajectory):
            seed = derive_seed(5, "repair", trajectory.trajectory_id, 0)
            truth = truths[trajectory.prompt_id]
            answers[str(seed)] = closest_repair(trajectory.completion, truth)
    return answers


def repair(session: Session, pool: GradePool) -> tuple[float, float, int]:
    """Run the stage; return wall seconds, CPU seconds of this process, repairs on disk."""
    config = session.pipeline.repair.engine
    assert isinstance(config, OpenAIConfig)
    facts = {"template": hash_template(session.pipeline.repair)}
    session.run.check_stage("repair", session.pipeline, facts)
    repairer = Repairer(
        session.pipeline.repair,
        OpenAIEngine(config),
        session.tokenizer,
        pool,
        session.pipeline.mask,
        5,
        Price(),
    )
    start, cpu = time.monotonic(), time.process_time()
    run_repair(session, repairer, session.list_unfinished("repair"))
    taken = time.monotonic() - start, time.process_time() - cpu
    return *taken, sum(1 for _ in session.run.table("repairs").iter_rows(columns=["prompt_id"]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=3000)
    prompts = parser.parse_args().prompts
    os.environ.setdefault("OPENAI_API_KEY", "EMPTY")
    with tempfile.TemporaryDirectory(prefix="dfgen-bench-") as folder:
        answers = Path(folder) / "answers.json"
        pipeline = make_pipeline(prompts, "http://127.0.0.1:1/v1")
        run = Run.open_or_create(Path(folder) / "run", pipeline)
        session = Session(run, pipeline)
        with run.lock(), closing(session), GradePool(pipeline.grade) as pool:
            sample(session, pool, prompts)
            answers.write_text(json.dumps(list_answers(session)))
            with start_server(latency=LATENCY, answers=answers) as (url, counts):
                session.pipeline = make_pipeline(prompts, url)
                wall, cpu, repairs = repair(session, pool)
    rate, best = repairs / wall, CONCURRENCY / LATENCY
    print(
        f"{repairs:,} repairs: {rate:,.0f}/s of "
        f"{best:,.0f}/s = {rate / best:.2f}; peak {counts[0]['peak']}; "
        f"{cpu / repairs * 1000:.2f} ms of this process per repair"
    )
    return 0 if rate / best >= NEEDED else 1


if __name__ == "__main__":
    raise SystemExit(main())
