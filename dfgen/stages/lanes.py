"""Keeps on record, for the stages that may wait for answers, which requests are out in files.

`RUN/batches/repair.jsonl` and `sample.jsonl` hold what was handed over and what came of it
(`dfgen.engines.openai.batch.ledger`), beside the files themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dfgen.config.batch import Lane
from dfgen.config.engine import EngineConfig, OpenAIConfig, find_lane
from dfgen.engines.base import Engine, KeepingEngine
from dfgen.engines.openai.batch.ledger import Keeping, Ledger, OutFile, apply_record
from dfgen.engines.openai.batch.providers import PROVIDERS
from dfgen.errors import ConfigError, EngineError
from dfgen.stages.rates import share_rates
from dfgen.stages.work import open_engine
from dfgen.store.layout import BATCHES, Stage
from dfgen.store.outgoing import list_records, name_record
from dfgen.store.shared.run import SharedRun

GIVEN_UP = "given up"
"""Of a request that was handed over, and whose answer nobody waits for any more."""
_UNKNOWN = dict.fromkeys(("prompt_tokens", "completion_tokens", "cached_tokens", "cost_usd"))

if TYPE_CHECKING:
    from dfgen.config.pipeline import Pipeline
    from dfgen.engines.openai.batch.exchange import Exchange
    from dfgen.stages.session import Session
    from dfgen.store.run import Run


@contextmanager
def open_lane(
    session: Session,
    stage: Stage,
    config: EngineConfig,
    find_answered: Callable[[Collection[str]], Collection[str]],
    number: int = 0,
) -> Iterator[Engine]:
    """Load or reach an engine in its lane.

    Args:
        find_answered: of request names, returns those whose answers the stage has on record.
        number: of the engine among those of the stage; each has a record of its own.

    Raises:
        EngineError: requests are out in another lane, and would be asked twice.
    """
    run, lane = session.run, find_lane(config)
    log_name = name_record(stage, number)
    refuse_other_lanes(run, log_name, lane)
    if lane == "online":
        with open_engine(config, session.stop) as engine:
            share_rates(run, config, engine)
            yield engine
        return
    assert not isinstance(run, SharedRun), "refused before the run is joined (refuse_lanes)"
    if isinstance(config, OpenAIConfig) and lane == "batch":
        warn_of_guessing(session, config)
    exchange = require_exchange(session) if lane == "files" else None
    log = run.outgoing(log_name)
    try:
        folder, tell = run.root / BATCHES / log_name, session.progress.tell
        keeping = Keeping(folder, log, find_answered, exchange, tell)
        with open_engine(config, session.stop, keeping) as engine:
            yield engine
            if not session.stop.requested and not session.paused:
                settle(session, engine)
    finally:
        log.close()


def settle(session: Session, engine: Engine) -> None:
    """Book what has come that nobody has asked for, at the end of a stage that is done."""
    if isinstance(engine, KeepingEngine):
        try:
            engine.settle()
        except EngineError as error:
            session.progress.tell(f"what nobody asked for any more could not be read: {error}")


def is_waiting(session: Session, stage: Stage, config: EngineConfig, number: int = 0) -> bool:
    """Say whether an engine has answers to take before it is asked anything: of requests that are
    out in files or batches, or in files that the command names.

    Args:
        number: see `open_lane`.
    """
    if find_lane(config) == "files" and session.exchange is not None:
        return True
    log = session.run.outgoing(name_record(stage, number))
    return log.exists() and bool(Ledger(log).out)


def refuse_lanes(pipeline: Pipeline, stages: Collection[Stage]) -> None:
    """Refuse lanes of which several workers cannot share the work.

    Args:
        stages: that they would share.

    Raises:
        ConfigError: requests of a stage travel in files or batches, of which one process keeps the
            record.
    """
    repair = pipeline.repair
    engines: list[tuple[Stage, str, EngineConfig | None]] = [("sample", "policy", pipeline.policy)]
    engines += [
        ("repair", f"repair.engines.{number}" if repair.engines else "repair.engine", engine)
        for number, engine in enumerate(repair.repairers)
    ]
    for stage, where, engine in engines:
        lane = find_lane(engine)
        if stage in stages and lane != "online":
            raise ConfigError(
                f"lane {lane} is for one process at a time: its files hold requests of many "
                f"shards, so workers cannot share the stage {stage}.",
                where=f"{where}.lane",
                hint=f"Give `dfgen {stage}` to one process, without --shared, --shard and launch: "
                "it hands over as much as many would. Or set lane: online. The other stages can "
                "be shared all the same.",
            )


def require_online(config: EngineConfig, section: str, work: str) -> None:
    """Refuse an engine whose requests travel in files, for work that does not wait for answers.

    Args:
        section: of the pipeline file that names the engine.
        work: that it is asked for, in words that begin a sentence.

    Raises:
        ConfigError: says how to ask it one by one, only this time.
    """
    lane = find_lane(config)
    if lane != "online":
        raise ConfigError(
            f"{work} cannot wait for answers in lane {lane}: samples and repairs can.",
            where=f"{section}.lane",
            hint=f"The same command with --set {section}.lane=online asks the server directly; "
            "the pipeline file may stay as it is.",
        )


def warn_of_guessing(session: Session, config: OpenAIConfig) -> None:
    """Say beforehand if a provider could not tell a killed process what it has taken."""
    provider = config.batch.provider
    if not PROVIDERS[provider].finds:
        session.progress.tell(
            f"{provider} keeps no name of a batch: should this process die in the moment in which "
            "one is handed over, the next start stops and asks for --resubmit."
        )


def require_exchange(session: Session) -> Exchange:
    """Return the files that a command names for lane `files`.

    Raises:
        ConfigError: it names none.
    """
    if session.exchange is None:
        raise ConfigError(
            "lane files needs files: where to write requests, or where the answers are.",
            where="repair.engine.lane",
            hint="dfgen repair RUN --lane files --write requests/, and when they are answered: "
            "dfgen repair RUN --lane files --read results/",
        )
    return session.exchange


def list_out(engine: Engine) -> Collection[str]:
    """List the names of requests that an earlier start has handed over, answers to come."""
    return engine.list_out() if isinstance(engine, KeepingEngine) else ()


def read_out(run: Run, stage: Stage, agreed: Sequence[Lane] | None = None) -> list[OutFile]:
    """Read which files of a stage are out, in the order in which each engine handed them over.

    Args:
        agreed: lanes of the engines of the stage, where the user has agreed that what nobody will
            hear of is asked again: what `give_up` would forget is left out.

    Raises:
        StorageError: the record cannot be read.
    """
    found: list[OutFile] = []
    for number, name in list_records(run.outgoing, stage):
        out: dict[str, OutFile] = {}
        for record in run.outgoing(name).replay():
            apply_record(out, record)
        found += [e for e in out.values() if agreed is None or not _is_lost(number, e, agreed)]
    return found


def iter_strays(run: Run, stage: Stage) -> Iterator[dict[str, Any]]:
    """Yield answers that came when nobody asked for them any more; they are paid for."""
    return (record for record in iter_records(run, stage) if record["event"] == "stray")


def iter_records(run: Run, stage: Stage) -> Iterator[dict[str, Any]]:
    """Yield all that is on record of a stage's files, engine after engine."""
    for _, name in list_records(run.outgoing, stage):
        yield from run.outgoing(name).replay()


def refuse_other_lanes(run: Run, log_name: str, lane: Lane) -> None:
    """Refuse to ask in one lane what is out in another.

    Raises:
        EngineError: names both.
    """
    log = run.outgoing(log_name)
    found = Ledger(log).out.values() if log.exists() else ()
    others = [out for out in found if out.lane != lane]
    if not others:
        return
    count, other = sum(len(out.cells) for out in others), others[0].lane
    raise EngineError(
        f"{count:,} requests are out since {others[0].since} in lane {other}, and lane {lane} "
        "would ask them again.",
        where=str(run.root / BATCHES / log_name),
        hint=f"`--lane {other}` takes what they bring. To give them up, and pay again for what "
        "they may have cost: the same command with --resubmit.",
    )


def give_up(run: Run, stage: Stage, lanes: Sequence[Lane]) -> int:
    """Forget files that nobody will hear of: of other lanes all; of batches those without an id,
    and those that the provider does not know any more or that answer nothing. Their requests go
    out again.

    The caller holds the run's lock.

    Args:
        lanes: of the engines of the stage.

    Returns:
        How many requests these are.
    """
    return _forget(run, stage, lambda number, out: _is_lost(number, out, lanes))


def _is_lost(number: int, out: OutFile, lanes: Sequence[Lane]) -> bool:
    """Say whether nobody will hear of a file of the engine of this number."""
    lane = lanes[number] if number < len(lanes) else None
    return out.lane != lane or (lane == "batch" and (out.batch_id is None or out.gone or out.mute))


def give_up_all(run: Run, stage: Stage) -> int:
    """Forget all that is out, because its answers are not wanted any more; returns the requests.

    The caller holds the run's lock.
    """
    return _forget(run, stage, lambda *_: True)


def _forget(run: Run, stage: Stage, is_lost: Callable[[int, OutFile], bool]) -> int:
    """What they may have cost stays on record: nobody knows it, which is not nothing."""
    count = 0
    for number, name in list_records(run.outgoing, stage):
        log = run.outgoing(name)
        ledger = Ledger(log)
        for out in [each for each in ledger.out.values() if is_lost(number, each)]:
            count += len(out.cells)
            ledger.write_strays(
                {"custom_id": cell, "reason": GIVEN_UP, "lane": out.lane, **_UNKNOWN}
                for cell in out.cells
            )
            ledger.write("given_up", out.key)
        log.close()
    return count
