"""Encodes a question and its pictures with a processor, for trainers that take token ids.

slime, SkyRL and prime-rl take a prompt as token ids and the tensors of its pictures; both are made
at training time, because they depend on the processor's pixel budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from dfgen.errors import InputError
from dfgen.trainers.checks import hash_tokenizer
from dfgen.trainers.pictures import open_picture

PLACEHOLDER = "<image>"


def split_messages(messages: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    """Turn messages with `<image>` in their text into messages of blocks, for chat templates."""
    split = []
    for message in messages:
        blocks: list[dict[str, str]] = []
        for index, text in enumerate(message["content"].split(PLACEHOLDER)):
            if index:
                blocks.append({"type": "image"})
            if text:
                blocks.append({"type": "text", "text": text})
        split.append({"role": message["role"], "content": blocks})
    return split


def encode_prompt(
    prompt: Sequence[dict[str, Any]], images: Sequence[dict[str, Any]], processor: Any
) -> tuple[list[int], dict[str, Any]]:
    """Return the prompt's token ids and what else the model's forward takes.

    Args:
        prompt: messages of blocks.
        images: `{"bytes", "path"}`, as many as there are image blocks.
        processor: a `transformers` processor, or a tokenizer where there are no pictures.

    Returns:
        ids, length P; and tensors by name (`pixel_values`, `image_grid_thw`, ...).
    """
    text = processor.apply_chat_template(list(prompt), add_generation_prompt=True, tokenize=False)
    pictures: dict[str, Any] = {}
    if images:
        pictures = {"images": list(map(open_picture, images))}
    # A chat template writes all special tokens there are to be.
    inputs = dict(processor(text=[text], return_tensors="pt", add_special_tokens=False, **pictures))
    ids = inputs.pop("input_ids")[0].tolist()
    inputs.pop("attention_mask", None)
    # Made again by whoever needs it for prompt and answer together.
    inputs.pop("mm_token_type_ids", None)
    inputs.pop("token_type_ids", None)
    return ids, inputs


def check_ids(sha256: str | None, processor: Any) -> None:
    """Refuse stored ids of another tokenizer than a model's.

    Args:
        sha256: of the tokenizer that the ids belong to; None where nobody noted it: no check.
        processor: a processor or tokenizer; hashed once, as many rows have the same.

    Raises:
        InputError: they belong to another.
    """
    if sha256 is not None and _hash_once(processor) != sha256:
        raise InputError(
            "the stored token ids belong to another tokenizer than the model's.",
            hint="Carry them over, then export again: "
            "dfgen retokenize RUN --tokenizer MODEL --out DIR",
        )


@lru_cache(maxsize=4)
def _hash_once(processor: Any) -> str:
    return hash_tokenizer(processor)
