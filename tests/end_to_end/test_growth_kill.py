"""kill -9 at any moment while the data set grows: the same files as if nobody had disturbed it.

A run of all stages grows five times: its limit is raised twice, samples are added twice, rows are
appended twice, a second file comes. The next step begins while the one before is still at work,
as soon as its prompts are there. In the end the run has

- the same bytes as one that grew at the same points and was never killed, and
- the same rows, sorted by key, as one that was made with the last settings at once.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dfgen.store.layout import OUTPUTS, TABLES
from dfgen.store.manifest import Manifest, load_manifest
from dfgen.store.run import Run
from tests.support.forking import Forked, start_module
from tests.support.quick_models import MODEL
from tests.support.waiting import wait_until

ORDER = ("prompts", "sample", "repair", "score", "value", "mask")

KILLS = 50
"""At least, over all stages and all growths."""


@dataclass(frozen=True)
class Step:
    """What a run is made of at a time.

    Attributes:
        first, second: rows of the two files.
        limit: rows that are read.
        samples: of each prompt.
    """

    first: int
    second: int
    limit: int | None
    samples: int


STEPS = (
    Step(7, 0, 3, 2),
    Step(7, 0, 5, 2),
    Step(7, 0, 5, 3),
    Step(9, 0, None, 3),
    Step(9, 3, None, 3),
    Step(10, 3, None, 4),
)


def start(*arguments: str | Path) -> Forked:
    """Start the command, with models that take no time."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return start_module("tests.support.quick_models", *arguments, env=env, libraries="hub")


def call(*arguments: str | Path) -> None:
    """Run the command to its end."""
    process = start(*arguments)
    out, err = process.communicate(timeout=3000)
    assert process.returncode == 0, f"{out}\n{err}"


class DataSet:
    """Two growing files of questions, and the run that is made of them."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "run"
        self._folder = folder / "data"
        self._folder.mkdir(parents=True)
        self._rows = [
            {"question": f"What is {n} + {n * n}?", "answer": str(n + n * n), "kind": "numeric"}
            for n in range(2, 22)
        ]

    def grow(self, step: Step) -> tuple[str | Path, ...]:
        """Write the files as they are at a step; returns the command."""
        broken = {"question": "What is missing?", "answer": ""}
        first = [*self._rows[: step.first]]
        first.insert(2, broken)
        paths = [self._write("a.jsonl", first)]
        if step.second:
            # The second file also has a question of the first one.
            rows = [self._rows[0], *self._rows[-step.second :], broken]
            paths.append(self._write("b.jsonl", rows))
        pipeline = {
            "prompts": {
                "source": "jsonl",
                "path": list(map(str, paths)),
                "columns": {"answer_type": "kind"},
                "shard_size": 2,
                "limit": step.limit,
            },
            "policy": {"engine": "transformers", "model": MODEL},
            "sample": {"num_samples": step.samples, "max_tokens": 64},
            "repair": {
                "engine": {"engine": "transformers", "model": MODEL},
                "prompt": "{question}\nRepair this answer:\n{completion}",
                "answer": "blind",
                "max_attempts": 2,
                "max_edit_ratio": 0.9,
            },
            "score": {"enabled": True},
            "value": {"enabled": True, "draws": 2},
            "max_reject_ratio": 1,
        }
        (self._folder / "pipeline.yaml").write_text(json.dumps(pipeline))
        return ("run", self._folder / "pipeline.yaml", "--out", self.root, "-q")

    def _write(self, name: str, rows: list[dict[str, str]]) -> Path:
        path = self._folder / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def read_manifest(self) -> Manifest | None:
        path = self.root / "run.json"
        return load_manifest(path) if path.exists() else None

    def has_read(self, step: Step) -> bool:
        """Whether the prompts of a step are there, all of them."""
        manifest = self.read_manifest()
        if manifest is None or manifest.get_stage("prompts").state != "done":
            return False
        facts = manifest.get_stage("prompts").facts
        sizes = [file["size"] for file in facts["source"]["files"]]
        now = [(self._folder / file["file"]).stat().st_size for file in facts["source"]["files"]]
        files = 2 if step.second else 1
        same = len(sizes) == files and sizes == now
        return same and facts["settings"]["limit"] == step.limit

    def measure(self, stage: str) -> dict[str, int]:
        """Size of every file that a stage is at work on."""
        found = {}
        for path in (
            *(self.root / OUTPUTS[stage]).glob("*"),
            *(self.root / "journal").glob(f"{stage}-*"),
            *(self.root / "rejects").glob(f"{stage}-*"),
        ):
            try:
                found[str(path)] = path.stat().st_size
            except FileNotFoundError:
                continue
        return found

    def read_files(self) -> dict[str, bytes]:
        """Every final file of the run."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for folder in (*TABLES, "rejects")
            for path in sorted((self.root / folder).glob("*.parquet"))
        }

    def read_rows(self) -> dict[str, list[dict[str, Any]]]:
        """All rows of each table, and of each stage's rejects, sorted by key."""
        run = Run.open_or_create(self.root, None)
        tables = {name: list(run.table(name).iter_rows()) for name in TABLES}
        tables |= {f"{each} rejects": list(run.rejects(each).iter_rows()) for each in ORDER}
        for rows in tables.values():
            rows.sort(key=lambda r: r.get("trajectory_id") or r.get("row_id") or r["prompt_id"])
        return tables


def wait_for_work(data: DataSet, process: Forked, stage: str) -> bool:
    """Wait until a process has written something in a stage; False: it has ended before."""
    before = data.measure(stage)
    wait_until(lambda: data.measure(stage) != before or process.poll() is not None)
    return process.poll() is None


def kill_while_it_grows(data: DataSet, moments: random.Random, each: int) -> Counter[str]:
    """Grow a run through all steps with `each` kills a step; returns how often in which stage."""
    killed: Counter[str] = Counter()
    for step in STEPS:
        command = data.grow(step)
        stages = sorted(moments.choices(ORDER, k=each), key=ORDER.index)
        while stages or not data.has_read(step):
            stage = stages.pop(0) if stages else "prompts"
            process = start(*command)
            if wait_for_work(data, process, stage):
                time.sleep(moments.random() * moments.choice((0.002, 0.05)))
            process.send_signal(signal.SIGKILL)
            _, errors = process.communicate(timeout=300)
            killed[stage] += process.returncode == -signal.SIGKILL
            assert process.returncode in (0, -signal.SIGKILL), errors
    call(*data.grow(STEPS[-1]))
    return killed


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """A run that grew and was never killed."""
    data = DataSet(tmp_path_factory.mktemp("grown"))
    for step in STEPS:
        call(*data.grow(step))
    call("validate", data.root)
    return data


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """A run that was made with the last settings at once."""
    data = DataSet(tmp_path_factory.mktemp("fresh"))
    call(*data.grow(STEPS[-1]))
    return data


def iter_runs(folder: Path) -> Iterator[tuple[DataSet, random.Random]]:
    """New runs to be killed, each at other moments."""
    number = 0
    while True:
        yield DataSet(folder / str(number)), random.Random(number)
        number += 1


@pytest.mark.slow
def test_a_run_that_grew_has_the_rows_of_one_that_did_not(grown: DataSet, fresh: DataSet) -> None:
    left, right = grown.read_rows(), fresh.read_rows()
    for name, rows in left.items():
        assert rows == right[name], name
    assert len(left["prompts"]) == 13
    assert len(left["trajectories"]) + len(left["sample rejects"]) == 13 * 4
    assert len(left["masks"]) == len(left["trajectories"])
    assert left["values"] and left["scores"] and left["repairs"]
    assert len(left["prompts rejects"]) == 3, "two broken rows, and a question that came twice"


@pytest.mark.slow
def test_killed_growth_ends_like_an_undisturbed_one(grown: DataSet, tmp_path: Path) -> None:
    killed: Counter[str] = Counter()
    runs = iter_runs(tmp_path)
    while killed.total() < KILLS:
        data, moments = next(runs)
        killed += kill_while_it_grows(data, moments, each=5)
        assert data.read_files() == grown.read_files()
        call("validate", data.root)
    print(f"killed {dict(killed)}")
    assert all(killed[stage] for stage in ORDER), f"killed in {dict(killed)}"
