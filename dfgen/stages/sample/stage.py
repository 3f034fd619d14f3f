"""Runs the sample stage over the shards of a run.

Requests stream through the engine without a pause between shards. A draw goes to its shard's
journal the moment it is finished; another thread grades it (`Grading`) and writes the shard's files
when the last draw is in, while the engine goes on.

With `sample.stop_early_after` a shard is asked for in two halves: the first samples of every
prompt, then, once these are graded, the rest of those prompts that are neither all right nor all
wrong. The second half of one shard streams behind the first halves of the next ones.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from dfgen.config.engine import EngineConfig, OpenAIConfig, find_lane
from dfgen.engines.base import Engine, Request
from dfgen.errors import ConfigError, EngineError, RowError
from dfgen.records import Prompt, make_trajectory_id
from dfgen.stages.ingest import read_shard
from dfgen.stages.lanes import open_lane
from dfgen.stages.sample.agreement import Agreement
from dfgen.stages.sample.drawing_time import DrawingTime
from dfgen.stages.sample.draws import (
    Draw,
    draw_samples,
    make_answer_key,
    make_requests,
    order_for_batches,
    refuse_cells,
)
from dfgen.stages.sample.grading import Grading
from dfgen.stages.sample.shard import OpenShard, find_drawn, read_written
from dfgen.stages.screening import Screening
from dfgen.stages.session import Session, describe_engine, list_engine_facts
from dfgen.stages.work import Tools, open_graders

if TYPE_CHECKING:
    from dfgen.grade.pool import GradePool
    from dfgen.tokens.tokenizer import TextTokenizer


class SampleStage:
    """The policy draws completions, and they are graded (`dfgen.stages.work.StageWork`)."""

    stage = "sample"

    def list_facts(self, session: Session) -> dict[str, str]:  # noqa: ARG002
        """Nothing is known before the policy is loaded."""
        return {}

    @contextmanager
    def open_tools(self, session: Session) -> Iterator[Tools]:
        """Load the policy, and start processes that grade.

        Raises:
            ConfigError: the pipeline names no policy.
        """
        config = session.pipeline.policy
        if config is None:
            raise ConfigError("the pipeline has no policy section.")
        session.tell_loading(config)
        if find_lane(config) == "files":
            raise ConfigError(
                "lane files is for repairs; the policy's samples cannot wait for somebody.",
                where="policy.lane",
                hint="Use `lane: batch` or `lane: online`; answers that are there already are read "
                "with `imports`.",
            )
        drawn = partial(find_drawn, session)
        with (
            open_lane(session, "sample", config, drawn) as engine,
            open_graders(session.pipeline.grade) as graders,
        ):
            tools = Tools(
                session.pipeline,
                engine,
                graders,
                facts=list_engine_facts(engine),
                notes={"engine": describe_engine(engine)},
                drawing=DrawingTime(session.run),
            )
            yield tools
            assert tools.drawing is not None
            tools.drawing.note()

    def run_shards(self, session: Session, tools: Tools, shards: list[int]) -> None:
        """Draw and grade every cell of these shards that is not on disk yet."""
        assert tools.engine is not None
        assert tools.graders is not None
        run_sampling(session, tools.engine, tools.graders, shards, tools.drawing)

    def close(self, session: Session) -> None:
        """Nothing is left to say."""


def run_sampling(
    session: Session,
    engine: Engine,
    pool: GradePool,
    todo: list[int],
    drawing: DrawingTime | None = None,
) -> None:
    """Draw and grade every cell of these shards that is not on disk yet.

    Args:
        drawing: counts what earlier passes of this process have drawn, if there were any.
    """
    retokenizer = choose_retokenizer(session)
    with Grading(session, pool, engine.info.model) as grading:
        timed = drawing or DrawingTime(session.run)
        Sampling(session, engine, grading, timed, retokenizer).execute(todo)


def choose_retokenizer(session: Session) -> TextTokenizer | None:
    """Return what encodes texts that come without ids; None where they are refused.

    Raises:
        ConfigError: see `check_token_ids`.
    """
    policy = session.pipeline.policy
    check_token_ids(policy)
    wanted = isinstance(policy, OpenAIConfig) and policy.retokenize
    return session.tokenizer if wanted else None


def check_token_ids(policy: EngineConfig | None) -> None:
    """Refuse a policy of which no answer would have token ids.

    Raises:
        ConfigError: its section asks its server for none, and does not say that encoding the text
            again will do.
    """
    if isinstance(policy, OpenAIConfig) and not (policy.retokenize or policy.return_token_ids):
        raise ConfigError(
            "sampling needs token ids, and return_token_ids is false.",
            where="policy",
            hint="Set it to true for a server that gives them (`vllm serve`, SGLang), or "
            "`retokenize: true` to encode the text again.",
        )


def choose_agreement(session: Session, engine: Engine) -> Agreement[Draw] | None:
    """Return what compares texts with ids; None where both come from this process."""
    if not isinstance(session.pipeline.policy, OpenAIConfig):
        return None
    return Agreement(session.tokenizer, engine.info.model)


class Sampling:
    """One pass over the unfinished shards.

    Args:
        session: of the run.
        engine: who draws.
        grading: who grades and writes, entered.
        drawing: told what was drawn in what time.
        retokenizer: see `draw_samples`.
    """

    def __init__(
        self,
        session: Session,
        engine: Engine,
        grading: Grading,
        drawing: DrawingTime,
        retokenizer: TextTokenizer | None = None,
    ) -> None:
        self.session = session
        self.engine = engine
        self.grading = grading
        self.drawing = drawing
        self.retokenizer = retokenizer
        self.agreement = choose_agreement(session, engine)
        self.config = session.pipeline.sample
        self.seed = session.pipeline.seed
        self.screening = Screening(
            session.tokenizer.control_tokens,
            getattr(session.pipeline.policy, "max_image_bytes", None),
        )
        self.open: dict[int, OpenShard] = {}
        self.shard_of: dict[str, int] = {}
        self.unopened: deque[int] = deque()
        self.halfway: deque[int] = deque()
        self.drawn = {"cells": 0, "tokens": 0}

    def execute(self, todo: list[int]) -> None:
        """Draw the cells of these shards and finish the shards in the order they fill up.

        Raises:
            EngineError: the engine has failed. If a stop was asked for, that is no error: an engine
                in a process of its own got the same signal.
        """
        run, progress = self.session.run, self.session.progress
        prompts, size = run.table("prompts"), self.config.num_samples
        left = sum(map(prompts.num_rows, todo))
        total = max(left, run.manifest.get_stage("prompts").counts.get("output", 0))
        progress.start("sample", total * size, (total - left) * size)
        self.unopened.extend(todo)
        started = time.monotonic()
        try:
            # More than one round only if the last shards' first halves had to be graded.
            while (self.unopened or self.halfway) and not self.session.stop.requested:
                self._draw()
                self.grading.wait(0)
        except EngineError:
            if not self.session.stop.requested:
                raise
        self.drawing.add(**self.drawn, seconds=time.monotonic() - started)
        if not self.session.stop.requested:
            progress.finish("sample")

    def _draw(self) -> None:
        requests = self.session.until_stopped(self._feed())
        for draws in draw_samples(self.engine, requests, self.retokenizer, self.agreement):
            for shard in self._keep(draws):
                self._complete(shard)
            self.session.progress.advance(
                len(draws), rejected=sum(draw.reason is not None for draw in draws)
            )
            self.grading.check()

    def _feed(self) -> Iterator[Request]:
        while self.unopened or self.halfway:
            if self.halfway:
                shard = self.halfway.popleft()
            else:
                self.grading.wait()
                shard = self.unopened.popleft()
            prompts = order_for_batches(read_shard(self.session, shard))
            if shard not in self.open:
                self._open(shard, prompts)
            wanted = self._list_wanted(self.open[shard])
            self.open[shard].missing = len(wanted)
            if not wanted:
                self._complete(shard)
                continue
            self.shard_of.update((key, shard) for key in wanted)
            refused = list(self._refuse(prompts, wanted))
            wanted -= {draw.trajectory_id for draw in refused}
            self.session.progress.advance(len(refused), rejected=len(refused))
            for full in self._keep(refused):
                self._complete(full)
            yield from make_requests(prompts, self.config, self.seed, wanted)

    def _refuse(self, prompts: list[Prompt], wanted: set[str]) -> Iterator[Draw]:
        """The cells of prompts that the policy is not to be asked, as draws that failed."""
        for prompt in prompts:
            try:
                self.screening.check(prompt)
            except RowError as error:
                yield from refuse_cells(prompt, error, self.config, self.seed, wanted)

    def _open(self, shard: int, prompts: list[Prompt]) -> None:
        """Take stock of a shard."""
        first, size = self.config.stop_early_after, self.config.num_samples
        written = read_written(self.session, shard)
        state = self.open[shard] = OpenShard(
            {prompt.prompt_id: make_answer_key(prompt) for prompt in prompts},
            deciding=first is not None and first < size,
            done=written.cells,
            graded=written,
        )
        journal = self.session.journal("sample", shard, Draw)
        draws = [Draw.model_validate(record) for record in journal.replay()]
        # The prompt of a draw may have been dropped since (`prompts.missing`).
        state.add([draw for draw in draws if draw.prompt_id in state.keys])
        self.grading.take(state)
        cells = {make_trajectory_id(each, index) for each in state.keys for index in range(size)}
        self.session.progress.advance(len(state.done & cells))

    def _list_wanted(self, state: OpenShard) -> set[str]:
        """The cells of a shard to ask for now."""
        limit = self.config.stop_early_after if state.deciding else self.config.num_samples
        return {
            make_trajectory_id(prompt_id, index)
            for prompt_id in state.keys
            if prompt_id not in state.decided
            for index in range(limit or 0)
        } - state.done

    def _complete(self, shard: int) -> None:
        """All that was asked for is drawn: judge the groups, or finish the shard."""
        state = self.open[shard]
        if not state.deciding:
            del self.open[shard]
            self.grading.finish(shard, state)
            return

        def go_on() -> None:
            state.deciding = False
            self.halfway.append(shard)

        self.grading.decide(state, go_on)

    def _keep(self, draws: list[Draw]) -> list[int]:
        """Journal draws; returns the shards that they complete."""
        by_shard: dict[int, list[Draw]] = {}
        for draw in draws:
            by_shard.setdefault(self.shard_of.pop(draw.trajectory_id), []).append(draw)
            self.drawn["cells"] += 1
            self.drawn["tokens"] += len(draw.completion_ids)
        complete = []
        for shard, fresh in by_shard.items():
            self.session.journal("sample", shard, Draw).append(
                [draw.model_dump(exclude_defaults=True) for draw in fresh]
            )
            state = self.open[shard]
            state.add(fresh)
            state.missing -= len(fresh)
            if state.missing:
                self.grading.take(state)
            else:
                complete.append(shard)
        return complete
