"""Says what making shards of a run anew would throw away, and does it once that is wanted.

What is asked for takes along what is made of it and could not be told from what comes then: rows
of samples name prompts, and repairs, scores and values name samples, by ids that do not change.
What stages after a repair have made is opened by itself where the repairs come out different.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dfgen.errors import ConfigError, DamagedFileError, DfgenError, InputError, guess_name
from dfgen.prompts.sources import describe_rows
from dfgen.stages.growth import Source, find_gone, is_read, list_prompts, name_section
from dfgen.stages.lanes import give_up_all, read_out
from dfgen.stages.repair.spending import RepairFiles, add_up, iter_costs
from dfgen.store.counts import WITHOUT_TRAJECTORIES
from dfgen.store.dropping import complete_dropping
from dfgen.store.layout import BESIDE, STAGES, Stage, list_side_stages, list_stages
from dfgen.store.redoing import FREE, begin_redo, complete_redo

if TYPE_CHECKING:
    from pathlib import Path

    from dfgen.config.pipeline import Pipeline
    from dfgen.store.growing import Place
    from dfgen.store.run import Run

_ROWS = {
    "prompts": "prompts",
    "sample": "answers",
    "repair": "repairs",
    "score": "scored answers",
    "value": "valued answers",
    "mask": "masks",
}


@dataclass(frozen=True, slots=True)
class Redo:
    """One stage to do anew; `shards` is None for all of them."""

    stage: Stage
    shards: tuple[int, ...] | None = None


@dataclass(slots=True)
class RedoPlan:
    """What goes when shards are made anew.

    Attributes:
        asked: what was named, by stage.
        shards: these, and what is made of them.
        rows: by stage, of the files that can be read.
        requests, cost_usd: to the repairer, of the repairs among them.
        damaged: files that cannot be read.
        out: by stage, requests that are out in batches or files: their answers are to what was
            asked before, and would be taken for answers to what is asked then.
    """

    asked: dict[Stage, list[int]]
    shards: dict[Stage, list[int]]
    rows: dict[Stage, int] = field(default_factory=dict)
    requests: int = 0
    cost_usd: float = 0.0
    damaged: list[Path] = field(default_factory=list)
    out: dict[Stage, int] = field(default_factory=dict)

    @property
    def costs(self) -> bool:
        """Whether something goes that took a model or money, or may have."""
        return bool(self.out) or bool(self.shards.keys() - {*FREE, "prompts"})


def read_redo(text: str) -> Redo:
    """Read `STAGE` or `STAGE:SHARD,SHARD,...`.

    Raises:
        ConfigError: it is something else.
    """
    stage, colon, numbers = text.partition(":")
    if stage not in list_stages():
        meant = guess_name(stage, list_stages())
        raise ConfigError(
            f"there is no stage {stage!r}{f'; did you mean {meant!r}?' if meant else '.'}",
            where="--redo",
            hint=f"Stages: {', '.join(list_stages())}.",
        )
    parts = numbers.split(",") if colon else []
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise ConfigError(
            f"{numbers!r} is not a list of shards.",
            where="--redo",
            hint=f"Such as --redo {stage}:3 or --redo {stage}:3,7; part-00003.parquet is shard 3.",
        )
    return Redo(stage, tuple(sorted(map(int, parts))) if colon else None)


def check_source(run: Run, pipeline: Pipeline, wanted: Sequence[Redo]) -> None:
    """Look whether prompts that are to be read anew can be, before anything is set aside.

    Where shards are named, the source must still have their prompts: rows that are not there cannot
    be read again. Where all go, it may be another source.

    Raises:
        InputError: the source cannot be read, or lacks prompts of the shards.
    """
    config = pipeline.prompts or pipeline.imports
    read = ("prompts", "sample") if pipeline.imports else ("prompts",)
    asked = [each for each in wanted if each.stage in read]
    if config is None or not asked:
        return
    source = describe_rows(config)
    if any(each.shards is None for each in asked) or _has_all(run, config, source):
        return
    shards = sorted({shard for each in asked for shard in each.shards or ()})
    readable = [shard for shard in shards if _is_readable(run, shard)]
    gone, doubts = find_gone(run, config, readable)
    if gone:
        raise _describe_gone(run, config, gone, doubts)


def _has_all(run: Run, config: Source, source: dict[str, Any]) -> bool:
    """Whether the source was compared with the run as it is now, and lacked nothing."""
    absent = run.manifest.get_stage("prompts").facts.get("absent") or {"missing": {"count": 1}}
    missing = absent["missing"]["count"]
    return config.limit is None and not missing and is_read(run, config, source)


def _is_readable(run: Run, shard: int) -> bool:
    """Whether the prompts of a shard can be read; of a damaged one nobody knows what they were."""
    table = run.table("prompts")
    try:
        return table.exists(shard) and all(True for _ in table.iter_rows(shard))
    except DamagedFileError:
        return False


def _describe_gone(run: Run, config: Source, gone: Sequence[Place], doubts: int) -> InputError:
    section = name_section(config)
    shards = ", ".join(map(str, sorted({place.shard for place in gone})))
    one = len(gone) == 1
    limit = f" within {section}.limit={config.limit}" if config.limit else ""
    drop = f"`dfgen run {run.root} --set {section}.missing=drop`"
    way = f"To let go of prompts that are gone: {drop}. To read the whole source anew: "
    if doubts:
        refused = f"{doubts:,} refused row{' ' if doubts == 1 else 's '}"
        way = (
            f"{refused}of the source may be among them: {drop} lets go of nothing before these are "
            f"mended or removed. What reads the whole source anew as it is, without prompts that "
            "are gone: "
        )
    return InputError(
        f"{len(gone):,} prompt{'' if one else 's'} of the shards to be made anew "
        f"{'is' if one else 'are'} not in the source any more{limit} (shards {shards}):\n"
        + "\n".join(list_prompts(run, gone)),
        where=str(run.root),
        hint=f"Nothing was set aside. Put those rows back, or name the file that has them, too: "
        f"{section}.path: [OLD, NEW]. {way}`--redo prompts`.",
    )


def redo(run: Run, wanted: Sequence[Redo], *, agreed: bool) -> list[str]:
    """Set aside what is to be made anew; the caller holds the run's lock and makes it then.

    An order that was given before and has not been carried out to its end is not begun once more.

    Args:
        agreed: whether the user has said that what was paid for may go.

    Returns:
        What was done, in sentences.

    Raises:
        InputError: there is no such shard.
        DfgenError: something goes that was paid for, and nobody has agreed.
    """
    with suppress(DamagedFileError):  # which may be what is to be made anew
        complete_dropping(run)
    complete_redo(run)
    before = run.manifest.redoing
    if before is not None and all(_is_contained(each, before.asked) for each in wanted):
        return [f"Going on with what was set aside at {before.at} to be made anew."]
    plan = plan_redo(run, wanted)
    lines = describe(plan)
    if plan.costs and not agreed:
        raise DfgenError(
            "to make this anew would throw away what "
            f"{'was paid for' if plan.cost_usd else 'models have made'}:\n"
            + "\n".join(f"  {line}" for line in lines),
            where=str(run.root),
            hint="Give --yes, too, to do it. The files are kept in history/, and what they cost "
            "still counts. Where only settings that judge have changed, `dfgen repair RUN "
            "--rejudge` and `dfgen regrade RUN` throw nothing away.",
        )
    for stage in plan.out:
        give_up_all(run, stage)
    if not plan.shards:
        return [f"Given up: {line}" for line in lines]
    order = begin_redo(run, plan.asked, plan.shards, plan.damaged)
    said = [f"To be made anew: {line}" for line in lines]
    kept = [] if plan.shards.keys() <= {*FREE} else [f"Set aside in {run.root / order.folder}."]
    return [*said, *kept]


def plan_redo(run: Run, wanted: Sequence[Redo]) -> RedoPlan:
    """Find out what goes; nothing is written.

    Raises:
        InputError: there is no such shard.
    """
    asked: dict[Stage, list[int]] = {}
    out = _count_out(run, wanted)
    for each in wanted:
        known = _list_known(run, each.stage)
        chosen = known if each.shards is None else list(each.shards)
        unknown = sorted(set(chosen) - set(known))
        if not (unknown or chosen) and each.stage in out:
            continue
        if unknown or not chosen:
            there = f"it has {known[0]} to {known[-1]}" if known else "it has none"
            raise InputError(
                f"there is no shard {unknown[0]} of {each.stage}: {there}."
                if unknown
                else f"there is nothing of {each.stage} to make anew.",
                where=str(run.root),
            )
        asked[each.stage] = sorted({*asked.get(each.stage, ()), *chosen})
    plan = RedoPlan(asked, _add_what_depends(run, asked), out=out)
    for stage, shards in plan.shards.items():
        _count(run, plan, stage, shards)
    return plan


def describe(plan: RedoPlan) -> list[str]:
    """Say what goes, a line each."""
    lines = []
    for stage, shards in plan.shards.items():
        which = ", ".join(map(str, shards[:5])) + (", ..." if len(shards) > 5 else "")
        what = f"{stage}, shard{'s' if len(shards) > 1 else ''} {which}: "
        what += f"{plan.rows.get(stage, 0):,} {_ROWS.get(stage, 'rows')}"
        if stage == "repair":
            what += f" of {plan.requests:,} request{'s' * (plan.requests != 1)}"
            what += f", which cost ${plan.cost_usd:,.4f}" if plan.cost_usd else ""
        if stage in FREE:
            what += ", which cost nothing"
        lines.append(what)
    lines += [
        f"{stage}: {count:,} requests that are out, whose answers nobody will take"
        for stage, count in plan.out.items()
    ]
    lines += [f"{path} cannot be read: nobody knows what it held" for path in plan.damaged]
    return lines


def _count_out(run: Run, wanted: Sequence[Redo]) -> dict[Stage, int]:
    """Requests that are out of the stages to be made anew, and of those that are made of them."""
    stages = {each.stage for each in wanted}
    stages |= {other for each in wanted for other in _list_dependent(run, each.stage)}
    found = {stage: sum(len(out.cells) for out in read_out(run, stage)) for stage in stages}
    return {stage: found[stage] for stage in list_stages() if found.get(stage)}


def _list_known(run: Run, stage: Stage) -> list[int]:
    """Shards of which a stage has left anything, finished or not."""
    journals = {shard for each, shard in run.list_journals() if each == stage}
    files = {*run.output(stage).shards(), *run.rejects(stage).shards()}
    return sorted(files | journals | set(run.list_noted(stage)))


def _add_what_depends(run: Run, asked: dict[Stage, list[int]]) -> dict[Stage, list[int]]:
    found = {stage: set(shards) for stage, shards in asked.items()}
    for stage, shards in asked.items():
        for other in _list_dependent(run, stage):
            # What they have of shards that were named; of all, where all go: then the source may
            # be cut in another way, or be shorter.
            known = set(_list_known(run, other))
            all_go = set(shards) >= set(_list_known(run, stage))
            gone = known if all_go else known & set(shards)
            if gone:
                found.setdefault(other, set()).update(gone)
    return {stage: sorted(found[stage]) for stage in list_stages() if stage in found}


def _list_dependent(run: Run, stage: Stage) -> tuple[Stage, ...]:
    """Stages whose files go together with those of a stage."""
    if run.manifest.kind in WITHOUT_TRAJECTORIES:
        return ("prompts", "mask")  # read from one source, in one go
    if stage in ("prompts", "sample"):
        return (*STAGES[STAGES.index(stage) + 1 :], *list_side_stages())
    return ("mask",) if stage == "repair" else ()


def _count(run: Run, plan: RedoPlan, stage: Stage, shards: Sequence[int]) -> None:
    for shard in shards:
        for table in (
            run.output(stage),
            run.rejects(stage),
            *map(run.table, BESIDE.get(stage, ())),
        ):
            if not table.exists(shard):
                continue
            try:
                rows = sum(1 for _ in table.iter_rows(shard))
            except DamagedFileError:
                plan.damaged.append(table.path(shard))
                continue
            if table.directory == run.output(stage).directory:
                plan.rows[stage] = plan.rows.get(stage, 0) + rows
        _count_paid(run, plan, stage, shard)


def _count_paid(run: Run, plan: RedoPlan, stage: Stage, shard: int) -> None:
    """Count what the repairer was asked; look whether a journal can be read."""
    journal = run.journal(stage, shard)
    try:
        for _ in journal.replay():
            pass
    except DamagedFileError:
        plan.damaged.append(journal.path)
        return
    if stage != "repair":
        return
    try:
        spent = add_up(iter_costs(RepairFiles(run.root), shard))
    except DamagedFileError:
        return  # its file is among the damaged ones
    plan.requests += spent.requests
    plan.cost_usd += spent.cost_usd


def _is_contained(wish: Redo, asked: Mapping[Stage, Sequence[int]]) -> bool:
    if wish.stage not in asked:
        return False
    return wish.shards is None or set(wish.shards) <= set(asked[wish.stage])
