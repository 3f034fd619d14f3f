"""Forecasts what each stage of a run will ask and cost, from the first rows and what is on disk.

What is on disk is counted row by row. What is still to come is the least and the most that the
settings allow: nobody knows which answers will be wrong, nor how long they will be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from dfgen.check.amounts import Amount, Work, add_up
from dfgen.check.as_sent import find_files
from dfgen.check.scope import Scope
from dfgen.config.batch import Lane
from dfgen.config.engine import EngineConfig, OpenAIConfig, find_lane, find_price
from dfgen.config.repair import RepairConfig
from dfgen.engines.base import Message
from dfgen.engines.openai.batch.ledger import OutFile
from dfgen.engines.processor.model_files import ModelFiles
from dfgen.errors import DfgenError
from dfgen.prompts.counting import RowCount, count_source_rows
from dfgen.records import Prompt, Trajectory
from dfgen.stages.lanes import read_out
from dfgen.stages.prompting import build_messages
from dfgen.stages.repair.estimate import FRAME_TOKENS, Estimate, Load, estimate_unseen
from dfgen.stages.repair.prompt import fill_fields, load_template
from dfgen.stages.sample.draws import Draw, write_chats
from dfgen.stages.sample.shard import find_drawn, read_written
from dfgen.stages.session import Session
from dfgen.store.counts import count_stage
from dfgen.store.layout import Stage

if TYPE_CHECKING:
    from dfgen.stages.growth import Preview
    from dfgen.store.run import Run

_CHARACTERS_PER_TOKEN = 4
"""Of English text, where the tokenizer cannot be loaded."""


WaysOf = Literal["next requests", "every answer to come"]


@dataclass(frozen=True, slots=True)
class OutRequests:
    """Requests of a stage that were handed over and whose answers are to come.

    Attributes:
        files: batches, or files for somebody else, that hold them.
        since: ISO 8601, of the first.
    """

    lane: Lane
    files: int
    requests: int
    since: str


@dataclass(frozen=True)
class Forecast:
    """What a run would do.

    Attributes:
        rows: of the source, all of them; None: only reading it can tell.
        prompts: that these give if they are like the first ones.
        stages: work of each stage, by name; `necessity` is a part of the repair stage.
        out: requests that are out, by stage; no other figure holds them.
        ways: dollars for the next requests to the repairer by how they travel: about the wrong
            answers that are there, or, where none is, about all that are to come, one each, if all
            were wrong and as long as they may be; None where nothing costs anything.
        ways_of: which of the two.
    """

    rows: RowCount | None
    prompts: int | None
    stages: dict[str, Work]
    out: dict[str, OutRequests]
    ways: dict[str, float] | None = None
    ways_of: WaysOf | None = None

    def to_json(self) -> dict[str, Any]:
        """Return all figures, the sum over the stages as `total`."""
        return {
            "source_rows": None if self.rows is None else self.rows.rows,
            "source_rows_exact": self.rows is not None and self.rows.exact,
            "prompts": self.prompts,
            "stages": {name: work.to_json() for name, work in self.stages.items()},
            "out": {name: asdict(out) for name, out in self.out.items()},
            "total": add_up(self.stages.values()).to_json(),
            "ways": self.ways and {name: round(usd, 6) for name, usd in self.ways.items()},
            "ways_of": self.ways_of,
            "cheapest": None if self.ways is None else min(self.ways, key=self.ways.__getitem__),
        }


def forecast(scope: Scope) -> Forecast:
    """Forecast all stages that are about to run; nothing is loaded but the tokenizer.

    Raises:
        DfgenError: the source or the run cannot be read, or a template cannot be filled.
    """
    rows, prompts = _count_prompts(scope)
    cells = _count_cells(scope, prompts)
    works: dict[str, Work] = {}
    waiting: dict[Stage, int] = {}
    ways, ways_of = None, None
    if "sample" in scope.stages:
        waiting["sample"] = _count_cells_out(scope)
        asked = waiting["sample"] + _count_journalled(scope)
        works["sample"] = _forecast_sample(scope, _leave_out(cells, asked))
    if "repair" in scope.stages:
        found = _estimate_there(scope)
        waiting["repair"] = found.out
        works["repair"], necessity = _forecast_repair(scope, cells, found)
        ways, ways_of = _price_requests(scope, cells, found)
        if scope.pipeline.repair.necessity == "model":
            works["necessity"] = necessity
    works |= {
        stage: _forecast_side(scope, stage, cells)
        for stage in ("score", "value")
        if stage in scope.stages
    }
    return Forecast(rows, prompts, works, _describe_out(scope, waiting), ways, ways_of)


def _count_cells_out(scope: Scope) -> int:
    """Cells that were handed over and are not drawn yet."""
    if scope.run is None:
        return 0
    names = {name for file in read_out(scope.run, "sample") for name in file.cells}
    return len(names - find_drawn(Session(scope.run, scope.pipeline), names)) if names else 0


def _count_journalled(scope: Scope) -> int:
    """Cells that are drawn and stand in no file yet: the other ones of their shard are not."""
    run, drawn = scope.run, 0
    if run is None:
        return 0
    session = Session(run, scope.pipeline)
    for stage, shard in run.list_journals():
        if stage == "sample":
            records = session.journal(stage, shard, Draw).replay()
            cells = {record["trajectory_id"] for record in records}
            drawn += len(cells - read_written(session, shard).cells)
    return drawn


def _leave_out(cells: Amount, asked: int) -> Amount:
    most = None if cells.most is None else max(0, cells.most - asked)
    return Amount(max(0, cells.least - asked), most)


def _describe_out(scope: Scope, waiting: Mapping[Stage, int]) -> dict[str, OutRequests]:
    found = {}
    for stage, requests in waiting.items():
        files = _read_waiting(scope, stage) if requests else ()
        if files:
            found[stage] = OutRequests(files[0].lane, len(files), requests, files[0].since)
    return found


def _read_waiting(scope: Scope, stage: Stage) -> list[OutFile]:
    """Files that are out and whose answers would be waited for."""
    if scope.run is None:
        return []
    agreed = [find_lane(each) for each in scope.pipeline.repair.repairers]
    return read_out(scope.run, stage, agreed if stage == "repair" and scope.resubmit else None)


def _count_prompts(scope: Scope) -> tuple[RowCount | None, int | None]:
    """Rows of the source and the prompts that they give."""
    run, pipeline = scope.run, scope.pipeline
    done = run is not None and run.manifest.get_stage("prompts").state == "done"
    if run is not None and done and "prompts" not in scope.stages:
        counts = count_stage(run, "prompts")
        return RowCount(counts["input"], exact=True), counts["output"]
    source = pipeline.prompts or pipeline.imports or pipeline.pairs
    rows = None if source is None else count_source_rows(source)
    if scope.growth is not None:
        found = scope.growth.findings
        return rows, found.there + found.new
    if rows is None or not scope.rows.read:
        return rows, None
    return rows, round(rows.rows * len(scope.rows.prompts) / scope.rows.read)


def _count_cells(scope: Scope, prompts: int | None) -> Amount:
    """Answers that are still to come."""
    run, sample = scope.run, scope.pipeline.sample
    first = min(sample.stop_early_after or sample.num_samples, sample.num_samples)
    if scope.growth is not None:
        return _count_grown_cells(scope, scope.growth, first)
    if scope.pipeline.kind == "imported":
        known = run is not None and run.manifest.get_stage("sample").state == "done"
        return Amount() if known else Amount(prompts or len(scope.rows.answers), prompts)
    if "sample" not in scope.stages:
        return Amount()
    if run is not None and "prompts" not in scope.stages:
        pending = count_stage(run, "sample")["pending"]
        return Amount(pending, pending)
    seen = len(scope.rows.prompts)
    return Amount(
        first * (seen if prompts is None else prompts),
        None if prompts is None else prompts * sample.num_samples,
    )


def _count_grown_cells(scope: Scope, growth: Preview, first: int) -> Amount:
    """Answers to the prompts that are new, and those that the run has not drawn yet of its own."""
    if scope.pipeline.kind == "imported":
        return Amount(growth.answers, growth.answers)
    if "sample" not in scope.stages or scope.run is None:
        return Amount()
    new = growth.findings.new
    pending = max(0, _count_pending(scope.run, scope.pipeline.sample.num_samples))
    return Amount(first * new + pending, scope.pipeline.sample.num_samples * new + pending)


def _count_pending(run: Run, num_samples: int) -> int:
    """Cells of the run's prompts that are in no file, at the size that groups are to have."""
    counts = count_stage(run, "sample")
    prompts = run.table("prompts")
    cells = num_samples * sum(map(prompts.num_rows, prompts.shards()))
    return max(counts["input"], cells) - counts["output"] - counts["rejects"]


def _forecast_sample(scope: Scope, cells: Amount) -> Work:
    chats = write_chats(_list_examples(scope), scope.pipeline.sample)
    read, pictures = _measure(scope, scope.pipeline.policy, list(chats))
    longest = scope.pipeline.sample.max_tokens
    work = Work(cells, cells.times(read), cells.times(pictures), _between(cells, 1, longest))
    return work.priced(find_price(scope.pipeline.policy))


def _price_requests(
    scope: Scope, cells: Amount, found: Estimate
) -> tuple[dict[str, float] | None, WaysOf | None]:
    """Price the next requests to the repairer, or where no answer is there, those to come."""
    engine = scope.pipeline.repair.engine
    ways_of: WaysOf = "next requests" if found.requests else "every answer to come"
    loads: tuple[Load, ...] = (found.next_repairs, found.next_tests)
    if not found.requests:
        loads = (_estimate_unseen(scope, cells),)
    ways = price_ways(loads, engine)
    return (None, None) if ways is None else (ways, ways_of)


def _estimate_unseen(scope: Scope, cells: Amount) -> Load:
    """One request about each answer that is to come, all of them wrong and as long as may be."""
    examples, config = _list_examples(scope), scope.pipeline.repair
    expected = cells.least if cells.most is None else cells.most
    if not examples or not expected:
        return Load()
    imported = scope.pipeline.kind == "imported"
    each = 1 if imported else scope.pipeline.sample.num_samples
    load = estimate_unseen(
        examples,
        each,
        _measure_answers(scope),
        config,
        partial(_count_tokens, scope),
        _find_cached_from(config),
    )
    return load.times(expected / (each * len(examples)))


def price_ways(loads: Sequence[Load], config: EngineConfig | None) -> dict[str, float] | None:
    """Price requests three ways: one by one in any order; those of one prompt after each other, so
    that their beginning is in the server's cache; in batches. None: nothing costs."""
    if not isinstance(config, OpenAIConfig):
        return None
    read, written, shared = (
        sum(getattr(load, name) for load in loads)
        for name in ("prompt_tokens", "completion_tokens", "shared_tokens")
    )
    plain = config.price.count(read, written, 0)
    if not plain:
        return None
    return {
        "plain": plain,
        "cache_order": config.price.count(read, written, shared) or 0.0,
        "batch": config.price.in_lane("batch").count(read, written, 0) or 0.0,
    }


def _find_cached_from(config: RepairConfig) -> int:
    return config.engine.price.cached_from if isinstance(config.engine, OpenAIConfig) else 0


def _forecast_repair(scope: Scope, cells: Amount, found: Estimate) -> tuple[Work, Work]:
    """Repairs of answers that are there, and of those to come; and the tests of both."""
    config = scope.pipeline.repair
    longest = config.decoding.max_tokens
    each, tests = config.all_attempts * config.candidates, 0
    if config.necessity == "model":
        tests = config.necessity_tests
    template = load_template(config)
    # Nothing but its text is told to the repairer; how long that is, is added.
    empty = Trajectory.model_construct(completion="")
    chats = [
        (prompt, build_messages(prompt, template, config.system, fields))
        for prompt in _list_examples(scope)
        for fields in [fill_fields(empty, prompt, (), config)]
    ]
    read, pictures = _measure(scope, config.engine, chats)
    answer = _measure_answers(scope)
    works = []
    for times, (first, most) in (
        (each, (found.next_repairs, found.all_repairs)),
        (tests, (found.next_tests, found.all_tests)),
    ):
        later = Amount(0, cells.times(times).most)
        to_come = Work(
            later,
            _between(later, read, read + answer),
            later.times(pictures),
            _between(later, 1, longest),
        )
        there = _join(first, most)
        works.append(_price_between(there + to_come, config))
    return works[0], works[1]


def _price_between(work: Work, config: RepairConfig) -> Work:
    """Price work by the first repairer at least, and at most by whichever costs the most."""
    priced = [work.priced(find_price(each)) for each in config.repairers or (None,)]
    most = [each.usd.most for each in priced]
    dearest = None if None in most else max(usd for usd in most if usd is not None)
    return replace(work, usd=Amount(priced[0].usd.least, dearest))


def _list_examples(scope: Scope) -> list[Prompt]:
    """Prompts like those that are to come; the run's own where every new row was refused."""
    return scope.rows.prompts or scope.known_rows.prompts


def _estimate_there(scope: Scope) -> Estimate:
    """What is left to repair of the answers that are on disk, counted row by row."""
    from dfgen.stages.repair.estimate import estimate_repairs
    from dfgen.stages.repair.remaining import iter_undecided

    run, config = scope.run, scope.pipeline.repair
    if run is None or not run.table("trajectories").shards():
        return Estimate()
    session = Session(run, scope.pipeline)
    kept = _find_cached_from(config)
    rows = iter_undecided(session, config, resubmit=scope.resubmit)
    return estimate_repairs(rows, config, session.tokenizer, kept)


def _forecast_side(scope: Scope, stage: Stage, cells: Amount) -> Work:
    """Scores and continuations: counted where the answers are there, bounded where they are not."""
    work = Work()
    run = scope.run
    if run is not None and run.table("trajectories").shards():
        work = _count_side(Session(run, scope.pipeline), stage)
    if not cells.least and cells.most == 0:
        return work
    if stage == "value":  # how many prefixes there are, the masks say
        unknown = Amount(0, None)
        return work + Work(unknown, unknown, unknown, unknown)
    chats = list(write_chats(_list_examples(scope), scope.pipeline.sample))
    read, pictures = _measure(scope, scope.pipeline.scorer, chats)
    texts = Amount(0, cells.times(2 + scope.pipeline.score.visual).most)
    longest = scope.pipeline.sample.max_tokens
    return work + Work(texts, _between(texts, read, read + longest), texts.times(pictures))


def _count_side(session: Session, stage: Stage) -> Work:
    if stage == "score":
        from dfgen.stages.score.settings import estimate_scores

        found = estimate_scores(session)
        texts = found["texts_to_read"] + found["texts_read_again_without_pictures"]
        read = found["text_tokens"] + found["prompt_tokens"]
        return Work(Amount(texts, texts), Amount(read, read))
    from dfgen.stages.value.settings import estimate_values

    found = estimate_values(session)
    draws, read = found["continuations"], found["prompt_and_prefix_tokens"]
    sampled = session.pipeline.sample.max_tokens
    longest = draws * session.pipeline.value.choose_max_tokens(sampled)
    work = Work(Amount(draws, draws), Amount(read, read), Amount(), Amount(draws, longest))
    return work.priced(find_price(session.pipeline.continuer))


def _measure(
    scope: Scope, config: EngineConfig | None, chats: Sequence[tuple[Prompt, Sequence[Message]]]
) -> tuple[float, float]:
    """Tokens of a chat, pictures included, and of its pictures: the mean of these."""
    files = find_files(config) or ModelFiles()
    arguments = (
        None if config is None or isinstance(config, OpenAIConfig) else config.processor_args
    )
    read = pictures = 0
    for prompt, messages in chats:
        text = "".join(p for m in messages for p in m.content if isinstance(p, str))
        images = sum(
            files.estimate_image_tokens(info.width, info.height, arguments)
            for info in prompt.image_info
        )
        read += _count_tokens(scope, text) + images + FRAME_TOKENS
        pictures += images
    return read / max(len(chats), 1), pictures / max(len(chats), 1)


def _measure_answers(scope: Scope) -> float:
    """Tokens of an answer at most; of imported ones the mean of the first."""
    answers = scope.rows.answers
    if scope.pipeline.kind != "imported" or not answers:
        return scope.pipeline.sample.max_tokens
    return sum(_count_tokens(scope, answer) for answer in answers) / len(answers)


def _count_tokens(scope: Scope, text: str) -> int:
    try:
        return len(scope.tokenizer.encode(text))
    except DfgenError:  # it has a finding of its own
        return len(text) // _CHARACTERS_PER_TOKEN + 1


def _join(first: Load, most: Load) -> Work:
    return Work(
        Amount(first.requests, most.requests),
        Amount(first.prompt_tokens, most.prompt_tokens),
        Amount(first.image_tokens, most.image_tokens),
        Amount(first.completion_tokens, most.completion_tokens),
    )


def _between(count: Amount, least: float, most: float) -> Amount:
    """As much for each: `least` of it at least, `most` at most."""
    return Amount(count.least * least, None if count.most is None else count.most * most)
