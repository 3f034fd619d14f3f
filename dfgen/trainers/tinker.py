"""Makes datums of Tinker (0.38; SkyRL-tx serves the same interface) of examples.

    build = PromptBuilder(processor)         # or any function from an example to a ModelInput
    for examples in batches:                 # of make_examples(..., keep_zero=True)
        batch = make_batch(examples, build)
        if batch.ratio:
            client.forward_backward(batch.ratio, "importance_sampling")
        if batch.likelihood:
            client.forward_backward(batch.likelihood, "cross_entropy")
        client.optim_step(tinker.AdamParams(learning_rate=1e-5))

Tinker's losses are sums over tokens, so each advantage and weight is divided here by the tokens
that count in the batch. Position i of a datum predicts token i + 1: targets are the sequence
without its first token, inputs without its last. A token with advantage 0 has no gradient.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dfgen.errors import ConfigError, InputError
from dfgen.trainers.pictures import find_format, open_picture

if TYPE_CHECKING:
    from dfgen.trainers.example import Example

PICTURE_TARGET = 0
"""Target at the positions of a picture, as tinker-cookbook writes it; nothing is trained there."""

_FORMATS = ("png", "jpeg")


@dataclass(frozen=True)
class Batch:
    """Datums of one optimizer step, by loss function.

    Attributes:
        ratio: for `importance_sampling` (or `ppo`, `cispo`).
        likelihood: for `cross_entropy`; their weights are the factors of the repairs.
        tokens: that advantages and weights were divided by.
    """

    ratio: list[Any]
    likelihood: list[Any]
    tokens: int


def make_batch(
    examples: Iterable[Example],
    build_prompt: Callable[[Example], Any],
    *,
    tokens: int | None = None,
) -> Batch:
    """Make the datums of one optimizer step.

    Args:
        examples: such as `make_examples(..., keep_zero=True)` gives; those without a trained token
            are left out, and still count in the divisor.
        build_prompt: makes the `tinker.ModelInput` of an example's prompt.
        tokens: to divide by; None: the divisors of the examples together.

    Raises:
        ConfigError: something is trained and no sampled answer is among the examples, so there is
            nothing to divide by.
        InputError: the loss of an example is a ratio, and nobody knows its log-probs.
    """
    chosen = list(examples)
    trained = [example for example in chosen if (example.advantages * example.loss_mask).any()]
    if tokens is None:
        tokens = sum(example.divisor for example in chosen)
    if trained and tokens <= 0:
        raise ConfigError(
            "no token of these examples counts in the divisor: all are repairs.",
            hint="Where all answers of a prompt are wrong, make_examples(..., keep_zero=True) "
            "gives them beside their repairs. Or give tokens=...",
        )
    batch = Batch([], [], tokens)
    for example in trained:
        datums = batch.ratio if example.loss == "ratio" else batch.likelihood
        datums.append(make_datum(example, build_prompt(example), 1 / tokens))
    return batch


def make_datum(example: Example, prompt: Any, scale: float = 1.0) -> Any:
    """Make the datum of one example.

    Args:
        example: T tokens.
        prompt: `tinker.ModelInput` of P tokens, pictures with their expected tokens included.
        scale: by which advantages or weights are multiplied.

    Returns:
        `tinker.Datum` of P + T - 1 positions. Of a ratio: `target_tokens`, `logprobs`,
        `advantages`; of likelihood: `target_tokens`, `weights`. 0 over the prompt.

    Raises:
        InputError: the loss is a ratio, and nobody knows the log-probs.
    """
    import tinker

    tokens = example.ids.tolist()
    chunks = [*prompt.chunks, tinker.EncodedTextChunk(tokens=tokens[:-1])]
    context = [token for chunk in prompt.chunks for token in _list_targets(chunk)]
    trained = example.advantages * example.loss_mask * np.float32(scale)
    inputs = {"target_tokens": np.array([*context, *tokens][1:], np.int64)}
    if example.loss == "likelihood":
        inputs["weights"] = _shift(trained, len(context))
    else:
        old = example.old_logprobs
        if old is None:
            raise InputError(
                f"nobody knows the log-probs of {example.trajectory_id} ({example.kind}), and its "
                "loss needs a ratio.",
                hint="dfgen score RUN, or a recipe whose loss is likelihood.",
            )
        inputs["logprobs"] = _shift(old, len(context))
        inputs["advantages"] = _shift(trained, len(context))
    kept = [chunk for chunk in chunks if chunk.length]
    return tinker.Datum(model_input=tinker.ModelInput(chunks=kept), loss_fn_inputs=inputs)


def chunk_prompt(
    prompt_ids: Sequence[int], images: Sequence[Mapping[str, Any]], image_token: int
) -> Any:
    """Put pictures in the place of their placeholders.

    Args:
        prompt_ids: of the whole prompt as the model's processor gives them: as many placeholders
            per picture as it has tokens.
        images: the pictures in order, `{"bytes", "path"}`.
        image_token: id of the placeholder.

    Returns:
        `tinker.ModelInput`: text between pictures; each picture expects as many tokens as it had
        placeholders in a row.

    Raises:
        InputError: there are more or fewer runs of placeholders than pictures.
    """
    import tinker

    ids = np.asarray(prompt_ids, np.int64)
    edges = np.flatnonzero(np.diff(ids == image_token)) + 1
    runs = [run.tolist() for run in np.split(ids, edges) if len(run)]
    found = sum(run[0] == image_token for run in runs)
    if found != len(images):
        raise InputError(
            f"the prompt has {found} runs of placeholders for {len(images)} pictures.",
            hint="Encode it with the processor of the model, pictures included; pictures side by "
            "side need a token between them.",
        )
    pictures = iter(images)
    chunks: list[Any] = []
    for run in runs:
        if run[0] == image_token:
            data, name = prepare_picture(next(pictures)["bytes"])
            chunks.append(tinker.types.ImageChunk(data=data, format=name, expected_tokens=len(run)))
        else:
            chunks.append(tinker.EncodedTextChunk(tokens=run))
    return tinker.ModelInput(chunks=chunks)


def prepare_picture(data: bytes) -> tuple[bytes, str]:
    """Return a picture and its format as Tinker takes it: PNG and JPEG as they are, others as PNG.

    Raises:
        InputError: it is no picture.
    """
    name = find_format(data)
    if name in _FORMATS:
        return data, name
    sink = io.BytesIO()
    open_picture({"bytes": data}).save(sink, "PNG")
    return sink.getvalue(), "png"


class PromptBuilder:
    """Builds the prompt of an example with the model's own `transformers` processor.

    Args:
        processor: with a chat template; its tokenizer must be that of the ids.
        image_token: id of the placeholder; None: the processor's `image_token_id`, or its
            `image_token`.

    Attributes:
        image_token: id of the placeholder.
    """

    def __init__(self, processor: Any, image_token: int | None = None) -> None:
        self._processor = processor
        self.image_token = _find_image_token(processor) if image_token is None else image_token

    def __call__(self, example: Example) -> Any:
        """Return the `tinker.ModelInput` of an example's prompt. Raises `InputError`."""
        return chunk_prompt(self.encode(example), example.images, self.image_token)

    def encode(self, example: Example) -> list[int]:
        """Return the ids of the prompt, placeholders of pictures included."""
        text = self._processor.apply_chat_template(
            example.prompt, tokenize=False, add_generation_prompt=True
        )
        pictures = list(map(open_picture, example.images))
        encoded = self._processor(text=text, images=pictures or None, add_special_tokens=False)
        ids = encoded["input_ids"]
        return list(ids[0] if len(ids) and not isinstance(ids[0], int) else ids)


def _find_image_token(processor: Any) -> int:
    found = getattr(processor, "image_token_id", None)
    if found is None and getattr(processor, "image_token", None):
        found = processor.tokenizer.convert_tokens_to_ids(processor.image_token)
    if not isinstance(found, int):
        raise InputError(
            f"{type(processor).__name__} does not say which token stands for a picture.",
            hint="Give image_token=...",
        )
    return found


def _list_targets(chunk: Any) -> Sequence[int]:
    if chunk.type == "encoded_text":
        return chunk.tokens  # type: ignore[no-any-return]
    return [PICTURE_TARGET] * chunk.length


def _shift(values: Any, prompt: int) -> Any:
    """Float32[P + T - 1]: zeros over the prompt, then the values of the T tokens."""
    return np.concatenate((np.zeros(prompt, np.float32), values.astype(np.float32)))[1:]
