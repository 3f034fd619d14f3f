"""`dfgen check`: says what would stop a run, before anything is loaded or paid for."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dfgen.cli.checks import print_findings
from dfgen.cli.options import examples, read_pipeline


@click.command(
    epilog=examples(
        "dfgen check my.yaml",
        "dfgen check my.yaml --out runs/a --set sample.max_tokens=4096",
        "dfgen check my.yaml --offline --json",
    )
)
@click.argument("pipeline", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--out",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    help="Run directory: only the stages that have something left to do there are looked at.",
)
@click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="Override a field.")
@click.option("--limit", type=click.IntRange(min=1), help="Use only the first N prompts.")
@click.option("--offline", is_flag=True, help="Ask neither servers nor the Hub.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(
    pipeline: Path,
    out: Path | None,
    settings: tuple[str, ...],
    limit: int | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Say everything that would stop a run, or spoil it, before it begins.

    Looks at models and packages, servers and keys, the first rows and their pictures, graders and
    reference answers, chat template and context length, limits and disk. Nothing is loaded, written
    or paid for. `dfgen run` does the same first. Exit code 1 if something stops the run; warnings
    alone are 0.
    """
    from dfgen.check.checking import find_problems
    from dfgen.check.finding import list_errors
    from dfgen.check.scope import Scope
    from dfgen.cli.run_command import ALL_STAGES

    effective = read_pipeline(pipeline, settings, limit)
    findings = find_problems(Scope(effective, ALL_STAGES, out, network=not offline))
    errors = len(list_errors(findings))
    if as_json:
        listed = [finding.to_json() for finding in findings]
        click.echo(json.dumps({"ok": not errors, "findings": listed}, ensure_ascii=False))
    else:
        print_findings(findings)
        click.echo(_summarise(errors, len(findings) - errors, pipeline))
    if errors:
        raise SystemExit(1)


def _summarise(errors: int, warnings: int, pipeline: Path) -> str:
    if errors:
        return f"{pipeline}: {errors} error{'s' * (errors > 1)}, {warnings} warnings"
    said = f"{warnings} warning{'s' * (warnings > 1)}" if warnings else "nothing in the way"
    return f"{pipeline}: ready, {said}"
