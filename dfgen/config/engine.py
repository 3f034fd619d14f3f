"""Defines an engine's section: what generates text, and how; `engine` tells which kind it is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_serializer

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
    completion: float = Field(default=0.0, ge=0)


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
    concurrency: int = Field(default=32, gt=0)
    """Requests in flight at most. Fewer are sent while the server answers 429 or 503, or not."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    """Limit of the account; unset: none."""
    tokens_per_minute: float | None = Field(default=None, gt=0)
    """Limit of the account, prompt and completion together; unset: none."""
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


def find_price(config: TransformersConfig | VllmConfig | OpenAIConfig | None) -> Price:
    """Return what an engine charges; nothing where it computes here, or where there is none."""
    return config.price if isinstance(config, OpenAIConfig) else Price()
