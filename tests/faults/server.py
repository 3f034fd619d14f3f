"""A run whose wrong answers are repaired by a loopback server that misbehaves by a script.

The server knows the right repair of every trajectory: the demo's scenes have a known truth. It
counts what a provider would bill: 200 answers that left it in full.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfgen.config.pipeline import Pipeline
from dfgen.demo.scenes import iter_scenes
from dfgen.diff.pair import diff_pair
from dfgen.grade.pool import GradePool
from dfgen.runners.local import run_stages
from dfgen.stages.ingest import run_prompts
from dfgen.stages.repair.necessity import take_back
from dfgen.stages.sample.stage import run_sampling
from dfgen.stages.session import Session
from dfgen.store.run import Run
from tests.faults.framing import is_probe, read_student
from tests.support.loopback import Received, Reply, write_completion
from tests.support.sample_run import ScriptedPolicy, finish_stage, index_scenes


def make_pipeline(url: str | list[str], prompts: int = 8, **repair: Any) -> Pipeline:
    """The demo's prompts, a scripted policy, and a repairer behind `url`."""
    engine = {
        "engine": "openai",
        "model": "m",
        "base_url": url,
        "concurrency": 4,
        "max_retries": 3,
        "timeout": 20.0,
        "price": {"prompt": 1.0, "completion": 2.0},
        **repair.pop("engine", {}),
    }
    return Pipeline.model_validate(
        {
            "name": "faults",
            "prompts": {"source": "demo", "count": prompts, "seed": 3, "shard_size": 5},
            "policy": {"engine": "transformers", "model": "demo:policy"},
            "sample": {"num_samples": 4, "max_tokens": 64},
            "repair": {"engine": engine, "max_edit_ratio": 0.7, **repair},
        }
    )


@dataclass
class Sampled:
    """A run with its prompts and graded trajectories, and the ideal answer of each wrong text."""

    root: Path
    ideal: dict[str, str] = field(default_factory=dict)


def sample_run(root: Path, pipeline: Pipeline) -> Sampled:
    """Make everything that comes before the repairs."""
    assert pipeline.prompts is not None
    run = Run.open_or_create(root, pipeline)
    session = Session(run, pipeline)
    count, seed = pipeline.prompts.count, pipeline.prompts.seed
    with run.lock(), closing(session), GradePool(pipeline.grade) as pool:
        run_prompts(session)
        assert len(list(iter_scenes(count, seed))) == count
        policy = ScriptedPolicy(session.tokenizer, index_scenes(session, count, seed), 0)
        run.check_stage("sample", pipeline, {})
        run_sampling(session, policy, pool, session.list_unfinished("sample"))
        finish_stage(run, "sample")
    return Sampled(root, {policy.wrong[key]: policy.ideal[key] for key in policy.wrong})


def repair_run(root: Path, pipeline: Pipeline) -> Run:
    """Run the repair stage as the command line does, on a run that is sampled."""
    run = Run.open_or_create(root, pipeline)
    with run.lock():
        run_stages(Session(run, pipeline), ("repair",))
    return run


class Script:
    """Answers with the right repair, except where `fault` says otherwise.

    Args:
        ideal: wrong text -> right text.
        fault: given the request and the number of times the same text was asked about before;
            returns the misbehaviour, or None.
        protocol: hunks or rewrite.

    Attributes:
        paid: complete 200 answers per text.
        asked: requests per text.
    """

    def __init__(
        self,
        ideal: dict[str, str],
        fault: Callable[[Received, int], Reply | None] = lambda *_: None,
        protocol: str = "rewrite",
    ) -> None:
        self.ideal = ideal
        self.fault = fault
        self.protocol = protocol
        self.paid: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.rows: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def __call__(self, received: Received) -> Reply:
        if is_probe(received):
            return Reply(write_completion("yes"))
        student = read_student(received)
        with self._lock:
            before = self.asked[student]
            self.asked[student] += 1
        reply = self.fault(received, before) or Reply(self.write(student))
        with self._lock:
            if reply.status == 200 and reply.drop is None:
                self.paid[student] += 1
        return reply

    def write(self, student: str) -> dict[str, Any]:
        """The completion that repairs a text."""
        right = self.ideal.get(student, student)
        if self.protocol == "rewrite":
            return write_completion(f"<corrected>{right}</corrected>")
        edits = [{"find": student, "replace": right, "reason": "wrong", "kind": "perception"}]
        return write_completion(json.dumps({"edits": edits if right != student else []}))


def list_reversals(ideal: dict[str, str], session: Session) -> dict[str, str]:
    """What necessity tests may send (an ideal repair with one hunk taken back) -> that repair."""
    found = {}
    for wrong, right in ideal.items():
        for hunk in diff_pair(wrong, right, session.tokenizer, session.pipeline.mask).hunks:
            text, _ = take_back(wrong, right, hunk.wrong_bytes, hunk.right_bytes)
            found[text] = right
    return found


def pick(texts: list[str], count: int) -> set[str]:
    """Some of the texts, always the same."""
    return set(random.Random(0).sample(sorted(texts), count))
