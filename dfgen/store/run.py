"""Opens a run directory: the way into everything that a run keeps on disk.

A shard is open again when it lacks rows, or when a shard that it was made from is a newer one now.
It is then made anew (`dfgen.store.finishing`); until its new file is in place, the old one stays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel

from dfgen.config.load import change_pipeline
from dfgen.config.pipeline import Pipeline
from dfgen.errors import RunMismatchError
from dfgen.pictures import VIEW
from dfgen.records import Record, Reject
from dfgen.store.atomic_files import remove_files, remove_temporary_files
from dfgen.store.beginning import begin_run
from dfgen.store.entries import (
    ShardEntry,
    find_entry_file,
    hash_file,
    is_current,
    list_entry_files,
    read_entry,
    write_entry,
)
from dfgen.store.expected_rows import is_complete
from dfgen.store.fingerprint import (
    Difference,
    accept,
    adopt_fields,
    adopt_section,
    list_differences,
)
from dfgen.store.journal import Journal
from dfgen.store.journal_files import choose_file, list_files, parse_name
from dfgen.store.layout import (
    BATCHES,
    BESIDE,
    EXTRA_JOURNALS,
    JOURNAL,
    MANIFEST,
    OUTPUTS,
    REJECTS,
    TABLES,
    Kind,
    Stage,
    Table,
    find_writer,
    list_inputs,
    list_stages,
)
from dfgen.store.manifest import (
    Manifest,
    StageRecord,
    State,
    format_now,
    load_manifest,
    reload_manifest,
    update_manifest,
)
from dfgen.store.mounts import RunLock, find_mount
from dfgen.store.os_errors import explain_os_errors
from dfgen.store.outgoing import is_any_out
from dfgen.store.place import ensure_mounted, open_lock
from dfgen.store.refusing import refuse_differences
from dfgen.store.reserving import Waiting
from dfgen.store.shards import ShardTable
from dfgen.store.shared.exclusion import refuse_members
from dfgen.store.views import is_view_settled
from dfgen.version import VERSION

REGRADING = "regrading"
"""Fact of `sample` in the manifest: digest of the settings with which its answers are being graded
anew; null when that is done."""

_KINDS: dict[Kind, str] = {
    "sampled": "answers drawn from a policy",
    "imported": "imported answers",
    "pairs": "pairs of wrong and corrected texts",
    "retokenized": "masks carried over to another tokenizer",
}


def is_run(path: Path) -> bool:
    """Say whether a directory is a run: it holds a manifest."""
    return (path / MANIFEST).is_file()


class Run:
    """One run directory. Open it with `open_or_create`; write to it inside `lock()`."""

    passed_over: frozenset[Path] = frozenset()
    """Damaged files that count as not there (`dfgen.store.visible_damage`)."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self.manifest = manifest
        self.desk: Path | None = None
        """Where files are written before they are put in place, if several share the run."""
        self._lock: RunLock | None = None
        self.mount = find_mount(root)
        """What the run lies in; None: on a disk."""
        self.notices: list[str] = []
        """What people should know of the run's bucket, a sentence each."""

    @classmethod
    def open_or_create(cls, root: Path, pipeline: Pipeline | None) -> Self:
        """Open the run in a directory, or begin one there.

        Whether the run agrees with `pipeline` is for `check_stage` to say, stage by stage.

        Args:
            root: the run directory.
            pipeline: the effective pipeline of a new run; None: there must be a run.

        Raises:
            StorageError: it is no run and not empty; or it cannot be read or written.
            RunMismatchError: it is a run of another kind.
            DamagedFileError: run.json is damaged.
        """
        path = root / MANIFEST
        ensure_mounted(root)
        with explain_os_errors(root, "open"):  # a name that is too long, a folder that is closed
            there = path.exists()
        manifest = load_manifest(path) if there else begin_run(root, pipeline)
        run = cls(root, manifest)
        if pipeline is not None and run.manifest.kind != pipeline.kind:
            raise RunMismatchError(
                f"this directory holds a run of another kind: {_KINDS[run.manifest.kind]}, not "
                f"{_KINDS[pipeline.kind]}.",
                where=str(root),
                hint="Choose another directory.",
            )
        return run

    def refresh(self) -> None:
        """Read run.json again: other processes, and other objects of this one, may have written it.

        Raises:
            StorageError: it cannot be read.
        """
        self.manifest = reload_manifest(self.root / MANIFEST, self.manifest)

    def read_pipeline(self, overrides: Sequence[str] = (), file: Path | None = None) -> Pipeline:
        """Read the settings on record, changed by a file, the environment and overrides.

        Args:
            overrides, file: see `dfgen.config.load.change_pipeline`.

        Raises:
            ConfigError: names the field.
        """
        origin = str(self.root / MANIFEST)
        return change_pipeline(self.manifest.pipeline, overrides, origin, file=file)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only process that works on the run.

        On entry, what a dead process left half-done is cleared away.

        Raises:
            RunLockedError: another process holds it, or several share the run; names pid, host,
                since when, and command.
        """
        lock = open_lock(self.root)
        lock.acquire()
        self._lock = lock
        try:
            refuse_members(self.root)
            if self.mount is not None:
                self.notices += self.mount.take_up()
            self.refresh()
            self._clear_leftovers()
            yield
        finally:
            self._lock = None
            lock.release()

    def table(self, name: Table) -> ShardTable:
        """Return the shards of a table: `prompts`, `trajectories`, ..., or a side table."""
        return self._open_table(name, TABLES[name])

    def output(self, stage: Stage) -> ShardTable:
        """Return the table that a stage writes."""
        return self.table(OUTPUTS[stage])

    def rejects(self, stage: Stage) -> ShardTable:
        """Return the rejects of a stage. A shard without rejects has no file."""
        return self._open_table(REJECTS, Reject, prefix=stage)

    def _open_table(self, folder: str, record: type[Record], prefix: str = "part") -> ShardTable:
        return ShardTable(
            self.root / folder,
            record,
            prefix=prefix,
            guard=self._check_lock,
            desk=self.desk,
            passed_over=self.passed_over,
        )

    def journal(
        self,
        stage: Stage,
        shard: int,
        record: type[BaseModel] | None = None,
        passed_over: Callable[[int, str], None] | None = None,
    ) -> Journal:
        """Return the journal of a shard in work; see `Journal` for the rest."""
        return self._open_journal(stage, shard, record=record, passed_over=passed_over)

    def outgoing(self, name: str) -> Journal:
        """Return the record of an engine's requests that are out in batches or files."""
        path = self.root / BATCHES / f"{name}.jsonl"
        return Journal(path, stage=name, shard=0, sync="always", guard=self._check_lock)

    def _open_journal(self, name: str, shard: int, **watch: Any) -> Journal:
        folder = self.root / JOURNAL
        with explain_os_errors(folder, "list"):
            own = choose_file(folder, name, shard, self._token)
            earlier = [path for path in list_files(folder, name, shard) if path != own]
        watch |= {"guard": self._check_lock, "desk": self.desk, "earlier": earlier}
        return Journal(own, stage=name, shard=shard, **watch)

    @property
    def _token(self) -> str | None:
        """What tells this process from others that work on the run; None if it has it alone."""
        return None

    def write_entry(self, stage: Stage, shard: int, entry: ShardEntry) -> None:
        """Write the entry of a shard beside the journals. Raises `StorageError`."""
        write_entry(self.root / JOURNAL, stage, shard, entry, self.desk)

    def let_go(self, stage: Stage, shard: int) -> None:
        """Do nothing more in a shard for now, which others may be waiting for."""

    @contextmanager
    def reserve(self, shards: Collection[int], waiting: Waiting) -> Iterator[bool]:  # noqa: ARG002
        """Have all stages of some shards for itself during a block, as who has the run alone does.

        Gives False, without having them, if a stop was asked for first.
        """
        yield True

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that a run of this kind has, and the side stages that have begun, last."""
        return tuple(
            stage
            for stage in list_stages()
            if OUTPUTS[stage] in self.manifest.tables
            or self.manifest.get_stage(stage).state != "pending"
        )

    def entry(self, stage: Stage, shard: int) -> ShardEntry | None:
        """Return what is remembered of a finished shard, if anything. Raises `StorageError`."""
        found = self._find_entry(stage, shard)
        if found is None and self.desk is not None and self.output(stage).exists(shard):
            self.refresh()  # another process has moved it to run.json
            found = self._find_entry(stage, shard)
        return found

    def _find_entry(self, stage: Stage, shard: int) -> ShardEntry | None:
        noted = self.manifest.shards.get(stage, {}).get(shard)
        return read_entry(self.root / JOURNAL, stage, shard) or noted

    def list_noted(self, stage: Stage) -> list[int]:
        """Return the shards of a stage that have been finished and noted, gone or not."""
        fresh = list_entry_files(self.root / JOURNAL, stage)
        return sorted({*fresh, *self.manifest.shards.get(stage, {})})

    def generation(self, table: Table, shard: int) -> int:
        """Return which version of a shard of a table is there; 0: none is."""
        if not self.table(table).exists(shard):
            return 0
        entry = self.entry(find_writer(table), shard)
        return 1 if entry is None else entry.generation

    def generations(self, stage: Stage, shard: int) -> dict[Table, int]:
        """Return the versions that the inputs of a stage have now in a shard."""
        return {table: self.generation(table, shard) for table in list_inputs(stage)}

    def is_current(self, stage: Stage, shard: int) -> bool:
        """Say whether a shard was made from the inputs that there are now."""
        return is_current(self.entry(stage, shard), self.generations(stage, shard))

    def retry_journal(self, shard: int, record: type[BaseModel] | None = None) -> Journal:
        """Return the journal of a shard whose truncated samples are being drawn again.

        It is none of a stage's, because the shard is finished meanwhile, and is not cleared away.
        """
        return self._open_journal("retry", shard, record=record)

    def regrade_journal(self, shard: int) -> Journal:
        """Return the journal of a shard that is being graded anew; none of a stage's either."""
        return self._open_journal("regrade", shard)

    def list_journal_files(self, stage: Stage, shard: int) -> list[Path]:
        """List the journal files that a shard has, with those of later additions."""
        names = ("sample", *EXTRA_JOURNALS) if stage == "sample" else (stage,)
        with explain_os_errors(self.root / JOURNAL, "list"):
            return [p for name in names for p in list_files(self.root / JOURNAL, name, shard)]

    def adopt(self, section: str, pipeline: Pipeline) -> None:
        """Take a section of a pipeline as the run's own (dfgen.store.fingerprint.adopt_section)."""
        self.update(lambda manifest: adopt_section(manifest, section, pipeline))

    def adopt_fields(self, names: Collection[str], pipeline: Pipeline) -> None:
        """Let all rows depend on these fields of a pipeline as they are there."""
        self.update(lambda manifest: adopt_fields(manifest, names, pipeline))

    def list_journals(self) -> list[tuple[Stage, int]]:
        """Stage and shard of every journal there is."""
        folder, stages = self.root / JOURNAL, list_stages()
        with explain_os_errors(folder, "list"):
            named = map(parse_name, folder.iterdir() if folder.is_dir() else ())
        return sorted({found for found in named if found is not None and found[0] in stages})

    def is_done(self, stage: Stage, shard: int) -> bool:
        """Say whether a stage has nothing left to do in a shard.

        Its output file must be there, be made from the inputs that there are now, and account,
        together with the rejects, for every row that the stage has to work on. A file that does not
        is open again (`sample.num_samples` has grown, a stage upstream has written other rows): the
        stage keeps of it what still holds and writes it anew (`dfgen.store.finishing`).
        """
        return (
            self.output(stage).exists(shard)
            and self.is_current(stage, shard)
            and is_complete(self, stage, shard)
        )

    def find_differences(
        self, stage: Stage, pipeline: Pipeline, facts: Mapping[str, str]
    ) -> list[Difference]:
        """Return what `check_stage` would refuse; empty if nothing."""
        self.refresh()
        return list_differences(self.manifest, stage, pipeline, facts, self._list_begun())

    def check_stage(self, stage: Stage, pipeline: Pipeline, facts: Mapping[str, str]) -> None:
        """Make sure that a stage may add to the rows there are, and note what it depends on.

        Compared are the settings and facts of the stage and of those upstream. A stage without any
        file takes the new ones. `sample.num_samples` may grow; `sample` itself then adds the new
        samples to those there are. The settings that prompts are read by do not count: prompts are
        compared one by one (`dfgen.store.growing`).

        Args:
            stage: about to run.
            pipeline: the effective pipeline.
            facts: what else its rows depend on and only the stage knows: hashes of the tokenizer
                and chat template, of a prompt template from a file, of the source of an import.

        Raises:
            RunMismatchError: names each field that differs, old and new value, and what to do; or
                the run's pictures were shown in another way (dfgen.store.views).
        """
        differences = self.find_differences(stage, pipeline, facts)
        if self.manifest.get_stage("sample").facts.get(REGRADING) and stage != "prompts":
            raise RunMismatchError(
                "some answers of this run are graded anew and others not yet.",
                where=str(self.root),
                hint=f"`dfgen regrade {self.root}` goes on where it was stopped.",
            )
        refuse_differences(self.root, stage, differences)
        begun = self._list_begun()
        settled = is_view_settled(self.manifest, stage, begun, self.table("prompts"))

        def change(manifest: Manifest) -> None:
            accept(manifest, stage, pipeline, facts, begun)
            if not settled:
                manifest.pictures = VIEW

        self.update(change)

    def set_stage(
        self, stage: Stage, *, state: State, counts: Mapping[str, int], **facts: Any
    ) -> None:
        """Note how far a stage is, replacing its counts and adding to its facts.

        Args:
            counts: `input`, `output`, `rejects` are compared with the files by `audit` once the
                state is done; others are free.
            facts: JSON-able, for people and reports; not compared. `cells` (sample): number of
                imported rows of a run that was not sampled.

        Raises:
            StorageError: run.json cannot be written.
        """

        def change(manifest: Manifest) -> None:
            record = manifest.get_stage(stage).model_copy(deep=True)
            record.state = state
            record.counts = dict(counts)
            record.facts |= facts
            record.dfgen = VERSION
            if state != "pending":
                record.started = record.started or format_now()
            record.finished = format_now() if state == "done" else None
            manifest.stages[stage] = record

        if state == "done":  # first, because nobody does it for a stage that is noted as done
            self.take_in_entries(stage)
        self.update(change)

    def note_stage(
        self, stage: Stage, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    ) -> None:
        """Add to the facts of a stage, given those there are. Raises `StorageError`."""

        def apply(manifest: Manifest) -> None:
            record = manifest.stages.setdefault(stage, StageRecord())
            record.facts |= change(record.facts)

        self.update(apply)

    def name_file(self, table: ShardTable, shard: int) -> str:
        """Path of a shard's file in the run directory, as entries name it."""
        return table.path(shard).relative_to(self.root).as_posix()

    def take_in_entries(self, stage: Stage) -> int:
        """Move the entries of a stage's finished shards into run.json; return how many.

        A shard of an earlier dfgen is read through and gets one. Raises `StorageError`.
        """
        folder, fresh = self.root / JOURNAL, dict[int, ShardEntry]()
        for shard in self.output(stage).shards():
            entry = read_entry(folder, stage, shard)
            if entry is None and shard not in self.manifest.shards.get(stage, {}):
                entry = self._describe_shard(stage, shard)
            if entry is not None:
                fresh[shard] = entry
        if not fresh:
            return 0

        def change(manifest: Manifest) -> None:
            shards = manifest.shards.get(stage, {}) | fresh
            manifest.shards[stage] = dict(sorted(shards.items()))
            if OUTPUTS[stage] not in manifest.tables:
                manifest.tables.append(OUTPUTS[stage])

        self.update(change)
        with explain_os_errors(folder, "clean up"):
            # Who draws more samples for a shard may have written another one since.
            same = [each for each in fresh if read_entry(folder, stage, each) == fresh[each]]
            remove_files([find_entry_file(folder, stage, shard) for shard in same], self.desk)
        return len(fresh)

    def _describe_shard(self, stage: Stage, shard: int) -> ShardEntry:
        """The entry of a shard that has none: of an earlier dfgen, or a crash came before it."""
        entry = ShardEntry(made_from=self.generations(stage, shard))
        output, rejects = self.output(stage), self.rejects(stage)
        for table in (output, rejects, *map(self.table, BESIDE.get(stage, ()))):
            if table.exists(shard):
                table.verify(shard)  # damage must not become what a file is compared with
                entry.sha256[self.name_file(table, shard)] = hash_file(table.fetch(shard))
        entry.rows = output.num_rows(shard)
        entry.rejects = rejects.num_rows(shard) if rejects.exists(shard) else 0
        return entry

    def delete_spent_journals(self) -> None:
        """Delete the journals of finished shards: a crash fell between the two."""
        for stage, shard in self.list_journals():
            if self.is_done(stage, shard):
                self.journal(stage, shard).delete()

    def update(self, change: Callable[[Manifest], None]) -> None:
        """Change run.json (`dfgen.store.manifest.update_manifest`). Raises `StorageError`."""
        self._check_lock()
        self.manifest = update_manifest(self.root / MANIFEST, change, self.desk)

    def _check_lock(self) -> None:
        if self._lock is not None:
            self._lock.check()

    def _list_begun(self) -> frozenset[Stage]:
        """Stages that have left anything on disk, or have requests out that will be answered."""
        journals = {stage for stage, _ in self.list_journals()}
        return frozenset(
            stage
            for stage in list_stages()
            if stage in journals
            or self.output(stage).shards()
            or self.rejects(stage).shards()
            or is_any_out(self.outgoing, stage)
        )

    def _clear_leftovers(self) -> None:
        with explain_os_errors(self.root, "clean up"):
            # Processes that wait for the lock write in the root; theirs must stay.
            remove_temporary_files(self.root, older_than_s=3600.0)
            for name in (REJECTS, JOURNAL, *TABLES):
                remove_temporary_files(self.root / name)
        self.delete_spent_journals()
