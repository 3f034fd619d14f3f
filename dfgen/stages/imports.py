"""Runs an import: existing answers of other models become prompts and graded trajectories."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from dfgen.errors import InputError, RowError
from dfgen.records import Prompt, Reject, Trajectory
from dfgen.stages.rejecting import make_reject
from dfgen.stages.sample.draws import (
    describe_verdict,
    grade_texts,
    make_answer_key,
    name_trajectory,
)
from dfgen.stages.session import Session
from dfgen.stages.tools import open_graders

if TYPE_CHECKING:
    from dfgen.grade.pool import GradePool
    from dfgen.grade.verdict import Verdict
    from dfgen.prompts.importing import ImportedResponse


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
    with open_graders(session.pipeline.grade) as pool:
        writer = ImportShards(session, pool, config.shard_size)
        for row in session.until_stopped(read_trajectories(config)):
            if isinstance(row, Reject):
                writer.refuse(row)
            else:
                writer.add(*row)
        if session.stop.requested:
            return
        writer.close()
    session.progress.finish("import")


class ImportShards:
    """Collects prompts with their answers into shards."""

    def __init__(self, session: Session, pool: GradePool, size: int) -> None:
        self.session = session
        self.pool = pool
        self.size = size
        self.shard = 0
        self.prompts: list[Prompt] = []
        self.rejects: list[Reject] = []
        self.answers: list[tuple[Prompt, int, ImportedResponse]] = []
        self.counts = {"input": 0, "output": 0, "rejects": 0}
        self.cells = {"input": 0, "output": 0, "rejects": 0}

    def refuse(self, row: Reject) -> None:
        """Keep a row that could not be read."""
        self.rejects.append(row)
        self.counts["input"] += 1
        self.counts["rejects"] += 1
        self.session.progress.advance(1, rejected=1)

    def add(self, prompt: Prompt, responses: list[ImportedResponse]) -> None:
        """Take a prompt with all its answers."""
        self.prompts.append(prompt)
        self.answers.extend((prompt, index, item) for index, item in enumerate(responses))
        self.counts["input"] += 1
        self.counts["output"] += 1
        self.cells["input"] += len(responses)
        self.session.progress.advance(len(responses), accepted=len(responses))
        if len(self.prompts) == self.size:
            self._flush()

    def close(self) -> None:
        """Write what is left and close both stages.

        Raises:
            InputError: no row could be used.
        """
        if self.prompts or self.rejects:
            self._flush()
        if not self.counts["output"]:
            raise InputError(f"none of the {self.counts['input']} rows became a prompt.")
        run = self.session.run
        run.set_stage("prompts", state="done", counts=self.counts)
        run.set_stage("sample", state="done", counts=self.cells, cells=self.cells["input"])

    def _flush(self) -> None:
        run = self.session.run
        rows, rejects = self._grade()
        self.cells["output"] += len(rows)
        self.cells["rejects"] += len(rejects)
        if not run.table("trajectories").exists(self.shard):
            self.session.finish_shard("prompts", self.shard, self.prompts, self.rejects)
            self.session.finish_shard("sample", self.shard, rows, rejects)
        self.shard += 1
        self.prompts, self.rejects, self.answers = [], [], []

    def _grade(self) -> tuple[list[Trajectory], list[Reject]]:
        items = [(answer.text, make_answer_key(prompt)) for prompt, _, answer in self.answers]
        rows: list[Trajectory] = []
        rejects: list[Reject] = []
        verdicts = grade_texts(items, self.pool)
        for (prompt, index, answer), verdict in zip(self.answers, verdicts, strict=True):
            try:
                rows.append(self._encode(prompt, index, answer, verdict))
            except RowError as error:
                key = name_trajectory(prompt.prompt_id, index)
                rejects.append(make_reject("sample", key, prompt.prompt_id, error))
        return rows, rejects

    def _encode(
        self, prompt: Prompt, index: int, answer: ImportedResponse, verdict: Verdict
    ) -> Trajectory:
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
            trajectory_id=name_trajectory(prompt.prompt_id, index),
            prompt_id=prompt.prompt_id,
            sample_index=index,
            completion=answer.text,
            completion_ids=ids,
            ids_source="encoded",
            finish_reason=answer.finish_reason,
            model=answer.model,
            reward=verdict.reward,
            verdict=describe_verdict(verdict),
            metadata=json.dumps(
                {"source": answer.source, "row_id": answer.row_id, **answer.metadata},
                ensure_ascii=False,
            ),
            **values,
        )


def hash_source(source: dict[str, Any]) -> str:
    """One digest of what identifies the source: other files are other answers."""
    return hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()
