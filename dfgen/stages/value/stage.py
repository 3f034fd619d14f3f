"""Runs the value stage over the shards of a run: a side stage between repair and mask.

From every prefix at which a value is needed the policy draws `value.draws` continuations, each with
a seed of its own, and the run's grader says which end right. Equal prefixes of one prompt are drawn
on from once, the start of the answer included: V(0) comes from fresh draws, because the group's own
were looked at when its wrong answers were picked. What came of a continuation goes to its shard's
journal the moment it is graded; the shard is written when the last is in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from dfgen.config.sample import Decoding
from dfgen.engines.base import PREFIX_IDS, Request, Result, derive_seed, require_continuing
from dfgen.errors import ConfigError, EngineError
from dfgen.records import Prompt, Reject, is_right
from dfgen.stages.ingest import read_shard
from dfgen.stages.lanes import require_online
from dfgen.stages.rates import share_rates
from dfgen.stages.sample.draws import (
    grade_texts,
    make_answer_key,
    order_for_batches,
    settle_verdict,
    write_chats,
)
from dfgen.stages.score.policy import check_policy
from dfgen.stages.section import require_answers
from dfgen.stages.session import Session, describe_engine, list_engine_facts
from dfgen.stages.value.given import hash_masks
from dfgen.stages.value.planning import STAGE, find_unwritten
from dfgen.stages.value.rows import DrawRecord, make_values, note_record, split_rows
from dfgen.stages.value.shard import (
    Choices,
    OpenShard,
    find_temperature,
    take_stock,
)
from dfgen.stages.value.summary import MASK_FACT, find_width, hash_mask_settings, measure_run
from dfgen.stages.work import Tools, open_engine, open_graders

if TYPE_CHECKING:
    from typing import Any

    from dfgen.engines.base import Engine, Message
    from dfgen.grade.pool import GradePool

_TOGETHER = 16
"""Prompts whose prefixes are sorted by length together: engines that pad lose little then, and
still process each picture once."""


class ValueStage:
    """The policy draws on from prefixes of its wrong answers (`dfgen.stages.work.StageWork`)."""

    stage = STAGE

    def __init__(self) -> None:
        self._choices = Choices()

    def list_facts(self, session: Session) -> dict[str, str]:
        """List how dfgen's masks are made, and what those hold that the user gave.

        Of the policy nothing is known yet.

        Raises:
            InputError: the run holds no answers, or a mask is not there.
        """
        require_answers(session.run, "to draw on from")
        given = session.pipeline.value.masks
        facts = {MASK_FACT: hash_mask_settings(session.pipeline.mask)}
        return facts | ({"masks": hash_masks(given)} if given else {})

    @contextmanager
    def open_tools(self, session: Session) -> Iterator[Tools]:
        """Load the policy and the graders.

        Raises:
            ConfigError: the pipeline names none that could draw on, or one in lane batch or files.
            RunMismatchError: it is not the one that drew the answers.
        """
        config = session.pipeline.continuer
        if config is None:
            raise ConfigError("the pipeline names no policy.", where="value.engine")
        section = "value.engine" if session.pipeline.value.engine else "policy"
        require_online(config, section, "drawing on from prefixes")
        session.tell_loading(config)
        with (
            open_engine(config, session.stop) as engine,
            open_graders(session.pipeline.grade) as graders,
        ):
            share_rates(session.run, config, engine)
            check_policy(
                session.run, require_continuing(engine).info, session.tokenizer, section=STAGE
            )
            yield Tools(
                session.pipeline,
                engine,
                graders,
                facts=self.list_facts(session) | list_engine_facts(engine),
                notes={"engine": describe_engine(engine)},
            )

    def run_shards(self, session: Session, tools: Tools, shards: list[int]) -> None:
        """Draw what is wanted of these shards and not on disk yet."""
        assert tools.engine is not None and tools.graders is not None
        Valuing(session, tools.engine, tools.graders, self._choices).execute(shards)

    def close(self, session: Session) -> None:
        """Note what the masks hold."""
        session.note(STAGE, blame=measure_run(session.run))


class Valuing:
    """One pass over the unfinished shards.

    Args:
        session: of the run.
        engine: the policy.
        pool: who grades.
        choices: knows what was chosen for earlier passes, if there were any.

    Raises:
        EngineError: the engine does not go on after given ids.
    """

    def __init__(
        self, session: Session, engine: Engine, pool: GradePool, choices: Choices | None = None
    ) -> None:
        self.session = session
        self.engine = require_continuing(engine)
        self.prefix: Literal["ids", "text"] = (
            "ids" if PREFIX_IDS in engine.info.features else "text"
        )
        self.pool = pool
        self.config = session.pipeline.value
        self.temperature = find_temperature(session)
        self.max_tokens = self.config.choose_max_tokens(session.pipeline.sample.max_tokens)
        self.chosen, self.given = (choices or Choices()).read(session)
        self.open: dict[int, OpenShard] = {}
        self.asked: dict[str, tuple[int, str, int]] = {}

    def execute(self, todo: list[int]) -> None:
        """Draw for these shards and finish them in the order in which they fill up.

        Raises:
            EngineError: the engine has failed. If a stop was asked for, that is no error: an engine
                in a process of its own got the same signal.
        """
        progress = self.session.progress
        progress.start(STAGE, len(self.chosen), self._count_done(todo))
        try:
            for results in self.engine.generate(self.session.until_stopped(self._feed(todo))):
                self._keep(results)
        except EngineError:
            if not self.session.stop.requested:
                raise
        if not self.session.stop.requested:
            progress.finish(STAGE)

    def _count_done(self, todo: list[int]) -> int:
        """Of the answers that are looked at, those that lie in no shard to be done."""
        table = self.session.run.table("trajectories")
        ids = (
            row["trajectory_id"]
            for shard in todo
            for row in table.iter_rows(shard, ["trajectory_id"])
        )
        return len(self.chosen) - sum(key in self.chosen for key in ids)

    def _feed(self, todo: list[int]) -> Iterator[Request]:
        limit, order = self.config.max_interval, list(todo)
        if limit is not None:
            seed = self.session.pipeline.seed
            order.sort(key=lambda shard: derive_seed(seed, STAGE, "shard", shard))
        for shard in order:
            if limit is not None and find_width(self.session.run) <= limit:
                self.session.finish_shard(STAGE, shard, [], [])
                continue
            yield from self._ask(shard)

    def _ask(self, shard: int) -> Iterator[Request]:
        state = self.open[shard] = take_stock(self.session, shard, self.chosen, self.given)
        if self.prefix == "text":
            self._refuse_unwritten(shard, state)
        for row in state.plan.rows:
            refused = isinstance(row, Reject)
            if refused or not state.waiting[row.trajectory_id]:  # type: ignore[union-attr]
                self.session.progress.advance(1, rejected=int(refused))
        requests = list(self._make_requests(shard, state))
        state.missing = len(requests)
        if requests:
            yield from requests
        else:
            self._finish(shard)

    def _refuse_unwritten(self, shard: int, state: OpenShard) -> None:
        """Note of prefixes that no text stands for that nothing can be drawn after them."""
        records = []
        for key in state.asking:
            detail = find_unwritten(self.session.tokenizer, state.plan.prefixes[key])
            if detail is not None:
                records.append({"key": key, "draw": 0, "reason": "ids_invalid", "detail": detail})
        for record in records:
            note_record(state.tallies, record)
            for row in state.asking.pop(str(record["key"])):
                state.waiting[row].discard(str(record["key"]))
        if records:
            self.session.journal(STAGE, shard, DrawRecord).append(records)

    def _make_requests(self, shard: int, state: OpenShard) -> Iterator[Request]:
        """Ask for what is not known of a shard, the like lengths of some prompts together."""
        sample = self.session.pipeline.sample
        wanted = {key.partition("/")[0] for key in state.asking}
        prompts = [p for p in read_shard(self.session, shard) if p.prompt_id in wanted]
        state.answers = {prompt.prompt_id: make_answer_key(prompt) for prompt in prompts}
        chats = list(write_chats(order_for_batches(prompts), sample))
        for start in range(0, len(chats), _TOGETHER):
            some = chats[start : start + _TOGETHER]
            keys = [(key, chat) for chat in some for key in state.plan.keys[chat[0].prompt_id]]
            keys.sort(key=lambda each: len(state.plan.prefixes[each[0]]))
            for key, (prompt, messages) in keys:
                yield from self._continue(shard, state, key, prompt, messages)

    def _continue(
        self,
        shard: int,
        state: OpenShard,
        key: str,
        prompt: Prompt,
        messages: tuple[Message, ...],
    ) -> Iterator[Request]:
        sample, seed = self.session.pipeline.sample, self.session.pipeline.seed
        tally, prefix = state.tallies[key], state.plan.prefixes[key]
        if tally.is_complete(self.config.draws):
            return
        for draw in range(self.config.draws):
            if draw in tally.right:
                continue
            name = f"{key}#{draw}"
            self.asked[name] = shard, key, draw
            yield Request(
                key=name,
                messages=messages,
                decoding=Decoding(
                    temperature=self.temperature,
                    top_p=sample.top_p,
                    top_k=sample.top_k,
                    stop=sample.stop,
                    # The answer as a whole may be as long as it might have been when it was drawn.
                    max_tokens=self.max_tokens - len(prefix),
                ),
                seed=derive_seed(seed, STAGE, prompt.prompt_id, key.rpartition("/")[2], draw),
                chat_template=sample.chat_template,
                chat_template_args=sample.chat_template_args,
                with_logprobs=False,
                prefix_ids=prefix if self.prefix == "ids" else (),
                prefix_text="" if self.prefix == "ids" else self.session.tokenizer.decode(prefix),
            )

    def _keep(self, results: list[Result]) -> None:
        """Grade and journal continuations, and finish the shards that they complete."""
        by_shard: dict[int, list[dict[str, Any]]] = {}
        texts = []
        for result in results:
            shard, key, draw = self.asked.pop(result.key)
            record: dict[str, Any] = {"key": key, "draw": draw}
            by_shard.setdefault(shard, []).append(record)
            if result.failure is not None:
                record |= {"reason": result.failure.reason, "detail": result.failure.detail}
                continue
            state = self.open[shard]
            text = self._join(state.plan.prefixes[key], result)
            answer = state.answers[key.partition("/")[0]]
            texts.append((record, result.finish_reason == "length", (text, answer)))
        verdicts = grade_texts([item for _, _, item in texts], self.pool)
        for (record, truncated, _), verdict in zip(texts, verdicts, strict=True):
            record["right"] = is_right(settle_verdict(verdict, truncated=truncated)[1])
        for shard, records in by_shard.items():
            self.session.journal(STAGE, shard, DrawRecord).append(records)
            self._take(shard, records)

    def _join(self, prefix: tuple[int, ...], result: Result) -> str:
        """The whole answer: its beginning and what was drawn after it."""
        if self.prefix == "text":
            return self.session.tokenizer.decode(prefix) + result.text
        return self.session.tokenizer.decode([*prefix, *(result.token_ids or ())])

    def _take(self, shard: int, records: list[dict[str, Any]]) -> None:
        state = self.open[shard]
        for record in records:
            key = record["key"]
            note_record(state.tallies, record)
            if not state.tallies[key].is_complete(self.config.draws):
                continue
            for row in state.asking.get(key, ()):
                if key in state.waiting[row]:
                    state.waiting[row].remove(key)
                    self.session.progress.advance(int(not state.waiting[row]))
        state.missing -= len(records)
        if not state.missing:
            self._finish(shard)

    def _finish(self, shard: int) -> None:
        state = self.open.pop(shard)
        rows, rejects = split_rows(state.plan, state.tallies)
        values = make_values(rows, state.tallies, self.temperature, self.prefix)
        self.session.finish_shard(STAGE, shard, values, rejects)
