"""Proves that every row of every stage of a run is in one place: output, rejects or pending."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from dfgen.errors import StorageError
from dfgen.store.counts import WITHOUT_TRAJECTORIES, count_stage
from dfgen.store.expected_rows import find_unused_repairs, read_num_samples
from dfgen.store.layout import MANIFEST, OUTPUTS, Stage
from dfgen.store.manifest import is_manifest_whole
from dfgen.validate.files import Damage, find_damage, find_strays
from dfgen.validate.history import check_history
from dfgen.validate.keys import KeyChecker

if TYPE_CHECKING:
    from dfgen.store.journal import Journal
    from dfgen.store.run import Run


def audit(run: Run, damage: Sequence[Damage] | None = None) -> list[str]:
    """Prove that no row is lost, doubled or of unknown origin; return what contradicts it.

    Keys are compared, not only numbers: every key of every stage's input is once in its output or
    its rejects, or pending; no shard that is written lacks a key (except samples that
    `sample.num_samples` has been raised to); rows have their one order; every file has its checksum
    and can be read to its end, and none lies beside them; stages that say they are done have
    nothing pending, hold as many rows as they reported, and were made from the shards that are
    there now. An empty list means that all of this holds.

    Args:
        damage: what `find_damage` has found, where that is known.
    """
    run.refresh()
    damage = find_damage(run) if damage is None else damage
    found = (
        _check_manifest(run)
        + _check_dropping(run)
        + [str(each) for each in damage]
        + _check_strays(run)
    )
    found += check_history(run)
    broken = {each.shard for each in damage if not each.readable}
    violations = KeyChecker(run, skipped=broken).check() + _check_journals(run)
    if violations or broken:  # counts that do not add up would only say it again
        return found + violations
    for stage in run.stages:
        violations += _check_report(run, stage)
        violations += _check_generations(run, stage)
    return found + violations + _check_masks(run)


def _check_manifest(run: Run) -> list[str]:
    if is_manifest_whole(run.root / MANIFEST) is not False:
        return []
    return [
        f"{run.root / MANIFEST}: it is not the file that dfgen wrote (its checksum differs). "
        "Restore it from a backup; if you changed it yourself and mean it, `dfgen migrate` takes "
        "it as it is"
    ]


def _check_dropping(run: Run) -> list[str]:
    shards = ", ".join(str(each.shard) for each in run.manifest.dropping)
    if not shards:
        return []
    return [
        f"{run.root / MANIFEST}: prompts or rejects of the shards {shards} were being dropped when "
        "a process ended: these are as it left them. The next start, such as `dfgen run "
        f"{run.root}`, completes that before anything else"
    ]


def _check_strays(run: Run) -> list[str]:
    return [
        f"{path}: is no file of this run, and who reads {path.parent.name}/*.parquet reads it, "
        "too. Move it out of the run directory"
        for path in find_strays(run)
    ]


def _check_generations(run: Run, stage: Stage) -> list[str]:
    if run.manifest.get_stage(stage).state != "done":
        return []
    return [
        f"{run.output(stage).path(shard)}: was made from shards that have been written anew "
        f"since, and {stage} is said to be done"
        for shard in run.output(stage).shards()
        if not run.is_current(stage, shard)
    ]


def knows_source(run: Run) -> bool:
    """Say whether every shard of masks says of which rows of the user's source it was made."""
    entries = [run.entry("mask", shard) for shard in run.output("mask").shards()]
    return all(entry is not None and entry.source is not None for entry in entries)


def _check_report(run: Run, stage: Stage) -> list[str]:
    """Compare what a stage reported when it was done with what there is."""
    record = run.manifest.get_stage(stage)
    try:
        found = count_stage(run, stage)
    except StorageError as error:
        return [str(error)]
    violations = []
    if found["pending"] < 0:
        violations.append(
            f"{stage}: {found['output']} rows and {found['rejects']} rejects were made of "
            f"{found['input']} input rows"
        )
    if record.state != "done":
        return violations
    if found["pending"] > 0 and not _may_be_pending(run, stage):
        violations.append(f"{stage}: is said to be done, but {found['pending']} rows are pending")
    for name in ("output", "rejects"):
        reported = record.counts.get(name, found[name])
        if reported != found[name]:
            violations.append(
                f"{stage}: reported {reported} {name}, but the files hold {found[name]}"
            )
    return violations


def _may_be_pending(run: Run, stage: Stage) -> bool:
    """Whether a stage that is done may have rows left: samples were added, or nobody repairs."""
    if stage == "repair" and run.manifest.pipeline["repair"]["engine"] is None:
        return True
    return stage in ("repair", "mask") and len(read_num_samples(run)) > 1


def _check_masks(run: Run) -> list[str]:
    if run.manifest.get_stage("mask").state != "done":
        return []
    masks = run.table(OUTPUTS["mask"])
    violations = []
    for shard in masks.shards():
        violations += _check_undecided(run, shard)
        unused = sorted(find_unused_repairs(run, shard))
        if unused:
            violations.append(
                f"{masks.path(shard)}: {len(unused)} accepted repairs have no mask made of them, "
                f"such as that of {unused[0]}"
            )
    return violations


def _check_undecided(run: Run, shard: int) -> list[str]:
    """Hold the masks that say `undecided` against the verdicts: both, or (dropped) neither."""
    if run.manifest.kind in WITHOUT_TRAJECTORIES or not run.is_current("mask", shard):
        return []
    policy = run.manifest.pipeline["grade"].get("undecided", "drop")
    masks = run.table("masks")
    columns = ["trajectory_id", "undecided"]
    marks = {row["trajectory_id"]: row["undecided"] for row in masks.iter_rows(shard, columns)}
    trajectories = run.table("trajectories").iter_rows(shard, ["trajectory_id", "verdict"])
    unread = {row["trajectory_id"] for row in trajectories if row["verdict"]["undecided"]}
    expected = unread if policy == "keep" else set[str]()
    differing = sorted({key for key, mark in marks.items() if mark} ^ (expected & marks.keys()))
    if policy == "drop":
        differing += sorted(unread & marks.keys())
    if not differing:
        return []
    return [
        f"{masks.path(shard)}: {len(differing)} rows disagree with their verdicts on whether the "
        f"answer is undecided (grade.undecided is {policy}), such as {differing[0]}"
    ]


def _check_journals(run: Run) -> list[str]:
    violations = []
    for journal in _iter_journals(run):
        try:
            for _ in journal.replay():
                pass
        except StorageError as error:
            violations.append(str(error))
    return violations


def find_torn_journals(run: Run) -> list[str]:
    """Name the journals that end in the middle of a record, a sentence each.

    An interrupted write leaves such an end, and damage to what was written last cannot be told from
    it; either way the rows in question are done again.
    """
    torn = []
    for journal in _iter_journals(run):
        with suppress(StorageError):  # `audit` says what it is
            for _ in journal.replay():
                pass
            torn += [
                f"{path}: its last {size:,} bytes are no whole record (an interrupted write, or "
                "damage); what they said is done again"
                for path, size in journal.torn.items()
            ]
    return torn


def _iter_journals(run: Run) -> Iterator[Journal]:
    """The journals of the stages, and those of answers that are drawn or graded anew."""
    for stage, shard in run.list_journals():
        yield run.journal(stage, shard)
    for shard in run.table("trajectories").shards():
        yield run.retry_journal(shard)
        yield run.regrade_journal(shard)
