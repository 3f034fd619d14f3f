"""Trains on stored answers with TRL: a GRPOTrainer that replays them, gated by their masks.

    rows = load_rows("runs/groups", "df+whole", tokenizer=processor)
    trainer = DiffGRPOTrainer(model, args=GRPOConfig(...), train_dataset=rows,
                              processing_class=processor)
    trainer.train()

TRL's own methods do the work. This class hands them stored completions in place of generated ones,
then overwrites what they computed of rewards: advantages become (B, T), old log-probs those of the
sampling policy, the normaliser the batch's sampled tokens. Copying TRL's methods would be simpler
to read, and wrong with its next release. Tested with TRL 1.0 to 1.16.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from trl import GRPOConfig, GRPOTrainer

from dfgen.errors import EngineError, InputError
from dfgen.trainers.carrying import choose_divisor
from dfgen.trainers.examples import Examples, make_examples
from dfgen.trainers.recipe import DEFAULT_RECIPE, Recipe
from dfgen.trainers.stored import EXTRAS, StoredRow, store_examples
from dfgen.trainers.trl_checks import (
    check_arguments,
    check_batches,
    check_placeholders,
    check_processor,
    check_tokenizer,
    describe_divisor,
    read_note,
    read_version,
    write_note,
)
from dfgen.trainers.trl_sampler import GroupSampler

if TYPE_CHECKING:
    import datasets

LARGE_GAP = 0.1
"""Nats by which stored and computed log-probs may differ on average before the first update."""

AVERAGES_ROWS = ("grpo", "sapo", "dr_grpo", "luspo")
"""Losses that divide by the number of rows. Repairs add rows; they must not make answers count
less, so the number is brought back to that of the sampled answers."""

_log = logging.getLogger(__name__)


def load_rows(
    data: str | Path | Examples,
    recipe: str | Recipe = DEFAULT_RECIPE,
    *,
    tokenizer: Any = None,
    temperature: float = 1.0,
    say: Callable[[str], None] | None = print,
) -> datasets.Dataset:
    """Load groups as rows for `DiffGRPOTrainer`.

    Args:
        data: what `make_examples` takes, or what it returned (of several rounds, say).
        recipe: what is trained on; of no use where `data` are examples.
        tokenizer: processor or tokenizer of the model to be trained.
        temperature: the same as in `GRPOConfig`; of no use where `data` are examples.
        say: told once what the gradient is made of, and what was left out. None: silent.

    Returns:
        One row per completion. Columns for reward functions: `answer`, `solution`, `choices`,
        `metadata`, `prompt_id`, `trajectory_id`.

    Raises:
        InputError: as `make_examples`; or nothing is left to train on.
    """
    if isinstance(data, Examples):
        examples = data
    else:
        examples = make_examples(
            data, recipe, tokenizer=tokenizer, temperature=temperature, say=say
        )
    extras = {row["prompt_id"]: row for row in examples.iter_prompts(("prompt_id", *EXTRAS))}
    rows = store_examples(examples, extras)
    if not len(rows):
        raise InputError(
            f"the recipe {examples.recipe.name} leaves nothing to train on.",
            hint="Groups that are all right, or all wrong without a repair, have no signal.",
        )
    write_note(rows, examples)
    return rows


class DiffGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """Trains on rows of `load_rows` with TRL's losses, and on fresh answers if wanted.

    Stored tokens follow `GRPOConfig.loss_type` as TRL computes it, with an advantage per token.
    Likelihood examples (a repair's new tokens) are outside of that loss and add
    -sum(c * log-prob) / sampled tokens of the batch, without ratio and clip, in every iteration.
    Evaluation generates and grades, as in TRL. `scale_rewards` acts on fresh answers only.

    Logged besides what TRL logs: `stored/logprob_gap` (mean distance in nats between the stored
    log-probs and today's: how far off policy the data is), `stored/likelihood` (mean log-prob of
    likelihood tokens), `fresh/reward`. TRL's `reward` is that of stored and fresh answers together,
    and its statistics of groups mean nothing, because stored rows are in no group of TRL's.

    Args:
        model, reward_funcs, args, train_dataset, eval_dataset, processing_class: as in
            `GRPOTrainer`; reward functions grade fresh answers and evaluation, never stored ones.
        fresh_share: of the rows of each batch, drawn anew by the model for prompts of the data, in
            groups of `num_generations`.
        say: told once, by the main process, what the loss divides by. None: silent.

    Raises:
        ConfigError: settings that would train on something else than the masks say.
        InputError: ids of another tokenizer.
        EngineError: this version of TRL works otherwise than those that were tested.
    """

    def __init__(
        self,
        model: Any,
        reward_funcs: Any = None,
        args: GRPOConfig | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        *,
        processing_class: Any = None,
        fresh_share: float = 0.0,
        say: Callable[[str], None] | None = print,
        **others: Any,
    ) -> None:
        args = args or GRPOConfig("DiffGRPO")
        self.note = read_note(train_dataset)
        check_arguments(args, self.note, others)
        self.layout = check_batches(
            args, len(train_dataset), fresh_share, reward_funcs is not None, eval_dataset
        )
        check_processor(train_dataset, processing_class)
        self._replayed: list[StoredRow] = []
        self._open: dict[str, Any] | None = None
        super().__init__(
            model,
            reward_funcs or stored_reward,
            args,
            train_dataset,
            eval_dataset,
            processing_class=processing_class,
            **others,
        )
        check_tokenizer(self.note, self.processing_class)
        check_placeholders(train_dataset, self.processing_class)
        if say is not None and self.accelerator.is_main_process:
            say(describe_divisor(args, self.note))

    def _get_train_sampler(self, dataset: Any = None) -> GroupSampler:
        rows = self.train_dataset if dataset is None else dataset
        prompts = rows.with_format("numpy")["prompt"][:]
        repeats = self.num_iterations * self.args.steps_per_generation
        seed = self.args.seed if self.shuffle_dataset else None
        return GroupSampler(prompts, self.layout, repeats, seed)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.model.training:
            return super()._generate_and_score_completions(inputs)  # type: ignore[no-any-return]
        self._replayed = [row["stored"] for row in inputs[self.layout.fresh :]]
        batch = super()._generate_and_score_completions(inputs)
        self._overwrite(batch, self._replayed)
        self._replayed = []
        return batch  # type: ignore[no-any-return]

    def _generate(self, prompts: list[Any]) -> Any:
        """Return stored completions; generate those of fresh rows, which come first."""
        rows = self._replayed
        self.rollout_func = None
        fresh = len(prompts) - len(rows)
        drawn = super()._generate(prompts[:fresh]) if fresh else None
        if not rows:
            return drawn
        # How much TRL returns changes between releases; these two come first in all of them.
        completions = [list(ids) for ids in drawn[1]] if drawn else []
        masks = [[1] * len(ids) for ids in completions]
        completions += [row.ids.tolist() for row in rows]
        masks += [(row.loss_mask & (not row.likelihood)).astype(int).tolist() for row in rows]
        made = {
            "prompt_ids": self._tokenize_prompts(prompts)[0],
            "completion_ids": completions,
            "logprobs": None,
            "env_mask": masks,
        }
        self.rollout_func = lambda *_: made
        return super()._generate(prompts)

    def _calculate_rewards(
        self, inputs: list[Any], prompts: list[Any], completions: list[Any], ids: list[Any]
    ) -> torch.Tensor:
        """Grade fresh rows; the others have their stored reward."""
        if not self._replayed:
            return super()._calculate_rewards(  # type: ignore[no-any-return]
                inputs, prompts, completions, ids
            )
        rewards = [row.reward for row in self._replayed]
        local = torch.tensor(rewards, device=self.accelerator.device)
        stored: torch.Tensor = self.accelerator.gather(local).view(-1, len(rewards), 1)
        stored = stored.expand(-1, -1, len(self.reward_funcs))
        fresh = self.layout.fresh
        if not fresh:
            return stored.flatten(0, 1)
        graded: torch.Tensor = super()._calculate_rewards(
            inputs[:fresh], prompts[:fresh], completions[:fresh], ids[:fresh]
        )
        self._metrics["train"]["fresh/reward"].append(graded.nanmean().item())
        # Rows of one process stand side by side.
        graded = graded.view(-1, fresh, len(self.reward_funcs))
        return torch.cat([graded, stored], dim=1).flatten(0, 1)

    def _overwrite(self, batch: dict[str, Any], rows: list[StoredRow]) -> None:
        """Put stored advantages, log-probs and divisors into what TRL made of a batch."""
        mask = batch["completion_mask"] * batch["tool_mask"]
        device, fresh = mask.device, len(mask) - len(rows)
        if fresh != self.layout.fresh:
            raise _report_change("returns another number of completions than it was given rows")
        # Where nobody knows a log-prob: NaN, of which `_compute_loss` makes a ratio of 1.
        advantages, likelihood = np.zeros((2, *mask.shape), np.float32)
        old = np.full(mask.shape, np.nan, np.float32)
        for number, row in enumerate(rows, fresh):
            here = (number, slice(len(row.ids)))
            (likelihood if row.likelihood else advantages)[here] = row.advantages
            if row.old_logprobs is not None and not row.likelihood:
                old[here] = row.old_logprobs
        stored = torch.from_numpy(advantages).to(device)
        stored[:fresh] = batch["advantages"][:fresh, None]
        batch["advantages"] = stored
        batch["likelihood"] = torch.from_numpy(likelihood).to(device)
        known = torch.from_numpy(old).to(device)
        if "old_per_token_logps" in batch:  # the model's own, where several updates will follow
            known = torch.where(known.isnan(), batch["old_per_token_logps"], known)
        batch["old_per_token_logps"] = known.masked_fill(mask == 0, torch.nan)
        tokens = batch["completion_mask"][:fresh].sum() + sum(row.divisor for row in rows)
        answers = fresh + sum(row.answers for row in rows)
        trained = (stored != 0).sum() + (batch["likelihood"] != 0).sum()
        counts = torch.tensor([tokens, answers, len(mask), trained], device=device)
        total = self.accelerator.gather(counts).view(-1, 4).sum(dim=0).tolist()
        divisor = choose_divisor(total[0], total[3])
        batch["num_items_in_batch"] = torch.tensor(divisor, device=device)
        # By a recipe that leaves all sampled answers out, each repair is an answer.
        batch["dilution"] = torch.tensor(total[2] / (total[1] or total[2]), device=device)

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        if "likelihood" not in inputs:  # evaluation
            return super()._compute_loss(model, inputs)  # type: ignore[no-any-return]
        self._open = inputs = dict(inputs)
        # An update's share of the generation batch, by which TRL's dapo multiplies since 1.10.
        share = self.current_gradient_accumulation_steps / self.args.steps_per_generation
        divisor = inputs["num_items_in_batch"] * share
        if read_version() < (1, 10):
            inputs["num_items_in_batch"] = divisor
        loss: torch.Tensor = super()._compute_loss(model, inputs)
        self._open = None
        if self.loss_type in AVERAGES_ROWS:
            loss = loss * inputs["dilution"]
        if "logps" not in inputs:
            raise _report_change("computes its loss without _get_per_token_logps_and_entropies")
        # Processes average their gradients.
        divisor = divisor / self.accelerator.num_processes
        likelihood: torch.Tensor = (inputs["likelihood"] * inputs["logps"]).sum() / divisor
        return loss - likelihood

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        """Note log-probs that a loss is computed from, and give unknown old ones a ratio of 1."""
        computed = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        inputs = self._open
        if inputs is not None:
            logps, old = computed[0], inputs["old_per_token_logps"]
            self._log_stored(inputs, logps.detach(), old)
            inputs["logps"] = logps
            inputs["old_per_token_logps"] = torch.where(old.isnan(), logps.detach(), old)
        return computed

    def _log_stored(self, inputs: dict[str, Any], logps: torch.Tensor, old: torch.Tensor) -> None:
        known, likely = ~old.isnan(), inputs["likelihood"] != 0
        gap = torch.where(known, old - logps, 0).abs().sum()
        sums = torch.stack([gap, known.sum(), (logps * likely).sum(), likely.sum()])
        gap, count, total, tokens = self.accelerator.reduce(sums, reduction="sum").tolist()
        if count:
            self._metrics["train"]["stored/logprob_gap"].append(gap / count)
        if tokens:
            self._metrics["train"]["stored/likelihood"].append(total / tokens)
        first = self._step == self.state.global_step == 0 and self.accelerator.is_main_process
        if first and count and gap / count > LARGE_GAP:
            _log.warning(
                "Before the first update the stored log-probs differ from the model's by %.2f nats "
                "a token. If this checkpoint has sampled the answers, then prompt, picture or "
                "temperature are not as they were; if not, expect clipped ratios.",
                gap / count,
            )


def stored_reward(prompts: list[Any], **_: Any) -> list[float]:
    """Stand in for reward functions where nothing is graded; never called."""
    raise AssertionError(f"{len(prompts)} fresh answers, and no reward function")


def _report_change(what: str) -> EngineError:
    import trl

    return EngineError(
        f"TRL {trl.__version__} {what}; this adapter would not train on the masks.",
        hint="Tested are 1.0 to 1.16.",
    )
