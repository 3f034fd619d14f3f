"""Refuses settings of TRL under which stored rows would be trained on otherwise than meant."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from dfgen.errors import ConfigError, InputError
from dfgen.trainers.checks import find_picture_ids, hash_tokenizer
from dfgen.trainers.denominators import LOSSES, explain_divisor
from dfgen.trainers.trl_sampler import Layout

if TYPE_CHECKING:
    import datasets

    from dfgen.trainers.examples import Examples

FORMAT = "dfgen.trainers.trl/1"
WHERE = "GRPOConfig"


def write_note(rows: datasets.Dataset, examples: Examples) -> None:
    """Note in the rows what a trainer must know of them all; select and shuffle keep it."""
    rows.info.description = json.dumps(
        {
            "format": FORMAT,
            "recipe": examples.recipe.describe(),
            "tokenizer": examples.tokenizer_sha256,
            "temperature": examples.temperature,
        }
    )


def read_note(rows: Any) -> dict[str, Any]:
    """Read what `write_note` wrote. Raises `ConfigError` where the rows are none of `load_rows`."""
    try:
        note = json.loads(rows.info.description)
        if note["format"] == FORMAT:
            return note  # type: ignore[no-any-return]
    except (AttributeError, TypeError, ValueError, KeyError):
        pass
    raise ConfigError(
        "train_dataset is not what load_rows returned.",
        where="DiffGRPOTrainer",
        hint='rows = load_rows("DIR", "df+whole", tokenizer=processor)',
    )


def read_version() -> tuple[int, ...]:
    """Read major and minor version of TRL."""
    import trl

    return tuple(int(part) for part in trl.__version__.split(".")[:2])


def check_tokenizer(note: dict[str, Any], tokenizer: Any) -> None:
    """Refuse a model whose tokenizer is not that of the rows; rows without a hash pass.

    Raises:
        InputError: it is another.
    """
    if note["tokenizer"] not in (None, hash_tokenizer(tokenizer)):
        raise InputError(
            "the token ids of train_dataset belong to another tokenizer than the model's.",
            where="DiffGRPOTrainer",
            hint="dfgen retokenize RUN --tokenizer MODEL --out DIR, then export again.",
        )


def check_processor(rows: datasets.Dataset, processor: Any) -> None:
    """Refuse a tokenizer alone where rows have pictures: TRL would feed none.

    Raises:
        ConfigError: it reads no pictures.
    """
    if processor is None or hasattr(processor, "image_processor"):
        return
    if rows.select(range(1))[0].get("images"):
        raise ConfigError(
            "the rows have pictures, and processing_class reads none.",
            where="DiffGRPOTrainer",
            hint="Give the whole processor: AutoProcessor.from_pretrained(MODEL).",
        )


def check_placeholders(rows: datasets.Dataset, processor: Any) -> None:
    """Refuse completions with an id that stands for a picture; the model would look for one there.

    Raises:
        InputError: rows were loaded without the processor, by which they are left out.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = find_picture_ids(processor)
    if (
        ids
        and pc.any(pc.is_in(pc.list_flatten(rows.data["ids"]), pa.array(ids, pa.int32()))).as_py()
    ):
        raise InputError(
            "a stored answer holds a token that stands for a picture.",
            where="DiffGRPOTrainer",
            hint="load_rows(..., tokenizer=processor) leaves such answers out.",
        )


def check_arguments(args: Any, note: dict[str, Any], others: dict[str, Any]) -> None:
    """Refuse settings that would train on something else than the masks say.

    Args:
        args: the GRPOConfig.
        note: of the rows.
        others: further arguments of the trainer.

    Raises:
        ConfigError: the first such setting, and what to set instead.
    """
    import trl

    version = read_version()
    if version < (1, 0) or (version == (1, 15) and not torch.cuda.is_available()):
        why = "needs a GPU for its log-probs" if version == (1, 15) else "is too old"
        raise ConfigError(f"TRL {trl.__version__} {why}.", hint="pip install 'trl>=1.0,!=1.15.*'")
    for name in ("rollout_func", "tools", "environment_factory"):
        if others.get(name):
            raise ConfigError(
                f"{name} cannot be used with stored rows, which take its place.",
                where="DiffGRPOTrainer",
            )
    if args.use_vllm:
        raise _refuse(
            "use_vllm=True would multiply the loss of stored rows by a second ratio, that of "
            "log-probs from vLLM",
            "Leave it off; sample with `dfgen run`, which uses vLLM, and train on what it stored.",
        )
    if args.temperature != note["temperature"]:
        raise _refuse(
            f"temperature is {args.temperature}, and the rows were loaded for "
            f"{note['temperature']}; log-probs differ by nats between temperatures",
            f"load_rows(..., temperature={args.temperature}), or set {note['temperature']} here.",
        )
    if args.mask_truncated_completions:
        raise _refuse(
            "mask_truncated_completions would hide stored rows without an end token from the model",
            "Leave it off; rows keep the masks that they were loaded with.",
        )
    if args.remove_unused_columns:
        raise _refuse("remove_unused_columns would remove the stored answers", "Leave it off.")
    if args.use_liger_kernel and hasattr(trl.GRPOTrainer, "compute_liger_loss"):
        raise _refuse("Liger's fused loss takes no advantage per token", "use_liger_kernel=False.")
    if args.loss_type == "luspo" and version < (1, 10):
        raise _refuse(
            f"luspo of TRL {trl.__version__} averages over padding where advantages are per token",
            "pip install 'trl>=1.10,!=1.15.*', or another loss_type.",
        )
    recipe = note["recipe"]
    if (
        args.importance_sampling_level == "sequence"
        and recipe["mask_mode"] == "advantage"
        and recipe["failed"] == "mask"
    ):
        raise _refuse(
            "a ratio of whole sequences leaks gradient into tokens outside of the mask in the mask "
            "mode 'advantage'",
            'recipe=find_recipe("df+whole").change(mask_mode="loss"), or '
            'importance_sampling_level="token".',
        )


def describe_divisor(args: Any, note: dict[str, Any]) -> str:
    """Say what the loss divides by, and what repairs are divided by."""
    whole, mode = args.importance_sampling_level == "sequence", note["recipe"]["mask_mode"]
    loss = "gspo" if whole and args.loss_type == "grpo" else args.loss_type
    known = loss in LOSSES and not (LOSSES[loss].sequence and mode == "advantage")
    lines = [explain_divisor(loss, mode)] if known else []
    if "likelihood" in (note["recipe"]["positive_loss"], note["recipe"]["right_loss"]):
        lines.append("Likelihood: factor times log-prob, over the sampled tokens of the step.")
    return "\n".join(lines)


def check_batches(
    args: Any, rows: int, fresh_share: float, graded: bool, eval_dataset: Any
) -> Layout:
    """Find how batches are filled.

    Args:
        args: the GRPOConfig.
        rows: stored rows.
        fresh_share: of each batch, at least 0 and below 1.
        graded: there are reward functions.
        eval_dataset: what is generated for and graded, if anything.

    Raises:
        ConfigError: batches that cannot be filled so, or nothing to grade with.
    """
    local = args.per_device_train_batch_size * args.steps_per_generation
    generations, processes = args.num_generations, args.world_size
    groups = round(fresh_share * local / generations)
    layout = Layout(processes, local, groups * generations, generations)
    if not 0 <= fresh_share < 1:
        raise ConfigError(
            f"fresh_share is {fresh_share}; it must be at least 0 and below 1.",
            where="DiffGRPOTrainer",
            hint="Without stored answers, use TRL's own GRPOTrainer.",
        )
    if fresh_share and (local % generations or not groups or layout.fresh == local):
        raise ConfigError(
            f"a share of {fresh_share} fresh answers, in groups of num_generations={generations}, "
            f"does not go into the {local} rows that a process has in a batch.",
            where="DiffGRPOTrainer",
            hint="per_device_train_batch_size * steps_per_generation must be a multiple of "
            f"num_generations, and the share at least one group: {generations / local:g} or more.",
        )
    if (fresh_share or eval_dataset is not None) and not graded:
        raise ConfigError(
            "fresh answers and evaluation are generated, and nothing is there to grade them.",
            where="DiffGRPOTrainer",
            hint="Give reward_funcs; they get the columns answer, solution and metadata.",
        )
    if rows < layout.stored:
        raise ConfigError(
            f"a batch takes {layout.stored} stored rows, and there are {rows}.",
            where=WHERE,
            hint="Lower per_device_train_batch_size or gradient_accumulation_steps.",
        )
    return layout


def _refuse(what: str, hint: str) -> ConfigError:
    return ConfigError(f"{what}.", where=WHERE, hint=hint)
