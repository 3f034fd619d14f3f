"""The stages of a run by name."""

from __future__ import annotations

from dfgen.stages.mask.stage import MaskStage
from dfgen.stages.repair.stage import RepairStage
from dfgen.stages.sample.stage import SampleStage
from dfgen.stages.work import StageWork
from dfgen.store.layout import Stage

WORKS: dict[Stage, StageWork] = {
    work.stage: work for work in (SampleStage(), RepairStage(), MaskStage())
}
"""A side stage enters itself here. Reading a source is no stage of shards: it makes them."""


def find_work(stage: Stage) -> StageWork:
    """The stage of this name.

    Raises:
        ValueError: there is none.
    """
    if stage not in WORKS:
        raise ValueError(f"there is no stage {stage!r} of shards; there are {', '.join(WORKS)}")
    return WORKS[stage]
