"""Says how a policy drew its answers: at which temperature, and whether anything was cut off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dfgen.config.engine import EngineConfig, OpenAIConfig
from dfgen.config.sample import SampleConfig

_OFF: dict[str, Any] = {"top_p": 1, "top_k": 0, "min_p": 0, "typical_p": 1}


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers were drawn.

    Attributes:
        temperature: None: nobody knows, the answers were imported.
        truncated: whether unlikely tokens were cut off (top-p, top-k, min-p); None: nobody knows.
    """

    temperature: float | None
    truncated: bool | None

    @property
    def trainers_temperature(self) -> float | None:
        """By what trainers divide logits, where that gives other logprobs than the model's own.

        None at 1, where both are the same, at 0, where nothing was drawn by chance, and where
        nobody knows.
        """
        return self.temperature if self.temperature not in (None, 0, 1) else None


def find_sampling(policy: EngineConfig | None, sample: SampleConfig) -> Sampling:
    """Find out how a policy draws.

    Fields that a server's section adds to each request (`extra_body`) win, as they do there.

    Args:
        policy: None: the answers were imported.
        sample: the section of the pipeline.
    """
    if policy is None:
        return Sampling(None, None)
    values: dict[str, Any] = {
        "temperature": sample.temperature,
        "top_p": sample.top_p,
        "top_k": sample.top_k,
    }
    if isinstance(policy, OpenAIConfig):
        values |= {
            name: value
            for name, value in policy.extra_body.items()
            if value is not None and name in {*_OFF, "temperature"}
        }
    truncated = any(
        values.get(name, off) != off and not (name == "top_k" and values[name] < 0)
        for name, off in _OFF.items()
    )
    return Sampling(float(values["temperature"]), truncated)
