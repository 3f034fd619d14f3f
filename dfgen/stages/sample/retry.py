"""Draws truncated samples again with a larger limit and puts the new rows in their places.

The run's own limit stays what it is: a cell is drawn with the seed it had, so the new completion is
what a larger limit would have given in the first place, and the row says what it replaced. What
repair made of the old rows is taken back before the new ones are written, and the new generation of
the shard opens its masks again, so those stages find these rows to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from dfgen.arrow_types import Int32
from dfgen.engines.base import Engine, Request
from dfgen.errors import ConfigError, EngineError
from dfgen.records import Reject, Trajectory
from dfgen.stages.ingest import read_shard
from dfgen.stages.lanes import require_online
from dfgen.stages.sample.draws import (
    Draw,
    draw_samples,
    make_answer_key,
    make_requests,
)
from dfgen.stages.sample.grading import Grading
from dfgen.stages.sample.shard import OpenShard, read_written
from dfgen.stages.sample.stage import choose_agreement, choose_retokenizer
from dfgen.stages.session import Session, list_engine_facts
from dfgen.stages.stopping import LoadingStopped
from dfgen.stages.work import cutting_waits, open_engine, open_graders
from dfgen.store.finishing import finish_shard, take_back

if TYPE_CHECKING:
    from dfgen.store.journal import Journal


LIMIT = "retried_up_to"
"""In a row's metadata: the largest `max_tokens` that it was drawn or refused with."""
EARLIER = "earlier_draws"
"""In a row's metadata: the draws that this one replaced, oldest first."""


def retry_truncated(session: Session, limit: int) -> bool:
    """Draw every truncated sample of a run again; False when a stop was asked for before the end.

    The caller holds the run's lock, and the sample stage is done.

    Args:
        session: of the run, with the pipeline it was made with.
        limit: `max_tokens` of the new draws.

    Raises:
        ConfigError: the limit is not larger, the answers were imported, or the policy is in lane
            batch.
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
    require_online(config, "policy", "drawing truncated answers again")
    session.tell_loading(config)
    with (
        suppress(LoadingStopped),
        session.stop,
        closing(session),
        open_engine(config, session.stop) as engine,
    ):
        session.run.check_stage("sample", session.pipeline, list_engine_facts(engine))
        with (
            cutting_waits(engine, session.stop),
            open_graders(session.pipeline.grade) as pool,
            Grading(session, pool, engine.info.model) as grading,
        ):
            Retrying(session, engine, grading, limit).execute(todo)
    return not session.stop.requested


def list_truncated(session: Session, shard: int, limit: int) -> set[str]:
    """List the cells of a shard that a retry with this limit draws."""
    rows = read_written(session, shard).rows.values()
    return {row.trajectory_id for row in select_truncated(rows, limit)}


class RetriedDraw(BaseModel):
    """A draw as the journal of a retry keeps it."""

    limit: Int32
    draw: Draw


class Retrying:
    """One pass over the shards that hold truncated rows.

    Args:
        session: of the run.
        engine: who draws.
        grading: who grades, entered.
        limit: `max_tokens` of the new draws.
    """

    def __init__(self, session: Session, engine: Engine, grading: Grading, limit: int) -> None:
        self.session = session
        self.engine = engine
        self.grading = grading
        self.limit = limit
        self.config = session.pipeline.sample.model_copy(update={"max_tokens": limit})
        self.open: dict[int, OpenShard] = {}
        self.journals: dict[int, Journal] = {}
        self.shard_of: dict[str, int] = {}
        self.outcome = {"cells": 0, "still_truncated": 0, "refused": 0}

    def execute(self, todo: list[int]) -> None:
        """Draw and write, shard by shard, without a pause between them.

        Raises:
            EngineError: the engine has failed, and no stop was asked for.
        """
        total = sum(len(list_truncated(self.session, shard, self.limit)) for shard in todo)
        self.session.progress.start("retry", total, 0)
        retokenizer = choose_retokenizer(self.session)
        agreement = choose_agreement(self.session, self.engine)
        try:
            requests = self.session.until_stopped(self._feed(todo))
            for draws in draw_samples(self.engine, requests, retokenizer, agreement):
                self._keep(draws)
                self.session.progress.advance(len(draws))
                self.grading.check()
            self.grading.wait(0)
        except EngineError:
            # An engine in a process of its own got the same signal.
            if not self.session.stop.requested:
                raise
            self.grading.wait(0)
        finally:
            for journal in self.journals.values():
                journal.close()
        self._note()

    def _feed(self, todo: list[int]) -> Iterator[Request]:
        for shard in todo:
            self.grading.wait()
            wanted = list_truncated(self.session, shard, self.limit)
            journal = self.journals[shard] = self.session.run.retry_journal(shard, RetriedDraw)
            draws = [
                Draw.model_validate(entry["draw"])
                for entry in journal.replay()
                if entry["limit"] == self.limit
            ]
            prompts = list(read_shard(self.session, shard))
            keys = {prompt.prompt_id: make_answer_key(prompt) for prompt in prompts}
            known = {draw.trajectory_id: draw for draw in draws if draw.trajectory_id in wanted}
            missing = wanted - known.keys()
            self.session.progress.advance(len(known))
            state = self.open[shard] = OpenShard(keys, len(missing))
            state.add(list(known.values()))
            if not missing:
                self._complete(shard)
                continue
            self.grading.take(state)
            self.shard_of.update((key, shard) for key in missing)
            yield from make_requests(prompts, self.config, self.session.pipeline.seed, missing)

    def _keep(self, draws: list[Draw]) -> None:
        by_shard: dict[int, list[Draw]] = {}
        for draw in draws:
            by_shard.setdefault(self.shard_of.pop(draw.trajectory_id), []).append(draw)
        for shard, fresh in by_shard.items():
            self.journals[shard].append(
                [
                    {"limit": self.limit, "draw": draw.model_dump(exclude_defaults=True)}
                    for draw in fresh
                ]
            )
            state = self.open[shard]
            state.add(fresh)
            state.missing -= len(fresh)
            if state.missing:
                self.grading.take(state)
            else:
                self._complete(shard)

    def _complete(self, shard: int) -> None:
        self.grading.finish(shard, self.open.pop(shard), self._write)

    def _write(self, shard: int, state: OpenShard) -> None:
        """Put the new rows in the places of the old ones, and reopen what was made of those."""
        run, written = self.session.run, read_written(self.session, shard)
        rows = written.rows
        fresh: dict[str, Trajectory | Reject] = {**state.graded.rows, **state.graded.rejects}
        for key, new in fresh.items():
            rows[key] = replace_draw(rows[key], new, self.limit)
            self.outcome["cells"] += 1
            if isinstance(new, Reject):
                self.outcome["refused"] += 1
            else:
                self.outcome["still_truncated"] += new.finish_reason == "length"
        # A truncated row is never repaired, so of its old self repair has only a refusal.
        take_back(run, "repair", shard, state.graded.rows.keys())
        finish_shard(run, "sample", shard, rows.values(), written.rejects.values())
        self.journals.pop(shard).delete()

    def _note(self) -> None:
        record = self.session.run.manifest.get_stage("sample")
        entry = {"reason": "length", "max_tokens": self.limit, **self.outcome}
        self.session.note("sample", retries=[*record.facts.get("retries", []), entry])


def select_truncated(rows: Iterable[Trajectory], limit: int) -> list[Trajectory]:
    """Select rows that were cut off and have not been drawn with this limit yet."""
    return [
        row
        for row in rows
        if row.finish_reason == "length"
        and len(row.completion_ids) < limit
        and json.loads(row.metadata).get(LIMIT, 0) < limit
    ]


def replace_draw(old: Trajectory, new: Trajectory | Reject, limit: int) -> Trajectory:
    """Make the row that stands where `old` stood.

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
