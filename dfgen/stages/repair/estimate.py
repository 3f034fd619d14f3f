"""Estimates what repairing would cost, from the real rows and without a single call."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dfgen.config.engine import Price
from dfgen.config.repair import RepairConfig
from dfgen.stages.prompting import build_messages
from dfgen.stages.repair.plan import Undecided, count_later
from dfgen.stages.repair.prompt import fill_fields, load_template

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
    """Sums over the requests that would be made.

    Attributes:
        repairs, controls, tests: first requests by purpose; tests are of repairs already accepted.
        requests, prompt_tokens, image_tokens, completion_tokens: of the first requests, with
            answers of the length to be expected.
        most_requests, most_prompt_tokens: if all attempts were refused but the last, and its repair
            tested at as many hunks as may be. Every answer then has `max_tokens` at most.
    """

    repairs: int = 0
    controls: int = 0
    tests: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    image_tokens: int = 0
    completion_tokens: int = 0
    most_requests: int = 0
    most_prompt_tokens: int = 0

    def price(self, price: Price) -> float:
        """Dollars of the first requests."""
        return (self.prompt_tokens * price.prompt + self.completion_tokens * price.completion) / 1e6

    def price_most(self, price: Price, max_tokens: int) -> float:
        """Dollars that will not be exceeded, feedback to refused attempts apart."""
        completion = self.most_requests * max_tokens
        return (self.most_prompt_tokens * price.prompt + completion * price.completion) / 1e6


def estimate_repairs(
    rows: Iterable[Undecided], config: RepairConfig, tokenizer: TextTokenizer
) -> Estimate:
    """Count tokens of the next requests, text by the policy's tokenizer."""
    template = load_template(config)
    total = Estimate()
    for row in rows:
        trajectory, prompt, plan = row.trajectory, row.prompt, row.plan
        # A test sends the repair with a hunk taken back: about as long as the trajectory.
        fields = fill_fields(trajectory, prompt, (), config)
        messages = build_messages(prompt, template, config.system, fields)
        text = "".join(p for m in messages for p in m.content if isinstance(p, str))
        pictures = trajectory.image_tokens
        if pictures is None:
            pictures = sum(
                math.ceil(image.width * image.height / PIXELS_PER_TOKEN)
                for image in prompt.image_info
            )
        read = len(tokenizer.encode(text)) + pictures + _FRAME_TOKENS
        answer = len(trajectory.completion_ids) + _FRAME_TOKENS
        if config.protocol == "hunks":
            answer = 2 * _EDIT_TOKENS
        first = len(plan.indices)
        total.repairs += plan.purpose == "repair"
        total.controls += plan.purpose == "control"
        total.tests += first * (plan.purpose == "necessity")
        total.requests += first
        total.image_tokens += first * pictures
        total.prompt_tokens += first * read
        total.completion_tokens += first * min(answer, config.decoding.max_tokens)
        most = first + count_later(plan, config)
        total.most_requests += most
        total.most_prompt_tokens += most * read
    return total
