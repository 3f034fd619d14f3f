"""Opens a run that nobody works on, to read: its tables, settings, and the tokenizer of its ids.

Reports, exports, checks and publishing stand on this. A process at work on a run has a `Session`
(dfgen.stages.session) instead, which holds the run's lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dfgen.config.load import check_pipeline
from dfgen.config.pipeline import Pipeline, name_tokenizer
from dfgen.records import Prompt
from dfgen.store.layout import Stage
from dfgen.store.run import Run
from dfgen.store.shards import ShardTable

if TYPE_CHECKING:
    from dfgen.tokens.tokenizer import TextTokenizer


@dataclass(frozen=True)
class FinishedRun:
    """A run directory opened for reading.

    Attributes:
        run: its tables and manifest.
        pipeline: the settings that the run itself recorded.
    """

    run: Run
    pipeline: Pipeline

    @property
    def prompts(self) -> ShardTable | None:
        """The questions and pictures that the masks belong to; None where there are none.

        Masks that were carried over to another tokenizer have those of the run they came from, as
        long as that is where it was.
        """
        return (
            self._source_prompts if self.run.manifest.kind == "retokenized" else self._own_prompts
        )

    @cached_property
    def _own_prompts(self) -> ShardTable | None:
        table = self.run.table("prompts")
        return table if table.shards() else None

    @cached_property
    def _source_prompts(self) -> ShardTable | None:
        source = self.run.manifest.get_stage("mask").facts.get("source")
        table = ShardTable(Path(source or self.run.root) / "prompts", Prompt)
        return table if table.shards() else None

    @property
    def has_answers_of_its_own(self) -> bool:
        """Whether the answers were drawn or taken in by this run, which then accounts for each.

        False for masks that were made of pairs or carried over from another run: there are neither
        trajectories nor pass rates, and not every mask has a prompt.
        """
        return self.run.manifest.kind in ("sampled", "imported")

    def list_stale(self, stage: Stage = "mask") -> list[int]:
        """Shards of a stage that were made from rows which have been written anew since."""
        shards = self.run.output(stage).shards()
        return [shard for shard in shards if not self.run.is_current(stage, shard)]

    @cached_property
    def tokenizer_name(self) -> str:
        """Directory or Hub id of the tokenizer that all ids of the run belong to.

        Raises:
            ConfigError: the run does not say which it is.
        """
        return name_tokenizer(self.pipeline)[0]

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer that all ids of the run belong to, loaded when first asked for.

        Raises:
            ConfigError: the run does not say which it is.
            InputError: it cannot be loaded.
        """
        from dfgen.tokens.loading import load_tokenizer

        _, revision = name_tokenizer(self.pipeline)
        return load_tokenizer(self.tokenizer_name, revision)


def open_finished(root: Path) -> FinishedRun:
    """Open a run directory for reading.

    Raises:
        StorageError: there is no run, or it cannot be read.
        DamagedFileError: run.json is damaged.
    """
    run = Run.open_or_create(root, None)
    return FinishedRun(run, check_pipeline(run.manifest.pipeline, str(root / "run.json")))
