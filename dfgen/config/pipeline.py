"""Defines the whole pipeline file: everything that a run does."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from dfgen.config.bucket import BucketConfig
from dfgen.config.engine import EngineConfig, find_lane
from dfgen.config.grade import GradeConfig
from dfgen.config.imports import ImportConfig
from dfgen.config.mask import MaskConfig
from dfgen.config.pairs import PairsConfig
from dfgen.config.prompts import PromptsConfig
from dfgen.config.repair import RepairConfig
from dfgen.config.retokenize import RetokenizeConfig
from dfgen.config.sample import SampleConfig
from dfgen.config.sampling import find_sampling
from dfgen.config.score import ScoreConfig
from dfgen.config.section import Section
from dfgen.config.value import ValueConfig
from dfgen.errors import ConfigError


class Pipeline(Section):
    """One run: prompts -> sample -> repair (-> score, value) -> mask."""

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
    pairs: PairsConfig | None = None
    """Wrong and corrected texts that are there already, instead of all of the above."""
    retokenize: RetokenizeConfig | None = None
    """Masks of another run, for another tokenizer, instead of all of the above."""
    sample: SampleConfig = SampleConfig()
    grade: GradeConfig = GradeConfig()
    repair: RepairConfig = RepairConfig()
    score: ScoreConfig = ScoreConfig()
    value: ValueConfig = ValueConfig()
    mask: MaskConfig = MaskConfig()
    bucket: BucketConfig = BucketConfig()
    workers: int = Field(default=0, ge=0)
    """Processes that make masks or judge repairs. 0: at most one per core, and only where there are
    rows enough to pay for starting them; 1: the main process does all."""
    max_reject_ratio: float = Field(default=1.0, ge=0, le=1)
    """A stage that rejects more than this share of its rows ends the run with exit code 3."""

    @property
    def kind(self) -> Literal["sampled", "imported", "pairs", "retokenized"]:
        """Where the wrong answers of a run with this file come from."""
        if self.imports is not None:
            return "imported"
        if self.pairs is not None:
            return "pairs"
        return "sampled" if self.retokenize is None else "retokenized"

    @model_validator(mode="after")
    def _check_source(self) -> Pipeline:
        instead = [name for name in ("imports", "pairs", "retokenize") if getattr(self, name)]
        if len(instead) > 1:
            raise ValueError(f"{' and '.join(instead)} exclude each other; leave out all but one")
        if instead and (self.prompts is not None or self.policy is not None):
            raise ValueError(f"{instead[0]} stands instead of prompts and policy; leave those out")
        if not instead and (self.prompts is None or self.policy is None):
            raise ValueError("prompts and policy are needed (or imports, for existing answers)")
        return self

    @model_validator(mode="after")
    def _check_metadata(self) -> Pipeline:
        if not self.mask.metadata:
            return self
        source = self.imports or self.prompts
        if source is None:
            raise ValueError("mask.metadata needs prompts or imports: other masks have their own")
        if source.source == "demo":  # has columns of its own, whatever the file says
            return self
        known = list(source.columns.metadata)
        if self.imports is not None:
            columns = self.imports.columns
            known += [*columns.response_metadata, *filter(None, [columns.verdict])]
        for name in self.mask.metadata:
            if name not in known:
                raise ValueError(
                    f"mask.metadata names {name!r}, which columns.metadata does not (it has: "
                    f"{', '.join(known) or 'nothing'}); name it there, too"
                )
        return self

    @property
    def scorer(self) -> EngineConfig | None:
        """The engine that scores: the policy, or the same model in another engine."""
        return self.score.engine or self.policy

    @model_validator(mode="after")
    def _check_score(self) -> Pipeline:
        if not self.score.enabled:
            return self
        if self.pairs is not None or self.retokenize is not None:
            raise ValueError("score needs answers of a policy, and this run has none of its own")
        scorer = self.scorer
        if scorer is None:
            raise ValueError("score.engine is needed: imported answers name no policy to ask")
        if scorer.engine == "openai":
            section, lane = "score.engine" if self.score.engine else "policy", find_lane(scorer)
            raise ValueError(
                f"the engine 'openai' cannot score given completions, and {section} is behind a "
                f"server{'' if lane == 'online' else f' (lane {lane})'}; name the same model in "
                "score.engine, as `engine: transformers` or `engine: vllm`"
            )
        tempered = find_sampling(self.policy, self.sample).trainers_temperature
        if scorer.engine == "vllm" and self.score.tempered and tempered is not None:
            raise ValueError(
                f"answers were drawn at temperature {tempered:g}, and vLLM tells the logprobs of "
                "given tokens before temperature only; set score.tempered to false for these "
                "alone, or name the same model in score.engine as `engine: transformers`"
            )
        return self

    @property
    def continuer(self) -> EngineConfig | None:
        """The engine that draws on from prefixes: the policy, or the same model in another one."""
        return self.value.engine or self.policy

    @model_validator(mode="after")
    def _check_value(self) -> Pipeline:
        if not self.value.enabled:
            return self
        if self.pairs is not None or self.retokenize is not None:
            raise ValueError("value needs answers of a policy, and this run has none of its own")
        engine = self.continuer
        if engine is None:
            raise ValueError("value.engine is needed: imported answers name no policy to ask")
        if self.value.choose_temperature(self.sample.temperature) == 0:
            raise ValueError(
                "at temperature 0 every continuation of a prefix is the same, so there is no share "
                "of right ones; set value.temperature to 1"
            )
        return self


def name_tokenizer(pipeline: Pipeline) -> tuple[str, str | None]:
    """Return where the policy's tokenizer comes from: directory or Hub id, and revision.

    Raises:
        ConfigError: the policy is behind a server and no tokenizer is named.
    """
    for source in (pipeline.imports, pipeline.pairs, pipeline.retokenize):
        if source is not None:
            return source.tokenizer, None
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
