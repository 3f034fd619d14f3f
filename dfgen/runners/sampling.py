"""Runs the sample stage over the shards of a run.

Requests stream through the engine without a pause between shards. A draw goes to its shard's
journal the moment it is finished; when a shard's last draw is in, another thread grades it and
writes its file, while the engine goes on.

With `sample.stop_early_after` a shard is asked for in two halves: the first samples of every
prompt, then, once these are graded, the rest of those prompts that are neither all right nor all
wrong. The second half of one shard streams behind the first halves of the next ones.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.base import Engine, Request
from dfgen.errors import ConfigError, EngineError
from dfgen.records import Reject, Trajectory
from dfgen.runners.prompts import read_shard
from dfgen.runners.sampled import OpenShard, read_written
from dfgen.runners.session import Session, describe_engine
from dfgen.stages.groups import find_decided, refuse_decided
from dfgen.stages.sample import (
    Draw,
    draw_samples,
    grade_draws,
    make_answer_key,
    make_requests,
    name_trajectory,
    order_for_batches,
)

if TYPE_CHECKING:
    from dfgen.grade.pool import GradePool
    from dfgen.tokens.tokenizer import TextTokenizer

# Shards that may wait for the grader; more of them would only fill the memory.
_BACKLOG = 2


def run_sampling(session: Session, engine: Engine, pool: GradePool, todo: list[int]) -> None:
    """Draw and grade every cell of these shards that is not on disk yet."""
    retokenizer = choose_retokenizer(session)
    session.run.set_stage("sample", state="running", counts={}, engine=describe_engine(engine))
    Sampling(session, engine, pool, retokenizer).execute(todo)


def choose_retokenizer(session: Session) -> TextTokenizer | None:
    """What encodes texts that come without ids; None where they are refused.

    Raises:
        ConfigError: the policy's section asks its server for no token ids, and does not say that
            encoding the text again will do.
    """
    policy = session.pipeline.policy
    if not isinstance(policy, OpenAIConfig):
        return None
    if policy.retokenize:
        return session.tokenizer
    if not policy.return_token_ids:
        raise ConfigError(
            "sampling needs token ids, and return_token_ids is false.",
            where="policy",
            hint="Set it to true for a server that gives them (`vllm serve`, SGLang), or "
            "`retokenize: true` to encode the text again.",
        )
    return None


class Sampling:
    """One pass over the unfinished shards."""

    def __init__(
        self,
        session: Session,
        engine: Engine,
        pool: GradePool,
        retokenizer: TextTokenizer | None = None,
    ) -> None:
        self.session = session
        self.engine = engine
        self.pool = pool
        self.retokenizer = retokenizer
        self.config = session.pipeline.sample
        # Loaded now: a tokenizer that is missing must not be found out after the first shard.
        self.tokenizer = session.tokenizer
        self.open: dict[int, OpenShard] = {}
        self.shard_of: dict[str, int] = {}
        self.unopened: deque[int] = deque()
        self.halfway: deque[int] = deque()
        self.working: list[Future[None]] = []
        self.drawn = {"cells": 0, "tokens": 0}

    def execute(self, todo: list[int]) -> None:
        """Draw the cells of these shards and finish the shards in the order they fill up.

        Raises:
            EngineError: the engine has failed. If a stop was asked for, that is no error: an engine
                in a process of its own got the same signal.
        """
        run, progress = self.session.run, self.session.progress
        prompts = run.table("prompts")
        rows = {shard: prompts.num_rows(shard) for shard in prompts.shards()}
        size = self.config.num_samples
        finished = sum(rows[shard] for shard in rows if shard not in todo)
        progress.start("sample", sum(rows.values()) * size, finished * size)
        self.unopened.extend(todo)
        started = time.monotonic()
        with ThreadPoolExecutor(1, thread_name_prefix="dfgen-grade") as grader:
            try:
                # More than one round only if the last shards' first halves had to be graded.
                while (self.unopened or self.halfway) and not self.session.stop.requested:
                    self._draw(grader)
                    self._wait_for_grader(0)
            except EngineError:
                if not self.session.stop.requested:
                    raise
        self._note_speed(time.monotonic() - started)
        if not self.session.stop.requested:
            progress.finish("sample")

    def _draw(self, grader: ThreadPoolExecutor) -> None:
        requests = self.session.until_stopped(self._feed(grader))
        for draws in draw_samples(self.engine, requests, self.retokenizer):
            for shard in self._keep(draws):
                self._complete(shard, grader)
            self.session.progress.advance(
                len(draws), rejected=sum(draw.reason is not None for draw in draws)
            )
            self._check_grader()

    def _feed(self, grader: ThreadPoolExecutor) -> Iterator[Request]:
        while self.unopened or self.halfway:
            if self.halfway:
                shard = self.halfway.popleft()
            else:
                self._wait_for_grader(_BACKLOG)
                shard = self.unopened.popleft()
            prompts = order_for_batches(read_shard(self.session, shard))
            if shard not in self.open:
                wanted = self._open(shard, [prompt.prompt_id for prompt in prompts])
                keys = {prompt.prompt_id: make_answer_key(prompt) for prompt in prompts}
                self.open[shard].keys.update(keys)
            else:
                wanted = self._list_wanted(shard, self.config.num_samples)
            self.open[shard].missing = len(wanted)
            if not wanted:
                self._complete(shard, grader)
                continue
            self.shard_of.update((key, shard) for key in wanted)
            yield from make_requests(prompts, self.config, self.session.pipeline.seed, wanted)

    def _open(self, shard: int, prompt_ids: list[str]) -> set[str]:
        """Take stock of a shard; returns the cells to ask for first."""
        journal = self.session.journal("sample", shard)
        draws = {draw.trajectory_id: draw for draw in map(Draw.model_validate, journal.replay())}
        size, first = self.config.num_samples, self.config.stop_early_after
        deciding = first is not None and first < size
        self.open[shard] = OpenShard({}, draws, 0, deciding)
        cells = {name_trajectory(each, index) for each in prompt_ids for index in range(size)}
        done = read_written(self.session, shard).cells | draws.keys()
        self.session.progress.advance(len(done & cells))
        limit = first if deciding and first is not None else size
        return {
            name_trajectory(each, index) for each in prompt_ids for index in range(limit)
        } - done

    def _list_wanted(self, shard: int, size: int) -> set[str]:
        """The cells of a shard that are left after its groups were judged."""
        state = self.open[shard]
        done = read_written(self.session, shard).cells | state.draws.keys()
        return {
            name_trajectory(prompt_id, index)
            for prompt_id in state.keys
            if prompt_id not in state.decided
            for index in range(size)
        } - done

    def _complete(self, shard: int, grader: ThreadPoolExecutor) -> None:
        """All that was asked for is drawn: judge the groups, or finish the shard."""
        state = self.open[shard]
        work = self._decide if state.deciding else self._finish
        self.working.append(grader.submit(work, shard))

    def _keep(self, draws: list[Draw]) -> list[int]:
        """Journal draws; returns the shards that they complete."""
        by_shard: dict[int, list[Draw]] = {}
        for draw in draws:
            by_shard.setdefault(self.shard_of.pop(draw.trajectory_id), []).append(draw)
            self.drawn["cells"] += 1
            self.drawn["tokens"] += len(draw.completion_ids)
        complete = []
        for shard, fresh in by_shard.items():
            self.session.journal("sample", shard).append(
                [draw.model_dump(exclude_defaults=True) for draw in fresh]
            )
            state = self.open[shard]
            state.draws.update((draw.trajectory_id, draw) for draw in fresh)
            state.missing -= len(fresh)
            if not state.missing:
                complete.append(shard)
        return complete

    def _check_grader(self) -> None:
        """A shard that could not be written must end the run now, not after the last draw."""
        for future in [future for future in self.working if future.done()]:
            self.working.remove(future)
            future.result()

    def _wait_for_grader(self, backlog: int) -> None:
        while len(self.working) > backlog:
            self.working.pop(0).result()

    def _decide(self, shard: int) -> None:
        """Find the groups of which no more is drawn; the rest of the shard is asked for next."""
        state, first = self.open[shard], self.config.stop_early_after
        assert first is not None
        rows = read_written(self.session, shard).rows
        right = {key: row.reward >= 1.0 for key, row in rows.items()}
        fresh = [draw for key, draw in state.draws.items() if key not in rows]
        for row in self._grade(state, [draw for draw in fresh if draw.sample_index < first]):
            if isinstance(row, Trajectory):
                right[row.trajectory_id] = row.reward >= 1.0
        state.decided = find_decided(state.keys, first, right)
        state.deciding = False
        self.halfway.append(shard)

    def _finish(self, shard: int) -> None:
        state = self.open.pop(shard)
        written = read_written(self.session, shard)
        rows, rejects = written.rows, written.rejects
        done = written.cells
        fresh = [draw for key, draw in state.draws.items() if key not in done]
        for row in self._grade(state, fresh):
            if isinstance(row, Reject):
                rejects[row.row_id] = row
            else:
                rows[row.trajectory_id] = row
        prompts = self.session.run.table("prompts").iter_rows(shard, ["prompt_id"])
        cells = [
            (row["prompt_id"], index) for row in prompts for index in range(self.config.num_samples)
        ]
        left_out = 0
        for prompt_id, index in cells:
            key = name_trajectory(prompt_id, index)
            if prompt_id in state.decided and key not in rows and key not in rejects:
                first, right = self.config.stop_early_after or 0, state.decided[prompt_id]
                rejects[key] = refuse_decided(prompt_id, index, first, right)
                left_out += 1
        order = [name_trajectory(*cell) for cell in cells]
        self.session.finish_shard(
            "sample",
            shard,
            [rows[key] for key in order if key in rows],
            [rejects[key] for key in order if key in rejects],
        )
        self.session.progress.advance(left_out)

    def _grade(self, state: OpenShard, draws: list[Draw]) -> Iterator[Trajectory | Reject]:
        model = self.engine.info.model
        return grade_draws(draws, state.keys, self.tokenizer, self.pool, model)

    def _note_speed(self, seconds: float) -> None:
        """Add this pass to what the manifest says of the time that drawing took."""
        run = self.session.run
        record = run.manifest.get_stage("sample")
        before = record.facts.get("drawn", {})
        drawn = {**self.drawn, "seconds": round(seconds, 3)}
        total = {name: before.get(name, 0) + value for name, value in drawn.items()}
        run.set_stage("sample", state=record.state, counts=record.counts, drawn=total)
