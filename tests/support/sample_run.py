"""A finished run for tests: real store, real stages, real tokenizer; only the models are scripted.

    root = make_run(tmp_path / "run", prompts=12, samples=4, seed=0)

Pictures, questions and truth come from the demo's scenes. The scripted policy errs in every way
that a mask can show: miscounts, a slip in the arithmetic, a step left out, odd spacing, an answer
cut off. The scripted repairer sometimes needs a second attempt and sometimes gives up. Everything
else (grading, checks, difference, shards, rejects) is dfgen's own. Takes a few seconds, most of
them imports.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfgen.config.engine import Price
from dfgen.config.pipeline import Pipeline
from dfgen.demo.questions import SORTS, Wording, write_answer
from dfgen.demo.scenes import Scene, iter_scenes
from dfgen.engines.base import EngineInfo, Request, Result, Usage
from dfgen.grade.pool import GradePool
from dfgen.stages.ingest import run_prompts
from dfgen.stages.mask.stage import run_masking
from dfgen.stages.repair.prompt import hash_template
from dfgen.stages.repair.requests import Repairer
from dfgen.stages.repair.stage import run_repair
from dfgen.stages.sample.stage import run_sampling
from dfgen.stages.session import Session
from dfgen.store.counts import count_rows
from dfgen.store.run import Run
from dfgen.tokens.tokenizer import TextTokenizer

PRICE = Price(prompt=0.5, completion=1.5)
POLICY = EngineInfo("scripted", "1", "demo:policy", None, None, None)
REPAIRER = EngineInfo("scripted", "1", "scripted-repairer", None, None, None)
MISTAKES = ("first", "second", "both", "slip", "missing", "spacing", "cut")
MISTAKE_WEIGHTS = (5, 5, 2, 3, 3, 1, 1)


def make_run(root: Path, prompts: int = 12, samples: int = 4, seed: int = 0) -> Path:
    """Make a finished run directory; equal arguments make equal tables."""
    pipeline = make_pipeline(prompts, samples, seed)
    run = Run.open_or_create(root, pipeline)
    session = Session(run, pipeline)
    with run.lock(), closing(session), GradePool(pipeline.grade) as pool:
        run_prompts(session)
        policy = ScriptedPolicy(session.tokenizer, index_scenes(session, prompts, seed), seed)
        run.check_stage("sample", pipeline, {})
        run_sampling(session, policy, pool, session.list_unfinished("sample"))
        finish_stage(run, "sample")
        run.check_stage("repair", pipeline, {"template": hash_template(pipeline.repair)})
        repairer = Repairer(
            pipeline.repair,
            ScriptedRepairer(policy, seed),
            session.tokenizer,
            pool,
            pipeline.mask,
            seed,
            PRICE,
        )
        run_repair(session, repairer, session.list_unfinished("repair"))
        finish_stage(run, "repair")
        run.check_stage("mask", pipeline, {"tokenizer": session.tokenizer.sha256})
        run_masking(session, session.list_unfinished("mask"))
        finish_stage(run, "mask")
    return root


def make_pipeline(prompts: int, samples: int, seed: int) -> Pipeline:
    """The demo's pipeline with scripted models in place of the trained ones."""
    return Pipeline.model_validate(
        {
            "name": "sample",
            "seed": seed,
            "prompts": {"source": "demo", "count": prompts, "seed": seed, "shard_size": 50},
            "policy": {"engine": "transformers", "model": "demo:policy"},
            "sample": {"num_samples": samples, "max_tokens": 64},
            "repair": {
                "engine": {
                    "engine": "openai",
                    "model": "scripted-repairer",
                    "price": PRICE.model_dump(),
                },
                "answer": "blind",
                "max_attempts": 2,
                "max_edit_ratio": 0.6,
            },
        }
    )


def finish_stage(run: Run, stage: Any) -> None:
    """Note in the manifest that a stage is done, as `run_stages` does."""
    run.set_stage(stage, state="done", counts=count_rows(run)[stage])


def index_scenes(session: Session, prompts: int, seed: int) -> dict[str, Scene]:
    """The scene of every prompt id (duplicates of a question keep the first)."""
    scenes = list(iter_scenes(prompts, seed))
    found = {}
    for row in session.run.table("prompts").iter_rows(columns=["prompt_id", "source"]):
        found[row["prompt_id"]] = scenes[int(row["source"].rpartition(":")[2])]
    return found


@dataclass
class ScriptedPolicy:
    """Answers by the truth of the scene, with a mistake in about half of the answers."""

    tokenizer: TextTokenizer
    scenes: dict[str, Scene]
    seed: int
    ideal: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    info: EngineInfo = POLICY

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        """Answer one request after the other."""
        for request in requests:
            yield [self.answer(request.key)]

    def close(self) -> None:
        """Nothing to let go of."""

    def answer(self, key: str) -> Result:
        """The answer of one cell: text, ids with the closing token, logprobs, how it ended."""
        rng = random.Random(f"{self.seed}|{key}")
        scene = self.scenes[key.rpartition("-")[0]]
        ideal, text, finish = write_answers(scene, rng)
        self.ideal[key], self.wrong[key] = ideal, text
        ids = self.tokenizer.encode(text)
        logprobs = [-rng.expovariate(8.0) for _ in ids]
        # People look at the probability of what was wrong: let the policy hesitate at numbers.
        for index, token in enumerate(ids):
            if self.tokenizer.decode([token]).strip().isdigit():
                logprobs[index] = -rng.expovariate(1.5)
        if finish == "stop":
            ids, logprobs = [*ids, self._end()], [*logprobs, -0.001]
        return Result(key, text, ids, logprobs, finish, usage=Usage(90, len(ids), 64))  # type: ignore[arg-type]

    def _end(self) -> int:
        specials = self.tokenizer.table.special.nonzero()[0]
        return int(specials[1])  # <pad> is the first, <|end|> the second


def write_answers(scene: Scene, rng: random.Random) -> tuple[str, str, str]:
    """The ideal answer, the answer as given, and its finish reason."""
    truth = scene.truth
    a, b = (SORTS.index(name) for name in truth["sorts"])
    count_a, count_b = truth["counts"]
    wording = Wording(rng.randrange(4), rng.randrange(4), rng.randrange(3))

    def write(one: int, two: int) -> str:
        return write_answer(truth["kind"], (a, b), (one, two), wording)

    ideal = write(count_a, count_b)
    if rng.random() < 0.45:
        return ideal, ideal, "stop"
    off_a, off_b = miscount(count_a, rng), miscount(count_b, rng)
    mistake = rng.choices(MISTAKES, MISTAKE_WEIGHTS)[0]
    wrong = {
        "first": write(off_a, count_b),
        "second": write(count_a, off_b),
        "both": write(off_a, off_b),
    }.get(mistake, write(count_a, off_b))
    lines = wrong.split("\n")
    if mistake == "slip":
        lines = [*ideal.split("\n")[:2], *lines[2:]]
    elif mistake == "missing":
        lines = [lines[0], *lines[2:]]
    elif mistake == "spacing":
        lines[0] = lines[0].replace(": ", ":  ")
    elif mistake == "cut":
        return ideal, wrong[: len(wrong) // 2], "length"
    return ideal, "\n".join(lines), "stop"


def miscount(count: int, rng: random.Random) -> int:
    """Another number, close by."""
    return max(0, count + rng.choice((-1, 1))) if count else 1


@dataclass
class ScriptedRepairer:
    """Returns the ideal answer, after a bad attempt now and then, and sometimes never."""

    policy: ScriptedPolicy
    seed: int
    tries: dict[str, int] = field(default_factory=dict)
    info: EngineInfo = REPAIRER

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        """Repair one answer after the other."""
        for request in requests:
            text = self.repair(request.key)
            usage = Usage(180, len(self.policy.tokenizer.encode(text)))
            yield [Result(request.key, text, None, None, "stop", usage=usage)]

    def close(self) -> None:
        """Nothing to let go of."""

    def repair(self, key: str) -> str:
        """The text of the next attempt at one answer."""
        key = key.rpartition("_")[0]
        attempt = self.tries.get(key, 0)
        self.tries[key] = attempt + 1
        ideal, wrong = self.policy.ideal[key], self.policy.wrong[key]
        draw = random.Random(f"{self.seed}|{key}|{attempt}").random()
        if draw < 0.12:
            return wrong
        if draw < 0.22:
            return wrong.replace("Step 1", "Step 1 again").replace("Answer: ", "Answer: not ")
        if draw < 0.27:
            return f"Looking once more, everything is different. Answer: {ideal.split()[-1]}"
        return ideal
