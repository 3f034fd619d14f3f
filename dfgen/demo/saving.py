"""Writes a model directory that transformers and vLLM both load."""

import json
from pathlib import Path

from safetensors.torch import load_file, save_file
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from dfgen.demo.tokenizer import build_processor

#: transformers 5 dropped one level of the vision tower's names; vLLM insists on it, and
#: transformers reads both.
SHORT_PREFIX, LONG_PREFIX = "vision_tower.", "vision_tower.vision_model."


def save_model(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    chat_template: str,
    folder: Path,
) -> None:
    """Write weights (float32), configurations, tokenizer, processor and chat template.

    Float32, because transformers 5 computes in the type that a file is stored in, and half
    precision is slow on a CPU.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The tokenizer stays below its size limit; a row without a token could be drawn at T = 1.
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder)
    processor = build_processor(tokenizer, chat_template)
    processor.save_pretrained(folder)
    # transformers 5 keeps these inside processor_config.json; version 4 looks for this file.
    processor.image_processor.save_pretrained(folder)
    simplify_tokenizer_config(folder / "tokenizer_config.json")
    rename_vision_weights(folder / "model.safetensors")


def simplify_tokenizer_config(path: Path) -> None:
    """Drop what only transformers 5 understands; tokenizer.json says which tokens are special."""
    config = json.loads(path.read_text(encoding="utf-8"))
    del config["backend"], config["extra_special_tokens"]
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def rename_vision_weights(path: Path) -> None:
    """Give the vision tower's weights the longer names, in place."""
    renamed = {}
    for name, weight in load_file(path).items():
        if SHORT_PREFIX in name and LONG_PREFIX not in name:
            name = name.replace(SHORT_PREFIX, LONG_PREFIX)  # noqa: PLW2901
        renamed[name] = weight
    save_file(renamed, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors leaves 0600, which a wheel would carry to other users
