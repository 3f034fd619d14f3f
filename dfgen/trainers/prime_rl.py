"""Assigns stored advantages to prime-rl's traces, or makes its training samples outright.

prime-rl sums three losses, each over its own tokens: `rl` (ratio, with a KL term on each of its
tokens), `ce` (likelihood) and `ref_kl`. Answers feed the first and repairs by likelihood the
second, weighted by c. Mask mode is `loss`: prime-rl drops tokens without an advantage from its
normaliser, and its KL term acts on all that are left. Written by the sources of prime-rl at commit
559b447; not run against it, as it has no package and needs CUDA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dfgen.errors import ConfigError, InputError
from dfgen.trainers.prompting import check_ids, encode_prompt
from dfgen.trainers.rows import check_old_logprobs

if TYPE_CHECKING:
    from dfgen.trainers.example import Example
    from dfgen.trainers.examples import Examples


def check_examples(examples: Examples, processor: Any) -> None:
    """Refuse mask mode `advantage`, and ids of another tokenizer.

    Raises:
        ConfigError: of the first.
        InputError: of the second.
    """
    if examples.recipe.mask_mode != "loss":
        raise ConfigError(
            "prime-rl's KL term would move tokens outside of the mask.",
            where=f"recipe {examples.recipe.name}",
            hint="Use recipe.change(mask_mode='loss').",
        )
    check_ids(examples.tokenizer_sha256, processor)


def assign_advantages(trace: Any, example: Example) -> None:
    """Annotate a trace's sampled tokens, as prime-rl's algorithms do in `score_group`.

    Args:
        trace: a `verifiers` trace that replays this example: one sampled node with its ids.
        example: by a recipe with mask mode `loss`.

    Raises:
        InputError: the trace holds other tokens.
    """
    nodes = [node for node in trace.nodes if any(node.mask)]
    ids = [i for node in nodes for i, kept in zip(node.token_ids, node.mask, strict=True) if kept]
    if len(nodes) != 1 or ids != example.ids.tolist():
        raise InputError(
            "the trace's sampled tokens are not those of the stored answer.",
            where=f"trajectory {example.trajectory_id}",
        )
    (node,) = nodes
    masked = (example.advantages * example.loss_mask).tolist()
    before = [0.0] * node.mask.index(True)
    if example.loss == "likelihood":
        # Without an advantage a token leaves `rl` (orchestrator.train.filter_zero_advantages).
        node.advantages = [0.0] * len(masked)
        node.loss_weights = {"ce": before + masked}
    else:
        node.advantages = masked
        node.loss_weights = {"rl": before + example.loss_mask.astype(float).tolist()}


def make_sample(
    example: Example,
    processor: Any,
    *,
    temperature: float = 1.0,
    env_name: str = "dfgen",
    token_types: dict[int, int] | None = None,
) -> dict[str, Any]:
    """Return the fields of a prime-rl `TrainingSample`; all lists have prompt and answer's length.

    Args:
        example: by a recipe with mask mode `loss`.
        processor: of the model to be trained.
        temperature: that `make_examples` was given.
        env_name: under which prime-rl reports.
        token_types: 1 for the ids of picture tokens (Qwen-VL: `{151655: 1}`).

    Raises:
        InputError: its loss is a ratio, and it has no old log-probs.
    """
    check_old_logprobs(example)
    prompt, inputs = encode_prompt(example.prompt, example.images, processor)
    before, total = [0.0] * len(prompt), len(prompt) + len(example.ids)
    ids = [*prompt, *example.ids.tolist()]
    likelihood = example.loss == "likelihood"
    advantages = before + (example.advantages * example.loss_mask).tolist()
    # In tokens that no ratio is taken of, old log-probs are read by nothing.
    old = [0.0] * len(example.ids) if likelihood else example.old_logprobs.tolist()  # type: ignore[union-attr]
    return {
        "token_ids": ids,
        "mask": [False] * len(prompt) + example.loss_mask.tolist(),
        "logprobs": before + old,
        "temperatures": [temperature] * total,
        "env_name": env_name,
        "mm_kwargs": {name: encode_tensor(value) for name, value in inputs.items()} or None,
        "mm_token_type_ids": [(token_types or {}).get(i, 0) for i in ids] if inputs else None,
        "rl_weights": [0.0] * total if likelihood else None,
        "ce_weights": advantages if likelihood else None,
        "advantages": [0.0] * total if likelihood else advantages,
    }


def wrap_sample(fields: dict[str, Any]) -> Any:
    """Return what `make_sample` made as prime-rl's own `TrainingSample`."""
    from prime_rl.transports.rollouts.types import EncodedTensor, TrainingSample

    pictures = fields["mm_kwargs"]
    if pictures is not None:
        pictures = {name: EncodedTensor(**value) for name, value in pictures.items()}
    return TrainingSample(**fields | {"mm_kwargs": pictures})


def encode_tensor(tensor: Any) -> dict[str, Any]:
    """Return the fields of a prime-rl `EncodedTensor`."""
    array = tensor.numpy()
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": array.tobytes()}
