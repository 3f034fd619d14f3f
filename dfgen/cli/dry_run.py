"""`--dry-run`: prints what a run would ask, what it would cost, and what stands in its way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dfgen.cli.checks import is_check_wanted, print_findings
from dfgen.cli.json_output import note_error, print_outcome_json

if TYPE_CHECKING:
    from dfgen.check.as_sent import Sent
    from dfgen.check.scope import Scope
    from dfgen.config.pipeline import Pipeline
    from dfgen.store.layout import Stage

SHOWN = 2
"""Requests of each kind that are shown."""

_ADVICE = {
    "plain": "plain (--lane online)",
    "cache_order": "cache order (--lane online, which keeps that order)",
    "batch": "batch (--lane batch)",
}

_WAYS_OF = {
    "next requests": "The next requests to the repairer",
    "every answer to come": "If every answer were wrong and as long as it may be, one request to "
    "the repairer about each",
}

FIRST_ROWS = 200
"""Rows of the source on which the forecast stands."""

_COLUMNS = {
    "requests": "requests",
    "prompt_tokens": "tokens read",
    "image_tokens": "of pictures",
    "completion_tokens": "tokens written",
    "usd": "dollars",
}


def rehearse(
    pipeline: Pipeline,
    stages: Sequence[Stage],
    *,
    as_json: bool,
    run: Path | None = None,
    resubmit: bool = False,
) -> None:
    """Print the first requests, the forecast and the findings; no model or server is called.

    Leaves by SystemExit when something would stop the run.

    Args:
        pipeline: the effective settings.
        stages: that would run.
        as_json: print JSON on stdout.
        run: a run directory; what is there is not done again.
        resubmit: whether requests that are out and that nobody will hear of are asked again.

    Raises:
        DfgenError: the source cannot be read, or none of its first rows became a prompt.
    """
    from dfgen.check.as_sent import show_prompts, show_repairs
    from dfgen.check.checking import find_problems
    from dfgen.check.finding import list_errors, make_error
    from dfgen.check.forecast import forecast
    from dfgen.check.scope import Scope
    from dfgen.errors import InputError
    from dfgen.store.run import Run

    scope = Scope(
        pipeline,
        stages,
        run,
        network=False,
        first_rows=FIRST_ROWS,
        new_rows="all",
        resubmit=resubmit,
    )
    if scope.run is not None:
        Run.open_or_create(scope.run.root, pipeline)  # says so if it is of another kind
    rows = scope.rows
    if not rows.prompts and rows.read and not rows.new:
        raise InputError(rows.explain(), hint=rows.refused.explain())
    findings = find_problems(scope) if is_check_wanted() else []
    prompts, repairs = show_prompts(scope, SHOWN), show_repairs(scope, SHOWN)
    growth, grown = describe_preview(scope)
    estimate = {"first_rows": _describe_rows(scope), **forecast(scope).to_json()}
    if as_json:
        outcome = {
            "dry_run": True,
            "prompts": [sent.to_json() for sent in prompts],
            "repair_prompts": [sent.to_json() for sent in repairs],
            "estimate": estimate,
            "growth": growth,
            "findings": [finding.to_json() for finding in findings],
        }
        print_outcome_json(outcome)
    else:
        _print_requests("The first prompts, as the policy gets them:", prompts)
        _print_requests("The first requests to the repairer:", repairs)
        _print_estimate(estimate)
        for line in grown:
            click.echo(line)
        print_findings(findings)
    errors = list_errors(findings)
    if errors:
        note_error(make_error(errors))
        raise SystemExit(1)


def _describe_rows(scope: Scope) -> dict[str, Any]:
    rows = scope.rows
    images = [image for prompt in rows.prompts for image in prompt.images]
    count = max(len(rows.prompts), 1)
    return {
        "new": rows.new,
        "read": rows.read,
        "prompts": len(rows.prompts),
        "rejects": rows.refused.total,
        "reasons": dict(rows.refused.rows.most_common()),
        "examples": {
            code: {"row_id": row_id, "detail": detail}
            for code, (row_id, detail) in rows.refused.examples.items()
        },
        "pictures_per_prompt": round(len(images) / count, 2),
        "picture_bytes_per_prompt": sum(len(image.bytes) for image in images) // count,
    }


def _print_requests(title: str, requests: Sequence[Sent]) -> None:
    if requests:
        click.echo(title)
    for sent in requests:
        click.echo(f"{sent}\n")


def _print_estimate(estimate: Mapping[str, Any]) -> None:
    first = estimate["first_rows"]
    known = estimate["source_rows"]
    about = "" if estimate["source_rows_exact"] else "about "
    of = (
        "of a source whose size only reading it can tell"
        if known is None
        else (f"of {about}{known:,}, which would give {about}{estimate['prompts']:,} prompts")
    )
    kind = "new rows" if first["new"] else "rows"
    click.echo(f"{first['read']:,} {kind} read {of}; {first['rejects']:,} rejected.")
    for code, rows in first["reasons"].items():
        example = first["examples"][code]
        click.echo(f"  {rows:,} {code}, such as {example['row_id']}: {example['detail']}")
    _print_out(estimate["out"])
    if estimate["total"]["requests"]["most"] == 0:
        left = "ask: the rest" if estimate["out"] else "do: all of this"
        click.echo(f"Nothing is left to {left} was done before.")
        return
    lines = [["", *_COLUMNS.values()]]
    for name, work in {**estimate["stages"], "total": estimate["total"]}.items():
        lines.append([name, *(_write_amount(work[column]) for column in _COLUMNS)])
    widths = [max(len(line[index]) for line in lines) for index in range(len(lines[0]))]
    for line in lines:
        cells = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        click.echo(f"{line[0]:<{widths[0]}}  " + "  ".join(cells))
    if estimate["ways"]:
        priced = ((name.replace("_", " "), usd) for name, usd in estimate["ways"].items())
        ways = ", ".join(f"{name} ${usd:,.4f}" for name, usd in priced)
        click.echo(
            f"{_WAYS_OF[estimate['ways_of']]}, by how they travel: {ways}. The cheapest is "
            f"{_ADVICE[estimate['cheapest']]}."
        )
    click.echo("Tokens are estimated from these rows. Nothing was asked, and nothing written.")


def _print_out(out: Mapping[str, Mapping[str, Any]]) -> None:
    from datetime import datetime

    from dfgen.engines.openai.batch.telling import describe_out

    now = datetime.now().astimezone()
    for stage, found in out.items():
        said = describe_out(now=now, **found)
        click.echo(f"{stage}: {said}. They are asked already, and not counted below.")


def _write_amount(amount: Mapping[str, float | None]) -> str:
    least, most = amount["least"], amount["most"]
    if least == most:
        return f"{least:,}"
    return f"{least:,} to {'?' if most is None else f'{most:,}'}"


def describe_preview(scope: Scope) -> tuple[dict[str, int] | None, list[str]]:
    """Say what would become of the prompts of a run.

    Returns:
        How many prompts are new, missing, ..., and the same in lines; None where there is no run
        with prompts.
    """
    from dfgen.stages.growth import describe_absent, describe_more

    config = scope.pipeline.prompts or scope.pipeline.imports
    if scope.growth is None or scope.run is None or config is None:
        return None, []
    found = scope.growth.findings
    said = f"{found.new:,} new prompts would be added to the {found.there:,} that are there"
    return found.to_json(), [
        said,
        *describe_more(found),
        *describe_absent(scope.run, found, config),
    ]
