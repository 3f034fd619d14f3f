"""Trains on stored answers in ms-swift's GRPO: no generation, advantages per token, masks.

    DFGEN_DATA=data/groups swift rlhf --rlhf_type grpo --dataset dfgen --reward_funcs dfgen \\
        --external_plugins $(python -m dfgen.trainers swift) --temperature 1 ...

One row of the data set `dfgen` is one example. The trainer is ms-swift's own with five steps
changed: rows are taken in whole groups, completions are the stored ones, the baseline is the sign
of a row's advantage, and afterwards each token gets its own size, its stored log-prob, and the
batch its divisor. Whatever ms-swift makes of an advantage in between (RLSD) stays in it. Read from
the sources of ms-swift 4.6.0 (rlhf_trainers/grpo_trainer.py, rl_core/data.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from accelerate.utils import gather
from datasets import Dataset, Features, Value
from swift.dataset import DatasetMeta, register_dataset
from swift.dataset.loader import DatasetLoader
from swift.rewards import ORM, orms
from swift.rl_core.data import GRPOSample
from swift.rlhf_trainers.grpo_trainer import GRPOTrainer
from swift.trainers.trainer_factory import TrainerFactory
from swift.utils import get_logger

from dfgen.errors import ConfigError, InputError
from dfgen.trainers.carrying import carry_divisors, choose_divisor
from dfgen.trainers.checks import find_picture_ids
from dfgen.trainers.examples import make_examples
from dfgen.trainers.privileged import check_joined, read_contexts
from dfgen.trainers.recipe import Recipe
from dfgen.trainers.settings import Settings, read_settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = get_logger()

NAME = "dfgen"
"""Of the data set and of the reward function."""

OBJECTIVES = ("dapo", "cispo", "dr_grpo", "bnpo", "grpo", "sapo")
OWN = "token_advantages"
"""The column by which a row of ours is known."""

IDS = "response_token_ids"
"""The column of an answer's tokens, by ms-swift's name."""

SCANNED = 1_000
"""Rows that are looked through together."""

LARGE_GAP = 0.1
"""Nats by which stored and computed log-probs may differ on average before the first update."""

_PICTURES = [{"bytes": Value("binary"), "path": Value("string")}]
_FEATURES = Features(
    {
        "messages": [{"role": Value("string"), "content": Value("string")}],
        "images": _PICTURES,
        "prompt_id": Value("string"),
        "trajectory_id": Value("string"),
        "kind": Value("string"),
        IDS: [[Value("int32")]],
        OWN: [Value("float32")],
        "token_mask": [Value("bool")],
        "token_logprobs": [Value("float32")],
        "loss": Value("string"),
        "divisor": Value("int32"),
        "stored_reward": Value("float32"),
        "finish_reason": Value("string"),
        "teacher_prompt": Value("string"),
        "teacher_images": _PICTURES,
    }
)


def register() -> None:
    """Make the data set, the reward function and the trainer known to ms-swift."""
    register_dataset(
        DatasetMeta(dataset_name=NAME, ms_dataset_id=NAME, hf_dataset_id=NAME, loader=StoredRows),
        exist_ok=True,
    )
    orms[NAME] = StoredReward
    TrainerFactory.TRAINER_MAPPING["grpo"] = f"{__name__}.ReplayTrainer"


class StoredReward(ORM):  # type: ignore[misc]
    """Gives the reward as graded, for ms-swift's log; the gradient does not depend on it."""

    def __call__(self, *_: Any, **columns: Any) -> list[float | None]:
        """Return the column `stored_reward`; None, which ms-swift leaves out, of rows without."""
        return list(columns.get("stored_reward", [None] * len(columns["messages"])))


class StoredRows(DatasetLoader):  # type: ignore[misc]
    """Loads the data set `dfgen`: one row per example, on disk, whatever its size."""

    def load(self, *_: Any, **__: Any) -> Dataset:
        """Return the rows of `DFGEN_DATA` by `DFGEN_RECIPE`.

        Raises:
            ConfigError: no such recipe, or streaming was asked for.
            InputError: no such data.
        """
        if self.streaming:
            raise ConfigError(
                "stored answers cannot be streamed, because whole groups are shuffled.",
                hint="Leave --streaming out; the rows lie on disk, not in memory.",
            )
        settings = read_settings()
        examples = make_examples(settings.data, settings.recipe, temperature=settings.temperature)
        # The rows' name in the cache of `datasets` is made of these, so that other data are others.
        # As one text: of a list `datasets` would make rows once per entry.
        made_of = {"settings": settings, "made": repr((examples.origin, list_files(settings)))}
        rows = Dataset.from_generator(make_rows, features=_FEATURES, gen_kwargs=made_of)
        check_logprobs(rows)
        if settings.privileged:
            contexts = read_contexts(settings.privileged)
            check_joined(contexts, rows["trajectory_id"], settings.privileged)
        return rows


def list_files(settings: Settings) -> list[tuple[str, int, int]]:
    """List name, size and time of every local file that rows are made of."""
    paths = [Path(text).expanduser() for text in (settings.data, settings.privileged) if text]
    files = [path for each in paths for path in (each, *sorted(each.rglob("*"))) if path.is_file()]
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]


def make_rows(settings: Settings, made: str) -> Iterator[dict[str, Any]]:  # noqa: ARG001
    """Make rows for ms-swift of all examples, those of a group side by side.

    The names `messages`, `images`, `response_token_ids`, `finish_reason`, `teacher_prompt` and
    `teacher_images` are ms-swift's own (`OnPolicySample`).
    """
    contexts = read_contexts(settings.privileged) if settings.privileged else {}
    groups = make_examples(
        settings.data, settings.recipe, temperature=settings.temperature, keep_zero=True, say=None
    ).iter_groups()
    for example, divisor, _ in chain.from_iterable(map(carry_divisors, groups)):
        question = example.messages[-1]["content"]
        context = contexts.get(example.trajectory_id, {})
        yield {
            "messages": [*example.messages, {"role": "assistant", "content": example.text}],
            "images": example.images,
            "prompt_id": example.prompt_id,
            "trajectory_id": example.trajectory_id,
            "kind": example.kind,
            IDS: [example.ids],
            OWN: example.advantages,
            "token_mask": example.loss_mask,
            "token_logprobs": example.old_logprobs,
            "loss": example.loss,
            "divisor": divisor,
            "stored_reward": example.reward,
            "finish_reason": example.finish_reason,
            # A teacher without a context of its own is the student: its factor is 1.
            "teacher_prompt": context.get("teacher_prompt", question if contexts else None),
            "teacher_images": context.get("teacher_images"),
        }


def check_logprobs(rows: Dataset) -> None:
    """Refuse rows whose ratio would have no denominator. Raises `InputError`."""
    table = rows.data
    ratio = pc.equal(table["loss"], "ratio")
    missing = pc.and_(ratio, pc.is_null(table["token_logprobs"]))
    count = pc.sum(missing).as_py() or 0
    if count:
        kinds = sorted(pc.unique(pc.filter(table["kind"], missing)).to_pylist())
        raise InputError(
            f"{count:,} of {len(rows):,} rows have no log-probs to take a ratio to "
            f"({', '.join(kinds)}).",
            hint="dfgen score RUN computes them; export again afterwards. Or train repairs by "
            "likelihood: positive_loss=likelihood in the recipe.",
        )


class ReplayTrainer(GRPOTrainer):  # type: ignore[misc]
    """ms-swift's `GRPOTrainer` on stored answers. Rows of other data sets are left to it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Refuse settings under which the gradient would not be what the recipe says.

        Raises:
            ConfigError: such a setting, with the way out.
            InputError: the data belong to another tokenizer or temperature.
        """
        settings = read_settings()
        teacher = bool(settings.privileged or named.get("teacher_model"))
        check_arguments(named["args"], settings.recipe, teacher)
        make_examples(
            settings.data,
            settings.recipe,
            tokenizer=named["template"].tokenizer,
            temperature=named["args"].temperature,
            say=None,
        )
        ids = {*find_picture_ids(named["template"].processor), *find_picture_ids(named["model"])}
        named["train_dataset"] = leave_out_placeholders(named["train_dataset"], ids)
        super().__init__(*arguments, **named)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        table = train_dataset or self.train_dataset
        if OWN not in table.column_names:
            return super()._get_train_sampler(train_dataset)
        return GroupSampler(
            list(table["prompt_id"]),
            batch=self.args.generation_batch_size,
            repeats=self.num_iterations * self.args.steps_per_generation,
            seed=self.args.seed,
            shuffle=self.shuffle_dataset,
        )

    def _generate_completions(self, samples: list[GRPOSample]) -> list[GRPOSample]:
        return samples if is_stored(samples) else super()._generate_completions(samples)

    def _compute_advantages(self, samples: list[GRPOSample], *others: Any) -> Any:
        if not is_stored(samples):
            return super()._compute_advantages(samples, *others)
        signs = [float(np.sign(np.sum(sample.extra[OWN]))) for sample in samples]
        return gather(torch.tensor(signs, device=self.accelerator.device))

    def _postprocess_batch(self, samples: list[GRPOSample], batches: list[dict[str, Any]]) -> None:
        super()._postprocess_batch(samples, batches)
        if not is_stored(samples):
            return
        device = self.accelerator.device
        counts = [
            (float(sample.extra["divisor"]), float(np.count_nonzero(sample.extra[OWN])))
            for sample in samples
        ]
        sampled, trained = gather(torch.tensor(counts, device=device)).view(-1, 2).sum(0).tolist()
        total = torch.tensor(float(choose_divisor(sampled, trained)), device=device)
        gaps = []
        for rows, batch in zip(self.split_by_mini_batches(samples), batches, strict=True):
            batch["grpo_batch"].num_items_in_batch = total
            gaps += put_tokens(batch["grpo_batch"], [row.extra for row in rows])
        gap = float(np.concatenate(gaps).mean()) if gaps else 0.0
        mode = "train" if self.model.training else "eval"
        self._metrics[mode]["stored/logprob_gap"].append(gap)
        if self._step == 0 and gap > LARGE_GAP:
            logger.warning(
                f"Stored log-probs differ from this model's by {gap:.2f} nats on average before "
                "the first update. Is it the model that sampled, with its chat template?"
            )


def leave_out_placeholders(rows: Dataset, ids: Collection[int]) -> Dataset:
    """Leave out stored answers with a token that stands for a picture, and say how many.

    A model that is asked about one looks for a picture in its place. Other data are left as they
    are.

    Args:
        rows: of `make_rows`, or of another data set.
        ids: of such tokens.
    """
    if OWN not in rows.column_names or not ids:
        return rows
    wanted, bad = pa.array(sorted(ids), pa.int32()), np.zeros(len(rows), bool)
    for start, part in enumerate(rows.with_format("arrow").select_columns(IDS).iter(SCANNED)):
        answers = pc.list_flatten(part[IDS])  # one in each row
        hits = pc.is_in(pc.list_flatten(answers), wanted)
        bad[start * SCANNED + pc.list_parent_indices(answers).filter(hits).to_numpy()] = True
    if not bad.any():
        return rows
    logger.warning(
        f"{bad.sum():,} stored answers hold a picture's placeholder, which a model "
        "cannot be asked about; they are left out."
    )
    return rows.select(np.flatnonzero(~bad))


def is_stored(samples: list[GRPOSample]) -> bool:
    """Say whether rows carry stored answers. Raises `InputError` where only some do."""
    stored = [sample.extra.get(OWN) is not None for sample in samples]
    if any(stored) and not all(stored):
        raise InputError(
            "a batch holds stored answers and prompts without one.",
            hint="Train on --dataset dfgen alone; other rows belong to --val_dataset.",
        )
    return all(stored)


def put_tokens(batch: Any, rows: list[dict[str, Any]]) -> list[NDArray[np.float32]]:
    """Put advantages, mask and stored log-probs of B rows where their tokens are in a batch.

    Args:
        batch: ms-swift's `GRPOBatch`; `advantages[B, F]` holds the sign of each row, times what
            ms-swift made of it, `completion_mask[B, F]` is true at all tokens of the completions.
        rows: the columns of `make_rows`, in the same order.

    Returns:
        How far stored log-probs are from ms-swift's own, one array per row with a ratio.

    Raises:
        InputError: ms-swift's template made other tokens of a completion.
    """
    mask = torch.zeros_like(batch.completion_mask)
    sizes = torch.zeros_like(batch.advantages)
    gaps = []
    for index, row in enumerate(rows):
        places = batch.completion_mask[index].nonzero()[:, 0]
        if len(places) != len(row[OWN]):
            raise InputError(
                f"ms-swift's template makes {len(places)} tokens of the {len(row[OWN])} tokens of "
                f"the answer {row['trajectory_id']}.",
                hint="Does it hold a picture's placeholder? Is --max_length long enough?",
            )
        mask[index, places] = torch.tensor(row["token_mask"], device=mask.device)
        sizes[index, places] = torch.tensor(row[OWN], device=mask.device).abs()
        # ms-swift's own log-probs, of the present weights, make the ratio of a likelihood row 1.
        if row["loss"] == "ratio":
            stored = torch.tensor(row["token_logprobs"], device=mask.device)
            own = batch.old_per_token_logps[index, places]
            gaps.append((own - stored).abs().float().cpu().numpy())
            batch.old_per_token_logps[index, places] = stored
    batch.completion_mask = mask
    batch.advantages = batch.advantages * sizes
    return gaps


class GroupSampler(torch.utils.data.Sampler[int]):
    """Goes through whole groups in a new order each epoch; what does not fill a batch waits.

    A repair follows the answers of its group, so that a batch has a divisor of its own. Each batch
    comes `repeats` times in a row, as ms-swift's buffer of generations wants it.
    """

    def __init__(
        self, prompt_ids: list[str], *, batch: int, repeats: int, seed: int, shuffle: bool
    ) -> None:
        """Sort rows into groups. Raises `InputError` if they do not fill one batch."""
        if len(prompt_ids) < batch:
            raise InputError(
                f"{len(prompt_ids)} examples do not fill one batch of {batch}.",
                hint="Lower --per_device_train_batch_size or --steps_per_generation.",
            )
        groups: dict[str, list[int]] = {}
        for row, prompt in enumerate(prompt_ids):
            groups.setdefault(prompt, []).append(row)
        self.groups = list(groups.values())
        self.rows, self.batch, self.repeats = len(prompt_ids), batch, repeats
        self.random = np.random.default_rng(seed) if shuffle else None

    def __len__(self) -> int:
        """Rows of one epoch, with their repeats."""
        return self.rows // self.batch * self.batch * self.repeats

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers of rows."""
        count = len(self.groups)
        order = np.arange(count) if self.random is None else self.random.permutation(count)
        rows = [row for group in order for row in self.groups[group]]
        for start in range(0, len(rows) - self.batch + 1, self.batch):
            for _ in range(self.repeats):
                yield from rows[start : start + self.batch]


def check_arguments(arguments: Any, recipe: Recipe, teacher: bool) -> None:
    """Refuse arguments of ms-swift (its `GRPOConfig`) that would change what a recipe means.

    Raises:
        ConfigError: the first of them, with the way out.
    """
    reused = arguments.num_iterations > 1 or (
        arguments.steps_per_generation > arguments.gradient_accumulation_steps
    )
    likely = (recipe.positives != "none" and recipe.positive_loss == "likelihood") or (
        recipe.right != "drop" and recipe.right_loss == "likelihood"
    )
    sequence = arguments.importance_sampling_level == "sequence"
    tests = (
        (arguments.use_vllm, "--use_vllm true would add a second ratio", "--use_vllm false"),
        (
            arguments.use_liger_kernel,
            "--use_liger_kernel takes one advantage per answer",
            "--use_liger_kernel false",
        ),
        (
            arguments.dynamic_sample,
            "--dynamic_sample would drop groups by their reward",
            "--dynamic_sample false",
        ),
        (
            arguments.loss_type not in OBJECTIVES,
            f"--loss_type {arguments.loss_type} takes one advantage per answer",
            f"--loss_type {' | '.join(OBJECTIVES)}",
        ),
        (
            sequence and (recipe.mask_mode == "advantage" or recipe.weights),
            "a ratio per sequence leaks out of a mask on advantages",
            "--importance_sampling_level sequence_token, or mask_mode=loss weights=false in "
            "DFGEN_RECIPE",
        ),
        (
            likely and reused,
            "likelihood is a ratio of 1 here, that is one update per batch",
            "--num_iterations 1 and --steps_per_generation as --gradient_accumulation_steps; or "
            "positive_loss=ratio in DFGEN_RECIPE; or whole repairs by --chord_sft_dataset",
        ),
        (
            likely and arguments.loss_type not in ("dapo", "cispo"),
            f"likelihood is divided by the batch's sampled tokens, which --loss_type "
            f"{arguments.loss_type} does not do",
            "--loss_type dapo or cispo; or positive_loss=ratio in DFGEN_RECIPE",
        ),
        (
            teacher and arguments.advantage_reweight != "rlsd" and not arguments.sdar_loss_coef,
            "a teacher's log-probs would be added to the sign of an advantage",
            "--advantage_reweight rlsd, or --sdar_loss_coef",
        ),
    )
    for applies, reason, way in tests:
        if applies:
            raise ConfigError(f"{reason}.", where="ms-swift", hint=f"Give {way}.")
