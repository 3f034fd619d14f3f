"""Reads what a model's own files say of its prompts, without transformers or torch.

What is said before a run begins (does the chat template render, does a prompt fit?) must not wait
for a model to load. The engines themselves ask the loaded processor.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfgen.errors import EngineError
from dfgen.pictures.tokens import estimate_tokens

NAMES = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
)
"""The files that are read, as far as a model has them."""


@dataclass(frozen=True)
class ModelFiles:
    """What the files of a model say.

    Attributes:
        config: of the model; empty where there is none.
        pictures: settings of its picture processor; empty for a model of text.
        template: its own chat template, as Jinja text; None if it has none.
        special_tokens: by name, as chat templates know them (`bos_token`, `eos_token`, ...).
    """

    config: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, Any] = field(default_factory=dict)
    template: str | None = None
    special_tokens: dict[str, str] = field(default_factory=dict)

    @property
    def context_length(self) -> int | None:
        """Prompt plus completion, in tokens; None where the config does not say."""
        for part in (self.config.get("text_config"), self.config):
            length = part.get("max_position_embeddings") if isinstance(part, dict) else None
            if isinstance(length, int) and length > 0:
                return length
        return None

    def estimate_image_tokens(
        self, width: int, height: int, processor_args: dict[str, Any] | None = None
    ) -> int:
        """Estimate how many tokens of a prompt stand for one picture.

        A fixed number where the model has one; by patches between the smallest and the largest
        number of pixels, as Qwen2-VL and its successors resize; else as `dfgen.pictures.tokens`
        says.

        Args:
            width, height: in pixels.
            processor_args: of the pipeline file; they win over the model's own settings.
        """
        fixed = self.config.get("image_seq_length") or self.pictures.get("image_seq_length")
        if isinstance(fixed, int):
            return fixed
        settings = {**self.pictures, **(processor_args or {})}
        patch, merge = settings.get("patch_size"), settings.get("merge_size")
        if not isinstance(patch, int) or not isinstance(merge, int):
            return estimate_tokens(width, height)
        least, most = _read_pixel_limits(settings)
        pixels = min(max(width * height, least), most)
        return max(1, round(pixels / (patch * merge) ** 2))


def read_model_files(directory: Path) -> ModelFiles:
    """Read the files of a model directory, as far as they are there.

    Raises:
        EngineError: one of them is no JSON object.
    """
    processor = _read_json(directory / "processor_config.json")
    inner = processor.get("image_processor")
    pictures = {
        **_read_json(directory / "preprocessor_config.json"),
        **(inner if isinstance(inner, dict) else {}),
    }
    if "image_seq_length" in processor:
        pictures.setdefault("image_seq_length", processor["image_seq_length"])
    tokenizer = _read_json(directory / "tokenizer_config.json")
    return ModelFiles(
        config=_read_json(directory / "config.json"),
        pictures=pictures,
        template=_find_template(directory, processor, tokenizer),
        special_tokens=dict(_list_special_tokens(tokenizer)),
    )


def _find_template(
    directory: Path, processor: dict[str, Any], tokenizer: dict[str, Any]
) -> str | None:
    path = directory / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    older = _read_json(directory / "chat_template.json")
    for owner in (older, processor, tokenizer):
        template = owner.get("chat_template")
        if isinstance(template, list):
            named = {entry.get("name"): entry.get("template") for entry in template}
            template = named.get("default")
        if isinstance(template, str) and template:
            return template
    return None


def _list_special_tokens(tokenizer: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    for name, value in tokenizer.items():
        token = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(token, str):
            found.append((name, token))
    return found


def _read_pixel_limits(settings: dict[str, Any]) -> tuple[int, int]:
    size = settings.get("size")
    size = size if isinstance(size, dict) else {}
    least = settings.get("min_pixels") or size.get("shortest_edge") or 1
    most = settings.get("max_pixels") or size.get("longest_edge") or 1 << 62
    return int(least), int(most)


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EngineError(f"the file cannot be read: {error}.", where=str(path)) from None
    if not isinstance(value, dict):
        raise EngineError("the file holds no JSON object.", where=str(path))
    return value
