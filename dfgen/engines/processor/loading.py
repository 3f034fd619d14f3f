"""Loads a model's processor and tokenizer, or says in one paragraph why they cannot be used."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers

from dfgen.config.engine import TransformersConfig
from dfgen.config.vllm import VllmConfig
from dfgen.engines.processor.location import check_location, check_processor_files
from dfgen.errors import EngineError

_PLACEHOLDER = re.compile(r"(image|video|audio)_token_(id|index)")


@dataclass(frozen=True)
class ModelProcessor:
    """What turns chats and pictures into a model's input, and its output into text.

    Attributes:
        name: the model as the user named it, for messages.
        directory: where it was read from; None for a model of the Hub.
        processor: an `AutoProcessor`, or the tokenizer alone where the model came with no more.
        tokenizer: of the processor.
        reads_images: whether `processor` takes pictures.
        image_token_id: the id that stands for (a part of) a picture in a prompt; None where neither
            processor nor config says.
        placeholder_ids: all ids that stand for a part of a picture, video or sound.
        vocabulary: ids of the model are below this.
    """

    name: str
    directory: Path | None
    processor: Any
    tokenizer: Any
    reads_images: bool
    image_token_id: int | None
    placeholder_ids: frozenset[int]
    vocabulary: int


def load_processor(config: TransformersConfig | VllmConfig) -> ModelProcessor:
    """Load the processor of the model that a section names.

    Raises:
        EngineError: not a model, or it comes without a processor or tokenizer.
    """
    directory = check_location(config.model)
    check_processor_files(config.model, directory)
    source: Any = config.model if directory is None else directory
    origin = {"revision": config.revision, "trust_remote_code": config.trust_remote_code}
    with explain_loading(config.model, directory), quiet_loading():
        processor = transformers.AutoProcessor.from_pretrained(
            source, **origin, **config.processor_args
        )
        settings = transformers.AutoConfig.from_pretrained(source, **origin)
    tokenizer = getattr(processor, "tokenizer", processor)
    if not hasattr(tokenizer, "decode"):
        raise EngineError(
            f"{config.model!r} has a processor for pictures but no tokenizer.",
            hint="Copy the tokenizer's files of the original model into the directory.",
        )
    return ModelProcessor(
        name=config.model,
        directory=directory,
        processor=processor,
        tokenizer=tokenizer,
        reads_images=getattr(processor, "image_processor", None) is not None,
        image_token_id=_find_image_token(processor, settings),
        placeholder_ids=_find_placeholders(processor, settings),
        vocabulary=getattr(settings.get_text_config(), "vocab_size", None) or len(tokenizer),
    )


def _find_image_token(processor: Any, settings: Any) -> int | None:
    for owner in (processor, settings):
        for name in ("image_token_id", "image_token_index"):
            value = getattr(owner, name, None)
            if isinstance(value, int):
                return value
    return None


def _find_placeholders(processor: Any, settings: Any) -> frozenset[int]:
    names = {
        name
        for owner in (processor, settings)
        for name in (*vars(owner), *dir(type(owner)))
        if _PLACEHOLDER.fullmatch(name)
    }
    values = {getattr(owner, name, None) for owner in (processor, settings) for name in names}
    return frozenset(value for value in values if isinstance(value, int) and value >= 0)


@contextmanager
def explain_loading(model: str, directory: Path | None) -> Iterator[None]:
    """Turn what `from_pretrained` raises into an EngineError.

    Third-party code of any kind runs inside (a model's own Python files among it), so any
    exception means that this model cannot be used here.
    """
    try:
        yield
    except EngineError:
        raise
    except ImportError as error:
        raise EngineError(
            f"{model!r} needs a package that is not installed: {read_first_line(error)}",
            hint="Install it into this environment and start again.",
        ) from error
    except Exception as error:
        if directory is None:
            raise EngineError(
                f"{model!r} is neither a directory here nor a vision-language model that can be "
                f"read from the Hub: {read_first_line(error)}",
                hint="Check the name, the network, and HF_TOKEN for a gated model.",
            ) from error
        raise EngineError(
            f"{model!r} cannot be loaded as a vision-language model: {read_first_line(error)}",
            where=str(directory.resolve()),
            hint="It must load with AutoModelForImageTextToText and AutoProcessor.",
        ) from error


@contextmanager
def quiet_loading() -> Iterator[None]:
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


def read_first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
