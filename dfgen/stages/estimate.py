"""Estimates for `--dry-run` what a run would ask and cost, from its first rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.errors import InputError

if TYPE_CHECKING:
    from dfgen.config.pipeline import Pipeline
    from dfgen.engines.base import Message
    from dfgen.records import Prompt, Reject

SHOWN = 2
"""Prompts that are rendered."""

SAMPLED_ROWS = 200
"""Rows read for the estimate; the source may hold millions."""


@dataclass(frozen=True)
class RunEstimate:
    """What a run would do, found out without a single call.

    Attributes:
        prompts: the first ones as the policy would get them, as text.
        figures: what is counted, in words, and how much of it.
    """

    prompts: list[str]
    figures: dict[str, Any]


def estimate_run(pipeline: Pipeline, run: Path | None = None) -> RunEstimate:
    """Render the first prompts and estimate requests, tokens and money from the first rows.

    Args:
        pipeline: the effective settings.
        run: a run directory; if its trajectories are there, the repairs are estimated from them.

    Raises:
        InputError: none of the first rows became a prompt.
    """
    from dfgen.records import Reject

    rows = list(islice(_read_prompts(pipeline), SAMPLED_ROWS))
    prompts = [row for row in rows if not isinstance(row, Reject)]
    if not prompts:
        raise InputError(f"none of the first {len(rows)} rows became a prompt.")
    figures = _estimate_requests(pipeline, prompts, len(rows) - len(prompts))
    if run is not None and (run / "run.json").exists() and pipeline.repair.engine is not None:
        figures |= _estimate_repairs(pipeline, run)
    return RunEstimate(_render(pipeline, prompts[:SHOWN]), figures)


def _read_prompts(pipeline: Pipeline) -> Iterator[Prompt | Reject]:
    if pipeline.imports is not None:
        from dfgen.prompts.importing import read_trajectories

        for row in read_trajectories(pipeline.imports):
            yield row[0] if isinstance(row, tuple) else row
        return
    from dfgen.prompts.reading import read_prompts

    assert pipeline.prompts is not None
    yield from read_prompts(pipeline.prompts)


def _render(pipeline: Pipeline, prompts: list[Prompt]) -> list[str]:
    from dfgen.stages.prompting import Template, build_messages
    from dfgen.stages.sample.draws import PROMPT_FIELDS

    template = Template(pipeline.sample.prompt, PROMPT_FIELDS, "sample.prompt")
    return [
        _write_messages(build_messages(prompt, template, pipeline.sample.system), prompt.answer)
        for prompt in prompts
    ]


def _write_messages(messages: tuple[Message, ...], answer: str) -> str:
    lines = []
    for message in messages:
        parts = [
            part if isinstance(part, str) else f"<picture {part.mime}, {len(part.data):,} bytes>"
            for part in message.content
        ]
        lines.append(f"[{message.role}] " + "".join(parts))
    return "\n".join([*lines, f"[reference answer] {answer}"])


def _estimate_requests(pipeline: Pipeline, prompts: list[Prompt], rejected: int) -> dict[str, Any]:
    estimate: dict[str, Any] = {
        "rows read for this estimate": len(prompts) + rejected,
        "rejected of these": rejected,
        "pictures per prompt": round(sum(len(p.images) for p in prompts) / len(prompts), 2),
        "picture bytes per prompt": sum(len(i.bytes) for p in prompts for i in p.images)
        // len(prompts),
    }
    if pipeline.imports is None:
        estimate["policy requests per prompt"] = pipeline.sample.num_samples
        estimate["policy tokens per prompt <="] = (
            pipeline.sample.num_samples * pipeline.sample.max_tokens
        )
    repairer = pipeline.repair.engine
    if repairer is not None:
        config = pipeline.repair
        each = config.max_attempts * config.candidates
        if config.necessity == "model":
            each += config.necessity_tests
        per_prompt = each * (1 if pipeline.imports is not None else pipeline.sample.num_samples)
        estimate["repair requests per prompt <="] = per_prompt
        if repairer.engine == "openai":
            tokens = per_prompt * config.decoding.max_tokens
            estimate["completion dollars per prompt <="] = tokens * repairer.price.completion / 1e6
    return estimate


def _estimate_repairs(pipeline: Pipeline, root: Path) -> dict[str, Any]:
    """What is left to repair in a run, counted row by row."""
    from dfgen.config.engine import find_price
    from dfgen.stages.repair.estimate import estimate_repairs
    from dfgen.stages.repair.remaining import iter_undecided
    from dfgen.stages.session import Session
    from dfgen.store.run import Run

    config = pipeline.repair
    session = Session(Run.open_or_create(root, None), pipeline)
    if not session.run.table("trajectories").shards():
        return {}
    found = estimate_repairs(iter_undecided(session, config), config, session.tokenizer)
    price = find_price(config.engine)
    estimate: dict[str, Any] = {"repairs to make": found.repairs}
    if config.controls:
        estimate["controls to send"] = found.controls
    if config.necessity == "model":
        estimate["necessity tests open"] = found.tests
        estimate["necessity tests to come <="] = found.repairs * config.necessity_tests
    return {
        **estimate,
        "next requests": found.requests,
        "requests <=": found.most_requests,
        "prompt tokens, next requests": found.prompt_tokens,
        "of them image tokens": found.image_tokens,
        "completion tokens, expected": found.completion_tokens,
        "dollars, next requests": round(found.price(price), 4),
        "dollars <=": round(found.price_most(price, config.decoding.max_tokens), 4),
    }
