"""Runs an import: existing answers of other models become prompts and graded trajectories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dfgen.config.imports import ImportConfig
from dfgen.errors import InputError, RowError
from dfgen.records import (
    Prompt,
    Reject,
    Trajectory,
    make_trajectory_id,
    split_trajectory_id,
)
from dfgen.stages.growth import Row
from dfgen.stages.ingest import Ingest, describe_chunk
from dfgen.stages.more_answers import MoreAnswers
from dfgen.stages.sample.draws import describe_verdict, grade_texts, make_answer_key
from dfgen.stages.sample.shard import read_written
from dfgen.stages.screening import Screening
from dfgen.stages.session import Session
from dfgen.stages.work import open_graders
from dfgen.store.growing import list_finished
from dfgen.store.shared.run import SharedRun

if TYPE_CHECKING:
    from dfgen.grade.pool import GradePool
    from dfgen.grade.verdict import Verdict
    from dfgen.prompts.importing import ImportedResponse


def run_import(session: Session) -> None:
    """Read, encode and grade every answer; writes the prompts and the trajectories tables.

    Prompts that the run lacks are added, with their answers, and so are answers of prompts that it
    has; what it has stays as it is.

    Raises:
        RunMismatchError: the run was made with other settings, or the source has no prompt of it.
        InputError: the source cannot be read, or no row can be used.
    """
    config = session.pipeline.imports
    if config is None:
        raise InputError("the pipeline has no imports section.")
    # Before a row is read: with another tokenizer nothing could be added.
    for stage in ("prompts", "sample"):
        session.run.check_stage(stage, session.pipeline, {})
    with open_graders(session.pipeline.grade) as pool:
        ImportIngest(session, config, pool).execute()


class ImportIngest(Ingest):
    """Writes prompts with their answers as shards of both tables.

    Args:
        session: of the run.
        config: how the source is read.
        pool: grades the answers.
    """

    def __init__(self, session: Session, config: ImportConfig, pool: GradePool) -> None:
        super().__init__(session, config)
        self._pool = pool
        self._screening = Screening(session.tokenizer.control_tokens)

    def write_shard(self, shard: int, rows: list[Row]) -> None:
        """Grade the answers of some prompts and write them as a shard of each table."""
        groups = [row for row in rows if isinstance(row, tuple)]
        refused = [row for row in rows if isinstance(row, Reject)]
        answers = [
            (prompt, index, item) for prompt, items in groups for index, item in enumerate(items)
        ]
        graded, rejects = self._grade(answers, self._pool)
        prompts = [prompt for prompt, _ in groups]
        source = describe_chunk(rows)
        self.session.finish_shard("prompts", shard, prompts, refused, source=source)
        self.session.finish_shard("sample", shard, graded, rejects)

    def write_more(self, found: Iterator[tuple[int, list[MoreAnswers]]]) -> None:
        """Grade answers of prompts that are there and put them behind those of each prompt.

        Later stages keep what they have made of the others: their shards are open again. While
        other processes work on the run, which may have one of these open, nothing is added.
        """
        run = self.session.run
        if isinstance(run, SharedRun) and run.membership.crew.list_others(run.membership.token):
            self.answers_left = sum(len(each.answers) for _, more in found for each in more)
            return
        for shard, more in found:
            self.begin()
            answers = [
                (each.prompt, each.first + i, answer)
                for each in more
                for i, answer in enumerate(each.answers)
            ]
            self._add(shard, *self._grade(answers, self._pool))
        for shard in list_finished(run, self.stages):
            # Killed between a file and its note: the file has all that it is to have.
            if not self.session.stop.requested and not run.is_done("sample", shard):
                self.begin()
                self._add(shard, [], [])

    def _add(self, shard: int, rows: list[Trajectory], rejects: list[Reject]) -> None:
        written = read_written(self.session, shard)
        for row in rows:
            written.add(row)
        for reject in rejects:
            written.add(reject)
        order: dict[str | None, int] = {}
        for prompt in self.session.run.table("prompts").iter_rows(shard, ["prompt_id"]):
            order[prompt["prompt_id"]] = len(order)
        graded = sorted(
            written.rows.values(), key=lambda row: (order[row.prompt_id], row.sample_index)
        )
        refused = sorted(
            written.rejects.values(),
            key=lambda reject: (order[reject.prompt_id], split_trajectory_id(reject.row_id)[1]),
        )
        self.session.finish_shard("sample", shard, graded, refused)

    def _grade(
        self, answers: list[tuple[Prompt, int, ImportedResponse]], pool: GradePool
    ) -> tuple[list[Trajectory], list[Reject]]:
        items = [(answer.text, make_answer_key(prompt)) for prompt, _, answer in answers]
        rows: list[Trajectory] = []
        rejects: list[Reject] = []
        verdicts = grade_texts(items, pool)
        for (prompt, index, answer), verdict in zip(answers, verdicts, strict=True):
            try:
                rows.append(self._encode(prompt, index, answer, verdict))
            except RowError as error:
                key = make_trajectory_id(prompt.prompt_id, index)
                reject = Reject.from_error("sample", key, prompt.prompt_id, error)
                reject.source_id = answer.row_id
                rejects.append(reject)
        return rows, rejects

    def _encode(
        self, prompt: Prompt, index: int, answer: ImportedResponse, verdict: Verdict
    ) -> Trajectory:
        self._screening.check(prompt)
        tokenizer = self.session.tokenizer
        ids = tokenizer.encode(answer.text)
        if tokenizer.decode(ids) != answer.text:
            raise RowError(
                "not_encodable",
                f"the tokenizer {tokenizer.name} does not give this text back from its own ids.",
                {"decoded": tokenizer.decode(ids)},
            )
        values: dict[str, Any] = {
            "stop_reason": None,
            "prompt_tokens": None,
            "image_tokens": None,
            "seed": None,
            "logprobs": None,
        }
        return Trajectory(
            trajectory_id=make_trajectory_id(prompt.prompt_id, index),
            prompt_id=prompt.prompt_id,
            sample_index=index,
            completion=answer.text,
            completion_ids=ids,
            ids_source="encoded",
            finish_reason=answer.finish_reason,
            model=answer.model,
            source_id=answer.row_id,
            reward=verdict.reward,
            verdict=describe_verdict(verdict),
            metadata=json.dumps(
                {"source": answer.source, "row_id": answer.row_id, **answer.metadata},
                ensure_ascii=False,
            ),
            **values,
        )
