"""What made the results: versions, settings and hashes for the manifest."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
import transformers

from dfgen.config.engine import TransformersConfig
from dfgen.engines.base import EngineInfo
from dfgen.engines.transformers.loading import LoadedModel
from dfgen.engines.transformers.location import list_weights
from dfgen.engines.transformers.prompts import find_template

_SAMPLE_BYTES = 1 << 20


def describe_engine(config: TransformersConfig, loaded: LoadedModel) -> EngineInfo:
    """Describe a loaded model; reads a few files of its directory, writes nothing."""
    model = loaded.model
    return EngineInfo(
        name="transformers",
        version=transformers.__version__,
        model=config.model,
        revision=getattr(model.config, "_commit_hash", None) or config.revision,
        dtype=str(model.dtype).removeprefix("torch."),
        tokenizer=config.model,
        hashes=hash_parts(loaded),
        settings={
            "torch": torch.__version__,
            "architecture": type(model).__name__,
            "device": _name_device(model.device),
            "attention": getattr(model.config, "_attn_implementation", None),
            "threads": torch.get_num_threads(),
            "batch_size": config.batch_size,
            "eos_ids": sorted(loaded.eos_ids),
        },
    )


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


def hash_parts(loaded: LoadedModel) -> dict[str, str]:
    """Digest what shapes a prompt and its completions; the weights of a local directory too."""
    template = find_template(loaded)
    hashes = {
        "tokenizer": _hash_tokenizer(loaded),
        "processor": _hash_json(_describe_processor(loaded.processor)),
        "chat_template": hashlib.sha256((template or "").encode()).hexdigest(),
    }
    if loaded.directory is not None:
        hashes["weights"] = hash_weights(loaded.directory)
    return hashes


def _hash_tokenizer(loaded: LoadedModel) -> str:
    """Hash tokenizer.json where there is one, else the vocabulary with its special tokens."""
    if loaded.directory is not None and (loaded.directory / "tokenizer.json").is_file():
        return hashlib.sha256((loaded.directory / "tokenizer.json").read_bytes()).hexdigest()
    tokenizer = loaded.tokenizer
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


def _name_device(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)
