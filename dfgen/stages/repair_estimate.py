"""What repairing would cost, from the real rows and without a single call."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dfgen.config.engine import Price
from dfgen.config.repair import RepairConfig
from dfgen.records import Prompt, Trajectory
from dfgen.stages.prompting import build_messages
from dfgen.stages.repair_prompt import fill_fields, load_template

if TYPE_CHECKING:
    from dfgen.tokens.tokenizer import TextTokenizer

PIXELS_PER_TOKEN = 28 * 28
"""Of a picture where nothing better is known: one token per 28 x 28 pixels, as Qwen2-VL and its
successors count (https://arxiv.org/abs/2409.12191); hosted models are of the same order."""

_EDIT_TOKENS = 60
"""Assumed of one JSON edit with its reason, and two of them per repair."""
_FRAME_TOKENS = 12
"""Of a chat template and the tags around a text."""


@dataclass
class Estimate:
    """Sums over requests: one each for the expected case, all attempts for the largest."""

    requests: int = 0
    prompt_tokens: int = 0
    image_tokens: int = 0
    completion_tokens: int = 0

    def price(self, price: Price) -> float:
        """Dollars."""
        return (self.prompt_tokens * price.prompt + self.completion_tokens * price.completion) / 1e6


def estimate_repairs(
    rows: Iterable[tuple[Trajectory, Prompt]], config: RepairConfig, tokenizer: TextTokenizer
) -> Estimate:
    """Count tokens of the first round of requests, text by the policy's tokenizer.

    Args:
        rows: trajectories that would be sent, each with its prompt.
    """
    template = load_template(config)
    total = Estimate()
    for trajectory, prompt in rows:
        fields = fill_fields(trajectory, prompt, (), config)
        messages = build_messages(prompt, template, config.system, fields)
        text = "".join(p for m in messages for p in m.content if isinstance(p, str))
        pictures = trajectory.image_tokens
        if pictures is None:
            pictures = sum(
                math.ceil(image.width * image.height / PIXELS_PER_TOKEN)
                for image in prompt.image_info
            )
        answer = len(trajectory.completion_ids) + _FRAME_TOKENS
        if config.protocol == "hunks":
            answer = 2 * _EDIT_TOKENS
        total.requests += config.candidates
        total.image_tokens += pictures * config.candidates
        total.prompt_tokens += config.candidates * (
            len(tokenizer.encode(text)) + pictures + _FRAME_TOKENS
        )
        total.completion_tokens += config.candidates * min(answer, config.decoding.max_tokens)
    return total
