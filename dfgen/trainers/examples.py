"""Makes training examples of groups: the one place that says what a mask does to a gradient.

Every adapter takes its advantages, masks and old log-probs from here and computes no baseline of
its own, so that no trainer groups by the text of a prompt, and unequal or dead groups cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dfgen.trainers.recipe import DEFAULT_RECIPE, Loss, Recipe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["right", "failed", "repair"]


@dataclass(frozen=True, slots=True)
class Example:
    """One completion to train on. T = len(ids).

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
            `advantage`, those in the loss mask in mode `loss`, 0 of a repair.
        reward: as graded; 1.0 of a repair.
        finish_reason: stop, length, ...
        age: rounds since it was sampled; 0 is the newest.
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


@dataclass(frozen=True)
class Examples:
    """All examples of a data set by one recipe; iterate as often as you like, memory stays flat.

    Attributes:
        recipe: what is trained on.
        tokenizer_sha256: of the tokenizer that all ids belong to.
        origin: how the data was made (`dfgen.json`): sampling temperature, models, versions.
    """

    recipe: Recipe
    tokenizer_sha256: str | None
    origin: dict[str, Any]

    def __iter__(self) -> Iterator[Example]:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def iter_groups(self) -> Iterator[list[Example]]:
        """Yield the examples of one prompt at a time."""
        raise NotImplementedError


def make_examples(
    data: str | Path,
    recipe: str | Recipe = DEFAULT_RECIPE,
    *,
    tokenizer: Any = None,
    temperature: float = 1.0,
    with_images: bool = True,
    say: Callable[[str], None] | None = print,
) -> Examples:
    """Open groups of answers as training examples.

    Args:
        data: a folder or file of `dfgen export --to groups`, a folder that `dfgen publish` made or
            a snapshot of it, or the id of a data set on the Hub (needs huggingface_hub). Several
            rounds: see `rounds`.
        recipe: what is trained on.
        tokenizer: of the model to be trained: a `transformers` tokenizer or processor, or its
            sha256; refused where the ids belong to another. None: no check.
        temperature: at which the trainer divides logits. Old log-probs are those at the same
            temperature; where they are not stored it is refused.
        with_images: False leaves pictures unread, for tasks without them.
        say: told once, in words, what the gradient is made of: advantage mass of both sides,
            gradient tokens and rows, what is left out and why. None: silent.

    Raises:
        InputError: no such data, another tokenizer or temperature, or a newer format.
        ConfigError: no such recipe.
        DamagedFileError: a file is missing or broken.
    """
    raise NotImplementedError
