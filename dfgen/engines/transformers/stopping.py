"""Finds where a completion ends: at an end of sequence, a stop string or its length limit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from transformers import StoppingCriteria

from dfgen.engines.base import Decoding, FinishReason
from dfgen.engines.transformers.sampling import SeededSampler

Decode = Callable[[Sequence[int]], str]

# Tokens looked at beyond the length of a stop string, for tokens that decode to nothing.
_TAIL_MARGIN = 8


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of one row.

    Attributes:
        length: tokens of the completion: up to and with the end-of-sequence token, or the token
            that completed a stop string. None of them is taken back.
        text: the decoded completion, cut before the stop string.
        stop_reason: the stop string.
    """

    length: int
    text: str
    finish_reason: FinishReason
    stop_reason: str | None = None


def find_ending(
    ids: Sequence[int], decoding: Decoding, eos_ids: Collection[int], decode: Decode
) -> Ending:
    """Find where a row ends, given everything that was drawn for it.

    Pure: the same ids give the same ending, however long the batch ran on for other rows' sake.
    """
    eos = next((index for index, token in enumerate(ids) if token in eos_ids), None)
    limit = decoding.max_tokens if eos is None else min(decoding.max_tokens, eos + 1)
    kept = ids[:limit]
    text = decode(kept)
    if any(stop in text for stop in decoding.stop):
        length = _find_stop_length(kept, decoding.stop, decode)
        text = decode(kept[:length])
        position, stop = min((text.find(stop), stop) for stop in decoding.stop if stop in text)
        return Ending(length, text[:position], "stop", stop)
    return Ending(len(kept), text, "stop" if eos is not None and eos < limit else "length")


def _find_stop_length(ids: Sequence[int], stops: Sequence[str], decode: Decode) -> int:
    """Return the smallest number of tokens whose text holds a stop string, by bisection."""
    low, high = 1, len(ids)
    while low < high:
        middle = (low + high) // 2
        text = decode(ids[:middle])
        if any(stop in text for stop in stops):
            high = middle
        else:
            low = middle + 1
    return low


class RowStops(StoppingCriteria):  # type: ignore[misc]  # transformers is not typed
    """Tells `generate` which rows have ended by their own max_tokens or stop strings.

    Only saves work: the result is cut by `find_ending`, from the ids alone.
    """

    def __init__(
        self, sampler: SeededSampler, decodings: Sequence[Decoding], decoders: Sequence[Decode]
    ):
        self._sampler = sampler
        self._decodings = decodings
        self._decoders = decoders
        self._done = [False] * len(decodings)
        self._tails = [
            max((len(stop.encode()) for stop in decoding.stop), default=0) + _TAIL_MARGIN
            for decoding in decodings
        ]

    def __call__(self, input_ids: torch.Tensor, _: object, **__: object) -> torch.Tensor:
        """Return bool [rows]: True where a row needs no further token."""
        for row, decoding in enumerate(self._decodings):
            if self._done[row]:
                continue
            self._done[row] = self._sampler.steps >= decoding.max_tokens
            if decoding.stop and self._holds_stop(row, decoding.stop):
                self._done[row] = True
        return torch.tensor(self._done, device=input_ids.device)

    def _holds_stop(self, row: int, stops: Sequence[str]) -> bool:
        # A tail may decode differently at its start than the whole does (a cut character, a
        # leading space), so a hit counts only if the whole text confirms it.
        decode = self._decoders[row]
        text = decode(self._sampler.read_tail(row, self._tails[row]))
        if not any(stop in text for stop in stops):
            return False
        whole = decode(self._sampler.read_tail(row, self._sampler.steps))
        return any(stop in whole for stop in stops)
