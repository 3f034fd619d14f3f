"""Defines an engine's section: what generates text, and how; `engine` tells which kind it is."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, field_serializer

from dfgen.config.batch import BatchConfig, Lane
from dfgen.config.hiding import hide_secrets
from dfgen.config.section import Section
from dfgen.config.vllm import VllmConfig


class TransformersConfig(Section):
    """A model in this process through `AutoModelForImageTextToText`."""

    engine: Literal["transformers"] = "transformers"
    model: str
    """Directory, Hub id, or `demo:policy` / `demo:repairer`."""
    revision: str | None = None
    """Revision of a Hub model."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Weights and arithmetic."""
    device: str = "auto"
    """cpu, cuda, cuda:1, or auto: the first GPU if there is one."""
    attention: str | None = None
    """Attention implementation (`sdpa`, `eager`, `flash_attention_2`); unset: the model's own."""
    batch_size: int = Field(default=16, gt=0)
    """Completions computed together. Another size gives floats that differ in the last digits."""
    threads: int | None = Field(default=None, gt=0)
    """Threads of torch on a CPU; unset: torch decides."""
    max_length: int | None = Field(default=None, gt=0)
    """Prompt plus completion, in tokens; unset: the model's own limit. A prompt is rejected if it
    and `max_tokens` together are more."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model."""
    processor_args: dict[str, Any] = Field(default_factory=dict)
    """Passed to the processor when it is loaded (`min_pixels`, `max_pixels`, ...)."""

    @field_serializer("processor_args", when_used="json")
    def _hide_secrets(self, value: Any) -> Any:
        return hide_secrets(value)


class Price(Section):
    """What a server charges, in US dollars per million tokens."""

    prompt: float = Field(default=0.0, ge=0)
    """For tokens read."""
    completion: float = Field(default=0.0, ge=0)
    """For tokens written."""
    cached: float | None = Field(default=None, ge=0)
    """For tokens read that the server had in its cache; unset: as `prompt`."""
    cached_from: int = Field(default=1024, ge=0)
    """Tokens that requests must have in common at their beginning for a server to keep them."""
    batch_factor: float = Field(default=0.5, ge=0)
    """What a batch costs, as a share of the prices above."""
    as_of: date | None = None
    """Day on which these prices were looked up; nothing depends on it."""

    def count(
        self, prompt_tokens: int | None, completion_tokens: int | None, cached_tokens: int | None
    ) -> float | None:
        """Count dollars for a request.

        Returns:
            None where tokens are unknown that cost something. Where a server does not say what it
            had in its cache, nothing counts as cached.
        """
        if (prompt_tokens is None and self.prompt) or (
            completion_tokens is None and self.completion
        ):
            return None
        cached = cached_tokens or 0
        kept = self.prompt if self.cached is None else self.cached
        paid = ((prompt_tokens or 0) - cached) * self.prompt + cached * kept
        return (paid + (completion_tokens or 0) * self.completion) / 1e6

    def in_lane(self, lane: Lane) -> Price:
        """Return what a request costs that travels so."""
        if lane != "batch":
            return self
        factor = self.batch_factor
        cached = None if self.cached is None else self.cached * factor
        return self.model_copy(
            update={
                "prompt": self.prompt * factor,
                "completion": self.completion * factor,
                "cached": cached,
            }
        )


class OpenAIConfig(Section):
    """A server that speaks the OpenAI chat protocol: vLLM, SGLang, a hosted API."""

    engine: Literal["openai"] = "openai"
    model: str
    """Name of the model on the server."""
    base_url: str | list[str] | None = None
    """Such as http://localhost:8000/v1, or a list of several that serve the same model, between
    which requests are balanced; unset: the environment's OPENAI_BASE_URL, else the OpenAI API."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key. The key itself never stands in a file. A server on
    this machine needs none."""
    lane: Lane = "online"
    """online: one request after the other, many in flight. batch: in files that the provider works
    on within a day, at `price.batch_factor` of the price. files: in files that somebody else
    answers (`dfgen repair RUN --write DIR`, `--read DIR`), such as `vllm run-batch`."""
    batch: BatchConfig = BatchConfig()
    concurrency: int = Field(default=32, gt=0)
    """Requests in flight at most. Fewer are sent where the server has no more places; errors that
    come by chance are only sent again."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    """Limit of the account; unset: none. Workers that share a run keep to it together."""
    tokens_per_minute: float | None = Field(default=None, gt=0)
    """Limit of the account, prompt and completion together; unset: none. Workers that share a run
    keep to it together."""
    max_image_bytes: int | None = Field(default=None, ge=4096)
    """Largest encoded picture that the server takes. A repairer is sent a JPEG copy that fits; for
    the policy the row is a reject, because trainers would not get that copy. Unset: no limit."""
    timeout: float = Field(default=600.0, gt=0)
    """Seconds for one try, from sending to the last byte."""
    max_retries: int = Field(default=5, ge=0)
    """Further tries after 408, 409, 429, 5xx and broken connections."""
    return_token_ids: bool = True
    """Ask for token ids and logprobs when sampling (vLLM and SGLang give them; hosted APIs refuse
    the question). Repairs need neither and are asked for neither."""
    retokenize: bool = False
    """Where the policy's server returns no token ids, make them by encoding its text again. They
    may differ from the sampled ones, so such rows are marked (`ids_source: encoded`) and have no
    logprobs; without this, sampling refuses."""
    tokenizer: str | None = None
    """Tokenizer of the served model (directory or Hub id), for masks and for encoding text."""
    price: Price = Price()
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request, as the server understands them; they win over dfgen's own, and
    null takes a field out (`max_tokens: null` with `max_completion_tokens: 2048`)."""

    @field_serializer("base_url", "extra_body", when_used="json")
    def _hide_secrets(self, value: Any) -> Any:
        """Manifests and `config show` hold no password: a run directory is passed on."""
        return hide_secrets(value)


EngineConfig = Annotated[
    TransformersConfig | VllmConfig | OpenAIConfig, Field(discriminator="engine")
]


def find_lane(config: TransformersConfig | VllmConfig | OpenAIConfig | None) -> Lane:
    """Return how requests to an engine travel; what computes here is asked one by one."""
    return config.lane if isinstance(config, OpenAIConfig) else "online"


def find_price(config: TransformersConfig | VllmConfig | OpenAIConfig | None) -> Price:
    """Return what an engine charges in its lane; nothing where it computes here, or is none."""
    if not isinstance(config, OpenAIConfig):
        return Price()
    return config.price.in_lane(config.lane)
