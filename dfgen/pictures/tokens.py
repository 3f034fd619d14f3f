"""Says how many tokens of a prompt a picture takes where its model does not say it."""

from __future__ import annotations

import math

PIXELS_PER_TOKEN = 28 * 28
"""One token per 28 x 28 pixels, as Qwen2-VL and its successors count
(https://arxiv.org/abs/2409.12191); hosted models are of the same order."""


def estimate_tokens(width: int, height: int) -> int:
    """Estimate the tokens of a picture; width and height in pixels."""
    return math.ceil(width * height / PIXELS_PER_TOKEN)
