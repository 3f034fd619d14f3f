"""Runs an import: existing answers of other models become prompts and graded trajectories."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from dfgen.errors import InputError, RowError
from dfgen.reasons.tally import ReasonTally
from dfgen.records import Prompt, Reject, Trajectory, make_trajectory_id
from dfgen.stages.chunks import Chunk, cut_chunks
from dfgen.stages.rejected import name_command
from dfgen.stages.sample.draws import describe_verdict, grade_texts, make_answer_key
from dfgen.stages.screening import Screening
from dfgen.stages.session import Session
from dfgen.stages.work import open_graders

if TYPE_CHECKING:
    from dfgen.grade.pool import GradePool
    from dfgen.grade.verdict import Verdict
    from dfgen.prompts.importing import ImportedGroup, ImportedResponse


def run_import(session: Session) -> None:
    """Read, encode and grade every answer; writes the prompts and the trajectories tables."""
    from dfgen.prompts.importing import describe_trajectories, read_trajectories

    run, config = session.run, session.pipeline.imports
    if config is None:
        raise InputError("the pipeline has no imports section.")
    source = describe_trajectories(config)
    facts = {"source": hash_source(source)}
    for stage in ("prompts", "sample"):
        run.check_stage(stage, session.pipeline, facts)
    if run.manifest.get_stage("sample").state == "done":
        return
    run.set_stage("prompts", state="running", counts={}, source=source)
    # The number of cells is not known before the end; the fact itself says that rows are imported.
    run.set_stage("sample", state="running", counts={}, cells=0)
    session.progress.start("import", config.limit, 0)
    writer = ImportShards(session)
    rows = session.until_stopped(read_trajectories(config))
    with open_graders(session.pipeline.grade) as pool:
        for chunk in cut_chunks(
            run,
            ("prompts", "sample"),
            rows,
            config.shard_size,
            is_group,
            lambda: session.stop.requested,
        ):
            writer.add(chunk, pool)
    if session.stop.requested:
        return
    writer.close()
    session.progress.finish("import")


def is_group(row: ImportedGroup | Reject) -> bool:
    """Say whether a row of the source, or several of one prompt, count for the size of a shard."""
    return not isinstance(row, Reject)


class ImportShards:
    """Writes chunks of prompts with their answers as shards of both tables, and counts them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.counts = {"input": 0, "output": 0, "rejects": 0}
        self.cells = {"input": 0, "output": 0, "rejects": 0}
        self._refused = ReasonTally()
        self._screening = Screening(session.tokenizer.control_tokens)

    def add(self, chunk: Chunk[ImportedGroup | Reject], pool: GradePool) -> None:
        """Take the rows of one shard; its answers are graded and written unless they are there."""
        groups = [row for row in chunk.rows if not isinstance(row, Reject)]
        refused = [row for row in chunk.rows if isinstance(row, Reject)]
        answers = [
            (prompt, index, item) for prompt, items in groups for index, item in enumerate(items)
        ]
        for row in refused:
            self._refused.add(row.reason, row.row_id, row.detail)
        self.counts["input"] += len(chunk.rows)
        self.counts["output"] += len(groups)
        self.counts["rejects"] += len(refused)
        self.cells["input"] += len(answers)
        if chunk.written:
            run = self.session.run
            graded = run.table("trajectories").num_rows(chunk.shard)
            self._count(graded, len(answers) - graded, len(refused))
            return
        rows, rejects = self._grade(answers, pool)
        prompts = [prompt for prompt, _ in groups]
        self.session.finish_shard("prompts", chunk.shard, prompts, refused, source=chunk.source)
        self.session.finish_shard("sample", chunk.shard, rows, rejects)
        self._count(len(rows), len(rejects), len(refused))

    def close(self) -> None:
        """Say of both stages that they are done.

        Raises:
            InputError: no row could be used.
        """
        run = self.session.run
        if not self.counts["output"]:
            raise InputError(
                f"none of the {self.counts['input']} rows became a prompt.",
                where=str(run.root),
                hint=f"{self._refused.explain()} {name_command(run)}",
            )
        run.set_stage("prompts", state="done", counts=self.counts)
        run.set_stage("sample", state="done", counts=self.cells, cells=self.cells["input"])

    def _count(self, rows: int, rejects: int, refused: int) -> None:
        self.cells["output"] += rows
        self.cells["rejects"] += rejects
        self.session.progress.advance(
            rows + rejects + refused, accepted=rows, rejected=rejects + refused
        )

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


def hash_source(source: dict[str, Any]) -> str:
    """Compute one digest of what identifies the source: other files are other answers."""
    return hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()
