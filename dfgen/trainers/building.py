"""Builds examples of batches: a plan made of rewards, carried out on flat columns of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dfgen.trainers.advantages import ALL, MASKED, NOTHING, Answers, Plan, plan_answers
from dfgen.trainers.batches import (
    DECISIVE,
    Batch,
    Ragged,
    find_complete,
    open_batch,
    slice_texts,
    summarize_answers,
    weigh_mask,
)
from dfgen.trainers.checks import (
    check_stored,
    check_tokenizer,
    choose_logprobs,
    describe_sampling,
    find_picture_ids,
    hash_tokenizer,
)
from dfgen.trainers.example import Example
from dfgen.trainers.reading import Source
from dfgen.trainers.recipe import Recipe
from dfgen.trainers.soundness import check_rows
from dfgen.trainers.summary import Summary

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GROUP = ("prompt_id", "prompt", "messages")
_SOURCE = ("source_id", "metadata")
_ANSWER = (
    *(*DECISIVE, "trajectory_id", "completion_ids", "completion_text", "repair", "repair_ids"),
    *_SOURCE,
)


@dataclass
class Reader:
    """Reads sources as examples of one recipe.

    Attributes:
        parts: sources and their ages.
        recipe: what is trained on.
        temperature: by which the trainer divides logits.
        with_images: whether pictures are read.
        keep_zero: whether answers whose advantages are all 0 are yielded, too.
        picture_ids: ids that stand for pictures: what holds one is left out.
    """

    parts: Sequence[tuple[Source, int]]
    recipe: Recipe
    temperature: float
    with_images: bool
    keep_zero: bool
    picture_ids: tuple[int, ...] = ()
    _summary: Summary | None = None

    @classmethod
    def open(
        cls,
        parts: Sequence[tuple[Source, int]],
        recipe: Recipe,
        tokenizer: Any,
        temperature: float,
        with_images: bool,
        keep_zero: bool,
    ) -> Reader:
        """Check sources against what is going to be trained. Raises `InputError`."""
        if tokenizer is not None:
            sha256 = hash_tokenizer(tokenizer)
            for source, _ in parts:
                check_tokenizer(source, sha256)
        for source, _ in parts:
            check_stored(source, recipe, temperature, source.find_nested())
        return cls(
            parts,
            recipe,
            temperature,
            with_images,
            keep_zero,
            find_picture_ids(tokenizer),
        )

    @property
    def logprobs(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Columns for answers and repairs, each in order of preference."""
        return choose_logprobs(self.temperature)

    @property
    def summary(self) -> Summary:
        """What all examples amount to; counted once, by a pass over masks and rewards."""
        if self._summary is None:
            self._summary = self._summarize()
        return self._summary

    def describe(self) -> str:
        """Return the summary in words."""
        notes = [
            note
            for source, _ in self.parts
            for note in describe_sampling(source.origin.get("sampling") or {}, self.temperature)
        ]
        return "\n".join([self.summary.describe(self.recipe), *dict.fromkeys(notes)])

    def count(self) -> int:
        """Count the examples."""
        if not self.keep_zero:
            return sum(self.summary.rows.values())
        return self.summary.answers - self.summary.blocked + self.summary.rows["repair"]

    def iter_groups(self) -> Iterator[list[Example]]:
        """Yield the examples of each prompt that has any."""
        scale = self.summary.find_scale(self.recipe) if self.recipe.balance else 1.0
        columns = (*_GROUP, "images") if self.with_images else _GROUP
        nested = [*_ANSWER, *self.logprobs[0], *self.logprobs[1]]
        if self.recipe.weights:
            nested.append("weights")
        for source, age in self.parts:
            for batch in _read_sound(source, columns, nested):
                yield from self._build(batch, scale, age)

    def _summarize(self) -> Summary:
        summary = Summary()
        nested = [*DECISIVE, "trajectory_id"]
        if self.recipe.copies == "once":
            nested.append("repair_ids")
        if self.picture_ids:
            nested += ["completion_ids", "repair_ids"]
        for by_ratio, columns in zip(self.recipe.uses_ratio, self.logprobs, strict=True):
            nested += columns if by_ratio else ()
        if self.recipe.weights:
            nested.append("weights")
        for source, _ in self.parts:
            for batch in _read_sound(source, ("prompt_id",), nested):
                answers = self._summarize_batch(batch)
                plan = plan_answers(answers, self.recipe)
                unknown = self._find_unknown(batch, answers, plan)
                summary.add(answers, plan, find_truncated(batch), *unknown)
        return summary

    def _summarize_batch(self, batch: Batch) -> Answers:
        recipe = self.recipe
        return summarize_answers(batch, recipe.weights, recipe.copies == "once", self.picture_ids)

    def _find_unknown(
        self, batch: Batch, answers: Answers, plan: Plan
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Answers and repairs that are trained by ratio and have no old log-probs."""
        by_ratio, repairs_by_ratio = self.recipe.uses_ratio
        none = np.zeros(len(plan.right), bool)
        unknown, unknown_repairs = none, none
        if by_ratio:
            unknown = ~_find_known(batch, answers.tokens, self.logprobs[0])
            if self.recipe.right_loss == "likelihood":
                unknown &= ~plan.right
        if repairs_by_ratio:
            unknown_repairs = ~_find_known(batch, answers.repair_tokens, self.logprobs[1])
        return unknown, unknown_repairs

    def _build(self, batch: Batch, scale: float, age: int) -> Iterator[list[Example]]:
        recipe = self.recipe
        answers = self._summarize_batch(batch)
        plan = plan_answers(answers, recipe)
        factors = np.where(plan.factors < 0, plan.factors * scale, plan.factors)
        mass = factors * np.where(plan.use == MASKED, answers.masked, answers.tokens)
        wanted = ~answers.blocked if self.keep_zero else mass != 0
        changed = np.where(plan.repair_use == MASKED, answers.new, answers.repair_tokens)
        repaired = plan.repair_factors * changed > 0
        # Imitation is a mean over all that is imitated; else few right answers would divide many
        # repairs, and the gradient of hard prompts would be a multiple of that of easy ones.
        counted = changed if recipe.imitates else np.zeros_like(changed)

        ids = batch.read_lists("completion_ids").cast(np.int32)
        mask = batch.read_lists("loss_mask")
        batch.check_lengths("loss_mask", mask, ids.lengths)
        sampled = _spread(plan, factors, mask, batch, recipe)
        old = _read_logprobs(batch, ids.lengths, self.logprobs[0])
        repair_ids = batch.read_lists("repair_ids").cast(np.int32)
        new = batch.read_lists("repair_mask")
        batch.check_lengths("repair_mask", new, repair_ids.lengths)
        positives = _spread_repairs(plan, new, repair_ids)
        repair_old = _read_logprobs(batch, repair_ids.lengths, self.logprobs[1])

        names = batch.read_values("trajectory_id")
        texts = slice_texts(batch.read_values("completion_text"))
        repairs = slice_texts(batch.read_values("repair"))
        ends = batch.read_values("finish_reason")
        owned = list(zip(*map(batch.read_values, _SOURCE), strict=True))
        kinds = np.where(plan.right, "right", "failed").tolist()
        rewards = answers.rewards.tolist()
        id_lists, repair_lists = ids.slice(), repair_ids.slice()
        advantages, gates, divisors = sampled
        positive_factors, positive_gates = positives
        right_loss, positive_loss = recipe.right_loss, recipe.positive_loss
        wanted_rows, repaired_rows = wanted.tolist(), repaired.tolist()
        repair_divisors = counted.tolist()
        bounds = batch.edges.tolist()
        for number, (prompt_id, prompt, messages, images) in enumerate(self._read_groups(batch)):
            group = []
            for i in range(bounds[number], bounds[number + 1]):
                if wanted_rows[i]:
                    kind = kinds[i]
                    group.append(
                        Example(
                            names[i],
                            prompt_id,
                            kind,
                            prompt,
                            messages,
                            images,
                            id_lists[i],
                            texts[i],
                            advantages[i],
                            gates[i],
                            old[i],
                            right_loss if kind == "right" else "ratio",
                            divisors[i],
                            rewards[i],
                            ends[i],
                            age,
                            *owned[i],
                        )
                    )
                if repaired_rows[i]:
                    group.append(
                        Example(
                            names[i],
                            prompt_id,
                            "repair",
                            prompt,
                            messages,
                            images,
                            repair_lists[i],
                            repairs[i],
                            positive_factors[i],
                            positive_gates[i],
                            repair_old[i],
                            positive_loss,
                            repair_divisors[i],
                            1.0,
                            "stop",
                            age,
                            *owned[i],
                        )
                    )
            if group:
                yield group

    def _read_groups(self, batch: Batch) -> Iterator[tuple[Any, ...]]:
        columns = [batch.groups.column(name).to_pylist() for name in _GROUP]
        if self.with_images:
            columns.append(
                [pictures or [] for pictures in batch.groups.column("images").to_pylist()]
            )
        else:
            columns.append([[] for _ in range(batch.groups.num_rows)])
        return zip(*columns, strict=True)


def _read_sound(source: Source, columns: Sequence[str], nested: Sequence[str]) -> Iterator[Batch]:
    """Read batches that can be trained on. Raises `DamagedFileError`."""
    seen: set[str] = set()
    for where, part in source.read_batches(columns, nested):
        batch = open_batch(part, where)
        check_rows(batch, seen)
        yield batch


def _read_logprobs(
    batch: Batch, lengths: NDArray[np.int64], names: Sequence[str]
) -> list[NDArray[np.float32] | None]:
    """Log-probs of each row from the first column that knows them all."""
    found: list[NDArray[np.float32] | None] = [None] * len(lengths)
    for added, column in _iter_known(batch, lengths, names):
        lists = column.cast(np.float32).slice()
        for row in np.flatnonzero(added).tolist():
            found[row] = lists[row]
    return found


def _find_known(
    batch: Batch, lengths: NDArray[np.int64], names: Sequence[str]
) -> NDArray[np.bool_]:
    """bool[N]: one of these columns knows all log-probs."""
    known = np.zeros(len(lengths), bool)
    for added, _ in _iter_known(batch, lengths, names):
        known |= added
    return known


def _iter_known(
    batch: Batch, lengths: NDArray[np.int64], names: Sequence[str]
) -> Iterator[tuple[NDArray[np.bool_], Ragged]]:
    """Columns of log-probs, each with the rows that it is the first to know."""
    known = np.zeros(len(lengths), bool)
    for name in names:
        if batch.has(name) and not known.all():
            column = batch.read_lists(name)
            batch.check_lengths(name, column, lengths)
            added = find_complete(column) & ~known
            known |= added
            yield added, column


def find_truncated(batch: Batch) -> NDArray[np.bool_]:
    """Find bool[N]: the answer was cut off at the token limit."""
    return np.asarray([end == "length" for end in batch.read_values("finish_reason")], bool)


def _spread(
    plan: Plan, factors: NDArray[np.float64], mask: Ragged, batch: Batch, recipe: Recipe
) -> tuple[list[Any], list[Any], list[int]]:
    """Advantages, loss masks and divisors of the sampled answers."""
    lengths = mask.lengths
    whole = np.repeat(plan.use == ALL, lengths)
    masked = np.repeat(plan.use == MASKED, lengths) & mask.values.astype(bool)
    advantages = np.repeat(factors.astype(np.float32), lengths)
    if recipe.weights:
        advantages *= np.where(whole, np.float32(1), weigh_mask(batch, mask) * masked)
    else:
        advantages *= whole | masked
    if recipe.mask_mode == "loss":
        gates = whole | masked
    else:
        gates = np.repeat(plan.use != NOTHING, lengths)
    counted = Ragged(gates, mask.edges, mask.valid).add_up().astype(np.int64)
    return (
        Ragged(advantages, mask.edges, mask.valid).slice(),
        Ragged(gates, mask.edges, mask.valid).slice(),
        counted.tolist(),
    )


def _spread_repairs(plan: Plan, new: Ragged, ids: Ragged) -> tuple[list[Any], list[Any]]:
    """Factors and loss masks of the repairs."""
    lengths = ids.lengths
    whole = np.repeat(plan.repair_use == ALL, lengths)
    gates = whole | (np.repeat(plan.repair_use == MASKED, lengths) & new.values.astype(bool))
    factors = np.repeat(plan.repair_factors.astype(np.float32), lengths) * gates
    return (
        Ragged(factors, ids.edges, ids.valid).slice(),
        Ragged(gates, ids.edges, ids.valid).slice(),
    )
