"""Validates what a path holds: a run directory, an export, or mask files by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.dataset_names import MANIFEST
from dfgen.errors import InputError, StorageError
from dfgen.parquet_batches import iter_batches
from dfgen.regular_files import open_for_arrow
from dfgen.store.layout import MANIFEST as RUN_MANIFEST
from dfgen.store.layout import list_side_stages
from dfgen.store.manifest import is_manifest_whole
from dfgen.validate.export import check_export
from dfgen.validate.files import Damage, advise_repair, count_unknown_files, find_damage, find_taken
from dfgen.validate.masks import check_masks
from dfgen.validate.scores import check_scores
from dfgen.validate.trajectories import check_trajectories

if TYPE_CHECKING:
    from dfgen.store.finished import FinishedRun
    from dfgen.store.run import Run
    from dfgen.tokens.tokenizer import TextTokenizer

# More problems than this help nobody.
MAX_PROBLEMS = 1000

BATCH_BYTES, BATCH_ROWS = 2 * 1024 * 1024, 256
"""Of rows that become Python's numbers, which take some ten times the memory of Arrow's."""


@dataclass
class Findings:
    """What was looked at and what is wrong with it.

    Attributes:
        checked: what was looked at, a line each.
        skipped: what could not be looked at, and why, a line each.
        problems: what is wrong, a sentence each.
        damaged: the files that are not what was written; `problems` names each of them, too.
        advice: how the damaged files are put right; None if there are none.
    """

    checked: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    damaged: list[Damage] = field(default_factory=list)
    advice: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain data; `sound` is about what was checked."""
        return {
            "sound": not self.problems,
            "checked": self.checked,
            "skipped": self.skipped,
            "problems": self.problems,
            "damaged": [
                {"path": str(each.path), "stage": each.stage, "shard": each.shard}
                for each in self.damaged
            ],
        }


def validate_path(path: Path, tokenizer_name: str | None) -> Findings:
    """Check a run directory, an exported folder, one mask file, or a folder of mask files.

    Args:
        path: what to check.
        tokenizer_name: decodes ids again; None: the run's own, or none for single files.

    Raises:
        InputError: there is no such file in it, or it cannot be read.
        StorageError: it cannot be read.
    """
    if (path / "run.json").exists():
        return _validate_run(path, tokenizer_name)
    if (path / MANIFEST).exists():
        return _validate_export(path)
    folder = path / "masks" if (path / "masks").is_dir() else path
    files = [path] if path.is_file() else sorted(folder.glob("*.parquet"))
    if not files:
        raise InputError("is neither a run nor a folder with mask files.", where=str(path))
    tokenizer = _load(tokenizer_name)
    findings = Findings()
    _check_rows(_read_files(files), tokenizer, findings)
    return findings


def _validate_run(path: Path, tokenizer_name: str | None) -> Findings:
    from dfgen.store.finished import open_finished

    finished = open_finished(path)
    findings = Findings()
    _check_stages(finished, findings)
    masks = finished.run.table("masks")
    broken = {each.path for each in findings.damaged if not each.readable}
    intact = [shard for shard in masks.shards() if masks.path(shard) not in broken]
    tokenizer = (_load(tokenizer_name) or finished.tokenizer) if intact else None
    others = _find_others(finished.run, tokenizer)
    _compare("every row: that tables, pictures and their notes say the same", others, findings)
    if intact:
        rows = chain.from_iterable(map(masks.iter_rows, intact))
        _check_rows(rows, tokenizer, findings)
    elif not masks.shards():
        findings.skipped.append("masks: the run has none yet")
    return findings


def _validate_export(path: Path) -> Findings:
    found = check_export(path)
    findings = Findings(
        checked=[f"{found.files} files: there, and with the content that {MANIFEST} lists"],
        skipped=["the masks themselves: validate the run that they were exported from"],
        problems=found.problems,
    )
    if found.sealed:
        findings.checked.append(f"{MANIFEST}: the checksum that it was written with")
    else:
        findings.skipped.append(f"{MANIFEST}: an earlier dfgen gave it no checksum; export again")
    return findings


def _check_stages(finished: FinishedRun, findings: Findings) -> None:
    from dfgen.validate.audit import audit, find_torn_journals, knows_source

    damage = find_damage(finished.run)
    findings.damaged = damage
    findings.problems.extend(audit(finished.run, damage))
    findings.checked.append(_describe_files(damage))
    findings.skipped += find_torn_journals(finished.run)
    if damage:
        findings.advice = advise_repair(finished.run, damage)
    if finished.has_answers_of_its_own:
        own_ids = "every row: the own id and the metadata of what it was made from"
        _compare(own_ids, _find_other_ids(finished.run), findings)
        ranges = "every answer: the range of its token ids, logprobs and counts"
        _compare(ranges, check_trajectories(finished.run), findings)
    if finished.run.table("scores").shards():
        scores = "every score: its length, its range, and whose token ids it is of"
        _compare(scores, check_scores(finished.run), findings)
    broken = len({each.shard for each in damage if not each.readable})
    if broken:
        findings.skipped.append(f"the rows of {broken} shards with files that cannot be read")
    of = " of the other shards" if broken else ""
    if finished.has_answers_of_its_own:
        findings.checked.append(f"every row of every stage{of}: one of output, rejects, pending")
    elif knows_source(finished.run):
        findings.checked.append(f"every row that was read{of}: once, in the masks or the rejects")
    else:
        findings.checked.append(f"every mask{of}: once, in the masks or in the rejects")
        findings.skipped.append("whether a row was lost: the run does not say what it was made of")
    findings.skipped += [
        f"{path}: is gone; its stage is not done and makes it anew, which may cost what it has "
        "cost. Restore it from a backup first, if there is one"
        for path in ([] if damage else find_taken(finished.run))
    ]
    findings.skipped.extend(_list_absent(finished.run))
    for stage in finished.run.stages:
        stale = finished.list_stale(stage)
        if stale:
            command = f"{stage} RUN" if stage in list_side_stages() else "run"
            findings.skipped.append(
                f"{stage}: {len(stale)} shards are to be made anew (`dfgen {command}`), because "
                "rows that they were made from have changed"
            )
    if is_manifest_whole(finished.run.root / RUN_MANIFEST) is None:
        findings.skipped.append(
            "run.json: an earlier dfgen gave it no checksum (`dfgen migrate` does)"
        )
    unnamed = count_unknown_files(finished.run)
    if unnamed:
        findings.skipped.append(
            f"the checksums of {unnamed} shards: an earlier dfgen kept none, so only the checksums "
            "inside the files were compared (`dfgen migrate` notes them)"
        )


def _describe_files(damage: Sequence[Damage]) -> str:
    """Say how files were looked at; what is wrong with them stands among the problems."""
    if not damage:
        return "every file: the checksum that it was written with, and all that it holds"
    files = len({each.path for each in damage})
    found = "1 is" if files == 1 else f"{files} are"
    return f"every file: its checksum, and all of it that can be read; {found} damaged"


def _compare(what: str, problems: Iterable[str], findings: Findings) -> None:
    """Collect what a comparison of rows finds; damaged files leave nothing to compare."""
    if findings.damaged:
        findings.skipped.append(f"{what}: first the damaged files have to be put right")
        return
    found = list(islice(problems, MAX_PROBLEMS))
    findings.problems.extend(found)
    if len(found) < MAX_PROBLEMS:
        findings.checked.append(what)
    else:
        findings.skipped.append(f"{what}: only until there were {MAX_PROBLEMS} problems")


def _find_other_ids(run: Run) -> Iterator[str]:
    """Yield what disagrees; a file that cannot be read is among the audit's findings already."""
    from dfgen.validate.source_ids import check_source_ids

    with suppress(StorageError):
        yield from check_source_ids(run)


def _find_others(run: Run, tokenizer: TextTokenizer | None) -> Iterator[str]:
    """Yield where tables differ; a file that cannot be read is among the findings already."""
    from dfgen.validate.agreement import check_agreement

    with suppress(StorageError):
        yield from check_agreement(run, tokenizer)


def _list_absent(run: Run) -> Iterator[str]:
    """Name the prompts that stand in the run alone since its source was read last."""
    absent = run.manifest.get_stage("prompts").facts.get("absent") or {}
    if not absent.get("kept"):
        return
    for kind, what in (("missing", "gone from the source"), ("changed", "changed in the source")):
        found = absent[kind]
        if found["count"]:
            lines = [f"prompts: {found['count']:,} are {what}, and kept (prompts.missing):"]
            lines += [f"  {name}" for name in found["shown"]]
            more = found["count"] - len(found["shown"])
            yield "\n".join([*lines, f"  and {more:,} more"] if more else lines)


def _load(name: str | None) -> TextTokenizer | None:
    if name is None:
        return None
    from dfgen.tokens.loading import load_tokenizer

    return load_tokenizer(name)


def _check_rows(
    rows: Iterator[dict[str, Any]], tokenizer: TextTokenizer | None, findings: Findings
) -> None:
    """Check mask rows until there are too many problems."""
    count = 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal count
        for row in rows:
            count += 1
            yield row

    for problem in check_masks(counted(), tokenizer):
        findings.problems.append(problem)
        if len(findings.problems) >= MAX_PROBLEMS:
            findings.skipped.append(f"mask rows after these {MAX_PROBLEMS} problems")
            break
    if not count:
        findings.skipped.append("mask rows: the files have none")
        return
    decoded = "ids decoded again" if tokenizer else "ids not decoded"
    findings.checked.append(f"{count:,} mask rows: every invariant ({decoded})")
    if tokenizer is None:
        findings.skipped.append("whether the ids give the text: no --tokenizer was given")


def _read_files(files: list[Path]) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from dfgen.records import Mask
    from dfgen.store.parquet import make_file_schema

    fields = list(make_file_schema(Mask))
    # Of an older dfgen: a column that came later is null throughout.
    absent = {field.name: None for field in fields if field.nullable}
    for file in files:
        try:
            source = pq.ParquetFile(
                open_for_arrow(file), page_checksum_verification=True, pre_buffer=False
            )
            present = source.schema_arrow.names
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be read as Parquet: {error}.", where=str(file)) from None
        missing = {each.name for each in fields} - {*present, *absent}
        if missing:
            raise InputError(
                f"is not a mask file: it has no column {', '.join(sorted(missing))}.",
                where=str(file),
            )
        expected, found = source.metadata.num_rows, 0
        try:
            for batch in iter_batches(source, BATCH_BYTES, BATCH_ROWS):
                found += batch.num_rows
                yield from ({**absent, **row} for row in batch.to_pylist())
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"cannot be read to its end: {error}.", where=str(file)) from None
        if found != expected:
            raise InputError(f"only {found} of its {expected} rows can be read.", where=str(file))
