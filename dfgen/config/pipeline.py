"""The whole pipeline file: everything that a run does."""

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
    """Processes that make masks or judge repairs. 0: at most one per core, and only where there are
    rows enough to pay for starting them; 1: the main process does all."""
    max_reject_ratio: float = Field(default=1.0, ge=0, le=1)
    """A stage that rejects more than this share of its rows ends the run with exit code 3."""

    @model_validator(mode="after")
    def _check_source(self) -> Pipeline:
        if self.imports is not None and (self.prompts is not None or self.policy is not None):
            raise ValueError("imports stands instead of prompts and policy; leave those out")
        if self.imports is None and (self.prompts is None or self.policy is None):
            raise ValueError("prompts and policy are needed (or imports, for existing answers)")
        return self
