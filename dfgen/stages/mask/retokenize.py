"""Carries masks over to another tokenizer, exact by bytes: a mask file in, a mask file out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfgen.diff.build import find_token_spans
from dfgen.diff.hunks import Hunk
from dfgen.diff.marks import Marks, mark_right, mark_wrong
from dfgen.diff.pair import summarise_steps
from dfgen.diff.project import find_tokens, project_mask
from dfgen.diff.tokenised import Side, read_side
from dfgen.errors import InputError, RowError, RunMismatchError
from dfgen.records import Mask, Reject
from dfgen.stages.session import Session
from dfgen.store.entries import SourceRows, hash_file
from dfgen.store.shards import ShardTable
from dfgen.tokens.tokenizer import TextTokenizer


def run_retokenize(session: Session) -> None:
    """Carry every mask file of the source over to the pipeline's tokenizer.

    A file of the source that has changed since is carried over anew.

    Raises:
        InputError: the source holds no mask files, or is this run.
        RunMismatchError: the run was made for another tokenizer, or files of the source are gone.
    """
    run, config = session.run, session.pipeline.retokenize
    if config is None:
        raise InputError("the pipeline has no retokenize section.")
    path = Path(config.path).expanduser()
    table = find_masks(path)
    if table.directory.resolve() == run.table("masks").directory.resolve():
        raise InputError(
            "--out is the same folder as the masks to read.", where=str(table.directory)
        )
    facts = {"tokenizer": session.tokenizer.sha256}
    run.check_stage("mask", session.pipeline, facts)
    gone = set(run.table("masks").shards()) - set(table.shards())
    if gone:
        raise RunMismatchError(
            f"the source has no shard {min(gone)} any more, which this run was made from.",
            where=str(table.directory),
            hint="Choose another directory for the masks of another source.",
        )
    run.set_stage("mask", state="running", counts={}, source=str(path.resolve()))
    total = sum(map(table.num_rows, table.shards()))
    counts = {"input": total, "output": 0, "rejects": 0}
    session.progress.start("retokenize", total, 0)
    for shard in session.until_stopped(table.shards()):
        written, refused = retokenize_shard(session, table, shard)
        counts["output"] += written
        counts["rejects"] += refused
        session.progress.advance(written + refused, rejected=refused)
    if session.stop.requested:
        return
    run.set_stage("mask", state="done", counts=counts, **facts)
    session.progress.finish("retokenize")


def retokenize_shard(session: Session, table: ShardTable, shard: int) -> tuple[int, int]:
    """Carry one mask file over unless that was done; returns rows written and refused."""
    run = session.run
    source = SourceRows(rows=table.num_rows(shard), sha256=hash_file(table.fetch(shard)))
    entry = run.entry("mask", shard)
    if entry is not None and entry.source == source and run.output("mask").exists(shard):
        return entry.rows, entry.rejects
    rejects: list[Reject] = []
    rows = list(_convert(table.iter_rows(shard), session.tokenizer, rejects))
    session.finish_shard("mask", shard, rows, rejects, source=source)
    return len(rows), len(rejects)


def find_masks(path: Path) -> ShardTable:
    """Find the mask files of a run or of a folder of masks.

    Raises:
        InputError: there are none.
    """
    for folder in (path / "masks", path):
        table = ShardTable(folder, Mask)
        if table.shards():
            return table
    raise InputError("holds no mask files (masks/part-00000.parquet, ...).", where=str(path))


def _convert(
    rows: Iterator[dict[str, object]], tokenizer: TextTokenizer, rejects: list[Reject]
) -> Iterator[Mask]:
    for values in rows:
        row = Mask.model_validate(values)
        try:
            yield retokenize_mask(row, tokenizer)
        except RowError as error:
            reject = Reject.from_error("mask", row.trajectory_id, row.prompt_id, error)
            reject.source_id = row.source_id
            rejects.append(reject)


_SCORES = (
    "repair_logprobs",
    "scored_logprobs",
    "tempered_logprobs",
    "repair_tempered_logprobs",
    "visual_kl",
    "visual_log_ratio",
    "value_start",
    "hunk_values",
)


def retokenize_mask(row: Mask, tokenizer: TextTokenizer) -> Mask:
    """Make the same mask over the tokens of another tokenizer.

    Raises:
        RowError: `not_encodable`: the tokenizer does not give the text back from its own ids.
    """
    side = _encode(row.completion, tokenizer)
    old = np.array(row.token_bytes, dtype=np.int32)
    common: dict[str, Any] = {
        "completion_ids": side.ids,
        "ids_source": "encoded",
        "logprobs": None,
        "token_bytes": side.edges.tolist(),
        "step_ids": _project_steps(row, old, side.edges).tolist(),
        "weights": _project_weights(row.weights, old, side.edges),
        # Said of other tokens, by a model that reads those.
        **dict.fromkeys(_SCORES),
    }
    if row.mask_source != "repair":
        all_true = bool(row.loss_mask) and row.loss_mask[0]
        return row.model_copy(update={**common, "loss_mask": [all_true] * len(side.ids)})
    assert row.repair is not None and row.hunks is not None and row.token_ops is not None
    other = _encode(row.repair, tokenizer)
    hunks = _move_spans([Hunk.from_json(hunk) for hunk in json.loads(row.hunks)], side, other)
    marks = mark_wrong(hunks, side, "none")
    anchors = np.array(row.loss_mask, dtype=bool) & ~_find_changed(hunks, old)
    loss = marks.loss | project_mask(anchors, old, side.edges)
    step_ids = np.array(common["step_ids"], dtype=np.int16)
    _, changed = summarise_steps(
        hunks,
        Marks(marks.ops, loss, marks.gaps, marks.tokens),
        step_ids,
        len(row.step_labels or ()),
    )
    return row.model_copy(
        update={
            **common,
            "loss_mask": loss.tolist(),
            "token_ops": marks.ops.tolist(),
            "gap_mask": marks.gaps.tolist(),
            "repair_ids": other.ids,
            "repair_mask": mark_right(hunks, other).tolist(),
            "step_changed": changed.tolist(),
            "hunks": json.dumps([hunk.to_json() for hunk in hunks], ensure_ascii=False),
        }
    )


def _encode(text: str, tokenizer: TextTokenizer) -> Side:
    side = read_side(tokenizer.encode(text), tokenizer, canonical=True, atoms=False, steps="auto")
    if side.text != text:
        raise RowError(
            "not_encodable",
            f"the tokenizer {tokenizer.name} does not give this text back from its own ids.",
        )
    return side


def _move_spans(hunks: list[Hunk], side: Side, other: Side) -> list[Hunk]:
    """The same hunks over the new tokens, with neighbours that are now split in another way."""
    spans = [(hunk.wrong_bytes, hunk.right_bytes) for hunk in hunks]
    return [
        replace(hunk, wrong_tokens=wrong, right_tokens=right)
        for hunk, (wrong, right) in zip(hunks, find_token_spans(spans, side, other), strict=True)
    ]


def _find_changed(hunks: list[Hunk], old: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Old tokens that share a byte with what a hunk changed. The other masked ones are anchors:
    they stand in for an insertion beside them."""
    offsets = old.tolist()
    changed = np.zeros(len(old) - 1, dtype=bool)
    for hunk in hunks:
        start, end = hunk.wrong_bytes
        if hunk.in_mask and start < end:
            changed[slice(*find_tokens(offsets, start, end))] = True
    return changed


def _project_steps(row: Mask, old: NDArray[np.int32], new: NDArray[np.int32]) -> NDArray[np.int16]:
    """The step of the old token in which the last byte of each new token lies."""
    if not row.step_ids:
        return np.zeros(len(new) - 1, dtype=np.int16)
    last = np.maximum(new[1:] - 1, 0)
    holder = np.clip(np.searchsorted(old, last, side="right") - 1, 0, len(row.step_ids) - 1)
    return np.array(row.step_ids, dtype=np.int16)[holder]


def _project_weights(
    weights: list[float] | None, old: NDArray[np.int32], new: NDArray[np.int32]
) -> list[float] | None:
    """The largest weight among the old tokens that a new token shares a byte with."""
    if weights is None:
        return None
    offsets = old.tolist()
    spans = (find_tokens(offsets, int(a), int(b)) for a, b in pairwise(new))
    return [max(weights[span.start : span.end], default=0.0) for span in spans]
