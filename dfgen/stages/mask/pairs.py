"""Makes masks of pairs that people already have: a wrong text and its correction in each row.

Nothing is sampled and nobody repairs. A chunk of the source becomes a shard of prompts (where rows
have a question or pictures) and a shard of masks; several processes work on several chunks.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from itertools import chain
from typing import TYPE_CHECKING

from dfgen.config.mask import MaskConfig
from dfgen.diff.pair import diff_pair
from dfgen.errors import InputError, RowError
from dfgen.prompts.pairs import Pair
from dfgen.records import Mask, Reject
from dfgen.stages.chunks import Chunk, cut_chunks
from dfgen.stages.mask.rows import build_mask, check_marked
from dfgen.stages.repair.leak import touches_only_answer
from dfgen.stages.session import Session
from dfgen.stages.session_workers import get_session, open_sessions
from dfgen.stages.workers import Pace, explain_death

if TYPE_CHECKING:
    from dfgen.tokens.tokenizer import TextTokenizer

PairChunk = Chunk[Pair | Reject]


def run_pairs(session: Session) -> None:
    """Mask every pair of the source that is not masked yet.

    Rows that were added to the source since become new shards.

    Raises:
        InputError: the source cannot be read.
        RunMismatchError: the run was made with other settings, another tokenizer or other rows.
    """
    from dfgen.prompts.pairs import read_pairs

    run, config = session.run, session.pipeline.pairs
    if config is None:
        raise InputError("the pipeline has no pairs section.")
    facts = {"tokenizer": session.tokenizer.sha256}
    run.check_stage("mask", session.pipeline, facts)
    for stage in ("prompts", "mask"):
        run.set_stage(stage, state="running", counts={})
    session.progress.start("mask", config.limit, 0)
    counts = {
        "prompts": {"input": 0, "output": 0, "rejects": 0},
        "mask": {"input": 0, "output": 0, "rejects": 0},
    }
    rows = session.until_stopped(read_pairs(config))
    chunks = cut_chunks(
        run, ("mask",), rows, config.shard_size, stopped=lambda: session.stop.requested
    )
    for unread, masked, refused in _mask_chunks(session, chunks):
        for name, numbers in (
            ("prompts", (unread + masked + refused, masked + refused, unread)),
            ("mask", (masked + refused, masked, refused)),
        ):
            for key, number in zip(("input", "output", "rejects"), numbers, strict=True):
                counts[name][key] += number
        session.progress.advance(unread + masked + refused, rejected=unread + refused)
    if session.stop.requested:
        return
    for stage, numbers_of_stage in counts.items():
        run.set_stage(stage, state="done", counts=numbers_of_stage, **facts)
    session.progress.finish("mask")


def mask_chunk(session: Session, chunk: PairChunk) -> tuple[int, int, int]:
    """Write the masks of one chunk; returns rows unread, masked and refused."""
    run, shard = session.run, chunk.shard
    unread = [row for row in chunk.rows if isinstance(row, Reject)]
    pairs = [row for row in chunk.rows if isinstance(row, Pair)]
    if chunk.written:
        masked = run.table("masks").num_rows(shard)
        return len(unread), masked, len(pairs) - masked
    rows: list[Mask] = []
    refused: list[Reject] = []
    for row in mask_pairs(pairs, session.tokenizer, session.pipeline.mask):
        if isinstance(row, Reject):
            refused.append(row)
        else:
            rows.append(row)
    prompts = {
        pair.prompt.prompt_id: pair.prompt
        for pair in pairs
        if pair.prompt.question or pair.prompt.images
    }
    session.finish_shard("prompts", shard, list(prompts.values()), unread)
    session.finish_shard("mask", shard, rows, refused, source=chunk.source)
    return len(unread), len(rows), len(refused)


def _mask_chunks(session: Session, chunks: Iterator[PairChunk]) -> Iterator[tuple[int, int, int]]:
    """Counts of each chunk in order: done in this process, and in others if they pay.

    How many rows are to come nobody knows. That it may be as many as have been is the guess that
    costs at most twice the best.
    """
    wanted, pace, done = session.pipeline.workers, Pace(), 0
    workers = wanted or 1
    for chunk in chunks:
        if not wanted and pace.is_time_to_look():
            workers = pace.choose_workers(done, os.cpu_count() or 1)
        if workers > 1:
            yield from _mask_in_processes(session, chain([chunk], chunks), workers)
            return
        if chunk.written:
            yield mask_chunk(session, chunk)
            continue
        with pace.measure(len(chunk.rows)):
            counts = mask_chunk(session, chunk)
        done += len(chunk.rows)
        yield counts


def _mask_in_processes(
    session: Session, chunks: Iterable[PairChunk], workers: int
) -> Iterator[tuple[int, int, int]]:
    """Counts of each chunk in order, with a bounded number of chunks in work."""
    with explain_death("makes masks"), open_sessions(session, workers) as pool:
        waiting: deque[Future[tuple[int, int, int]]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(_mask_in_worker, chunk))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _mask_in_worker(chunk: PairChunk) -> tuple[int, int, int]:
    return mask_chunk(get_session(), chunk)


def mask_pairs(
    pairs: Iterable[Pair], tokenizer: TextTokenizer, config: MaskConfig
) -> Iterator[Mask | Reject]:
    """Make one mask (or reject) per pair, in order; the row's own id becomes `trajectory_id`.

    A pair without `completion_ids` is encoded, and its row says so (`ids_source`). Two equal texts
    give a row without loss; two that differ and mark nothing do what `mask.empty` says.
    """
    for pair in pairs:
        try:
            yield mask_pair(pair, tokenizer, config)
        except RowError as error:
            reject = Reject.from_error("mask", pair.row_id, pair.prompt.prompt_id, error)
            reject.source_id = pair.source_id
            yield reject


def mask_pair(pair: Pair, tokenizer: TextTokenizer, config: MaskConfig) -> Mask:
    """Make the mask row of one pair.

    Raises:
        RowError: the ids do not give the text, the text cannot be encoded, or nothing is marked.
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
        "source_id": pair.source_id,
    }
    diff = diff_pair(text, pair.right, tokenizer, config, completion_ids=ids)
    check_marked(diff, config)
    return build_mask(identity, diff, touches_only_answer(diff))
