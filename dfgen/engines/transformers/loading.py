"""Loads a model and its processor, or says in one paragraph why they cannot be used."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from dfgen.config.engine import TransformersConfig
from dfgen.engines.transformers.location import check_location
from dfgen.errors import EngineError

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to generate.

    Attributes:
        directory: where it was read from; None for a model of the Hub.
        model: in evaluation mode, on its device, without sampling defaults of its own.
        processor: an `AutoProcessor`, or the tokenizer alone where the model came with no more.
        reads_images: whether `processor` takes pictures.
        eos_ids: every id that ends a completion; may be empty.
        length_limit: prompt plus completion in tokens, as the model's config says; None if it
            does not.
        image_token_id: the id that stands for (a part of) a picture in a prompt.
    """

    directory: Path | None
    model: Any
    processor: Any
    tokenizer: Any
    reads_images: bool
    eos_ids: frozenset[int]
    length_limit: int | None
    image_token_id: int | None


def load_model(config: TransformersConfig) -> LoadedModel:
    """Load the model that a section names.

    Raises:
        EngineError: not a model, no processor or tokenizer, weights that do not fit the
            architecture, unknown device, CUDA not available, out of memory.
    """
    directory = check_location(config.model)
    device = choose_device(config.device)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    origin = {"revision": config.revision, "trust_remote_code": config.trust_remote_code}
    check_processor_files(config.model, directory)
    with _explained(config.model, directory), _quiet():
        processor = transformers.AutoProcessor.from_pretrained(
            config.model if directory is None else directory, **origin, **config.processor_args
        )
    tokenizer = getattr(processor, "tokenizer", processor)
    if not hasattr(tokenizer, "decode"):
        raise EngineError(
            f"{config.model!r} has a processor for pictures but no tokenizer.",
            hint="Copy the tokenizer's files of the original model into the directory.",
        )
    # Prompts of one batch must end at the same position, where the completions begin.
    tokenizer.padding_side = "left"
    model = _load_weights(config, directory, device, origin)
    eos_ids = _find_eos(model, tokenizer)
    _clear_generation_defaults(model, tokenizer, eos_ids)
    return LoadedModel(
        directory=directory,
        model=model,
        processor=processor,
        tokenizer=tokenizer,
        reads_images=getattr(processor, "image_processor", None) is not None,
        eos_ids=frozenset(eos_ids),
        length_limit=getattr(model.config.get_text_config(), "max_position_embeddings", None),
        image_token_id=find_image_token(model, processor),
    )


def check_processor_files(model: str, directory: Path | None) -> None:
    """Raise `EngineError` where a model directory comes without a processor."""
    if directory is None or any((directory / name).is_file() for name in _PROCESSOR_FILES):
        return
    raise EngineError(
        f"{model!r} comes without a processor: it has neither {' nor '.join(_PROCESSOR_FILES)}.",
        where=str(directory.resolve()),
        hint="Save it with processor.save_pretrained(), or copy these files from the model that "
        "it was trained from.",
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
def explained_memory(hint: str) -> Iterator[None]:
    """Turn an out-of-memory error of torch into an EngineError with this hint."""
    try:
        yield
    except (torch.cuda.OutOfMemoryError, MemoryError, RuntimeError) as error:
        # torch's CPU allocator raises a plain RuntimeError.
        known = isinstance(error, torch.cuda.OutOfMemoryError | MemoryError)
        if not known and "can't allocate memory" not in str(error):
            raise
        raise EngineError(f"out of memory: {_first_line(error)}", hint=hint) from error


def _load_weights(
    config: TransformersConfig, directory: Path | None, device: torch.device, origin: dict[str, Any]
) -> Any:
    options = dict(origin)
    if config.attention is not None:
        options["attn_implementation"] = config.attention
    hint = "Use a smaller dtype (`dtype: bfloat16`), a larger device, or a smaller model."
    with _explained(config.model, directory), _quiet(), explained_memory(hint):
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


def find_image_token(model: Any, processor: Any) -> int | None:
    """Return the id that stands for (a part of) a picture; None where nobody says."""
    for owner in (processor, model.config):
        for name in ("image_token_id", "image_token_index"):
            value = getattr(owner, name, None)
            if isinstance(value, int):
                return value
    return None


@contextmanager
def _explained(model: str, directory: Path | None) -> Iterator[None]:
    """Turn what `from_pretrained` raises into an EngineError.

    Third-party code of any kind runs inside (a model's own Python files among it), so any
    exception means that this model cannot be used here.
    """
    try:
        yield
    except EngineError:
        raise
    except torch.cuda.OutOfMemoryError:
        raise
    except ImportError as error:
        raise EngineError(
            f"{model!r} needs a package that is not installed: {_first_line(error)}",
            hint="Install it into this environment and start again.",
        ) from error
    except Exception as error:
        if directory is None:
            raise EngineError(
                f"{model!r} is neither a directory here nor a vision-language model that can be "
                f"read from the Hub: {_first_line(error)}",
                hint="Check the name, the network, and HF_TOKEN for a gated model.",
            ) from error
        raise EngineError(
            f"{model!r} cannot be loaded as a vision-language model: {_first_line(error)}",
            where=str(directory.resolve()),
            hint="It must load with AutoModelForImageTextToText and AutoProcessor.",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back transformers' notices while it loads, and its bars where there is no terminal.

    What matters of the notices (weights that do not fit) is checked here and raised. Whoever wants
    them sets TRANSFORMERS_VERBOSITY.
    """
    logging = transformers.utils.logging
    verbosity = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    if "TRANSFORMERS_VERBOSITY" not in os.environ:
        logging.set_verbosity_error()
    if not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
