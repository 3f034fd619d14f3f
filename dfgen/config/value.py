"""Defines section `value`: how many continuations show where the policy lost its success."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from dfgen.config.engine import EngineConfig
from dfgen.config.section import Section

MaskName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+-]{1,60}$")]


class ValueConfig(Section):
    """Continuations of prefixes of wrong answers, drawn from the policy that drew the answers."""

    enabled: bool = False
    """Whether `dfgen run` draws them, between repair and mask. `dfgen value RUN` does so in any
    case."""
    engine: EngineConfig | None = None
    """The same policy once more: where the answers were imported, or `policy` is behind a server. A
    server goes on after text alone, and only if it has `continue_final_message` (vLLM, SGLang);
    rows are then marked `prefix: text`. Unset: `policy` itself."""
    draws: int = Field(default=16, gt=0)
    """Continuations of each prefix."""
    temperature: float | None = Field(default=None, gt=0)
    """At which they are drawn. Unset: as the answers were."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Tokens that an answer may have as a whole, its given beginning included. A longer one is a
    reject, because nothing drawn after its beginning could end in time. Unset: `sample.max_tokens`,
    which says nothing of imported answers and less than `--retry-max-tokens` allowed."""
    limit: int | None = Field(default=None, gt=0)
    """At most so many wrong answers, picked by chance. Unset: all that have an accepted repair and
    stand in a group with right ones."""
    controls: bool = True
    """Draw for the masks, too, that dfgen's is compared with: lowest logprob, random, first token,
    first wrong step, suffix, answer only. About doubles the work; weights do not need it."""
    masks: dict[MaskName, str] = Field(default_factory=dict)
    """Further masks to compare with, by name: each a Parquet file, or a folder of them, with
    `trajectory_id` and `loss_mask`, as `masks/` of another run is. Shown as `given_NAME`."""
    repaired: Literal["first", "all"] = "first"
    """Of which hunks the repair is drawn on from: the first alone says what a repair gains, all
    fill `value_repaired` of every hunk."""
    max_interval: float | None = Field(default=None, gt=0)
    """Stop when the 95 % interval of the blame that the masks hold is at most so wide, shards in a
    random order, and not before answers to 20 prompts are valued; shards that are left stay without
    values. Unset: do all."""

    def choose_temperature(self, sampled: float) -> float:
        """Return the temperature of continuations, given that of the answers."""
        return sampled if self.temperature is None else self.temperature

    def choose_max_tokens(self, sampled: int) -> int:
        """Return how long answers may be as a whole, given that of those that were drawn."""
        return sampled if self.max_tokens is None else self.max_tokens
