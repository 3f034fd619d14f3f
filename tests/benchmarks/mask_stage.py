"""The mask stage end to end, Parquet in and Parquet out, beside the floor of what it cannot avoid.

The floor reads the same files, encodes both sides of every pair once with the same tokenizer, and
writes rows of the same columns. CPU time of one process, so that other work on the machine counts
for little.

    python tests/benchmarks/mask_stage.py [--rows 2000] [--words 440] [--tokenizer demo:policy]
    python tests/benchmarks/mask_stage.py --memory      peak memory, 10,000 against --rows rows
    python tests/benchmarks/mask_stage.py --cores       one process against two
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from dfgen.config.load import check_pipeline
from dfgen.records import Mask, Repair, Trajectory, VerdictInfo
from dfgen.stages.mask.stage import mask_shard, run_masking
from dfgen.stages.session import Session
from dfgen.store.run import Run
from dfgen.tokens.tokenizer import TextTokenizer

SHARD_ROWS = 2000
WORDS_PER_ROW = 440
WORDS = [
    *("the", "picture", "shows", "red", "circles", "blue", "squares", "so", "adding", "them"),
    *("gives", "step", "because", "there", "are"),
]
WRONG = VerdictInfo(
    correct=False, grader="numeric", extracted="1", expected="2", method="answer_line", detail=""
)


def write_text(rng: random.Random, words: int) -> list[str]:
    return [
        rng.choice(WORDS) if rng.random() > 0.12 else str(rng.randint(0, 99)) for _ in range(words)
    ]


def make_pair(rng: random.Random, count: int) -> tuple[str, str]:
    """So many words, of which one in 36 is changed."""
    words = write_text(rng, count)
    right = list(words)
    for place in rng.sample(range(len(words)), max(1, count // 36)):
        right[place] = str(rng.randint(100, 999))
    return tuple(
        " ".join(w + ("." if i % 15 == 14 else "") for i, w in enumerate(side))
        for side in (words, right)
    )  # type: ignore[return-value]


def make_rows(
    tokenizer: TextTokenizer, count: int, seed: int, words: int = WORDS_PER_ROW
) -> Iterator[tuple[Trajectory, Repair]]:
    rng = random.Random(seed)
    for index in range(count):
        wrong, right = make_pair(rng, words)
        ids = tokenizer.encode(wrong)
        key = {"prompt_id": f"{seed * SHARD_ROWS + index:032x}", "sample_index": 0}
        name = f"{key['prompt_id']}-0"
        yield (
            Trajectory(
                trajectory_id=name, **key, completion=wrong, completion_ids=ids,
                ids_source="sampled", logprobs=[-0.5] * len(ids), finish_reason="stop",
                stop_reason=None, prompt_tokens=10, image_tokens=None, seed=1, model="m",
                reward=0.0, verdict=WRONG, metadata="{}",
            ),
            Repair(
                trajectory_id=name, **key, repair=right, protocol="rewrite", edits=None,
                reward=1.0, verdict=WRONG, edit_ratio=0.02, step_edit_ratio=0.1,
                answer_only=False, attempts=[], model="m", cost_usd=0.0,
            ),
        )  # fmt: skip


def build_run(root: Path, rows: int, tokenizer: str, words: int = WORDS_PER_ROW) -> Session:
    pipeline = check_pipeline(
        {"prompts": {"source": "demo"}, "policy": {"engine": "transformers", "model": tokenizer}},
        "benchmark",
    )
    session = Session(Run.open_or_create(root, pipeline), pipeline)
    for shard in range((rows + SHARD_ROWS - 1) // SHARD_ROWS):
        # The same texts in every shard: making millions of words is not what is measured.
        count = min(SHARD_ROWS, rows - shard * SHARD_ROWS)
        pairs = list(make_rows(session.tokenizer, count, 0, words))
        session.run.table("trajectories").write(shard, [t for t, _ in pairs])
        session.run.table("repairs").write(shard, [r for _, r in pairs])
    return session


def measure_ratio(rows: int, tokenizer: str, words: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        session = build_run(Path(folder) / "run", rows, tokenizer, words)
        tokens = len(next(make_rows(session.tokenizer, 1, 0, words))[0].completion_ids)
        shards = session.run.table("trajectories").shards()
        took = []
        for _ in range(2):  # the first time pays for what is loaded once
            start = time.process_time()
            for shard in shards:
                mask_shard(session, shard)
            took.append(time.process_time() - start)
        floor = measure_floor(session, Path(folder) / "floor")
        print(f"{rows} rows of {tokens} tokens, one word in 36 changed, one process, CPU seconds")
        print(
            f"stage {took[1]:.2f} (the first time {took[0]:.2f})   floor {floor:.2f}   "
            f"ratio {took[1] / floor:.2f}   {rows / took[1]:.0f} rows/s   "
            f"{tokens * rows / took[1] / 1000:.0f}k tokens/s"
        )


def measure_floor(session: Session, out: Path) -> float:
    """CPU seconds of reading, encoding and writing; making the rows to write is left out."""
    from dfgen.store.shards import ShardTable

    target, total = ShardTable(out, Mask), 0.0
    for shard in session.run.table("trajectories").shards():
        rows = list(session.run.table("masks").iter_rows(shard))
        start = time.process_time()
        texts = [row["completion"] for row in session.run.table("trajectories").iter_rows(shard)]
        repairs = [row["repair"] for row in session.run.table("repairs").iter_rows(shard)]
        session.tokenizer.encode_batch(texts)
        session.tokenizer.encode_batch(repairs)
        target.write(shard, rows)
        total += time.process_time() - start
    return total


def measure_memory(rows: int, tokenizer: str) -> None:
    peaks = {}
    for count in (10_000, rows):
        command = [
            sys.executable,
            __file__,
            "--peak",
            "--rows",
            str(count),
            "--tokenizer",
            tokenizer,
        ]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peaks[count] = int(output.split()[-1])
        print(f"{count:>9,} rows: peak {peaks[count] / 1024:.0f} MiB")
    print(f"ratio {peaks[rows] / peaks[10_000]:.2f}")


def print_peak(rows: int, tokenizer: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        session = build_run(Path(folder) / "run", min(rows, SHARD_ROWS), tokenizer)
        run = session.run
        for shard in range(1, rows // SHARD_ROWS):
            for name in ("trajectories", "repairs"):
                table = run.table(name)  # type: ignore[arg-type]
                shutil.copyfile(table.path(0), table.path(shard))
        for shard in run.table("trajectories").shards():
            mask_shard(session, shard)
            run.table("masks").remove(shard)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def measure_cores(rows: int, tokenizer: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        session = build_run(Path(folder) / "run", rows, tokenizer)
        shards = session.run.table("trajectories").shards()
        times = {}
        for workers in (1, 2):
            pipeline = session.pipeline.model_copy(update={"workers": workers})
            start = time.perf_counter()
            run_masking(Session(session.run, pipeline), shards)
            times[workers] = time.perf_counter() - start
            print(f"{workers} processes: {rows / times[workers]:.0f} rows/s")
        print(f"speed-up {times[1] / times[2]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--words", type=int, default=WORDS_PER_ROW, help="of each text")
    parser.add_argument("--tokenizer", default="demo:policy")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--cores", action="store_true")
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(arguments.rows, arguments.tokenizer)
    elif arguments.memory:
        measure_memory(arguments.rows, arguments.tokenizer)
    elif arguments.cores:
        measure_cores(arguments.rows, arguments.tokenizer)
    else:
        measure_ratio(arguments.rows, arguments.tokenizer, arguments.words)


if __name__ == "__main__":
    main()
