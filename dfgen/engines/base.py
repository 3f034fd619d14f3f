"""What an engine is: requests in, results out, nothing of dfgen's data model inside.

One request asks for one completion. The K samples of a prompt are K requests with K seeds, because
engines that draw n > 1 from one seed, or share seeds in a batch, correlate samples that must be
independent (vllm-project/vllm#50884).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

FinishReason = Literal["stop", "length", "content_filter", "error"]


@dataclass(frozen=True, slots=True)
class ImageData:
    """An encoded picture, exactly as the user gave it.

    Attributes:
        data: the file's bytes.
        sha256: hex digest of `data`: the picture's identity in caches.
        mime: such as `image/png`.
    """

    data: bytes = field(repr=False)
    sha256: str
    mime: str


Part = str | ImageData


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat. `content` alternates text and pictures in reading order."""

    role: Literal["system", "user", "assistant"]
    content: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one completion is drawn; `temperature` 0 is greedy, `top_k` 0 is off."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One completion to make.

    Attributes:
        key: the caller's name for it; comes back in the result.
        messages: the chat, pictures included.
        seed: 0 <= seed < 2**63; equal seeds of equal requests draw equal completions where the
            engine can promise that.
        chat_template: Jinja text instead of the model's own template.
        chat_template_args: keyword arguments of the chat template.
        with_logprobs: whether the logprobs of the sampled tokens are wanted. False says that the
            text is enough: an engine that must ask for token ids may leave them out too.
        response_schema: JSON schema that the text should obey. An engine that cannot see to that
            leaves it out; whoever asks has to read the text without trust anyway.
    """

    key: str
    messages: tuple[Message, ...]
    sampling: Sampling
    seed: int
    chat_template: str | None = None
    chat_template_args: dict[str, Any] = field(default_factory=dict)
    with_logprobs: bool = True
    response_schema: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written. `image_tokens` is None where the engine cannot tell."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    image_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request gave no completion; becomes that row's reject."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Result:
    """One finished request.

    Attributes:
        key: of the request.
        text: the completion, special tokens left out, cut before a stop string.
        token_ids: exactly as sampled: with the closing end-of-sequence token where the engine
            returns it, and with the tokens of a stop string; None where the engine cannot give
            them.
        logprobs: natural logs of the sampled tokens' probabilities under the model itself (before
            temperature and truncation), one per token id; None where not given.
        finish_reason: `stop`, `length`, `content_filter`, or `error` together with `failure`.
        stop_reason: the stop string or token that ended it, if it was not the end of sequence.
    """

    key: str
    text: str
    token_ids: Sequence[int] | None
    logprobs: Sequence[float] | None
    finish_reason: FinishReason
    stop_reason: str | None = None
    usage: Usage = Usage()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What made the results; goes into the manifest.

    `tokenizer` is what `dfgen.tokens.load_tokenizer` takes to get the model's own tokenizer; None
    where it is not known (a hosted API).
    `hashes` holds sha256 digests of what shapes a prompt: tokenizer, processor, chat template.
    """

    name: str
    version: str
    model: str
    revision: str | None
    dtype: str | None
    tokenizer: str | None
    hashes: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """Generates text.

    `generate` pulls requests lazily, keeps a bounded number in flight, and yields whatever has
    finished as soon as it has, in any order, as a list: what is in one list finished together and
    is written to disk together. An empty list may come before the engine has to wait, for the
    caller to do what it has put off. It raises `EngineError` only when it cannot go on at all; a
    request that fails by itself is a `Result` with a `failure`.
    """

    @property
    def info(self) -> EngineInfo:
        """What makes the results."""

    def generate(self, requests: Iterable[Request]) -> Iterator[list[Result]]:
        """Complete the requests; an iterator closed early cancels what is in flight."""

    def close(self) -> None:
        """Let go of the model or the server; the engine is not used afterwards."""


def derive_seed(run_seed: int, *parts: str | int) -> int:
    """Seed of one cell, 0 <= seed < 2**63: a hash, so that neighbours share nothing."""
    text = "|".join([str(run_seed), *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
