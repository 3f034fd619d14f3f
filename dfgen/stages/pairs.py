"""Masks of pairs that people already have: no sampling, no repairer, the same mask rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from dfgen.config.mask import MaskConfig
from dfgen.diff.pair import diff_pair
from dfgen.errors import RowError
from dfgen.prompts.pairs import Pair
from dfgen.records import Mask, Reject
from dfgen.stages.mask import build_mask
from dfgen.stages.rejecting import make_reject
from dfgen.stages.repair_leak import touches_only_answer

if TYPE_CHECKING:
    from dfgen.tokens.tokenizer import TextTokenizer


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
