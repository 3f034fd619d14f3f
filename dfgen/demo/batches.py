"""Turns questions, pictures and answers into padded tensors for training."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from dfgen.demo.drawing import CELLS
from dfgen.demo.questions import CONCLUSION_PHRASES, COUNT_PHRASES, Kind, Wording
from dfgen.demo.scenes import Facts
from dfgen.demo.tokenizer import (
    ASSISTANT,
    END,
    END_THINK,
    IMAGE,
    REPAIR_TEMPLATE,
    THINK,
    USER,
    write_tally,
)


@dataclass(frozen=True)
class Batch:
    """One training batch of B sequences, padded on the right to the longest, L tokens.

    Attributes:
        input_ids: int64 [B, L].
        learn: bool [B, L], true where the token is part of the completion: the loss is on these.
        pixel_values: float32 [B, 3, 64, 64], in -1..1.
    """

    input_ids: Tensor
    learn: Tensor
    pixel_values: Tensor


def render_policy_prompt(question: str) -> str:
    """Render what the policy's chat template and processor give for a picture and a question."""
    return f"{USER}{IMAGE * CELLS}{question}{ASSISTANT}"


def render_repairer_prompt(question: str, completion: str) -> str:
    """Render what the repairer's template and processor give for a picture and a repair request."""
    text = REPAIR_TEMPLATE.format(question=question, completion=completion)
    return f"{USER}{text}{IMAGE * CELLS}{ASSISTANT}"


def label_patches(facts: Facts) -> NDArray[np.int64]:
    """Say for each cell whether it holds an A (1), a B (2) or neither (0): int64 [N, 16]."""
    cells = facts.layout.cells
    labels: NDArray[np.int64] = np.zeros(cells.shape, dtype=np.int64)
    labels[cells == facts.sorts[:, :1]] = 1
    labels[cells == facts.sorts[:, 1:]] = 2
    return labels


def write_scan(labels: NDArray[np.int64]) -> str:
    """Write the repairer's look at the picture: the two running counts after each cell.

    Each entry follows from the entry before it and one cell: a step that a small model can learn.

    Args:
        labels: int64 [16], from ``label_patches``.
    """
    seen_a, seen_b = np.cumsum(labels == 1), np.cumsum(labels == 2)
    tallies = [write_tally(int(a), int(b)) for a, b in zip(seen_a, seen_b, strict=True)]
    return THINK + "".join(tallies) + END_THINK


def draw_wording(rng: np.random.Generator, kind: Kind) -> Wording:
    """Draw the phrase of each step."""
    first, second = rng.integers(0, len(COUNT_PHRASES), size=2)
    return Wording(int(first), int(second), int(rng.integers(0, len(CONCLUSION_PHRASES[kind]))))


def scale_pictures(pictures: NDArray[np.uint8]) -> Tensor:
    """Scale as the image processor does: uint8 [N, 64, 64, 3] to float32 [N, 3, 64, 64]."""
    return (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5


def pack_batch(
    tokenizer: PreTrainedTokenizerFast,
    prompts: list[str],
    completions: list[str],
    pictures: NDArray[np.uint8],
) -> Batch:
    """Encode B prompts and completions and pad them on the right.

    Padding on the right needs no attention mask: attention is causal, so no real token sees it.
    """
    prompt_ids = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    ends = [completion + END for completion in completions]
    completion_ids = tokenizer(ends, add_special_tokens=False)["input_ids"]
    length = max(len(p) + len(c) for p, c in zip(prompt_ids, completion_ids, strict=True))
    input_ids = torch.full((len(prompts), length), int(tokenizer.pad_token_id), dtype=torch.int64)
    learn = torch.zeros((len(prompts), length), dtype=torch.bool)
    for row, (prompt, completion) in enumerate(zip(prompt_ids, completion_ids, strict=True)):
        end = len(prompt) + len(completion)
        input_ids[row, :end] = torch.tensor(prompt + completion)
        learn[row, len(prompt) : end] = True
    return Batch(input_ids, learn, scale_pictures(pictures))
