"""Describes a loaded model for the manifest: versions, settings, hashes."""

from __future__ import annotations

import torch
import transformers

from dfgen.config.engine import TransformersConfig
from dfgen.engines.base import (
    PREFIX_IDS,
    SCORE,
    SCORE_CONTRAST,
    SCORE_TEMPERED,
    EngineInfo,
)
from dfgen.engines.processor.hashing import hash_parts
from dfgen.engines.transformers.loading import LoadedModel

_FEATURES = (PREFIX_IDS, SCORE, SCORE_CONTRAST, SCORE_TEMPERED)


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
        hashes=hash_parts(loaded.parts),
        settings={
            "torch": torch.__version__,
            "architecture": type(model).__name__,
            "device": _name_device(model.device),
            "attention": getattr(model.config, "_attn_implementation", None),
            "threads": torch.get_num_threads(),
            "batch_size": config.batch_size,
            "eos_ids": sorted(loaded.eos_ids),
        },
        features=() if model.config.is_encoder_decoder else _FEATURES,
    )


def _name_device(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)
