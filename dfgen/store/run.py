"""A run directory: the way into everything that a run keeps on disk.

A stage of a shard is finished in three steps: its rejects are written, then its output file, then
its journal is deleted. The output file is what makes it done, so a crash between any two steps
leaves either a shard that is still open, with all it needs in its journal, or one that is done with
a journal to spare, which the next start removes. No row is lost, none is paid for twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dfgen.config.pipeline import Pipeline
from dfgen.errors import RunMismatchError, StorageError
from dfgen.records import Record, Reject
from dfgen.store.atomic_files import remove_temporary_files
from dfgen.store.expected_rows import is_complete
from dfgen.store.fingerprint import Difference, accept, find_stage, list_differences
from dfgen.store.journal import Journal
from dfgen.store.layout import (
    JOURNAL,
    LOCK,
    MANIFEST,
    OUTPUTS,
    REJECTS,
    STAGES,
    TABLES,
    TEMPORARY_PREFIX,
    Stage,
    Table,
)
from dfgen.store.lock import FileLock
from dfgen.store.manifest import (
    Manifest,
    State,
    create_manifest,
    format_now,
    load_manifest,
    update_manifest,
)
from dfgen.store.os_errors import explain_os_errors
from dfgen.store.shards import ShardTable
from dfgen.version import VERSION


class Run:
    """One run directory. Open it with `open_or_create`; write to it inside `lock()`."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root = root
        self.manifest = manifest
        self._lock: FileLock | None = None

    @classmethod
    def open_or_create(cls, root: Path, pipeline: Pipeline | None) -> Run:
        """Open the run in a directory, or begin one there.

        Whether the run agrees with `pipeline` is for `check_stage` to say, stage by stage.

        Args:
            root: the run directory.
            pipeline: the effective pipeline of a new run; None: there must be a run.

        Raises:
            StorageError: it is no run and not empty; or it cannot be read or written.
            DamagedFileError: run.json is damaged.
        """
        path = root / MANIFEST
        if not path.exists():
            _check_vacant(root)
            if pipeline is None:
                raise StorageError(
                    "there is no run here.",
                    where=str(root),
                    hint=f"A run directory holds a file {MANIFEST}; `dfgen run` makes one.",
                )
            manifest = Manifest(created=format_now(), pipeline=pipeline.model_dump(mode="json"))
            try:
                create_manifest(path, manifest)
            except FileExistsError:
                pass  # another process began the same run at this moment; its manifest holds
            else:
                return cls(root, manifest)
        return cls(root, load_manifest(path))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only process that works on the run.

        On entry, what a dead process left half-done is cleared away.

        Raises:
            RunLockedError: another process holds it; names pid, host, since when, and command.
        """
        lock = FileLock(self.root / LOCK)
        lock.acquire()
        self._lock = lock
        try:
            self.manifest = load_manifest(self.root / MANIFEST)
            self._clear_leftovers()
            yield
        finally:
            self._lock = None
            lock.release()

    def table(self, name: Table) -> ShardTable:
        """The shards of `prompts`, `trajectories`, `repairs` or `masks`."""
        return ShardTable(self.root / name, TABLES[name], guard=self._check_lock)

    def output(self, stage: Stage) -> ShardTable:
        """The table that a stage writes."""
        return self.table(OUTPUTS[stage])

    def rejects(self, stage: Stage) -> ShardTable:
        """The rejects of a stage. A shard without rejects has no file."""
        return ShardTable(self.root / REJECTS, Reject, prefix=stage, guard=self._check_lock)

    def journal(self, stage: Stage, shard: int) -> Journal:
        """The journal of a shard in work."""
        path = self.root / JOURNAL / f"{stage}-{shard:05d}.jsonl"
        return Journal(path, stage=stage, shard=shard, guard=self._check_lock)

    def retry_journal(self, shard: int) -> Journal:
        """The journal of a shard whose truncated samples are being drawn again.

        It is none of a stage's, because the shard is finished meanwhile, and is not cleared away.
        """
        path = self.root / JOURNAL / f"retry-{shard:05d}.jsonl"
        return Journal(path, stage="retry", shard=shard, guard=self._check_lock)

    def list_journals(self) -> list[tuple[Stage, int]]:
        """Stage and shard of every journal there is."""
        found = []
        for path in sorted((self.root / JOURNAL).glob("*.jsonl")):
            name, _, number = path.stem.rpartition("-")
            found += [
                (stage, int(number)) for stage in STAGES if name == stage and number.isdigit()
            ]
        return found

    def is_done(self, stage: Stage, shard: int) -> bool:
        """Whether a stage has nothing left to do in a shard.

        Its output file must be there, and account, together with the rejects, for every row that
        the stage has to work on. A file that does not is open again (`sample.num_samples` has
        grown, or the stage before it gave more rows): the stage keeps the rows it holds, makes the
        missing ones, and writes it anew with `finish_shard`.
        """
        return is_complete(self, stage, shard)

    def finish_shard(
        self,
        stage: Stage,
        shard: int,
        rows: Iterable[Mapping[str, Any] | Record],
        rejects: Iterable[Mapping[str, Any] | Record] = (),
    ) -> None:
        """Write a shard's rejects, then its rows, then delete its journal: it is done.

        Args:
            rows: all rows of the shard, in the order of the prompts, then sample_index.
            rejects: all rejects of the stage in this shard, likewise.

        Raises:
            StorageError: something cannot be written; the journal is kept.
        """
        refused = list(rejects)
        ledger = self.rejects(stage)
        if refused:
            ledger.write(shard, refused)
        else:
            ledger.remove(shard)
        self.output(stage).write(shard, rows)
        self.journal(stage, shard).delete()

    def find_differences(
        self, stage: Stage, pipeline: Pipeline, facts: Mapping[str, str]
    ) -> list[Difference]:
        """What `check_stage` would refuse; empty if nothing.

        The prompts stage asks this first, without facts, to learn whether it has to read its source
        again: see `check_stage`.
        """
        self.manifest = load_manifest(self.root / MANIFEST)
        return list_differences(self.manifest, stage, pipeline, facts, self._list_begun())

    def check_stage(self, stage: Stage, pipeline: Pipeline, facts: Mapping[str, str]) -> None:
        """Make sure that a stage may add to the rows there are, and note what it depends on.

        Compared are the settings and facts of the stage and of those upstream. A stage without any
        file takes the new ones. `sample.num_samples` may grow; `sample` itself then adds the new
        samples to those there are. The settings of the prompts do not count when `facts` of the
        prompts stage holds the `content` (dfgen.store.fingerprint) and it is that of the run.

        Args:
            stage: about to run.
            pipeline: the effective pipeline.
            facts: what else its rows depend on and only the stage knows: hashes of the tokenizer
                and chat template, of a prompt template from a file, of the source's content.

        Raises:
            RunMismatchError: names each field that differs, old and new value, and what to do.
        """
        differences = self.find_differences(stage, pipeline, facts)
        if differences:
            raise RunMismatchError(
                f"this run was made with other settings, on which {stage} depends:\n"
                + "\n".join(f"  {difference}" for difference in differences),
                where=str(self.root),
                hint=self._advise(stage, differences),
            )
        begun = self._list_begun()
        self._update(lambda manifest: accept(manifest, stage, pipeline, facts, begun))

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

        self._update(change)

    def _update(self, change: Callable[[Manifest], None]) -> None:
        self._check_lock()
        self.manifest = update_manifest(self.root / MANIFEST, change)

    def _check_lock(self) -> None:
        if self._lock is not None:
            self._lock.check()

    def _list_begun(self) -> frozenset[Stage]:
        """Stages that have left anything on disk."""
        journals = {stage for stage, _ in self.list_journals()}
        return frozenset(
            stage
            for stage in STAGES
            if stage in journals or self.output(stage).shards() or self.rejects(stage).shards()
        )

    def _clear_leftovers(self) -> None:
        with explain_os_errors(self.root, "clean up"):
            # Processes that wait for the lock write in the root; theirs must stay.
            remove_temporary_files(self.root, older_than_s=3600.0)
            for name in (REJECTS, *TABLES):
                remove_temporary_files(self.root / name)
        for stage, shard in self.list_journals():
            if self.is_done(stage, shard):
                self.journal(stage, shard).delete()

    def _advise(self, stage: Stage, differences: list[Difference]) -> str:
        first = min(
            (find_stage(difference.field, stage) for difference in differences), key=STAGES.index
        )
        redo = STAGES[STAGES.index(first) :]
        files = [f"{OUTPUTS[each]}/" for each in redo]
        files += [f"{folder}/{each}-*" for each in redo for folder in (REJECTS, JOURNAL)]
        advice = "Put the old values back to go on, or choose another directory for a new run."
        if first == "prompts":
            return advice
        return (
            f"{advice} To make {', '.join(redo)} anew here and keep what comes before, delete "
            f"{', '.join(files)} in the run directory first; what they hold is paid for again."
        )


def _check_vacant(root: Path) -> None:
    """Raise `StorageError` unless a run may begin in a directory."""
    with explain_os_errors(root, "read"):
        if not root.exists():
            return
        strangers = sorted(
            path.name for path in root.iterdir() if not path.name.startswith(TEMPORARY_PREFIX)
        )
    if strangers:
        shown = ", ".join(strangers[:3]) + (", ..." if len(strangers) > 3 else "")
        raise StorageError(
            f"this directory is not a run (it has no {MANIFEST}) and is not empty: {shown}.",
            where=str(root),
            hint="Choose a directory that does not exist yet, or an empty one.",
        )
