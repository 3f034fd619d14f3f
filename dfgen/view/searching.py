"""Finds words in the texts of a shard without making Python objects of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dfgen.store.prompt_finder import PromptFinder

if TYPE_CHECKING:
    import pyarrow as pa

    from dfgen.store.finished import FinishedRun

_COLUMNS = ("trajectory_id", "prompt_id", "source_id", "completion", "repair", "hunks")


def read_texts(finished: FinishedRun, shard: int) -> pa.Array:
    """Read what can be searched of each row, in lower case: question, answers, edits with their
    reasons, ids.

    Returns:
        large_string[rows]. Between two texts stands a line break, which no word holds.

    Raises:
        StorageError: a file cannot be read.
    """
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
    texts = [masks[name] for name in _COLUMNS if name != "prompt_id"]
    texts.append(pa.chunked_array([pa.array([asked.get(name, "") for name in names], pa.string())]))
    # More than 2 GB of a shard's texts need 64-bit offsets.
    wide = [text.cast(pa.large_string()) for text in texts]
    line = pa.scalar("\n", pa.large_string())
    joined = pc.binary_join_element_wise(*wide, line, null_handling="replace", null_replacement="")
    lowered = pc.utf8_lower(joined)
    return lowered.combine_chunks() if isinstance(lowered, pa.ChunkedArray) else lowered


def find_words(texts: Mapping[int, pa.Array], words: Sequence[str]) -> dict[int, list[int]]:
    """Find the rows in which every word occurs.

    Args:
        texts: of `read_texts`, by shard.
        words: in lower case.

    Returns:
        Shard -> places of the rows in it, ascending.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not texts:
        return {}
    whole = pa.chunked_array(list(texts.values()), pa.large_string())
    hits = np.ones(len(whole), dtype=bool)
    for word in words:
        # RE2 finds a word in a fifth to a tenth of the time that Arrow's own search takes.
        hits &= pc.match_substring_regex(whole, re.escape(word)).to_numpy().astype(bool)
    ends = np.cumsum([len(each) for each in texts.values()])
    parts = np.split(hits, ends[:-1])
    return {shard: np.flatnonzero(part).tolist() for shard, part in zip(texts, parts, strict=True)}
