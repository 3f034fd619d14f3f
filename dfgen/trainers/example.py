"""Defines what a trainer's loss takes: one completion with its advantages and masks.

This is all that an adapter needs to know of groups, repairs and recipes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dfgen.trainers.recipe import Loss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["right", "failed", "repair"]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One completion to train on. T = len(ids). Compared by identity, like the arrays it holds.

    Attributes:
        trajectory_id: of the answer; a repair has that of the answer which it repairs.
        prompt_id: of the prompt.
        kind: a right answer, a failed one, or the repair of a failed one.
        prompt: messages whose content is a list of blocks (TRL, chat templates).
        messages: messages whose content is text with `<image>` in it (verl, ms-swift).
        images: pictures as `{"bytes", "path"}`, canonical view.
        ids: int32[T]: the completion's token ids.
        text: the same as text, special tokens left out.
        advantages: float32[T]: with the mask (mode `advantage`) and weights multiplied in. Of a
            `likelihood` example the factor c of each token: its loss is -sum(advantages * logp).
        loss_mask: bool[T]: the tokens that the loss may see. Mode `advantage`: all tokens of a
            sampled answer, and the trained tokens of a repair.
        old_logprobs: float32[T], or None where nobody knows them; never a NaN.
        loss: `ratio` (the trainer's objective) or `likelihood`.
        divisor: tokens that it adds to the normaliser of the batch: T of a sampled answer in mode
            `advantage`, those in the loss mask in mode `loss`; 0 of a repair, but where each
            counts 1 (`factor="one"`): those that are trained.
        reward: as graded; 1.0 of a repair.
        finish_reason: stop, length, ...
        age: rounds since it was sampled; 0 is the newest.
        source_id: the user's own id of the question or imported answer, if the run has one.
        metadata: JSON object of the columns that `mask.metadata` names; None where it names none.
    """

    trajectory_id: str
    prompt_id: str
    kind: Kind
    prompt: list[dict[str, Any]]
    messages: list[dict[str, str]]
    images: list[dict[str, Any]]
    ids: NDArray[np.int32]
    text: str
    advantages: NDArray[np.float32]
    loss_mask: NDArray[np.bool_]
    old_logprobs: NDArray[np.float32] | None
    loss: Loss
    divisor: int
    reward: float
    finish_reason: str
    age: int = 0
    source_id: str | None = None
    metadata: str | None = None
