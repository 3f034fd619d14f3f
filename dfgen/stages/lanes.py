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
from dfgen.stages.work import open_engine
from dfgen.store.layout import BATCHES, Stage
from dfgen.store.shared_run import SharedRun

if TYPE_CHECKING:
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
    log_name = name_log(stage, number)
    refuse_other_lanes(run, log_name, lane)
    if lane == "online":
        with open_engine(config) as engine:
            yield engine
        return
    if isinstance(run, SharedRun):
        raise ConfigError(
            f"lane {lane} is for one process: its files hold requests of many shards.",
            where=f"{stage}: {config.engine} engine of {config.model}",
            hint="Leave --shared and --shard away; one process hands over as much as many would.",
        )
    if isinstance(config, OpenAIConfig) and lane == "batch":
        warn_of_guessing(session, config)
    exchange = require_exchange(session) if lane == "files" else None
    log = run.outgoing(log_name)
    try:
        keeping = Keeping(run.root / BATCHES / log_name, log, find_answered, exchange)
        with open_engine(config, keeping) as engine:
            yield engine
    finally:
        log.close()


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


def name_log(stage: Stage, number: int) -> str:
    """Name the record of the files of one engine of a stage."""
    return stage if number == 0 else f"{stage}-{number + 1}"


def list_logs(run: Run, stage: Stage) -> list[str]:
    """Name the records that there are of a stage, that of its first engine always."""
    found = [stage]
    while run.outgoing(name := name_log(stage, len(found))).exists():
        found.append(name)
    return found


def read_out(run: Run, stage: Stage) -> list[OutFile]:
    """Read which files of a stage are out, in the order in which each engine handed them over.

    Raises:
        StorageError: the record cannot be read.
    """
    out: dict[str, OutFile] = {}
    for record in iter_records(run, stage):
        apply_record(out, record)
    return list(out.values())


def iter_strays(run: Run, stage: Stage) -> Iterator[dict[str, Any]]:
    """Yield answers that came when nobody asked for them any more; they are paid for."""
    return (record for record in iter_records(run, stage) if record["event"] == "stray")


def iter_records(run: Run, stage: Stage) -> Iterator[dict[str, Any]]:
    """Yield all that is on record of a stage's files, engine after engine."""
    for name in list_logs(run, stage):
        log = run.outgoing(name)
        if log.exists():
            yield from log.replay()


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
    count = 0
    for name, lane in zip(list_logs(run, stage), lanes, strict=False):
        log = run.outgoing(name)
        if not log.exists():
            continue
        ledger = Ledger(log)
        for out in list(ledger.out.values()):
            if out.lane != lane or (
                lane == "batch" and (out.batch_id is None or out.gone or out.mute)
            ):
                count += len(out.cells)
                ledger.write("given_up", out.key)
        log.close()
    return count
