"""Joins several prompts, and ids that follow them, into the tensors of one batch."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Literal

import torch

from dfgen.engines.transformers.loading import LoadedModel
from dfgen.engines.transformers.prompts import PreparedPrompt, run_processor

# Values that stand beside each token, and what they are padded with (input_ids: the pad token).
_PER_TOKEN = {"attention_mask": 0, "token_type_ids": 0, "mm_token_type_ids": 0}
# Which pictures a token may look at, [rows, length, ...]: a new token looks where the last one did.
_CROSS_ATTENTION = "cross_attention_mask"


class Collator:
    """Joins prompts into a batch, processing no picture twice where that can be done.

    Processors lay pictures out in many ways. Most concatenate over the batch, and then joining what
    was prepared per prompt gives the very tensors that the processor would give for the batch.
    `join_prepared` declines wherever shapes leave a doubt, and the first mixed batch is checked
    against the processor itself; in doubt or on a difference the processor does the work.
    """

    def __init__(self, loaded: LoadedModel):
        self._loaded = loaded
        self._for_forward = set(inspect.signature(loaded.model.forward).parameters)
        preparing = inspect.signature(loaded.model.prepare_inputs_for_generation).parameters
        self._for_generate = self._for_forward | set(preparing)
        self._pad_id = int(loaded.model.generation_config.pad_token_id)
        self._trusted: bool | None = None

    @property
    def cuts_logits(self) -> bool:
        """Whether the model's forward can leave out the logits of positions in front."""
        return "logits_to_keep" in self._for_forward

    def join(
        self, prompts: Sequence[PreparedPrompt], prefixes: Sequence[Sequence[int]]
    ) -> dict[str, Any]:
        """Return the keyword arguments of `model.generate` for these prompts, on its device.

        All prompts hold pictures, or none does.

        Args:
            prefixes: ids that follow each prompt.
        """
        joined = self._join(prompts)
        if any(prefixes):
            joined = append_ids(joined, prefixes, self._pad_id, "left")
        return self._place(joined, self._for_generate)

    def join_completions(
        self, prompts: Sequence[PreparedPrompt], completions: Sequence[Sequence[int]]
    ) -> dict[str, Any]:
        """Return the keyword arguments of the model's forward for prompts with completions.

        Padded on the right: positions are then the same as alone, whatever way a model counts them,
        and no token looks ahead at the padding.
        """
        joined = append_ids(self._join(prompts), completions, self._pad_id, "right")
        return self._place(joined, self._for_forward)

    def _join(self, prompts: Sequence[PreparedPrompt]) -> dict[str, Any]:
        joined = None if self._trusted is False else join_prepared(prompts, self._pad_id)
        mixed = bool(prompts[0].images) and len({id(prompt) for prompt in prompts}) > 1
        if joined is None or (mixed and self._trusted is None):
            own = run_processor(
                self._loaded.parts,
                [prompt.text for prompt in prompts],
                [prompt.images for prompt in prompts],
            )
            if joined is not None:
                self._trusted = _are_equal(joined, own)
            joined = own
        return joined

    def _place(self, inputs: dict[str, Any], accepted: set[str]) -> dict[str, Any]:
        """Move tensors to the model, floats in its dtype; drop what its forward does not know."""
        model = self._loaded.model
        placed: dict[str, Any] = {}
        for name, value in inputs.items():
            if name not in accepted:
                # Tokenizers add token_type_ids by habit; generate() refuses unknown inputs.
                continue
            if isinstance(value, torch.Tensor):
                dtype = model.dtype if value.is_floating_point() else value.dtype
                placed[name] = value.to(model.device, dtype)
            else:
                placed[name] = value
        return placed


def join_prepared(prompts: Sequence[PreparedPrompt], pad_id: int) -> dict[str, Any] | None:
    """Join tensors of single prompts; None where it is not certain how.

    Values per token are padded on the left to the longest prompt; everything else is concatenated.
    """
    rows = [prompt.inputs for prompt in prompts]
    width = max(prompt.length for prompt in prompts)
    joined: dict[str, Any] = {}
    for name in rows[0]:
        values = [row.get(name) for row in rows]
        tensors = [value for value in values if isinstance(value, torch.Tensor)]
        if len(tensors) < len(rows):
            return None
        if name == "input_ids" or name in _PER_TOKEN:
            padding = pad_id if name == "input_ids" else _PER_TOKEN[name]
            joined[name] = torch.cat([_pad_left(tensor, width, padding) for tensor in tensors])
            continue
        if any(
            _may_be_per_token(tensor, row) for tensor, row in zip(tensors, prompts, strict=True)
        ):
            return None
        if len({tensor.shape[1:] for tensor in tensors}) > 1:
            return None
        joined[name] = torch.cat(tensors)
    return joined if all(row.keys() == rows[0].keys() for row in rows) else None


def append_ids(
    inputs: dict[str, Any],
    suffixes: Sequence[Sequence[int]],
    pad_id: int,
    side: Literal["left", "right"],
) -> dict[str, Any]:
    """Put ids behind each row of a batch.

    Args:
        inputs: of a batch, padded anywhere; `input_ids` and `attention_mask` [rows, length].
        suffixes: ids of ordinary tokens, one sequence per row, of any lengths.
        side: where the result is padded.
    """
    present = inputs["attention_mask"].bool()
    width = max(int(row.sum()) + len(ids) for row, ids in zip(present, suffixes, strict=True))
    extended = dict(inputs)
    for name in ("input_ids", *_PER_TOKEN, _CROSS_ATTENTION):
        if name not in inputs:
            continue
        rows = []
        for values, mask, ids in zip(inputs[name], present, suffixes, strict=True):
            kept = values[mask]
            if name == "input_ids":
                tail = torch.tensor(ids, dtype=values.dtype)
            elif name == _CROSS_ATTENTION:
                tail = kept[-1:].expand(len(ids), *kept.shape[1:])
            else:
                tail = torch.full((len(ids),), int(name == "attention_mask"), dtype=values.dtype)
            whole = torch.cat([kept, tail])
            shape = (width - len(whole), *whole.shape[1:])
            padding = torch.full(shape, pad_id if name == "input_ids" else 0, dtype=values.dtype)
            rows.append(torch.cat([padding, whole] if side == "left" else [whole, padding]))
        extended[name] = torch.stack(rows)
    return extended


def _pad_left(tensor: torch.Tensor, width: int, value: int) -> torch.Tensor:
    return torch.nn.functional.pad(tensor, (width - tensor.shape[1], 0), value=value)


def _may_be_per_token(tensor: torch.Tensor, prompt: PreparedPrompt) -> bool:
    return tensor.ndim < 1 or (tensor.ndim >= 2 and prompt.length in tensor.shape[1:])


def _are_equal(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(
        isinstance(second[name], torch.Tensor) and torch.equal(value, second[name])
        for name, value in first.items()
    )
