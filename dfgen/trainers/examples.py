"""Makes training examples of groups: the one place that says what a mask does to a gradient.

Every adapter takes its advantages, masks and old log-probs from here and computes no baseline of
its own, so that no trainer groups by the text of a prompt, and unequal or dead groups cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.trainers.example import Example
from dfgen.trainers.recipe import DEFAULT_RECIPE, Recipe, find_recipe

if TYPE_CHECKING:
    from dfgen.trainers.building import Reader
    from dfgen.trainers.summary import Summary

__all__ = ["Example", "Examples", "make_examples"]


@dataclass(frozen=True)
class Examples:
    """All examples of a data set by one recipe; iterate as often as you like, memory stays flat.

    Arrays of examples are slices of a batch of some megabytes, which lives as long as any of them:
    copy those that you keep for long.

    Attributes:
        recipe: what is trained on.
        tokenizer_sha256: of the tokenizer that all ids belong to.
        origin: how the data was made (`dfgen.json`): sampling temperature, models, versions.
    """

    recipe: Recipe
    tokenizer_sha256: str | None
    origin: dict[str, Any]
    _reader: Reader

    def __iter__(self) -> Iterator[Example]:
        return chain.from_iterable(self.iter_groups())

    def __len__(self) -> int:
        """Number of examples; counted by a pass over masks and rewards when first asked."""
        return self._reader.count()

    def iter_groups(self) -> Iterator[list[Example]]:
        """Yield the examples of one prompt at a time; a repair follows the answer it repairs."""
        return self._reader.iter_groups()

    def keep_zero(self) -> Examples:
        """Return the same with answers whose advantages are all 0 (see `make_examples`)."""
        return replace(self, _reader=replace(self._reader, keep_zero=True))

    def iter_prompts(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield columns of each group, such as `answer`, for reward functions; no trajectories."""
        for source, _ in self._reader.parts:
            for _, batch in source.read_batches(columns, ()):
                found = [name for name in columns if name in batch.schema.names]
                yield from batch.select(found).to_pylist()

    @property
    def unknown_logprobs(self) -> int:
        """Number of examples by ratio without old log-probs."""
        return self.summary.unknown_answers + self.summary.unknown_repairs

    @property
    def temperature(self) -> float:
        """By which the trainer must divide logits, for old log-probs to be those of the same."""
        return self._reader.temperature

    @property
    def summary(self) -> Summary:
        """What the gradient is made of; counted by a pass over masks and rewards when needed."""
        return self._reader.summary


def make_examples(
    data: str | Path,
    recipe: str | Recipe = DEFAULT_RECIPE,
    *,
    tokenizer: Any = None,
    temperature: float = 1.0,
    with_images: bool = True,
    keep_zero: bool = False,
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
        keep_zero: True also yields answers whose advantages are all 0, for a trainer that needs
            whole groups: those of groups without spread, with an empty mask, undecided or left out
            by the recipe. The last two have no token in the loss mask and a divisor of 0.
        say: told once, in words, what the gradient is made of: advantage mass of both sides,
            gradient tokens and rows, what is left out and why. None: silent.

    Raises:
        InputError: no such data, another tokenizer or temperature, or a newer format.
        ConfigError: no such recipe.
        DamagedFileError: a file is missing or broken.
    """
    from dfgen.trainers.building import Reader
    from dfgen.trainers.reading import open_groups

    chosen, source = find_recipe(recipe), open_groups(data)
    reader = Reader.open([(source, 0)], chosen, tokenizer, temperature, with_images, keep_zero)
    if say is not None:
        say(reader.describe())
    return Examples(chosen, source.tokenizer_sha256, source.origin, reader)
