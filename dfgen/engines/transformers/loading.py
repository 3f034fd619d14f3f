"""Loads a model with its weights, or says in one paragraph why it cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from dfgen.config.engine import TransformersConfig
from dfgen.engines.processor.loading import (
    ModelProcessor,
    explain_loading,
    load_processor,
    quiet_loading,
    read_first_line,
)
from dfgen.engines.processor.location import check_location
from dfgen.errors import EngineError

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to generate.

    Attributes:
        parts: its processor and tokenizer.
        model: in evaluation mode, on its device, without sampling defaults of its own.
        eos_ids: every id that ends a completion; may be empty.
        length_limit: prompt plus completion in tokens, as the model's config says; None if it
            does not.
    """

    parts: ModelProcessor
    model: Any
    eos_ids: frozenset[int]
    length_limit: int | None


def load_model(config: TransformersConfig) -> LoadedModel:
    """Load the model that a section names.

    Raises:
        EngineError: not a model, no processor or tokenizer, weights that do not fit the
            architecture, unknown device, CUDA not available, out of memory.
    """
    # A name that is no model is said before a device that is none.
    directory = check_location(config.model)
    device = choose_device(config.device)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    parts = load_processor(config)
    # Prompts of one batch must end at the same position, where the completions begin.
    parts.tokenizer.padding_side = "left"
    model = _load_weights(config, directory, device)
    eos_ids = _find_eos(model, parts.tokenizer)
    _clear_generation_defaults(model, parts.tokenizer, eos_ids)
    return LoadedModel(
        parts=parts,
        model=model,
        eos_ids=frozenset(eos_ids),
        length_limit=getattr(model.config.get_text_config(), "max_position_embeddings", None),
    )


def choose_device(name: str) -> torch.device:
    """Turn `cpu`, `cuda`, `cuda:1` or `auto` into a device that exists here.

    Raises:
        EngineError: no such kind of device, CUDA is not available, or no GPU of that number.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise EngineError(
            f"there is no device {name!r}.", hint="Use cpu, cuda, cuda:1 (a number), or auto."
        ) from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise EngineError(
                f"device {name!r} was asked for, but CUDA is not available to this torch "
                f"({torch.__version__}).",
                hint="Set `device: cpu`, or install a CUDA build of torch and check nvidia-smi.",
            )
        if device.index is not None and device.index >= torch.cuda.device_count():
            raise EngineError(
                f"there is no device {name!r}: this machine shows {torch.cuda.device_count()} "
                "GPU(s), numbered from 0."
            )
    return device


@contextmanager
def explain_memory(hint: str) -> Iterator[None]:
    """Turn an out-of-memory error of torch into an EngineError with this hint."""
    try:
        yield
    except (torch.cuda.OutOfMemoryError, MemoryError, RuntimeError) as error:
        # torch's CPU allocator raises a plain RuntimeError.
        known = isinstance(error, torch.cuda.OutOfMemoryError | MemoryError)
        if not known and "can't allocate memory" not in str(error):
            raise
        raise EngineError(f"out of memory: {read_first_line(error)}", hint=hint) from error


def _load_weights(config: TransformersConfig, directory: Path | None, device: torch.device) -> Any:
    options: dict[str, Any] = {
        "revision": config.revision,
        "trust_remote_code": config.trust_remote_code,
    }
    if config.attention is not None:
        options["attn_implementation"] = config.attention
    hint = "Use a smaller dtype (`dtype: bfloat16`), a larger device, or a smaller model."
    with explain_loading(config.model, directory), quiet_loading(), explain_memory(hint):
        model, report = transformers.AutoModelForImageTextToText.from_pretrained(
            config.model if directory is None else directory,
            dtype=_DTYPES.get(config.dtype, "auto"),
            output_loading_info=True,
            **options,
        )
        model = model.to(device).eval()
    missing = sorted(report.get("missing_keys", ()))
    if missing:
        # transformers fills them with random numbers and goes on.
        raise EngineError(
            f"the weights of {config.model!r} do not belong to its config.json: "
            f"{len(missing)} tensors are missing, such as {missing[0]!r}.",
            hint="Download or save the model again, config and weights together.",
        )
    return model


def _clear_generation_defaults(model: Any, tokenizer: Any, eos_ids: list[int]) -> None:
    """Keep the special ids of the model's generation config and nothing else.

    `generate` fills every field that a caller leaves unset from there (temperature, repetition
    penalty, suppressed tokens), and then the tokens would not be drawn as the request says.
    """
    own = model.generation_config
    pad = own.pad_token_id
    if pad is None:
        pad = tokenizer.pad_token_id
    if pad is None:
        pad = eos_ids[0] if eos_ids else 0
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad)
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=eos_ids or None,
        pad_token_id=pad,
        bos_token_id=own.bos_token_id,
        decoder_start_token_id=own.decoder_start_token_id,
        do_sample=False,
        num_beams=1,
        use_cache=True,
    )


def _find_eos(model: Any, tokenizer: Any) -> list[int]:
    """Return the ids that end a completion: the generation config's, else the tokenizer's."""
    eos = model.generation_config.eos_token_id
    if eos is None:
        eos = tokenizer.eos_token_id
    if eos is None:
        return []
    return [int(token) for token in (eos if isinstance(eos, list | tuple) else [eos])]
