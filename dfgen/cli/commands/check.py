"""`dfgen check`: says what would stop a run, before anything is loaded or paid for."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.checks import print_findings
from dfgen.cli.json_output import json_option, note_error, print_outcome_json
from dfgen.cli.local_path import RunPath
from dfgen.cli.options import (
    SOURCE,
    add_all,
    choose_root,
    examples,
    read_pipeline,
    run_options,
)


@click.command(
    epilog=examples(
        "dfgen check my.yaml",
        "dfgen check my.yaml --out runs/a --set sample.max_tokens=4096",
        "dfgen check my.yaml --offline --json",
        "dfgen check runs/a",
    )
)
@click.argument("source", metavar=SOURCE, type=RunPath())
@add_all(run_options("Use only the first N prompts."))
@click.option("--offline", is_flag=True, help="Ask neither servers nor the Hub.")
@json_option("Print the findings as JSON.")
def command(
    source: Path,
    out: Path | None,
    file: Path | None,
    settings: tuple[str, ...],
    limit: int | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Say everything that would stop a run, or spoil it, before it begins.

    Looks at models and packages, servers and keys, the first rows and their pictures, graders and
    reference answers, chat template and context length, limits and disk. Nothing is loaded, written
    or paid for. Of a run, or with --out, only what is left to do is looked at, the first rows that
    were added to its source, too, and whether the run was made with these settings. `dfgen run`
    does the same first. Exit code 1 if something stops the run; warnings alone are 0.
    """
    from dfgen.check.checking import find_problems
    from dfgen.check.finding import list_errors, make_error
    from dfgen.check.recorded import check_recorded
    from dfgen.check.scope import Scope
    from dfgen.cli.run_command import ALL_STAGES

    root = choose_root(source, out, file, optional=True)
    pipeline = read_pipeline(source, settings, limit, file)
    scope = Scope(pipeline, ALL_STAGES, root, network=not offline, new_rows="first")
    recorded = [] if scope.run is None else [*check_recorded(scope.run, pipeline, scope.run.root)]
    findings = [*recorded, *find_problems(scope)]
    stopping = list_errors(findings)
    errors = len(stopping)
    if as_json:
        listed = [finding.to_json() for finding in findings]
        print_outcome_json({"ok": not errors, "findings": listed})
    else:
        print_findings(findings)
        click.echo(_summarise(errors, len(findings) - errors, source))
    if stopping:
        note_error(make_error(stopping))
        raise SystemExit(1)


def _summarise(errors: int, warnings: int, source: Path) -> str:
    said = f"{warnings} warning{'s' * (warnings > 1)}"
    if errors:
        said = f", {said}" if warnings else ""
        return f"{source}: {errors} error{'s' * (errors > 1)}{said}"
    return f"{source}: ready, {said if warnings else 'nothing in the way'}"
