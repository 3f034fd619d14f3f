"""Digests what shapes prompts and completions: tokenizer, processor, chat template, weights."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from dfgen.engines.processor.chat_template import find_template
from dfgen.engines.processor.loading import ModelProcessor
from dfgen.engines.processor.location import list_weights

_SAMPLE_BYTES = 1 << 20


def hash_weights(directory: Path) -> str:
    """Digest a directory's weights by names, sizes, and the first and last MiB of each file.

    Not a full digest, which takes minutes for a large model: it tells a model that was trained on
    and saved to the same place from the one it was before.
    """
    digest = hashlib.sha256()
    for path in list_weights(directory):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(_SAMPLE_BYTES))
            if size > _SAMPLE_BYTES:
                file.seek(max(_SAMPLE_BYTES, size - _SAMPLE_BYTES), os.SEEK_SET)
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def hash_parts(model: ModelProcessor) -> dict[str, str]:
    """Digest what shapes a prompt and its completions; the weights of a local directory too."""
    template = find_template(model)
    hashes = {
        "tokenizer": _hash_tokenizer(model),
        "processor": _hash_json(_describe_processor(model.processor)),
        "chat_template": hashlib.sha256((template or "").encode()).hexdigest(),
    }
    if model.directory is not None:
        hashes["weights"] = hash_weights(model.directory)
    return hashes


def _hash_tokenizer(model: ModelProcessor) -> str:
    """Hash tokenizer.json where there is one, else the vocabulary with its special tokens."""
    if model.directory is not None and (model.directory / "tokenizer.json").is_file():
        return hashlib.sha256((model.directory / "tokenizer.json").read_bytes()).hexdigest()
    tokenizer = model.tokenizer
    return _hash_json([tokenizer.get_vocab(), tokenizer.special_tokens_map])


def _describe_processor(processor: Any) -> Any:
    """Return the processor's settings; its chat template has a hash of its own."""
    image_processor = getattr(processor, "image_processor", None)
    if image_processor is None:
        return {}
    own = {
        name: value
        for name, value in vars(processor).items()
        if isinstance(value, bool | int | float | str) and name != "chat_template"
    }
    return {"processor": own, "image_processor": image_processor.to_dict()}


def _hash_json(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
