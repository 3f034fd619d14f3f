"""Makes the masks whose blame is compared: dfgen's, and its rivals at the same count.

dfgen            `loss_mask`
lowest_logprob   as many tokens as it marks, those that the policy gave the least probability
random           as many, picked by chance
first_token      the first token that it marks
first_step       the whole first wrong step
suffix           everything from the first token that it marks
answer_only      the tokens of it in the statement of the final answer
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dfgen.diff.project import find_tokens
from dfgen.grade.extract import find_answer_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dfgen.diff.pair import PairDiff

OWN = "dfgen"


def make_masks(
    diff: PairDiff, logprobs: Sequence[float] | None, seed: int, *, controls: bool = True
) -> dict[str, NDArray[np.bool_]]:
    """Make bool[T] masks by name.

    Args:
        diff: of an answer and its repair; marks at least one token.
        logprobs: length T, of the answer's tokens; None: there are none, and no such control.
        seed: of the random control.
        controls: False: dfgen's mask alone.
    """
    own = diff.loss_mask
    masks = {OWN: own}
    if not controls:
        return masks
    length, count = len(own), int(own.sum())
    if logprobs is not None:
        order = np.argsort(np.asarray(logprobs, dtype=np.float64), kind="stable")
        masks["lowest_logprob"] = _mark(length, order[:count])
    chosen = np.random.default_rng(seed).choice(length, size=count, replace=False)
    masks["random"] = _mark(length, chosen)
    first = int(np.flatnonzero(own)[0])
    masks["first_token"] = _mark(length, np.array([first]))
    masks["first_step"] = diff.step_ids == diff.step_ids[first]
    masks["suffix"] = np.arange(length) >= first
    masks["answer_only"] = own & _find_answer(diff)
    return masks


def _mark(length: int, tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros(length, dtype=np.bool_)
    mask[tokens] = True
    return mask


def _find_answer(diff: PairDiff) -> NDArray[np.bool_]:
    """Return bool[T]: where the answer states its result."""
    found = np.zeros(len(diff.loss_mask), dtype=np.bool_)
    offsets = diff.token_bytes.tolist()
    for start, end in find_answer_spans(diff.completion):
        before = len(diff.completion[:start].encode())
        size = len(diff.completion[start:end].encode())
        tokens = find_tokens(offsets, before, before + size)
        found[tokens.start : tokens.end] = True
    return found
