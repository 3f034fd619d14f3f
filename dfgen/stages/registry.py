"""Names the stages of a run and does all of one for one shard, which a cluster can hand out.

run_shard(run, "mask", 7, tools)
"""

from __future__ import annotations

from dfgen.stages.mask.stage import MaskStage
from dfgen.stages.repair.stage import RepairStage
from dfgen.stages.sample.stage import SampleStage
from dfgen.stages.score.stage import ScoreStage
from dfgen.stages.value.stage import ValueStage
from dfgen.stages.work import StageWork, Tools, run_shards
from dfgen.store.layout import Stage
from dfgen.store.run import Run

WORKS: dict[Stage, StageWork] = {
    work.stage: work
    for work in (SampleStage(), RepairStage(), ScoreStage(), ValueStage(), MaskStage())
}
"""A side stage enters itself here. Reading a source is no stage of shards: it makes them."""


def find_work(stage: Stage) -> StageWork:
    """Find the stage of this name.

    Raises:
        ValueError: there is none.
    """
    if stage not in WORKS:
        raise ValueError(f"there is no stage {stage!r} of shards; there are {', '.join(WORKS)}")
    return WORKS[stage]


def run_shard(run: Run, stage: Stage, shard: int, tools: Tools) -> None:
    """Do all of a stage for one shard, which needs nothing but the run directory and its tools.

    The caller holds the run's lock, or a claim on the shard. What is on disk of the shard stays:
    draws and answers that were paid for are not paid for again.

    Args:
        run: the run directory.
        stage: sample, repair, mask, or a side stage.
        shard: of the tables that the stage reads.
        tools: opened by the stage's `open_tools`, for any number of shards.

    Raises:
        ValueError: there is no such stage.
        DfgenError: the environment is at fault; everything finished is on disk.
    """
    run_shards(run, find_work(stage), [shard], tools)
