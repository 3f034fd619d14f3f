"""Runs `dfgen mask --pairs`: chunks of pairs to mask files, one process per core."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from dfgen.config.mask import MaskConfig
from dfgen.config.pairs import PairsConfig
from dfgen.diff.pair import diff_pair
from dfgen.errors import RowError, StorageError
from dfgen.prompts.pairs import Pair
from dfgen.records import Mask, Prompt, Reject
from dfgen.stages.mask.rows import build_mask
from dfgen.stages.progress import Progress
from dfgen.stages.rejecting import make_reject
from dfgen.stages.repair.leak import touches_only_answer
from dfgen.stages.workers import follow_parent

if TYPE_CHECKING:
    from dfgen.tokens.tokenizer import TextTokenizer


Chunk = list[Pair | Reject]


@dataclass(frozen=True)
class Job:
    """What every worker needs to know."""

    out: Path
    tokenizer: str
    mask: MaskConfig


def run_pairs(
    config: PairsConfig, job: Job, progress: Progress, workers: int = 0
) -> dict[str, int]:
    """Mask every pair of the source; writes OUT/masks, OUT/prompts and OUT/rejects.

    Shards whose masks are already there are kept. Returns the counts: input, output, rejects.

    Args:
        config: the source of pairs.
        job: where to write, tokenizer, mask settings.
        progress: told how far it is.
        workers: processes; 0: one per core.

    Raises:
        InputError: the source cannot be read.
        StorageError: `out` holds something else.
    """
    from dfgen.prompts.pairs import read_pairs

    if (job.out / "run.json").exists():
        raise StorageError(
            "this directory holds a run.",
            where=str(job.out),
            hint="Choose another --out for the masks of pairs.",
        )
    counts = {"input": 0, "output": 0, "rejects": 0}
    progress.start("mask", config.limit, 0)
    for written, rejected in _mask_chunks(
        _cut(read_pairs(config), config.shard_size), job, workers
    ):
        counts["input"] += written + rejected
        counts["output"] += written
        counts["rejects"] += rejected
        progress.advance(written + rejected, rejected=rejected)
    progress.finish("mask")
    return counts


def _cut(rows: Iterator[Pair | Reject], size: int) -> Iterator[Chunk]:
    while chunk := list(islice(rows, size)):
        yield chunk


def _mask_chunks(chunks: Iterable[Chunk], job: Job, workers: int) -> Iterator[tuple[int, int]]:
    """Counts of each chunk in order, with a bounded number of chunks in work."""
    from dfgen.engines.loading import resolve_model
    from dfgen.tokens.loading import load_tokenizer

    chunks = iter(chunks)
    first = list(islice(chunks, 2))
    workers = workers or os.cpu_count() or 1
    tokenizer = load_tokenizer(resolve_model(job.tokenizer))
    if len(first) < 2 or workers == 1:  # starting processes would cost more than the work
        _WORKER[:] = [(job, tokenizer)]
        for shard, chunk in enumerate([*first, *chunks]):
            yield _mask_chunk(shard, chunk)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_open_worker, initargs=(job, tokenizer)
    ) as pool:
        waiting: deque[Future[tuple[int, int]]] = deque()
        for shard, chunk in enumerate(_chain(first, chunks)):
            waiting.append(pool.submit(_mask_chunk, shard, chunk))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _chain(first: list[Chunk], rest: Iterator[Chunk]) -> Iterator[Chunk]:
    yield from first
    yield from rest


_WORKER: list[tuple[Job, TextTokenizer]] = []


def _open_worker(job: Job, tokenizer: TextTokenizer) -> None:
    follow_parent()
    _WORKER[:] = [(job, tokenizer)]


def _mask_chunk(shard: int, chunk: Chunk) -> tuple[int, int]:
    from dfgen.store.shards import ShardTable

    job, tokenizer = _WORKER[0]
    masks = ShardTable(job.out / "masks", Mask)
    unread = [row for row in chunk if isinstance(row, Reject)]
    pairs = [row for row in chunk if isinstance(row, Pair)]
    if masks.exists(shard):
        written = masks.num_rows(shard)
        return written, len(chunk) - written
    rows: list[Mask] = []
    refused: list[Reject] = []
    for row in mask_pairs(pairs, tokenizer, job.mask):
        (refused if isinstance(row, Reject) else rows).append(row)  # type: ignore[arg-type]
    _write_prompts(job.out, shard, pairs)
    for stage, rejects in (("prompts", unread), ("mask", refused)):
        if rejects:
            ShardTable(job.out / "rejects", Reject, prefix=stage).write(shard, rejects)
    masks.write(shard, rows)
    return len(rows), len(unread) + len(refused)


def _write_prompts(out: Path, shard: int, pairs: list[Pair]) -> None:
    """Questions and pictures, once each, if the source has any."""
    from dfgen.store.shards import ShardTable

    prompts = {
        pair.prompt.prompt_id: pair.prompt
        for pair in pairs
        if pair.prompt.question or pair.prompt.images
    }
    if prompts:
        ShardTable(out / "prompts", Prompt).write(shard, prompts.values())


def mask_pairs(
    pairs: Iterable[Pair], tokenizer: TextTokenizer, config: MaskConfig
) -> Iterator[Mask | Reject]:
    """One mask (or reject) per pair, in order; the row's own id becomes `trajectory_id`.

    A pair without `completion_ids` is encoded, and its row says so (`ids_source`).
    """
    for pair in pairs:
        try:
            yield mask_pair(pair, tokenizer, config)
        except RowError as error:
            yield make_reject("mask", pair.row_id, pair.prompt.prompt_id, error)


def mask_pair(pair: Pair, tokenizer: TextTokenizer, config: MaskConfig) -> Mask:
    """The mask row of one pair.

    Raises:
        RowError: the ids do not give the text, or the text cannot be encoded.
    """
    ids = pair.completion_ids
    if ids is None:
        ids = tokenizer.encode(pair.wrong)
    text = tokenizer.decode(ids)
    if pair.completion_ids is not None and text != pair.wrong:
        raise RowError("ids_differ", "decoding completion_ids does not give the wrong text.")
    identity = {
        "trajectory_id": pair.row_id,
        "prompt_id": pair.prompt.prompt_id,
        "sample_index": 0,
        "completion": text,
        "completion_ids": ids,
        "ids_source": "encoded" if pair.completion_ids is None else "sampled",
        "logprobs": None,
        "finish_reason": "unknown",
        "reward": 0.0,
    }
    diff = diff_pair(text, pair.right, tokenizer, config, completion_ids=ids)
    return build_mask(identity, diff, touches_only_answer(diff))
