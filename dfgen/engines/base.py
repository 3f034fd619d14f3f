"""Defines what an engine is: requests go in, results come out.

Whoever wants text from a model depends on this file alone and not on the library or server that
runs the model.

One request asks for one completion. The K samples of a prompt are K requests with K seeds, because
engines that draw n > 1 from one seed, or share seeds in a batch, correlate samples that must be
independent (vllm-project/vllm#50884).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, Protocol, cast, runtime_checkable

from dfgen.config.sample import Decoding
from dfgen.errors import EngineError

__all__ = [
    "PREFIX_IDS",
    "PREFIX_TEXT",
    "SCORE",
    "SCORE_CONTRAST",
    "SCORE_TEMPERED",
    "Chat",
    "Decoding",
    "Engine",
    "EngineInfo",
    "Failure",
    "FinishReason",
    "ImageData",
    "KeepingEngine",
    "Message",
    "Part",
    "Request",
    "Result",
    "ScoreRequest",
    "ScoreResult",
    "ScoringEngine",
    "Usage",
    "as_utf8",
    "derive_seed",
    "is_logprob",
    "require_continuing",
    "require_scoring",
]

FinishReason = Literal["stop", "length", "content_filter", "error"]


@dataclass(frozen=True, slots=True)
class ImageData:
    """An encoded picture: the view (`dfgen.pictures`) of one that the user gave.

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


class Chat(Protocol):
    """The part of a request that makes its prompt."""

    @property
    def key(self) -> str:
        """The caller's name for the request."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The chat, pictures included."""

    @property
    def chat_template(self) -> str | None:
        """Jinja text instead of the model's own template."""

    @property
    def chat_template_args(self) -> dict[str, Any]:
        """Keyword arguments of the chat template."""


@dataclass(frozen=True, slots=True)
class Request:
    """One completion to make.

    Attributes:
        key: the caller's name for it; comes back in the result.
        messages: the chat, pictures included.
        decoding: how its tokens are drawn.
        seed: 0 <= seed < 2**63; equal seeds of equal requests draw equal completions where the
            engine can promise that.
        chat_template: Jinja text instead of the model's own template.
        chat_template_args: keyword arguments of the chat template.
        with_logprobs: whether the logprobs of the sampled tokens are wanted. False says that the
            text is enough: an engine that must ask for token ids may leave them out too.
        response_schema: JSON schema that the text should obey. An engine that cannot see to that
            leaves it out; whoever asks has to read the text without trust anyway.
        prefix_ids: token ids with which the assistant's turn already begins: generation goes on
            after the prompt and these. The result holds what is newly generated and nothing of the
            prefix: ids, logprobs, text (what the whole turn reads, less what the prefix reads) and
            completion tokens; the prefix counts among the prompt tokens. `max_tokens`, stop strings
            and `response_schema` speak of the new part alone, so a stop string that begins within
            the prefix is not seen. Noise starts with the new part, too: only greedy decoding goes
            on as if it had not been interrupted. Needs an engine with the feature `prefix_ids`;
            others raise `EngineError`. Ids that the model cannot be fed (see `ScoreRequest`) make
            a failed result with the reason `ids_invalid`.
        prefix_text: the same as text, for an engine with the feature `prefix_text`: a server reads
            it anew, so that its tokens need not be those of the ids it came from. Others raise
            `EngineError`. At most one of the two is given.
    """

    key: str
    messages: tuple[Message, ...]
    decoding: Decoding
    seed: int
    chat_template: str | None = None
    chat_template_args: dict[str, Any] = field(default_factory=dict)
    with_logprobs: bool = True
    response_schema: dict[str, Any] | None = None
    prefix_ids: tuple[int, ...] = ()
    prefix_text: str = ""


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """A completion that is there already, whose tokens' probabilities are wanted.

    Attributes:
        key: the caller's name for it; comes back in the result.
        messages: the chat before the completion, pictures included.
        completion_ids: the assistant's turn, T >= 1 ids, as a `Result` has them: with the
            end-of-sequence token if it was drawn. None of them may be one that the model cannot be
            fed as text: a picture's placeholder, or an id outside its vocabulary.
        chat_template: Jinja text instead of the model's own template.
        chat_template_args: keyword arguments of the chat template.
        temperature: above 0: the logprobs under softmax(logits / temperature) are wanted, too
            (`ScoreResult.tempered`). Needs an engine with the feature `score_tempered`; others
            raise `EngineError`. None: only those of the model itself.
        contrast: the same chat with other pictures of the same sizes: how far each token's
            distribution moves from this one to that is wanted, too (`ScoreResult.contrast_kl`).
            Needs the feature `score_contrast`; others raise `EngineError`.
    """

    key: str
    messages: tuple[Message, ...]
    completion_ids: tuple[int, ...]
    chat_template: str | None = None
    chat_template_args: dict[str, Any] = field(default_factory=dict)
    temperature: float | None = None
    contrast: tuple[Message, ...] | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written; None where nobody told, which is not zero.

    `image_tokens` and `cached_tokens` are among the tokens read: those of pictures, and those that
    a server had read before and kept.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    image_tokens: int | None = None
    cached_tokens: int | None = None


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
        reasoning: what a server has set apart from the text as reasoning; `token_ids` hold both.
    """

    key: str
    text: str
    token_ids: Sequence[int] | None
    logprobs: Sequence[float] | None
    finish_reason: FinishReason
    stop_reason: str | None = None
    usage: Usage = Usage()
    failure: Failure | None = None
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """One completion that was scored.

    Attributes:
        key: of the request.
        logprobs: for each of the T ids the natural log of its probability, given the prompt, its
            pictures and the ids before it, under the model itself (before temperature and
            truncation), computed in float32; None together with `failure`.
        usage: `completion_tokens` is T: ids that were read, none was written.
        failure: why there are none: `completion_empty`, `ids_invalid`, `prompt_too_long` (prompt
            and completion together), or whatever makes a prompt fail in `Engine.generate`.
        tempered: the same under softmax(logits / temperature), over the whole vocabulary: nothing
            is cut off by top-p or top-k; None where no temperature was asked for.
        contrast_kl: for each id the KL divergence, in nats over the whole vocabulary, of the
            distribution it was taken from to that with the pictures of `contrast`; None where that
            was not asked for.
    """

    key: str
    logprobs: Sequence[float] | None
    usage: Usage = Usage()
    failure: Failure | None = None
    tempered: Sequence[float] | None = None
    contrast_kl: Sequence[float] | None = None


LARGEST_FLOAT32 = 3.4028234663852886e38
LOGPROB_ABOVE_ZERO = 1e-3
"""How far a logprob may be above 0: rounding in half precision can put it there."""


def is_logprob(value: Any) -> bool:
    """Say whether a value is a logprob that a column of float32 holds: finite and not above 0."""
    # A boolean is an int to Python. Comparisons with NaN are false.
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and -LARGEST_FLOAT32 <= value <= LOGPROB_ABOVE_ZERO


def as_utf8(text: str) -> str:
    """Replace lone surrogates, which JSON can spell and files, which are UTF-8, cannot hold."""
    return text.encode("utf-8", "replace").decode()


PREFIX_IDS = "prefix_ids"
"""Feature: `Request.prefix_ids` is followed."""
PREFIX_TEXT = "prefix_text"
"""Feature: `Request.prefix_text` is followed, or refused when the first such request comes."""
SCORE = "score"
"""Feature: the engine is a `ScoringEngine`."""
SCORE_CONTRAST = "score_contrast"
"""Feature: `ScoreRequest.contrast` is followed."""
SCORE_TEMPERED = "score_tempered"
"""Feature: `ScoreRequest.temperature` is followed."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What made the results; goes into the manifest, so everything in it can be written as JSON.

    `tokenizer` is what `dfgen.tokens.load_tokenizer` takes to get the model's own tokenizer; None
    where it is not known (a hosted API).
    `hashes` holds sha256 digests of what shapes a prompt: tokenizer, processor, chat template.
    `features` are the optional parts of the protocol that the engine has, sorted: `prefix_ids`,
    `prefix_text`, `score`, `score_contrast`, `score_tempered`.
    """

    name: str
    version: str
    model: str
    revision: str | None
    dtype: str | None
    tokenizer: str | None
    hashes: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    features: tuple[str, ...] = ()


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


@runtime_checkable
class PatientEngine(Protocol):
    """An engine whose requests may wait a long time without being in flight."""

    def cut_waits(self) -> None:
        """Let go of such requests, which get no result; what is in flight still finishes.

        A signal handler calls it, after which no further requests are given.
        """


@runtime_checkable
class TellingEngine(Protocol):
    """An engine that asks others, who may keep it waiting."""

    def tell_waits(self, tell: Callable[[str], None]) -> None:
        """Be given what says to a person for what there has been no answer for half a minute."""


HoldRates = Callable[[], AbstractContextManager[Callable[[], float]]]
"""While entered, somebody has a part of an account's rates; gives what says which, from 0 to 1."""


def hold_all() -> AbstractContextManager[Callable[[], float]]:
    """Have all of an account's rates, as a process that nobody shares it with."""
    return nullcontext(lambda: 1.0)


@runtime_checkable
class PacedEngine(Protocol):
    """An engine that keeps to the rates of an account, which others may use as well."""

    def keep_to(self, rates: HoldRates) -> None:
        """Use a part of the rates from now on; it is held while requests are made."""


@runtime_checkable
class KeepingEngine(Protocol):
    """An engine whose requests stay out when its process ends, and whose answers a later one takes.

    The same request has the same key at every start; one that is out is not sent again.
    """

    def list_out(self) -> Collection[str]:
        """List the keys of requests that are out since an earlier start."""

    def settle(self) -> None:
        """Book what has come that nobody asked for; called when nothing more will be asked."""


class ScoringEngine(Engine, Protocol):
    """An engine that can also say how probable given completions are."""

    def score(self, requests: Iterable[ScoreRequest]) -> Iterator[list[ScoreResult]]:
        """Score completions by teacher forcing: each is read once, and nothing is generated.

        Streams as `generate` does: requests are pulled lazily, results come in lists, in any order,
        as they are finished; a completion that cannot be scored is a result with a `failure`.
        """


def require_scoring(engine: Engine) -> ScoringEngine:
    """Return the engine as one that scores.

    Raises:
        EngineError: it does not.
    """
    if SCORE not in engine.info.features:
        raise EngineError(
            f"the engine {engine.info.name!r} cannot score given completions.",
            hint="Use `engine: transformers` or `engine: vllm` with the same model.",
        )
    return cast("ScoringEngine", engine)


def require_continuing(engine: Engine) -> Engine:
    """Return the engine as one that goes on after a given beginning, as ids or at least as text.

    Raises:
        EngineError: it does neither.
    """
    if not {PREFIX_IDS, PREFIX_TEXT} & set(engine.info.features):
        raise EngineError(
            f"the engine {engine.info.name!r} cannot go on after the beginning of an answer with "
            f"{engine.info.model}.",
            hint="Use `engine: transformers` or `engine: vllm` with a model that is a decoder "
            "alone.",
        )
    return engine


def derive_seed(run_seed: int, *parts: str | int) -> int:
    """Seed of one cell, 0 <= seed < 2**63: a hash, so that neighbours share nothing."""
    text = "|".join([str(run_seed), *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
