"""The pipeline file: everything a run does, in one model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from dfgen.config.engine import EngineConfig
from dfgen.config.grade import GradeConfig
from dfgen.config.imports import ImportConfig
from dfgen.config.mask import MaskConfig
from dfgen.config.prompts import PromptsConfig
from dfgen.config.repair import RepairConfig
from dfgen.config.sample import SampleConfig
from dfgen.config.section import Section
from dfgen.errors import ConfigError


class Pipeline(Section):
    """One run: prompts -> sample -> repair -> mask."""

    version: Literal[1] = 1
    """Version of this file format."""
    name: str = "run"
    """Free name, shown in reports."""
    seed: int = Field(default=0, ge=0)
    """Every cell's seed is derived from it."""
    prompts: PromptsConfig | None = None
    """The questions. Needs `policy` to answer them."""
    policy: EngineConfig | None = None
    """The model that is trained, which answers the questions."""
    imports: ImportConfig | None = None
    """Existing answers of other models, instead of `prompts` and `policy`."""
    sample: SampleConfig = SampleConfig()
    grade: GradeConfig = GradeConfig()
    repair: RepairConfig = RepairConfig()
    mask: MaskConfig = MaskConfig()
    workers: int = Field(default=0, ge=0)
    """Processes of the mask stage; 0: one per core where there is work for them."""
    max_reject_ratio: float = Field(default=1.0, ge=0, le=1)
    """A stage that rejects more than this share of its rows ends the run with exit code 3."""

    @model_validator(mode="after")
    def _check_source(self) -> Pipeline:
        if self.imports is not None and (self.prompts is not None or self.policy is not None):
            raise ValueError("imports stands instead of prompts and policy; leave those out")
        if self.imports is None and (self.prompts is None or self.policy is None):
            raise ValueError("prompts and policy are needed (or imports, for existing answers)")
        return self


def name_tokenizer(pipeline: Pipeline) -> tuple[str, str | None]:
    """Where the policy's tokenizer comes from: directory or Hub id, and revision.

    Raises:
        ConfigError: the policy is behind a server and no tokenizer is named.
    """
    if pipeline.imports is not None:
        return pipeline.imports.tokenizer, None
    policy = pipeline.policy
    if policy is None:
        raise ConfigError("there is no policy section, so there is no tokenizer.")
    if policy.engine != "openai":
        return policy.model, policy.revision
    if policy.tokenizer is None:
        raise ConfigError(
            "policy.tokenizer is missing: a server does not say which tokenizer its ids belong to.",
            hint="Set it to the directory or Hub id of the served model.",
        )
    return policy.tokenizer, None
