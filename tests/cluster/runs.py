"""A run that comes out the same whoever works on it, and how it comes out in peace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfgen.store.layout import SHARED, TABLES
from dfgen.store.run import Run
from dfgen.store.shared.claims import iter_claims
from dfgen.store.shared.files import PosixFiles
from dfgen.validate.audit import audit
from tests.support import served_model
from tests.support.loopback import LoopbackServer
from tests.support.quick_models import MODEL

ROOT = Path(__file__).parents[2]
KEY = "key-of-the-tests"
COMMAND = (sys.executable, "-m", "tests.support.quick_models")


@dataclass(frozen=True)
class Job:
    """A pipeline file and how its run comes out when nobody disturbs it.

    Attributes:
        pipeline: the file.
        calm: the final files of a run on this machine alone, by their names.
    """

    pipeline: Path
    calm: dict[str, bytes]


def write_pipeline(folder: Path, prompts: int, served: bool) -> Path:
    """Write a pipeline of questions that the quick models answer.

    Args:
        served: whether the repairer is behind a server.
    """
    rows = [
        {"question": f"What is {n} + {n * n}?", "answer": str(n + n * n), "kind": "numeric"}
        for n in range(2, prompts + 2)
    ]
    rows.insert(3, {"question": "What is missing?", "answer": ""})
    source = folder / "questions.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    server = {"engine": "openai", "model": served_model.MODEL, "concurrency": 2}
    local = {"engine": "transformers", "model": MODEL, "device": "cpu"}
    tree: dict[str, Any] = {
        "prompts": {
            "source": "jsonl",
            "path": str(source),
            "columns": {"answer_type": "kind"},
            "shard_size": 2,
        },
        "policy": local,
        "sample": {"num_samples": 4, "max_tokens": 64},
        "repair": {
            "engine": server if served else local,
            "prompt": "{question}\nRepair this answer:\n{completion}",
            "answer": "blind",
            "max_attempts": 2,
            "max_edit_ratio": 0.9,
        },
        "score": {"enabled": True},
        "workers": 1,
    }
    path = folder / "pipeline.yaml"
    path.write_text(json.dumps(tree), "utf-8")
    return path


def make_job(folder: Path, prompts: int, *, served: bool) -> Job:
    """Write a pipeline and run it in peace."""
    pipeline = write_pipeline(folder, prompts, served)
    root = folder / "calm"
    words = [*COMMAND, "run", str(pipeline), "--out", str(root), "-q", "--no-check"]
    environment = {**os.environ, "QUICK_SECONDS": "0", "OPENAI_API_KEY": KEY}
    os.environ["VLLM_API_KEY"] = KEY
    with LoopbackServer(served_model.answer, models=served_model.list_models) as server:
        address = f"repair.engine.base_url={server.url}"
        more = ["--set", address] if served else []
        subprocess.run([*words, *more], cwd=ROOT, env=environment, check=True, timeout=300)
    return Job(pipeline, read_files(root))


class Hold:
    """Holds the models of a run's workers, stage by stage, until a test has seen enough.

    Workers start when the machine has time for them: who waits for two at work would wait in vain
    if one could be done before the other has begun.

    Args:
        folder: does not exist yet.
    """

    STAGES = ("sample", "repair", "score")

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        for stage in self.STAGES:
            (folder / stage).touch()

    def release(self, *stages: str) -> None:
        """Let them go on with these stages; without any: with all."""
        for stage in stages or self.STAGES:
            (self.folder / stage).unlink(missing_ok=True)


def list_owners(root: Path, stage: str) -> set[str]:
    """The workers that have claimed shards of a stage."""
    claims = iter_claims(PosixFiles(root / SHARED))
    return {claim.token for claim in claims if claim.shard and claim.shard[0] == stage}


def read_files(root: Path) -> dict[str, bytes]:
    """Every final file of a run."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in (*TABLES, "rejects")
        for path in sorted((root / folder).glob("*.parquet"))
    }


def check_run(root: Path, job: Job) -> None:
    """The run is whole, counts add up, nothing is there twice, and no byte differs from calm."""
    run = Run.open_or_create(root, None)
    assert audit(run) == []
    found = read_files(root)
    assert sorted(found) == sorted(job.calm)
    assert [name for name in found if found[name] != job.calm[name]] == []
    assert all(run.manifest.get_stage(stage).state == "done" for stage in run.stages)
    for table in TABLES:
        keys = [tuple(sorted(_name(row).items())) for row in run.table(table).iter_rows()]
        assert len(keys) == len(set(keys)), table


def _name(row: dict[str, Any]) -> dict[str, Any]:
    """What tells a row of a table from all others."""
    name = "trajectory_id" if "trajectory_id" in row else "prompt_id"
    return {name: row[name]}
