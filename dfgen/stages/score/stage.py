"""Runs the score stage over the shards of a run: a side stage between repair and mask.

Texts of one prompt follow one another, so that its pictures are processed once, and stream through
the engine without a pause between shards. What the policy said of a text goes to its shard's
journal the moment it is known; the shard is written when the last text is in. As the first answers
come, and ever after, their logprobs are compared with the stored ones: where they are not those of
the same policy, the stage stops and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from dfgen.config.sampling import find_sampling
from dfgen.engines.base import SCORE_CONTRAST, ScoreRequest, ScoreResult, require_scoring
from dfgen.errors import ConfigError, EngineError, RunMismatchError
from dfgen.records import Reject
from dfgen.stages.ingest import read_shard
from dfgen.stages.sample.draws import order_for_batches, write_chats
from dfgen.stages.score.black import blacken
from dfgen.stages.score.gap import GapWatch, choose_limit
from dfgen.stages.score.planning import STAGE, list_readings
from dfgen.stages.score.policy import check_policy, tell_engines
from dfgen.stages.score.rows import (
    BLACK,
    Reading,
    ReadingRecord,
    is_enough,
    make_reading,
    make_score,
    split_rows,
    to_record,
)
from dfgen.stages.score.shard import OpenShard, take_stock
from dfgen.stages.score.summary import summarise_gaps
from dfgen.stages.section import require_answers
from dfgen.stages.session import Session, describe_engine, list_engine_facts
from dfgen.stages.work import Tools, open_engine

if TYPE_CHECKING:
    from dfgen.engines.base import Engine, Message


class ScoreStage:
    """The policy says how probable answers and repairs are (`dfgen.stages.work.StageWork`)."""

    stage = STAGE

    def list_facts(self, session: Session) -> dict[str, str]:
        """Nothing is known before the policy is loaded.

        Raises:
            InputError: the run holds no answers.
        """
        require_answers(session.run, "to score")
        return {}

    @contextmanager
    def open_tools(self, session: Session) -> Iterator[Tools]:
        """Load the policy.

        Raises:
            ConfigError: the pipeline names none that could score.
            RunMismatchError: it is not the one that drew the answers.
        """
        config = session.pipeline.scorer
        if config is None:
            raise ConfigError("the pipeline names no policy.", where="score.engine")
        sampling = find_sampling(session.pipeline.policy, session.pipeline.sample)
        session.tell_loading(config)
        with open_engine(config, session.stop) as engine:
            check_policy(session.run, require_scoring(engine).info, session.tokenizer)
            yield Tools(
                session.pipeline,
                engine,
                facts=list_engine_facts(engine),
                notes={"engine": describe_engine(engine), "sampling": asdict(sampling)},
            )

    def run_shards(self, session: Session, tools: Tools, shards: list[int]) -> None:
        """Score what is wanted of these shards and not on disk yet."""
        assert tools.engine is not None
        Scoring(session, tools.engine).execute(shards)

    def close(self, session: Session) -> None:
        """Note how far the scores are from the stored logprobs."""
        session.note(STAGE, gap=summarise_gaps(session.run))


class Scoring:
    """One pass over the unfinished shards.

    Args:
        session: of the run.
        engine: the policy.

    Raises:
        EngineError: the engine does not score.
    """

    def __init__(self, session: Session, engine: Engine) -> None:
        self.session = session
        self.engine = require_scoring(engine)
        self.config = session.pipeline.score
        self.sampling = find_sampling(session.pipeline.policy, session.pipeline.sample)
        self.temperature = self.sampling.trainers_temperature if self.config.tempered else None
        self.compares = SCORE_CONTRAST in engine.info.features
        limit = choose_limit(self.config.max_gap, engine.info.dtype)
        self.watch = GapWatch(limit, self.config.max_gap_share)
        self.open: dict[int, OpenShard] = {}
        self.shard_of: dict[str, int] = {}

    def execute(self, todo: list[int]) -> None:
        """Score these shards and finish them in the order in which they fill up.

        Raises:
            RunMismatchError: the scores are not those of the policy that drew the answers.
            EngineError: the engine has failed. If a stop was asked for, that is no error: an engine
                in a process of its own got the same signal.
        """
        progress, run = self.session.progress, self.session.run
        left = sum(map(run.table("trajectories").num_rows, todo))
        # As noted: a worker of a shared run comes here for every few shards.
        total = max(left, run.manifest.get_stage("sample").counts.get("output", 0))
        progress.start(STAGE, total, total - left)
        requests = self.session.until_stopped(self._feed(todo))
        try:
            for results in self.engine.score(requests):
                self._keep(results)
        except EngineError:
            if not self.session.stop.requested:
                raise
        if not self.session.stop.requested:
            progress.finish(STAGE)

    def _feed(self, todo: list[int]) -> Iterator[ScoreRequest]:
        for shard in todo:
            state = self.open[shard] = self._open(shard)
            requests = list(self._make_requests(shard, state))
            state.missing = len(requests)
            self.shard_of.update((request.key, shard) for request in requests)
            if requests:
                yield from requests
            else:
                self._finish(shard)

    def _open(self, shard: int) -> OpenShard:
        state = take_stock(self.session, shard)
        refused = sum(isinstance(row, Reject) for row in state.plan.rows)
        rows = self.session.run.table("trajectories").num_rows(shard)
        self.session.progress.advance(rows - len(state.plan.rows) + refused, rejected=refused)
        return state

    def _make_requests(self, shard: int, state: OpenShard) -> Iterator[ScoreRequest]:
        """Ask for what is not known of a shard, the texts of a prompt one after the other."""
        sample = self.session.pipeline.sample
        prompts = order_for_batches(read_shard(self.session, shard))
        for prompt, messages in write_chats(prompts, sample):
            black = blacken(messages, prompt.image_info) if self.config.visual else None
            for key, ids in list_readings(state.plan, prompt.prompt_id):
                contrast = black if key in state.plan.answers else None
                compared = contrast if self.compares else None
                known = state.readings.get(key)
                asked: list[tuple[str, tuple[Message, ...]]] = []
                if known is None or not is_enough(
                    known,
                    tempered=self.temperature is not None,
                    contrast=compared is not None,
                ):
                    asked.append((key, messages))
                else:
                    self._take(state, key, known)
                if contrast is not None and not self.compares and key + BLACK not in state.readings:
                    asked.append((key + BLACK, contrast))
                for name, chat in asked:
                    yield ScoreRequest(
                        key=name,
                        messages=chat,
                        completion_ids=tuple(ids.tolist()),
                        chat_template=sample.chat_template,
                        chat_template_args=sample.chat_template_args,
                        temperature=None if name != key else self.temperature,
                        contrast=None if name != key else compared,
                    )

    def _keep(self, results: list[ScoreResult]) -> None:
        """Journal what was read, compare it, and finish the shards that it completes."""
        by_shard: dict[int, list[tuple[str, Reading]]] = {}
        for result in results:
            shard = self.shard_of.pop(result.key)
            by_shard.setdefault(shard, []).append((result.key, make_reading(result)))
        for shard, fresh in by_shard.items():
            state = self.open[shard]
            records = [to_record(key, reading) for key, reading in fresh]
            self.session.journal(STAGE, shard, ReadingRecord).append(records)
            for key, reading in fresh:
                state.readings[key] = reading
                self._take(state, key, reading)
            state.missing -= len(fresh)
            if self.watch.is_time_to_look():
                self._judge()
            if not state.missing:
                self._finish(shard)

    def _take(self, state: OpenShard, key: str, reading: Reading) -> None:
        """Compare what is known of a completion with what its trajectories have stored."""
        rows = state.asking.get(key, [])
        refused = len(rows) if reading.reason is not None else 0
        self.session.progress.advance(len(rows), rejected=refused)
        if reading.logprobs is None:
            return
        for row in rows:
            if row.stored is not None:
                name = row.trajectory_id
                self.watch.add(name, row.stored, reading.logprobs, reading.tempered)

    def _finish(self, shard: int) -> None:
        self._judge()
        state = self.open.pop(shard)
        rows, rejects = split_rows(state.plan, state.readings)
        scores = (make_score(row, state.plan, state.readings, self.sampling) for row in rows)
        self.session.finish_shard(STAGE, shard, scores, rejects)

    def _judge(self) -> None:
        """Stop if the scores are another policy's; what is open is forgotten then.

        Raises:
            RunMismatchError: says what was found and what to look at.
        """
        if not self.watch.is_too_far():
            return
        for shard in self.open:
            self.session.journal(STAGE, shard, ReadingRecord).delete()
        run = self.session.run
        found, hint = self.watch.explain(*tell_engines(run, self.engine.info))
        raise RunMismatchError(found, where=str(run.root), hint=hint)
