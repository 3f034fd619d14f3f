"""Draws truncated samples again with a larger limit and puts the new rows in their places.

The run's own limit stays what it is: a cell is drawn with the seed it had, so the new completion is
what a larger limit would have given in the first place, and the row says what it replaced. What
repair and mask made of the old rows is taken back before the new ones are written, so the run is
sound at every moment: those stages find these rows to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

from dfgen.engines.base import Engine, Request
from dfgen.errors import ConfigError, EngineError
from dfgen.records import Reject, Trajectory
from dfgen.stages.ingest import read_shard
from dfgen.stages.sample.draws import (
    Draw,
    draw_samples,
    grade_draws,
    make_answer_key,
    make_requests,
)
from dfgen.stages.sample.shard import OpenShard, read_written
from dfgen.stages.sample.stage import choose_retokenizer
from dfgen.stages.session import Session, list_engine_facts
from dfgen.stages.tools import open_engine, open_graders

if TYPE_CHECKING:
    from dfgen.grade.pool import GradePool
    from dfgen.store.journal import Journal
    from dfgen.store.layout import Stage


def retry_truncated(session: Session, limit: int) -> bool:
    """Draw every truncated sample of a run again; False when a stop was asked for before the end.

    The caller holds the run's lock, and the sample stage is done.

    Args:
        session: of the run, with the pipeline it was made with.
        limit: `max_tokens` of the new draws.

    Raises:
        ConfigError: the limit is not larger, or the answers were imported.
        DfgenError: the environment is at fault; everything finished is on disk.
    """
    config = session.pipeline.policy
    if config is None:
        raise ConfigError("imported answers cannot be drawn again.")
    if limit <= session.pipeline.sample.max_tokens:
        raise ConfigError(
            f"a retry needs a larger limit than the run's own, {limit} is not.",
            where="--retry-max-tokens",
            hint=f"sample.max_tokens is {session.pipeline.sample.max_tokens}.",
        )
    shards = session.run.table("trajectories").shards()
    wanted = {shard: list_truncated(session, shard, limit) for shard in shards}
    todo = [shard for shard in shards if wanted[shard]]
    for shard in set(shards) - set(todo):
        # Left over if the process ended just after the shard was written.
        session.run.retry_journal(shard).delete()
    if not todo:
        return True
    with session.stop, closing(session), open_engine(config) as engine:
        session.run.check_stage("sample", session.pipeline, list_engine_facts(engine))
        with open_graders(session.pipeline.grade) as pool:
            Retrying(session, engine, pool, limit).execute(todo)
    return not session.stop.requested


def list_truncated(session: Session, shard: int, limit: int) -> set[str]:
    """The cells of a shard that a retry with this limit draws."""
    rows = read_written(session, shard).rows.values()
    return {row.trajectory_id for row in select_truncated(rows, limit)}


class Retrying:
    """One pass over the shards that hold truncated rows."""

    def __init__(self, session: Session, engine: Engine, pool: GradePool, limit: int) -> None:
        self.session = session
        self.engine = engine
        self.pool = pool
        self.limit = limit
        self.config = session.pipeline.sample.model_copy(update={"max_tokens": limit})
        self.open: dict[int, OpenShard] = {}
        self.journals: dict[int, Journal] = {}
        self.shard_of: dict[str, int] = {}
        self.working: list[Future[None]] = []
        self.outcome = {"cells": 0, "still_truncated": 0, "refused": 0}

    def execute(self, todo: list[int]) -> None:
        """Draw and write, shard by shard, without a pause between them."""
        self._reopen_stages()
        total = sum(len(list_truncated(self.session, shard, self.limit)) for shard in todo)
        self.session.progress.start("retry", total, 0)
        retokenizer = choose_retokenizer(self.session)
        try:
            with ThreadPoolExecutor(1, thread_name_prefix="dfgen-grade") as grader:
                requests = self.session.until_stopped(self._feed(todo, grader))
                for draws in draw_samples(self.engine, requests, retokenizer):
                    self._keep(draws, grader)
                    self.session.progress.advance(len(draws))
        except EngineError:
            # An engine in a process of its own got the same signal.
            if not self.session.stop.requested:
                raise
        finally:
            for journal in self.journals.values():
                journal.close()
        for future in self.working:
            future.result()
        self._note()

    def _feed(self, todo: list[int], grader: ThreadPoolExecutor) -> Iterator[Request]:
        for shard in todo:
            wanted = list_truncated(self.session, shard, self.limit)
            journal = self.journals[shard] = self.session.run.retry_journal(shard)
            draws = {
                entry["draw"]["trajectory_id"]: Draw.model_validate(entry["draw"])
                for entry in journal.replay()
                if entry["limit"] == self.limit
            }
            prompts = list(read_shard(self.session, shard))
            keys = {prompt.prompt_id: make_answer_key(prompt) for prompt in prompts}
            missing = wanted - draws.keys()
            self.session.progress.advance(len(wanted) - len(missing))
            self.open[shard] = OpenShard(keys, len(missing), ungraded=list(draws.values()))
            if not missing:
                self.working.append(grader.submit(self._finish, shard))
                continue
            self.shard_of.update((key, shard) for key in missing)
            yield from make_requests(prompts, self.config, self.session.pipeline.seed, missing)

    def _keep(self, draws: list[Draw], grader: ThreadPoolExecutor) -> None:
        for draw in draws:
            shard = self.shard_of.pop(draw.trajectory_id)
            record = {"limit": self.limit, "draw": draw.model_dump(exclude_defaults=True)}
            self.journals[shard].append([record])
            state = self.open[shard]
            state.ungraded.append(draw)
            state.missing -= 1
            if not state.missing:
                self.working.append(grader.submit(self._finish, shard))

    def _finish(self, shard: int) -> None:
        state, run = self.open.pop(shard), self.session.run
        rows = read_written(self.session, shard).rows
        fresh = [draw for draw in state.ungraded if draw.trajectory_id in rows]
        model, replaced = self.engine.info.model, set()
        for new in grade_draws(fresh, state.keys, self.session.tokenizer, self.pool, model):
            key = new.row_id if isinstance(new, Reject) else new.trajectory_id
            rows[key] = replace_draw(rows[key], new, self.limit)
            self.outcome["cells"] += 1
            if isinstance(new, Reject):
                self.outcome["refused"] += 1
            else:
                replaced.add(key)
                self.outcome["still_truncated"] += new.finish_reason == "length"
        self._take_back(shard, replaced)
        run.output("sample").write(shard, rows.values())
        self.journals.pop(shard).delete()

    def _take_back(self, shard: int, keys: set[str]) -> None:
        """Remove what later stages made of rows that are about to change.

        A truncated row is never repaired, so repair has only its refusal.
        """
        run = self.session.run
        for table in (run.table("masks"), run.rejects("mask")):
            table.remove(shard)
        ledger = run.rejects("repair")
        if ledger.exists(shard):
            kept = [row for row in ledger.iter_rows(shard) if row["row_id"] not in keys]
            if kept:
                ledger.write(shard, kept)
            else:
                ledger.remove(shard)

    def _reopen_stages(self) -> None:
        """Later stages that were done have rows to do again."""
        stages: tuple[Stage, ...] = ("repair", "mask")
        for stage in stages:
            if self.session.run.manifest.get_stage(stage).state == "done":
                self.session.run.set_stage(stage, state="running", counts={})

    def _note(self) -> None:
        record = self.session.run.manifest.get_stage("sample")
        entry = {"reason": "length", "max_tokens": self.limit, **self.outcome}
        retries = [*record.facts.get("retries", []), entry]
        self.session.run.set_stage(
            "sample", state=record.state, counts=record.counts, retries=retries
        )


LIMIT = "retried_up_to"
"""In a row's metadata: the largest `max_tokens` that it was drawn or refused with."""
EARLIER = "earlier_draws"
"""In a row's metadata: the draws that this one replaced, oldest first."""


def select_truncated(rows: Iterable[Trajectory], limit: int) -> list[Trajectory]:
    """Rows that were cut off and have not been drawn with this limit yet."""
    return [
        row
        for row in rows
        if row.finish_reason == "length"
        and len(row.completion_ids) < limit
        and json.loads(row.metadata).get(LIMIT, 0) < limit
    ]


def replace_draw(old: Trajectory, new: Trajectory | Reject, limit: int) -> Trajectory:
    """The row that stands where `old` stood.

    A new draw replaces the old one, whose facts stay in the metadata. If there is none (the longer
    completion does not fit into the model's context), the old row stays and says so.
    """
    metadata = json.loads(old.metadata)
    metadata[LIMIT] = limit
    if isinstance(new, Reject):
        metadata["retry_refused"] = {"reason": new.reason, "detail": new.detail}
        return old.model_copy(update={"metadata": _dump(metadata)})
    earlier = {
        "completion_tokens": len(old.completion_ids),
        "finish_reason": old.finish_reason,
        "reward": old.reward,
        # The seed is the same, so the new draw is the old one continued, as far as the engine's
        # arithmetic repeats itself.
        "continued": new.completion_ids[: len(old.completion_ids)] == old.completion_ids,
    }
    metadata[EARLIER] = [*metadata.get(EARLIER, []), earlier]
    metadata.pop("retry_refused", None)
    return new.model_copy(update={"metadata": _dump(metadata)})


def _dump(metadata: dict[str, Any]) -> str:
    return json.dumps(metadata, ensure_ascii=False, sort_keys=True)
