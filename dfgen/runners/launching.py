"""Plans who works on which stage of a run, and with what, where a scheduler starts the workers.

Reading the source is the work of one; every other stage is shared by all workers, shard by shard.
A worker gets GPUs only where it holds a model of its own: a stage that asks a server needs none.
"""

from __future__ import annotations

from dataclasses import dataclass

from dfgen.config.engine import EngineConfig, OpenAIConfig, TransformersConfig
from dfgen.config.pipeline import Pipeline
from dfgen.config.vllm import VllmConfig
from dfgen.errors import ConfigError
from dfgen.stages.lanes import refuse_lanes
from dfgen.stages.work import is_wanted
from dfgen.store.layout import Stage

SHARED: tuple[Stage, ...] = ("sample", "repair", "score", "value", "mask")
"""The stages of shards, in the order of the work."""


@dataclass(frozen=True)
class Resources:
    """What each worker gets.

    Attributes:
        workers: of each stage that is shared.
        gpus: of a worker that holds a model; None: as many as one copy of the model takes.
        cpus: cores.
        memory: in the words of the scheduler (`64G`); None: its default.
    """

    workers: int
    gpus: int | None = None
    cpus: int = 1
    memory: str | None = None


@dataclass(frozen=True)
class StageTask:
    """One stage as its workers are started: how many, and how many GPUs each has."""

    stage: Stage
    workers: int
    gpus: int


def plan_stages(pipeline: Pipeline, resources: Resources) -> list[StageTask]:
    """List the stages that a run goes through, in order, with the workers of each.

    Raises:
        ConfigError: the run has no stage that several workers could share, or one that they cannot.
    """
    if pipeline.kind in ("pairs", "retokenized"):
        raise ConfigError(
            f"a run from {pipeline.kind.replace('retokenized', 'another tokenizer')} has no stage "
            "that several machines can share.",
            hint="`dfgen mask --pairs` and `dfgen retokenize` do all of it on one.",
        )
    refuse_lanes(pipeline, SHARED)
    tasks = [StageTask("prompts", 1, 0)]
    for stage in SHARED:
        if is_wanted(pipeline, stage):
            gpus = count_gpus(find_engine(pipeline, stage), resources.gpus)
            tasks.append(StageTask(stage, resources.workers, gpus))
    return tasks


def find_engine(pipeline: Pipeline, stage: Stage) -> EngineConfig | None:
    """Return the section of the model that a stage works with; None if it needs none."""
    engines = {
        "sample": pipeline.policy,
        "repair": pipeline.repair.engine,
        "score": pipeline.scorer,
        "value": pipeline.continuer,
    }
    return engines.get(stage)


def count_gpus(engine: EngineConfig | None, wanted: int | None) -> int:
    """Count the GPUs that a worker with this model needs.

    Args:
        wanted: what the user said; None: nothing.
    """
    if isinstance(engine, VllmConfig):
        parallel = engine.engine_args.get("pipeline_parallel_size", 1)
        return engine.tensor_parallel_size * int(parallel) if wanted is None else wanted
    if isinstance(engine, TransformersConfig) and engine.device != "cpu":
        return 1 if wanted is None else wanted
    return 0


def find_served_model(pipeline: Pipeline) -> OpenAIConfig:
    """Return the section of the repairer that a job is to serve.

    Raises:
        ConfigError: the repairer is none that is asked through a server.
    """
    engine = pipeline.repair.engine
    if not isinstance(engine, OpenAIConfig):
        raise ConfigError(
            "there is no repairer that could be served: repair.engine is "
            + ("not set." if engine is None else f"{engine.engine!r}, which needs no server."),
            hint="Set repair.engine to {engine: openai, model: MODEL}, or leave --serve-repairer.",
        )
    return engine


def list_key_variables(pipeline: Pipeline) -> list[str]:
    """List the variables of the environment that hold keys of the servers a run asks."""
    engines = [find_engine(pipeline, stage) for stage in SHARED]
    return [each.api_key_env for each in engines if isinstance(each, OpenAIConfig)]
