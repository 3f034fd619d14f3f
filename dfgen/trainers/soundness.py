"""Refuses answers that no sound run has: a trainer would learn nonsense from them without a word.

A data set that was altered, put together by hand or cut may be whole as a file. What is looked at
here is what the loss stands on: names, ids, log-probs, weights, and whether reward, kind of mask
and pictures agree. `dfgen validate` looks at more, in the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dfgen.errors import DamagedFileError
from dfgen.trainers.prompting import PLACEHOLDER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dfgen.trainers.batches import Batch, Ragged

IDS = ("completion_ids", "repair_ids")
LOGPROBS = (
    *("logprobs", "scored_logprobs", "tempered_logprobs"),
    *("repair_logprobs", "repair_tempered_logprobs"),
)
WEIGHTS = "weights"
SOURCES = ("repair", "correct", "outcome")

ABOVE_ZERO = 1e-3
"""How far a log-prob may be above 0, as in `dfgen.validate.masks` (a test compares both)."""

_HINT = "Export the run again; `dfgen validate RUN` says what is wrong with it."


def check_rows(batch: Batch, seen: set[str]) -> None:
    """Refuse a batch with a row that cannot be trained on as it says.

    Only columns that were read are looked at.

    Args:
        batch: of some groups.
        seen: first answers of the groups of the same data set that came before; those of the batch
            are added.

    Raises:
        DamagedFileError: names file, answer or prompt, and column.
    """
    _check_names(batch, seen)
    for name in (*IDS, *LOGPROBS, WEIGHTS):
        if batch.has(name):
            _check_range(batch, name)
    _check_sources(batch)
    _check_pictures(batch)


def _check_names(batch: Batch, seen: set[str]) -> None:
    if "prompt_id" in batch.groups.schema.names:
        prompts = batch.groups.column("prompt_id").to_pylist()
        if None in prompts:
            row = prompts.index(None)
            raise DamagedFileError(
                f"group {row} of a batch has no prompt_id.", where=batch.source, hint=_HINT
            )
    if not batch.has("trajectory_id"):
        return
    names = batch.read_values("trajectory_id")
    if None in names:
        row = names.index(None)
        raise DamagedFileError(
            f"answer {row} of a batch has no trajectory_id.", where=batch.source, hint=_HINT
        )
    # Whoever has a group twice has its first answer twice; pairs may have two groups of a prompt.
    firsts = [names[start] for start, end in pairwise(batch.edges.tolist()) if start < end]
    again = seen.intersection(firsts) or _find_twice(names)
    if again:
        raise DamagedFileError(
            f"the answer {min(again)} stands there twice, and would count twice.",
            where=batch.source,
            hint="Files of several runs or exports? Give one export; several rounds of "
            "training: dfgen.trainers.rounds.load_rounds.",
        )
    seen.update(firsts)


def _find_twice(names: Sequence[str]) -> set[str]:
    if len(set(names)) == len(names):
        return set()
    return {name for name, count in Counter(names).items() if count > 1}


def _check_range(batch: Batch, name: str) -> None:
    column = batch.read_lists(name)
    values = column.values
    if not len(values):
        return
    if name in IDS:
        bad, what = (values < 0) | (values > np.iinfo(np.int32).max), "a token id is 0 or more"
    elif name == WEIGHTS:
        bad, what = (values < 0) | (values > 1), "a weight is between 0 and 1"
    else:
        bad, what = values > ABOVE_ZERO, "no log-prob is above 0"
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        _refuse(batch, find_row(column, at), f"{name} holds {values[at]}; {what}")


def find_row(column: Ragged, at: int) -> int:
    """Find the answer whose list holds this place of the flat column."""
    return int(np.searchsorted(column.edges, at, side="right")) - 1


def _check_sources(batch: Batch) -> None:
    """A source of a mask is one of those there are. Rewards may be the user's own by now."""
    if not batch.has("mask_source"):
        return
    sources = np.asarray(batch.read_values("mask_source"), dtype=object)
    strange = ~np.isin(sources, SOURCES)
    _refuse_first(batch, strange, lambda row: f"mask_source is {sources[row]!r}, none of {SOURCES}")


def _refuse_first(batch: Batch, bad: NDArray[np.bool_], describe: Any) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        _refuse(batch, row, describe(row))


def _refuse(batch: Batch, row: int, what: str) -> None:
    raise DamagedFileError(f"{what} ({batch.name_row(row)}).", where=batch.source, hint=_HINT)


def _check_pictures(batch: Batch) -> None:
    """As many pictures as a question shows, none of them empty."""
    names = batch.groups.schema.names
    if not {"prompt", "messages"} <= set(names):
        return
    pictures = batch.groups.column("images").to_pylist() if "images" in names else None
    prompts, chats = (batch.groups.column(name).to_pylist() for name in ("prompt", "messages"))
    for row, (prompt, chat) in enumerate(zip(prompts, chats, strict=True)):
        problem = _find_problem(prompt, chat, None if pictures is None else pictures[row] or [])
        if problem:
            name = batch.groups.column("prompt_id")[row]
            raise DamagedFileError(f"the prompt {name} {problem}.", where=batch.source, hint=_HINT)


def _find_problem(prompt: Any, chat: Any, pictures: Any) -> str | None:
    """Say what is wrong with a question in its two forms and its pictures; None: nothing."""
    turns = [*(prompt or [None]), *(chat or [None])]
    if any(turn is None or turn["role"] is None or turn["content"] is None for turn in turns):
        return "has no question in `prompt` or `messages`"
    blocks = list(chain.from_iterable(turn["content"] for turn in prompt))
    if any(block is None for block in blocks):
        return "has a block in `prompt` that is null"
    if pictures is None:
        return None
    shown = sum(block["type"] == "image" for block in blocks)
    written = sum(turn["content"].count(PLACEHOLDER) for turn in chat)
    if not shown == written == len(pictures):
        return (
            f"shows {shown} pictures in `prompt` and {written} in `messages`, and `images` holds "
            f"{len(pictures)}"
        )
    if any(picture is None or not picture["bytes"] for picture in pictures):
        return "has a picture without bytes in `images`"
    return None
