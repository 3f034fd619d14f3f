"""The whole repair stage against a loopback server: finished, verified repairs per second.

    python tests/benchmarks/repair_stage.py [--prompts 3000] [--chars 600] [--workers 1]

A scripted policy answers the demo's questions; the server knows the right text of each wrong answer
and gives it after 50 ms. What is timed is everything that `dfgen repair` does for one repair: read
the trajectory and the picture, write the prompt, send it, read the answer, compare the texts, run
all checks with the grader, journal it, write the Parquet files. An answer of the demo has about 100
characters; `--chars` has the policy think aloud before it, to that length. The server runs on the
same machine, and takes processor time, too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).parents[2]))

from dfgen.config.engine import OpenAIConfig, Price
from dfgen.config.pipeline import Pipeline
from dfgen.demo.truth import closest_repair
from dfgen.engines.base import Result, derive_seed
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
THOUGHTS = (
    *("I look at the picture from left to right.", "Some shapes touch, and some stand alone."),
    *("The colours are easy to tell apart.", "Small ones count like big ones."),
    *("Let me go slowly.", "Next I look at the shapes along the edge."),
)


@dataclass
class ThinkingPolicy(ScriptedPolicy):
    """Thinks aloud before it answers as the scripted policy does."""

    chars: int = 0

    def answer(self, key: str) -> Result:
        """The scripted answer, behind thoughts."""
        result = super().answer(key)
        thoughts = think(key, self.chars - len(result.text))
        if not thoughts:
            return result
        ids = self.tokenizer.encode(thoughts)
        return replace(
            result,
            text=thoughts + result.text,
            token_ids=[*ids, *(result.token_ids or ())],
            logprobs=[-0.1] * len(ids) + list(result.logprobs or ()),
        )


def think(key: str, chars: int) -> str:
    """Lines of about so many characters; other ones for every answer."""
    rng, text = random.Random(key), ""
    while len(text) < chars:
        text += rng.choice(THOUGHTS) + "\n"
    return text


def make_pipeline(prompts: int, url: str, workers: int) -> Pipeline:
    return Pipeline.model_validate(
        {
            "seed": 5,
            "workers": workers,
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


def sample(session: Session, pool: GradePool, prompts: int, chars: int) -> None:
    """Have the scripted policy answer."""
    run_prompts(session)
    scenes = index_scenes(session, prompts, 5)
    policy = ThinkingPolicy(session.tokenizer, scenes, 5, chars=chars)
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
            thoughts, answer = split_thoughts(trajectory.completion)
            answers[str(seed)] = thoughts + closest_repair(answer, truth)
    return answers


def split_thoughts(completion: str) -> tuple[str, str]:
    """What was thought aloud, and the answer."""
    lines = completion.splitlines(keepends=True)
    count = next((i for i, line in enumerate(lines) if line.strip() not in THOUGHTS), len(lines))
    return "".join(lines[:count]), "".join(lines[count:])


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
    parser.add_argument("--chars", type=int, default=0, help="length of the answers")
    parser.add_argument("--workers", type=int, default=0, help="as in the pipeline; 0: measured")
    options = parser.parse_args()
    prompts, workers = options.prompts, options.workers
    os.environ.setdefault("OPENAI_API_KEY", "EMPTY")
    with tempfile.TemporaryDirectory(prefix="dfgen-bench-") as folder:
        answers = Path(folder) / "answers.json"
        pipeline = make_pipeline(prompts, "http://127.0.0.1:1/v1", workers)
        run = Run.open_or_create(Path(folder) / "run", pipeline)
        session = Session(run, pipeline)
        with run.lock(), closing(session), GradePool(pipeline.grade) as pool:
            sample(session, pool, prompts, options.chars)
            truths = list_answers(session)
            answers.write_text(json.dumps(truths))
            with start_server(latency=LATENCY, answers=answers) as (url, counts):
                session.pipeline = make_pipeline(prompts, url, workers)
                wall, cpu, repairs = repair(session, pool)
                # The server is still running; whoever has ended by now has judged.
                usage = resource.getrusage(resource.RUSAGE_CHILDREN)
            tokens = mean(len(session.tokenizer.encode(text)) for text in truths.values())
    rate, best = repairs / wall, CONCURRENCY / LATENCY
    print(
        f"{repairs:,} repairs of {mean(map(len, truths.values())):.0f} characters "
        f"({tokens:.0f} tokens): {rate:,.0f}/s of "
        f"{best:,.0f}/s = {rate / best:.2f}; peak {counts[0]['peak']}; processor time per repair: "
        f"{cpu / repairs * 1000:.2f} ms of this process, "
        f"{(usage.ru_utime + usage.ru_stime) / repairs * 1000:.2f} ms of others (without the "
        f"server); {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    return 0 if rate / best >= NEEDED else 1


if __name__ == "__main__":
    raise SystemExit(main())
