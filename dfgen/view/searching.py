"""Finds words in the texts of a shard without making Python objects of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dfgen.store.prompt_finder import PromptFinder

if TYPE_CHECKING:
    from dfgen.store.finished import FinishedRun

_COLUMNS = ("trajectory_id", "prompt_id", "source_id", "completion", "repair", "hunks")


def find_words(finished: FinishedRun, shard: int, words: Sequence[str]) -> list[int]:
    """Find the rows in which every word occurs: in question, answers, edits, reasons or ids.

    Args:
        words: in lower case.

    Returns:
        Places of the rows in the shard, ascending.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    masks = finished.run.table("masks").read(shard, _COLUMNS).combine_chunks()
    names = masks["prompt_id"].to_pylist()
    finder = PromptFinder(finished.prompts)
    columns = ["prompt_id", "question", "answer"]
    prompts = finder.find(list(dict.fromkeys(names)), shard, columns)
    asked = {
        name: f"{question}\n{answer}"
        for name, question, answer in zip(*(prompts[c].to_pylist() for c in columns), strict=True)
    }
    found = np.ones(masks.num_rows, dtype=bool)
    texts = [masks[name] for name in _COLUMNS if name != "prompt_id"]
    texts.append(pa.chunked_array([pa.array([asked.get(name, "") for name in names], pa.string())]))
    lowered = [pc.fill_null(pc.utf8_lower(text), "") for text in texts]
    for word in words:
        hits = np.zeros(masks.num_rows, dtype=bool)
        for text in lowered:
            hits |= pc.match_substring(text, word).to_numpy()
        found &= hits
    return [int(place) for place in np.flatnonzero(found)]
