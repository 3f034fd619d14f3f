"""Checks that the tables of a run say the same, by code that had no part in making them.

A checksum says that a file is the one that was noted. It says nothing where rows and notes were
written anew together; then the tables still have to agree with each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dfgen.records import is_right
from dfgen.store.counts import WITHOUT_TRAJECTORIES

if TYPE_CHECKING:
    from dfgen.store.run import Run
    from dfgen.tokens.tokenizer import TextTokenizer

Row = dict[str, Any]

_TAKEN_OVER = (
    *("completion", "completion_ids", "ids_source", "logprobs", "finish_reason", "reward"),
)
"""Columns that a mask has from its trajectory, as they are."""

_OTHER_IDS = ("completion_mismatch", "text_differs")
"""Reasons of the mask stage for refusing answers whose ids give another text."""


def check_agreement(run: Run, tokenizer: TextTokenizer | None) -> Iterator[str]:
    """Find rows that contradict the rows of another table, or bytes that they speak of.

    Shards whose masks are to be made anew are left out. One shard of each table is looked at at a
    time, row by row; in memory are the texts of its repairs.

    Args:
        run: whose files are intact.
        tokenizer: of its token ids; None: texts are not compared with ids.

    Raises:
        StorageError: a file cannot be read.
    """
    for shard in run.table("prompts").shards():
        yield from _check_pictures(run, shard)
    if run.manifest.kind in WITHOUT_TRAJECTORIES:
        return
    for shard in run.table("masks").shards():
        if run.table("trajectories").exists(shard) and run.is_current("mask", shard):
            yield from _check_shard(run, shard, tokenizer)


def _check_pictures(run: Run, shard: int) -> Iterator[str]:
    """Hold the bytes of pictures against the checksums that the prompt notes of them."""
    table = run.table("prompts")
    for row in table.iter_rows(shard, ["prompt_id", "images", "image_info"]):
        noted = [info["sha256"] for info in row["image_info"]]
        found = [hashlib.sha256(image["bytes"]).hexdigest() for image in row["images"]]
        if found != noted:
            yield f"{table.path(shard)}: {row['prompt_id']} has other pictures than image_info says"


def _check_shard(run: Run, shard: int, tokenizer: TextTokenizer | None) -> Iterator[str]:
    masks, trajectories = run.table("masks"), run.table("trajectories")
    repairs, refused = _read_repairs(run, shard), _read_refused(run, shard)
    # Both tables have one order, which the keys are held against elsewhere.
    rows = masks.iter_rows(shard, ["trajectory_id", "mask_source", "repair", *_TAKEN_OVER])
    mask = next(rows, None)
    for row in trajectories.iter_rows(shard, ["trajectory_id", *_TAKEN_OVER]):
        key = row["trajectory_id"]
        decoded = None if tokenizer is None else tokenizer.decode(row["completion_ids"])
        if decoded not in (None, row["completion"]) and key not in refused:
            yield (
                f"{trajectories.path(shard)}: decoding the completion_ids of {key} does not give "
                "its completion"
            )
        if mask is not None and mask["trajectory_id"] == key:
            for problem in compare_mask(mask, row, repairs.get(key), tokenizer):
                yield f"{masks.path(shard)}: {key} {problem}"
            mask = next(rows, None)


def compare_mask(
    mask: Row, trajectory: Row, repair: str | None, tokenizer: TextTokenizer | None
) -> Iterator[str]:
    """Find what a mask says otherwise than what it was made from, as the end of a sentence.

    Args:
        mask: with its source, its repair and what it has from its trajectory.
        trajectory: of the same key.
        repair: the text of the accepted repair; None if there is none.
        tokenizer: gives a text back as its ids have it; None: texts must be equal.
    """
    for name in _TAKEN_OVER:
        if mask[name] != trajectory[name]:
            yield f"has another {name} than its trajectory"
    if mask["mask_source"] != "repair":
        if repair is not None and not is_right(trajectory["reward"]):
            yield f"is marked as {mask['mask_source']}, and there is an accepted repair"
        return
    if repair is None:
        yield "is marked by a repair, and there is none of it"
        return
    # Some tokenizers do not give every text back; masks hold what they give.
    if mask["repair"] != repair and (
        tokenizer is None or mask["repair"] != tokenizer.decode(tokenizer.encode(repair))
    ):
        yield "has another repair than the accepted one"


def _read_repairs(run: Run, shard: int) -> dict[str, str]:
    table = run.table("repairs")
    if not table.exists(shard):
        return {}
    rows = table.iter_rows(shard, ["trajectory_id", "repair"])
    return {row["trajectory_id"]: row["repair"] for row in rows}


def _read_refused(run: Run, shard: int) -> set[str]:
    """The answers of which it is known that their ids give another text."""
    ledger = run.rejects("mask")
    if not ledger.exists(shard):
        return set()
    rows = ledger.iter_rows(shard, ["row_id", "reason"])
    return {row["row_id"] for row in rows if row["reason"] in _OTHER_IDS}
