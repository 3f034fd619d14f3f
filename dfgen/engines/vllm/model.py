"""What is needed of a model outside vLLM: processor, chat template, the ids of pictures."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import transformers

from dfgen.config.vllm import VllmConfig
from dfgen.engines.transformers.loading import (
    LoadedModel,
    check_processor_files,
    find_image_token,
)
from dfgen.engines.transformers.location import check_location
from dfgen.errors import EngineError


def load_processor(config: VllmConfig) -> LoadedModel:
    """Load processor and tokenizer as the transformers engine does, without the weights.

    The two engines then render the same prompts and give the same hashes.

    Raises:
        EngineError: not a model, or it comes without a processor or tokenizer.
    """
    directory = check_location(config.model)
    check_processor_files(config.model, directory)
    source: Any = config.model if directory is None else directory
    origin = {"revision": config.revision, "trust_remote_code": config.trust_remote_code}
    try:
        processor = transformers.AutoProcessor.from_pretrained(
            source, **origin, **config.processor_args
        )
        settings = transformers.AutoConfig.from_pretrained(source, **origin)
    except Exception as error:
        # A model's own Python files may run inside: anything means that it cannot be used.
        raise EngineError(
            f"config or processor of {config.model!r} cannot be loaded: {error}",
            hint="Check the name, the network, and HF_TOKEN for a gated model.",
        ) from error
    tokenizer = getattr(processor, "tokenizer", processor)
    if not hasattr(tokenizer, "decode"):
        raise EngineError(
            f"{config.model!r} has a processor for pictures but no tokenizer.",
            hint="Copy the tokenizer's files of the original model into the directory.",
        )
    return LoadedModel(
        directory=directory,
        model=None,
        processor=processor,
        tokenizer=tokenizer,
        reads_images=getattr(processor, "image_processor", None) is not None,
        eos_ids=frozenset(),
        length_limit=None,
        image_token_id=find_image_token(SimpleNamespace(config=settings), processor),
    )
