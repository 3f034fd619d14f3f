"""Compares the keys of every stage's rows with the keys that the stage before it gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dfgen.errors import StorageError
from dfgen.records import is_right, make_trajectory_id
from dfgen.store.counts import WITHOUT_TRAJECTORIES
from dfgen.store.expected_rows import read_num_samples
from dfgen.store.layout import STAGES, Stage

if TYPE_CHECKING:
    from dfgen.store.run import Run

_KEY_COLUMNS = ("trajectory_id", "prompt_id", "sample_index")

Cell = tuple[str, int]
"""A key of a stage's input: trajectory_id and sample_index."""


class KeyChecker:
    """Looks at every shard of a run once and collects what is wrong with its keys.

    Args:
        run: to look at.
        skipped: shards that hold a damaged file, whose rows say nothing.
    """

    def __init__(self, run: Run, skipped: Collection[int] = ()) -> None:
        self._run = run
        self._skipped = skipped
        self._history = read_num_samples(run)
        self._violations: list[str] = []
        self._prompt_ids: set[str] = set()
        self._sources: set[str] = set()
        # While a source is read again, what it has instead of a prompt may be there beside it.
        self._is_read = run.manifest.get_stage("prompts").state == "done"

    def check(self) -> list[str]:
        """Return what is wrong; empty if nothing."""
        if self._run.manifest.kind in WITHOUT_TRAJECTORIES:
            return self._check_masks_alone()
        known = set(self._run.table("prompts").shards())
        for stage in STAGES:
            table, rejects = self._run.output(stage), self._run.rejects(stage)
            for shard in table.shards():
                if shard not in known:
                    self._report(table.path(shard), f"there is no shard {shard} of the prompts")
            if stage != "prompts":
                for shard in rejects.shards():
                    if shard not in known:
                        self._report(
                            rejects.path(shard), f"there is no shard {shard} of the prompts"
                        )
        for shard in sorted(known | set(self._run.rejects("prompts").shards())):
            if shard in self._skipped:
                continue
            try:
                self._check_shard(shard)
            except StorageError as error:
                self._violations.append(str(error))
        return self._violations

    def _check_masks_alone(self) -> list[str]:
        """Masks of pairs, or carried over: each key once, in the masks or the rejects."""
        masks, ledger = self._run.table("masks"), self._run.rejects("mask")
        seen: set[str] = set()
        for shard in sorted({*masks.shards(), *ledger.shards()}):
            if shard in self._skipped:
                continue
            try:
                keys = self._read_rejects("mask", shard)
                if masks.exists(shard):
                    keys += [
                        row["trajectory_id"] for row in masks.iter_rows(shard, ["trajectory_id"])
                    ]
                else:
                    self._report(ledger.path(shard), f"there is no shard {shard} of the masks")
                self._check_once(masks.path(shard), keys)
                self._check_source(shard, len(keys))
                self._report_some(masks.path(shard), seen & set(keys), "in another shard, too")
                seen.update(keys)
            except StorageError as error:
                self._violations.append(str(error))
        return self._violations

    def _check_source(self, shard: int, rows: int) -> None:
        """Hold the rows of a shard against those of the source that it was cut from."""
        entry = self._run.entry("mask", shard)
        if entry is None or entry.source is None:
            return
        if self._run.manifest.kind == "pairs":
            rows += len(self._read_rejects("prompts", shard))
        if rows != entry.source.rows:
            self._report(
                self._run.table("masks").path(shard),
                f"it was made of {entry.source.rows} rows, and {rows} are masks or rejects",
            )

    def _check_shard(self, shard: int) -> None:
        prompts = self._check_prompts(shard)
        rank = {prompt_id: i for i, prompt_id in enumerate(prompts)}
        trajectories = self._read_cells("sample", shard, rank)
        imported = not self._history
        if imported:
            self._check_imported(shard, trajectories)
        else:
            expected = [
                (make_trajectory_id(prompt_id, index), index)
                for prompt_id in prompts
                for index in range(self._history[-1])
            ]
            self._compare("sample", shard, expected, trajectories)
        if not self._run.table("trajectories").exists(shard):
            for stage in ("repair", "mask"):
                if self._run.output(stage).exists(shard):
                    self._report(
                        self._run.output(stage).path(shard), "its trajectories are not there"
                    )
            return
        wrong = self._read_wrong(shard)
        needed = [cell for cell in trajectories if cell[0] in wrong]
        self._compare("repair", shard, needed, self._read_cells("repair", shard, rank))
        self._check_controls(shard, {key for key, _ in trajectories} - wrong)
        self._compare("mask", shard, trajectories, self._read_cells("mask", shard, rank))
        for stage in self._run.stages:
            if stage not in STAGES:
                self._check_side(stage, shard, {key for key, _ in trajectories}, rank)

    def _check_side(self, stage: Stage, shard: int, known: set[str], rank: dict[str, int]) -> None:
        """Rows and rejects of a side stage are trajectories of the shard, each once."""
        table, ledger = self._run.output(stage), self._run.rejects(stage)
        if not table.exists(shard) or not self._run.is_current(stage, shard):
            return
        columns = set(table.model.model_fields)
        if not columns.issuperset(_KEY_COLUMNS):
            keys = [row["trajectory_id"] for row in table.iter_rows(shard, ["trajectory_id"])]
            self._check_once(table.path(shard), keys)
        else:
            keys = [key for key, _ in self._read_cells(stage, shard, rank)]
        refused = self._read_rejects(stage, shard)
        self._check_once(ledger.path(shard), refused)
        self._report_some(table.path(shard), set(keys) - known, "of unknown origin")
        self._report_some(ledger.path(shard), set(refused) - known, "of unknown origin")
        self._report_some(ledger.path(shard), set(keys) & set(refused), "in the table, too")

    def _check_prompts(self, shard: int) -> list[str]:
        table = self._run.table("prompts")
        prompt_ids: list[str] = []
        if table.exists(shard):
            prompt_ids = [row["prompt_id"] for row in table.iter_rows(shard, ["prompt_id"])]
        for prompt_id in prompt_ids:
            if prompt_id in self._prompt_ids and self._is_read:
                self._report(table.path(shard), f"prompt {prompt_id} is there twice")
            self._prompt_ids.add(prompt_id)
        for source in self._read_rejects("prompts", shard):
            if source in self._sources and self._is_read:
                self._report(
                    self._run.rejects("prompts").path(shard), f"row {source} is there twice"
                )
            self._sources.add(source)
        return prompt_ids

    def _check_controls(self, shard: int, right: set[str]) -> None:
        """Controls are right trajectories of the shard, each once."""
        table = self._run.table("controls")
        if not table.exists(shard):
            return
        keys = [row["trajectory_id"] for row in table.iter_rows(shard, ["trajectory_id"])]
        self._check_once(table.path(shard), keys)
        self._report_some(table.path(shard), set(keys) - right, "no right trajectories")

    def _check_imported(self, shard: int, trajectories: Sequence[Cell]) -> None:
        refused = self._read_rejects("sample", shard)
        path = self._run.rejects("sample").path(shard)
        for key in sorted({key for key, _ in trajectories} & set(refused)):
            self._report(path, f"{key} is in the trajectories, too")
        self._check_once(path, refused)

    def _read_cells(self, stage: Stage, shard: int, rank: dict[str, int]) -> list[Cell]:
        """Keys of a stage's output, their form and order checked."""
        table = self._run.output(stage)
        if not table.exists(shard):
            return []
        path = table.path(shard)
        cells: list[Cell] = []
        before = (-1, -1)
        for row in table.iter_rows(shard, _KEY_COLUMNS):
            key, prompt_id, index = (row[name] for name in _KEY_COLUMNS)
            cells.append((key, index))
            if key != make_trajectory_id(prompt_id, index):
                self._report(path, f"{key} belongs to prompt {prompt_id}, sample {index}")
            elif prompt_id not in rank:
                self._report(path, f"{key} belongs to no prompt of this shard")
            else:
                position = (rank[prompt_id], index)
                if position < before:
                    self._report(path, f"{key} is not in the order of prompts and samples")
                before = position
        self._check_once(path, [key for key, _ in cells])
        return cells

    def _compare(
        self, stage: Stage, shard: int, expected: Sequence[Cell], output: Sequence[Cell]
    ) -> None:
        """Hold the keys of a stage against those it had to work on."""
        table, ledger = self._run.output(stage), self._run.rejects(stage)
        if table.exists(shard) and not self._run.is_current(stage, shard):
            return  # made from rows that have changed: it is to be made anew
        refused = self._read_rejects(stage, shard)
        self._check_once(ledger.path(shard), refused)
        written, refused_keys = {key for key, _ in output}, set(refused)
        known = {key for key, _ in expected}
        for key in sorted(written & refused_keys):
            self._report(ledger.path(shard), f"{key} is in the {table.directory.name}, too")
        self._report_some(table.path(shard), written - known, "of unknown origin")
        self._report_some(ledger.path(shard), refused_keys - known, "of unknown origin")
        if table.exists(shard):
            missing = [cell for cell in expected if cell[0] not in written | refused_keys]
            # After num_samples was raised, a shard may still stand at an earlier size.
            excused = any(
                all(index >= size for _, index in missing)
                and all(index < size for _, index in output)
                for size in self._history[:-1]
            )
            if missing and not excused:
                self._report_some(
                    table.path(shard), {key for key, _ in missing}, "neither here nor rejected"
                )

    def _read_wrong(self, shard: int) -> set[str]:
        rows = self._run.table("trajectories").iter_rows(shard, ["trajectory_id", "reward"])
        return {row["trajectory_id"] for row in rows if not is_right(row["reward"])}

    def _read_rejects(self, stage: Stage, shard: int) -> list[str]:
        ledger = self._run.rejects(stage)
        if not ledger.exists(shard):
            return []
        rows = list(ledger.iter_rows(shard, ["row_id", "stage"]))
        for row in rows:
            if row["stage"] != stage:
                self._report(ledger.path(shard), f"{row['row_id']} was rejected by {row['stage']}")
        return [row["row_id"] for row in rows]

    def _check_once(self, path: Path, keys: Sequence[str]) -> None:
        twice = {key for key, times in Counter(keys).items() if times > 1}
        self._report_some(path, twice, "there more than once")

    def _report_some(self, path: Path, keys: Iterable[str], what: str) -> None:
        names = sorted(keys)
        if names:
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            self._report(path, f"{len(names)} rows are {what}: {shown}")

    def _report(self, path: Path, what: str) -> None:
        self._violations.append(f"{path}: {what}")
