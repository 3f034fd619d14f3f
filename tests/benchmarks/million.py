"""What a run costs as it grows: rows a second, memory and bytes, from 10,000 rows to a million.

For each size a run of text questions, eight answers each, is made by the real stages with models
that answer at once, every eighth answer wrong; then all commands that look at a whole run do so.
Every step is a process of its own, so its peak memory is its own. Random logprobs and 2,000
different texts keep the files from being smaller than real ones. There are no pictures.

    PYTHONPATH=. python tests/benchmarks/million.py --folder DIR                 10,000 and 100,000
    PYTHONPATH=. python tests/benchmarks/million.py --folder DIR --tokens 3000
    PYTHONPATH=. python tests/benchmarks/million.py --folder DIR --rows 1000000  hours, 20 GB

What is measured stands in DIR/*.json and is not measured again; a step that was stopped goes on
where it was; a run is deleted when all of its steps are measured. The last lines put a million rows
on paper, by the slope between the two largest sizes.

Claims, of the largest size that there is: stages do the second half of their rows at 0.9 of the
speed of the first or better; a row more costs the other commands at most 1.1 times what it costs in
the smaller run; no process needs more than 1.5 GiB.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from dfgen.engines.base import EngineInfo, Request, Result, Usage
from dfgen.tokens.loading import load_tokenizer

POLICY = "demo:policy"
SAMPLES = 8
TEXTS = 2_000
WRONG = 8
"""One answer in so many is wrong, and repaired."""
SMALLEST = 2_048
"""Rows of a run of one shard: what a command costs whatever the size is mostly this."""
MILLION = 1_000_000
MOST_BYTES = 1.5 * 2**30
WORDS = [
    "the",
    "picture",
    "shows",
    "red",
    "circles",
    "blue",
    "squares",
    "so",
    "adding",
    "them",
    "gives",
    "step",
    "because",
    "there",
]
STAGES = ("prompts", "sample", "repair", "mask")
COMMANDS: dict[str, list[str]] = {
    "plan": ["run", "RUN", "--dry-run", "--json", "--no-check"],
    "start": ["run", "RUN", "--quiet", "--no-check"],
    "status": ["status", "RUN"],
    "stats": ["stats", "RUN"],
    "validate": ["validate", "RUN"],
    "export": ["export", "RUN", "--to", "groups", "--out", "OUT"],
    "publish": ["publish", "RUN", "me/masks", "--license", "mit", "--dry-run", "--quiet"],
}


class Case(NamedTuple):
    """A size: trajectories, and tokens of each."""

    rows: int
    tokens: int

    @property
    def name(self) -> str:
        return f"{self.rows}x{self.tokens}"


class Models:
    """A policy and a repairer that take no time; the repairer knows every text by its number."""

    info = EngineInfo("stub", "1", "stub", None, None, POLICY)

    def __init__(self, tokens: int, batch: int = 256) -> None:
        self._tokens = tokens
        self._batch = batch

    @cached_property
    def texts(self) -> list[tuple[str, list[int], str]]:
        """Of each answer: its text, its ids, and the text without its mistake."""
        tokenizer = load_tokenizer(POLICY)
        return [self._write(tokenizer, number) for number in range(TEXTS)]

    def _write(self, tokenizer: Any, number: int) -> tuple[str, list[int], str]:
        rng = random.Random(number)
        each = tokenizer.encode(" ".join(WORDS))
        words = [
            str(rng.randint(0, 99)) if rng.random() < 0.12 else rng.choice(WORDS)
            for _ in range(self._tokens * len(WORDS) // len(each))
        ]
        place, right = rng.randrange(len(words) // 4, len(words)), number % WRONG > 0
        words[place] = "seven" if right else "nine"
        body = " ".join(w + ("." if i % 15 == 14 else "") for i, w in enumerate(words))
        text = f"Case {number}. {body}.\nAnswer: {7 if right else 9}"
        ids = tokenizer.encode(text)
        repaired = text.replace(" nine", " seven").replace("Answer: 9", "Answer: 7")
        return text, ids, repaired

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        """Answer in the order of the requests."""
        held: list[Result] = []
        for request in requests:
            held.append(self._answer(request))
            if len(held) == self._batch:
                yield held
                held = []
        if held:
            yield held

    def _answer(self, request: Request) -> Result:
        asked = "".join(part for part in request.messages[-1].content if isinstance(part, str))
        found = re.search(r"Case (\d+)\. ", asked)
        if found:  # there is an answer in the question: to repair
            text = self.texts[int(found[1])][2]
            return Result(request.key, text, None, None, "stop", usage=Usage(900, 600))
        rng = random.Random(request.key)
        text, ids, _ = self.texts[rng.randrange(TEXTS)]
        logprobs = [-rng.random() for _ in ids]
        return Result(request.key, text, ids, logprobs, "stop", usage=Usage(30, len(ids)))

    def close(self) -> None:
        """Nothing to let go of."""


def write_pipeline(folder: Path, case: Case) -> Path:
    """Questions of which no two are the same, and the pipeline file."""
    source = folder / "questions.jsonl"
    if not source.exists():
        with source.open("w") as file:
            for number in range(case.rows // SAMPLES):
                question = f"What is in place {number} of the list?"
                print(json.dumps({"question": question, "answer": "7"}), file=file)
    path = folder / "pipeline.json"
    tree = {
        "prompts": {"source": "jsonl", "path": str(source)},
        "policy": {"engine": "transformers", "model": POLICY},
        "sample": {"num_samples": SAMPLES, "max_tokens": 2 * case.tokens},
        "repair": {
            "engine": {"engine": "openai", "model": "stub", "price": {"prompt": 1.0}},
            "allow": ["answer_only", "leak"],
        },
        "workers": 1,
    }
    path.write_text(json.dumps(tree))
    return path


@contextmanager
def watch_shards(marks: Path) -> Iterator[None]:
    """Note of each finished shard, but a stage's first, what its rows have taken."""
    from dfgen.store.run import Run

    real = Run.write_entry
    before, last = None, (0.0, 0.0)

    def write_entry(self: Run, stage: Any, shard: int, entry: Any) -> None:
        nonlocal before, last
        real(self, stage, shard, entry)
        now = (time.perf_counter(), time.process_time())
        if before == stage:  # the first has waited for what is loaded once
            line = [stage, entry.rows + entry.rejects, now[0] - last[0], now[1] - last[1]]
            with marks.open("a") as file:
                print(json.dumps(line), file=file)
        before, last = stage, now

    Run.write_entry = write_entry  # type: ignore[method-assign]
    try:
        yield
    finally:
        Run.write_entry = real  # type: ignore[method-assign]


def work(folder: Path, case: Case, step: str) -> None:
    """Do one step in this process; the last line that it prints is what it took."""
    from dfgen.cli.main import main
    from dfgen.stages.repair import stage as repair_stage
    from dfgen.stages.sample import stage as sample_stage

    run, out = folder / "run", folder / "out"
    models = Models(case.tokens)
    if step in ("sample", "repair"):
        assert models.texts  # made before the clock starts

    @contextmanager
    def open_models(*settings: object) -> Iterator[Models]:
        yield models

    sample_stage.open_lane = open_models  # type: ignore[assignment]
    repair_stage.open_lane = open_models  # type: ignore[assignment]
    if step in STAGES:
        pipeline = str(write_pipeline(folder, case))
        name = "sample" if step == "prompts" else step
        words = [name, pipeline, "--out", str(run), "--quiet", "--no-check"]
    else:
        paths = {"RUN": str(run), "OUT": str(out)}
        words = [paths.get(word, word) for word in COMMANDS[step]]
    sys.argv = ["dfgen", *words]
    start = (time.perf_counter(), time.process_time())
    code = 0
    with watch_shards(folder / "marks.jsonl"):
        try:
            if step == "prompts":
                read_prompts(run, Path(pipeline))
            else:
                main()
        except SystemExit as error:
            code = int(error.code or 0)
    took = (time.perf_counter() - start[0], time.process_time() - start[1])
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(json.dumps({"code": code, "wall": took[0], "cpu": took[1], "peak": peak * 1024}))


def read_prompts(root: Path, pipeline: Path) -> None:
    """Do the first stage alone, for which there is no command."""
    from dfgen.config.load import load_pipeline
    from dfgen.runners.local import run_stages
    from dfgen.stages.session import Session
    from dfgen.store.run import Run

    settings = load_pipeline(pipeline)
    run = Run.open_or_create(root, settings)
    with run.lock():
        run_stages(Session(run, settings), ("prompts",))


def measure(base: Path, case: Case) -> dict[str, Any]:
    """Measure all steps of a size that are not measured yet; returns what each took."""
    notes, folder = base / f"{case.name}.json", base / case.name
    found: dict[str, Any] = json.loads(notes.read_text()) if notes.exists() else {}
    for step in (*STAGES, *COMMANDS):
        if step in found:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / "out", ignore_errors=True)
        found[step] = run_step(folder, case, step)
        if step == STAGES[-1]:
            found["bytes"] = weigh(folder / "run")
        notes.write_text(json.dumps(found, indent=1))
        print(f"{case.rows:>9,} x {case.tokens}: {describe(step, found[step])}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    return found


def run_step(folder: Path, case: Case, step: str) -> dict[str, Any]:
    """Run a step in a process of its own."""
    command = [sys.executable, __file__, "--rows", str(case.rows), "--tokens", str(case.tokens)]
    log = folder / f"{step}.log"
    with log.open("w") as file:
        words = [*command, "--folder", str(folder), "--step", step]
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT)
        try:
            code = process.wait()
        finally:
            process.kill()  # where this one is stopped
            process.wait()
    lines = log.read_text().splitlines()
    if code or not lines or json.loads(lines[-1])["code"]:
        raise SystemExit(f"{step} has failed:\n" + "\n".join(lines[-20:]))
    took: dict[str, Any] = json.loads(lines[-1])
    halves = measure_halves(folder / "marks.jsonl", step)
    for name in ("wall", "cpu"):  # of all starts, where it was stopped and went on
        took[name] = max(took[name], sum(halves.get(f"{name}_halves", ())))
    return {**took, **halves}


def measure_halves(marks: Path, stage: str) -> dict[str, Any]:
    """Seconds for the first and the second half of a stage's rows, of the clock and of the CPU."""
    lines = [json.loads(line) for line in marks.read_text().splitlines()] if marks.exists() else []
    shards = [line for line in lines if line[0] == stage]
    if stage not in STAGES or len(shards) < 8:
        return {}
    total, seen, halves = sum(line[1] for line in shards), 0, [[0.0, 0.0], [0.0, 0.0]]
    for _, rows, wall, cpu in shards:
        first = min(rows, max(0, total / 2 - seen)) / rows
        for half, share in enumerate((first, 1 - first)):
            halves[half][0] += share * wall
            halves[half][1] += share * cpu
        seen += rows
    names = ("wall", "cpu")
    return {f"{name}_halves": [halves[0][i], halves[1][i]] for i, name in enumerate(names)}


def weigh(run: Path) -> dict[str, int]:
    """Bytes of each table, and how many files there are."""
    sizes: dict[str, int] = {}
    files = [path for path in run.rglob("*") if path.is_file()]
    for path in files:
        name = path.relative_to(run).parts[0]
        sizes[name] = sizes.get(name, 0) + path.stat().st_size
    return {**sizes, "files": len(files)}


def describe(step: str, took: dict[str, Any]) -> str:
    """One line of what a step took."""
    peak = f"peak {took['peak'] / 2**20:6.0f} MiB"
    line = f"{step:<9}{took['wall']:8.1f} s ({took['cpu']:.1f} of the processor), {peak}"
    if "wall_halves" in took:
        wall, cpu = took["wall_halves"], took["cpu_halves"]
        line += f", second half at {wall[0] / wall[1]:.2f} of the first's speed"
        line += f" (by processor time {cpu[0] / cpu[1]:.2f})"
    return line


def print_summary(found: dict[int, dict[str, Any]], tokens: int) -> bool:
    """Print growth and a million rows on paper; says whether the claims hold."""
    sizes = sorted(found)
    small, middle, large = sizes[0], sizes[-2], sizes[-1]
    print(f"\n{large:,} trajectories of {tokens} tokens; a million by the slope from {middle:,}")
    print(f"{'':<10}{'rows/s':>9}{'second half':>13}{'a row more':>12}{'peak MiB':>10}", end="")
    print(f"{'10^6: hours':>13}{'MiB':>7}")
    held = True
    for step in (*STAGES, *COMMANDS):
        each = [found[size][step] for size in (small, middle, large)]
        slope = (each[2]["cpu"] - each[1]["cpu"]) / (large - middle)
        before = (each[1]["cpu"] - each[0]["cpu"]) / (middle - small)
        growth = slope / before if before > 0 else 0.0
        halves = each[2].get("cpu_halves")
        second = halves[0] / halves[1] if halves else None
        hours = (each[2]["wall"] + (MILLION - large) * each[2]["wall"] / large) / 3600
        more = max(0.0, (each[2]["peak"] - each[1]["peak"]) / (large - middle))
        peak = each[2]["peak"] + more * (MILLION - large)
        if second is not None:
            held &= second >= 0.9
        elif large > 3 * middle:
            held &= growth <= 1.1 or each[2]["cpu"] < 3.0
        held &= each[2]["peak"] <= MOST_BYTES and peak <= MOST_BYTES
        print(
            f"{step:<10}{large / each[2]['wall']:>9,.0f}"
            f"{'' if second is None else format(second, '.2f'):>13}{growth:>12.2f}"
            f"{each[2]['peak'] / 2**20:>10,.0f}{hours:>13.2f}{peak / 2**20:>7,.0f}"
        )
    print_bytes(found[large]["bytes"], large)
    return held


def print_bytes(sizes: dict[str, int], rows: int) -> None:
    """Print the bytes per trajectory."""
    tables = {name: size for name, size in sizes.items() if name != "files"}
    listed = ", ".join(
        f"{name} {size / rows:,.0f}" for name, size in sorted(tables.items()) if size > rows
    )
    print(
        f"{sum(tables.values()) / rows:,.0f} bytes a trajectory ({listed}), {sizes['files']} files"
    )


def main() -> None:
    """Measure what is left to measure; exit code 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, action="append", help="more than once: sizes")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--folder", type=Path, default=Path("runs/million"))
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = options.rows or [10_000, 100_000]
    if options.step:
        work(options.folder, Case(sizes[0], options.tokens), options.step)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    base = options.folder.absolute()
    base.mkdir(parents=True, exist_ok=True)
    # Three at least, for a slope and what it is compared with.
    wanted = sorted({SMALLEST, 10_000, *sizes} | ({5_000} if max(sizes) <= 10_000 else set()))
    found = {rows: measure(base, Case(rows, options.tokens)) for rows in wanted}
    raise SystemExit(not print_summary(found, options.tokens))


if __name__ == "__main__":
    main()
