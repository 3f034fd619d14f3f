"""Writes statuses as lines for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from dfgen.sizes import write_size
from dfgen.status.listing import Listed
from dfgen.status.pace import measure_pace
from dfgen.status.run_status import RunStatus
from dfgen.status.stages import StageStatus
from dfgen.status.worker import Worker
from dfgen.store.layout import STAGES
from dfgen.store.shared.claims import Claim
from dfgen.store.shared.failures import Failure
from dfgen.terminal_text import show_line

_REASONS = 5
_SHARDS = 8


_SHOWN = 4
"""Shards of a worker that are named one by one."""


def write_status(status: RunStatus) -> Iterator[str]:
    """Write what a person wants to know of a run, first things first."""
    yield show_line(f"{status.root}: {_say_state(status)}")
    yield show_line(f"{status.name}, {status.kind}, begun {status.created}, dfgen {status.dfgen}")
    if status.problem is not None:
        yield show_line(f"damaged: {status.problem}")
    for worker in status.workers:
        yield from _write_worker(worker)
    yield ""
    rows = [_write_stage(each, status.workers) for each in status.stages]
    heads = ("stage", "state", "rows", "rejects", "pending", "shards", "running", "rate", "left")
    yield from align([heads, *rows], left=2)
    spent = status.spending
    if spent.requests:
        of = [] if spent.max_cost_usd is None else [f"of ${spent.max_cost_usd:,.2f}"]
        of += [] if spent.max_requests is None else [f"at most {spent.max_requests:,} requests"]
        limits = f" ({', '.join(of)})" if of else ""
        cost = f", ${spent.cost_usd:,.4f}" if spent.cost_usd or of else ""
        unknown = f", of {spent.unknown:,} nobody knows the cost" if spent.unknown else ""
        yield f"\nrepairs: {spent.requests:,} requests{cost}{unknown}{limits}"
    for out in status.out:
        where = f"batch {out.batch}" if out.batch else "a batch that was being handed over"
        if out.lane == "files":
            where = "a file for somebody else"
        yield show_line(
            f"out: {out.requests:,} requests of {out.stage} in {where} since {out.since}"
        )
    if status.rejects:
        shown = ", ".join(
            f"{stage} {code} {rows:,}" for stage, code, rows in status.rejects[:_REASONS]
        )
        more = len(status.rejects) - _REASONS
        rest = f" and {more} other reasons" if more > 0 else ""
        yield f"\nrejects: {shown}{rest} (dfgen inspect {status.root} --rejects)"
    yield from _write_failures(status.failures)


def write_list(runs: Sequence[Listed]) -> Iterator[str]:
    """Write a line per run; damaged ones say what is wrong below the table."""
    heads = ("run", "state", "size", "prompts", "answers", "masks", "right", "age")
    rows = [
        (
            show_line(run.root),
            run.state,
            write_size(run.size_bytes),
            *(_write_count(each) for each in (run.prompts, run.trajectories, run.masks)),
            "" if run.pass_rate is None else f"{run.pass_rate:.1%}",
            "" if run.age_s is None else write_duration(run.age_s),
        )
        for run in runs
    ]
    yield from align([heads, *rows], left=2)
    for run in runs:
        if run.problem is not None:
            yield show_line(f"damaged: {run.problem}")


def align(rows: Sequence[Sequence[str]], left: int) -> Iterator[str]:
    """Align cells in columns, the first `left` of them to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def write_duration(seconds: float) -> str:
    """Write a duration in its largest unit: 45 s, 12 min, 3.5 h, 12 days."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def _write_failures(failures: Sequence[Failure]) -> Iterator[str]:
    """The last errors of workers, each once with how often it came."""
    counts = Counter((each.stage, each.what) for each in failures)
    last = {(each.stage, each.what): each for each in reversed(failures)}
    for (stage, what), count in list(counts.items())[:_REASONS]:
        failure = last[stage, what]
        often = f" ({count:,} times)" if count > 1 else ""
        yield ""
        yield show_line(f"failed in {stage} on {failure.host} at {failure.at}{often}:")
        yield from (f"  {show_line(line)}" for line in what.splitlines())
    if len(counts) > _REASONS:
        yield f"and {len(counts) - _REASONS} other errors"


def _say_state(status: RunStatus) -> str:
    if status.state == "working":
        count = sum(worker.alive is not False for worker in status.workers)
        return "a process is at work" if count == 1 else f"{count:,} processes are at work"
    if status.state == "finished":
        return "finished, but damaged" if status.problem else "finished"
    died = any(worker.alive is False for worker in status.workers)
    why = "its process has died" if died else "nobody is at work"
    if any(out.lane == "files" and out.stage == status.next_stage for out in status.out):
        return (
            f"not finished, waits for answers of {status.next_stage}; "
            f"`dfgen {status.next_stage} {status.root} --lane files --read FOLDER` takes them"
        )
    return f"not finished, {why}; `dfgen run {status.root}` goes on with {status.next_stage}"


def _write_worker(worker: Worker) -> Iterator[str]:
    holder = worker.holder
    life = {True: "last sign of life", False: "dead, last sign of life", None: "silent, last seen"}
    yield show_line(
        f"pid {holder.pid} on {holder.host} since {holder.since}, {life[worker.alive]} "
        f"{write_duration(worker.age_s)} ago: {holder.command}"
    )
    yield from _write_claims(worker)
    now = worker.activity
    if now is None or worker.alive is False or not (now.doing or now.stage):
        return
    said = [now.note] if now.note else []
    if now.stage not in STAGES and now.rows:  # import, retry, ...: no line of the table is theirs
        said.append(f"{now.rows:,} rows")
    notes = f" ({', '.join(said)})" if said else ""
    yield show_line(f"{now.doing or f'working on {now.stage}'}{notes}")


def _write_claims(worker: Worker) -> Iterator[str]:
    """The shards that a worker has, and since when it has the first of them."""
    by_stage: dict[str, list[Claim]] = {}
    for claim in worker.claims:
        if claim.shard is not None:
            by_stage.setdefault(claim.shard[0], []).append(claim)
    for stage, claims in by_stage.items():
        numbers = sorted(claim.shard[1] for claim in claims if claim.shard is not None)
        shown = ", ".join(map(str, numbers[:_SHARDS]))
        more = f" and {len(numbers) - _SHARDS:,} more" if len(numbers) > _SHARDS else ""
        word = "shard" if len(numbers) == 1 else "shards"
        since = min(claim.since for claim in claims)
        yield show_line(f"  {stage} {word} {shown}{more} since {since}")


def _write_stage(stage: StageStatus, workers: Sequence[Worker]) -> tuple[str, ...]:
    pace = measure_pace(stage, workers)
    rate = "" if pace.rows_per_s is None else f"{pace.rows_per_s:,.1f}/s"
    left = "" if pace.seconds_left is None else write_duration(pace.seconds_left)
    running = "" if not pace.running else f"{pace.running:,}"
    idle = all(worker.alive is False for worker in workers)
    state = "begun" if stage.state == "running" and idle else stage.state
    journalled = f" +{stage.journalled:,}" if stage.journalled else ""
    return (
        stage.stage,
        state,
        f"{stage.output:,}{journalled}",
        f"{stage.rejects:,}",
        f"{stage.pending:,}",
        f"{stage.shards_done:,}/{stage.shards:,}",
        running,
        rate,
        left,
    )


def _write_count(count: int | None) -> str:
    return "" if count is None else f"{count:,}"
