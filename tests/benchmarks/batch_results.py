"""Results of batch files are read and judged at the judges' own rate, in flat memory.

    python tests/benchmarks/batch_results.py --results 50000

The demo's wrong answers get their right repairs as rows of results files in another order, each
many times over under names of its own. They are read as the batch lane reads them (`Harvest`)
and as the files lane does (`FilesEngine`), and judged one by one: read, compared, graded. Beside
that the judge alone, on results that are there already; it and the files lane on a tenth of the
names, since rates are compared. All are processor seconds of this one process; memory is its peak.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from dfgen.config.engine import OpenAIConfig, Price
from dfgen.engines.base import Decoding, Message, Request, Result, Usage
from dfgen.engines.openai.batch.exchange import Exchange
from dfgen.engines.openai.batch.files import FilesEngine
from dfgen.engines.openai.batch.ledger import Keeping
from dfgen.engines.openai.batch.openai_form import OpenAIForm
from dfgen.engines.openai.batch.results import Asked, Harvest
from dfgen.engines.openai.endpoint import Endpoint
from dfgen.grade.pool import GradePool
from dfgen.records import Trajectory
from dfgen.stages.ingest import read_shard, run_prompts
from dfgen.stages.repair.judge import Pending
from dfgen.stages.repair.requests import Repairer, Task
from dfgen.stages.repair.select import needs_repair
from dfgen.stages.sample.stage import run_sampling
from dfgen.stages.session import Session
from dfgen.store.run import Run
from tests.engines.batch.keeping import MemoryLog
from tests.support.loopback import write_completion
from tests.support.sample_run import ScriptedPolicy, index_scenes, make_pipeline
from tests.support.stub_engine import StubEngine

PROMPTS, FILES, TOKENS = 100, 8, 512

Waiting = dict[str, Pending]


def collect_wrong(folder: Path, pool: GradePool) -> tuple[Session, list[tuple[Task, str]]]:
    """Sample the demo; returns what is to be repaired, and how."""
    pipeline = make_pipeline(PROMPTS, 4, 0)
    session = Session(Run.open_or_create(folder, pipeline), pipeline)
    found = []
    with session.run.lock(), closing(session):
        run_prompts(session)
        policy = ScriptedPolicy(session.tokenizer, index_scenes(session, PROMPTS, 0), 0)
        session.run.check_stage("sample", pipeline, {})
        run_sampling(session, policy, pool, session.list_unfinished("sample"))
        for shard in session.run.table("trajectories").shards():
            prompts = {prompt.prompt_id: prompt for prompt in read_shard(session, shard)}
            for row in session.run.table("trajectories").iter_rows(shard):
                trajectory = Trajectory.model_validate(row)
                if needs_repair(trajectory):
                    task = Task(trajectory, prompts[trajectory.prompt_id])
                    found.append((task, policy.ideal[trajectory.trajectory_id]))
    return session, found


def write_results(folder: Path, texts: Sequence[tuple[str, str]]) -> list[Path]:
    """Write rows of results in another order, in several files."""
    rows = list(texts)
    random.Random(0).shuffle(rows)
    paths = []
    for number in range(FILES):
        paths.append(folder / f"{number}.jsonl")
        with paths[-1].open("w") as file:
            for name, text in rows[number::FILES]:
                body = write_completion(f"<corrected>{text}</corrected>")
                response = {"status_code": 200, "request_id": "r", "body": body}
                file.write(json.dumps({"custom_id": name, "response": response}) + "\n")
    return paths


def read_as_batch(paths: Sequence[Path], names: Sequence[str], config: OpenAIConfig) -> Any:
    """Results as `BatchEngine` reads them."""
    asked = {name: Asked(name, TOKENS, 1, schema=False) for name in names}
    form, endpoint = OpenAIForm(config.batch), Endpoint("", "")
    harvest = Harvest(config, form, endpoint, asked, dict.fromkeys(names))
    for path in paths:
        yield from (result for _, result in harvest.read_file(path))


def read_as_files(paths: Sequence[Path], names: Sequence[str], config: OpenAIConfig) -> Any:
    """Results as the files lane reads them."""
    keeping = Keeping(paths[0].parent, MemoryLog(), lambda _: (), Exchange(read=tuple(paths)))
    decoding = Decoding(temperature=0.0, max_tokens=TOKENS)
    requests = (Request(name, (Message("user", ("?",)),), decoding, seed=0) for name in names)
    for results in FilesEngine(config, keeping).generate(requests):
        yield from results


def judge(results: Iterable[Result], waiting: Waiting, repairer: Repairer) -> tuple[float, float]:
    """Judge results; returns results a second of processor time, and of wall time."""
    start, wall, count, accepted = time.process_time(), time.perf_counter(), 0, 0
    for result in results:
        outcome = repairer.judge.judge(result, waiting[result.key])
        count, accepted = count + 1, accepted + (outcome.accepted is not None)
    assert accepted > 0.9 * count, f"{accepted} of {count} accepted"
    return count / (time.process_time() - start), count / (time.perf_counter() - wall)


def iter_ready(texts: Sequence[tuple[str, str]]) -> Iterator[Result]:
    """The same results, there already."""
    for name, text in texts:
        yield Result(name, f"<corrected>{text}</corrected>", None, None, "stop", usage=Usage(7, 3))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=int, default=5000)
    arguments = parser.parse_args()
    config = OpenAIConfig(model="m", lane="files")
    with tempfile.TemporaryDirectory() as name:
        pipeline = make_pipeline(PROMPTS, 4, 0)
        with GradePool(pipeline.grade) as pool:
            session, wrong = collect_wrong(Path(name) / "run", pool)
            repairer = Repairer(
                pipeline.repair,
                StubEngine(lambda _: ""),
                session.tokenizer,
                pool,
                pipeline.mask,
                0,
                Price(),
            )
            ready = [repairer.put_aside(task) for task, _ in wrong]
            names = [f"{i:08x}_r0" for i in range(arguments.results)]
            waiting = {key: ready[i % len(ready)] for i, key in enumerate(names)}
            texts = [(key, wrong[i % len(wrong)][1]) for i, key in enumerate(names)]
            paths = write_results(Path(name), texts)
            size = sum(path.stat().st_size for path in paths)
            judge(iter_ready(texts[:500]), waiting, repairer)  # graders and tables are loaded
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            bare = judge(iter_ready(texts[::10]), waiting, repairer)
            batch = judge(read_as_batch(paths, names, config), waiting, repairer)
            files = judge(read_as_files(paths, names[::10], config), waiting, repairer)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{arguments.results:,} results of {len(wrong)} wrong answers, {size / 1e6:.0f} MB")
    for what, (cpu, wall) in {"judged alone": bare, "batch": batch, "files": files}.items():
        print(f"{what:<13} {cpu:,.0f} a second of processor time ({wall:,.0f} of wall time), "
              f"{cpu / bare[0]:.2f} of the judge alone")  # fmt: skip
    print(f"peak memory {memory:,.0f} MB, {before:,.0f} MB before")


if __name__ == "__main__":
    main()
