"""`dfgen validate`: checks a run, an export or mask files."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.json_output import json_option, print_outcome_json
from dfgen.cli.local_path import RunPath
from dfgen.cli.options import examples
from dfgen.errors import InvalidDataError

# Problems shown in the message, damaged files apart.
SHOWN = 20


@click.command(
    epilog=examples(
        "dfgen validate runs/demo",
        "dfgen validate exported/groups",
        "dfgen validate masks/part-00000.parquet --tokenizer Qwen/Qwen2.5-VL-7B-Instruct",
    )
)
@click.argument("path", type=RunPath(exists=True))
@click.option(
    "--tokenizer",
    help="Directory or Hub id; decodes the ids again. Default: the run's own; without one the "
    "checks that need it are left out and said to be.",
)
@json_option("Print the findings as JSON.")
def command(path: Path, tokenizer: str | None, as_json: bool) -> None:
    """Prove that a run, an exported folder or any mask file is sound.

    For a run: every input row of every stage is in exactly one of output, rejects or pending. For
    masks: lengths, decoding, hunks that rebuild the repair byte by byte, equal tokens outside them.
    For an export: every file is there, with the content that dfgen.json lists. What could not be
    looked at is named.
    """
    from dfgen.store.mounts import fetch_whole
    from dfgen.validate.path import validate_path

    fetch_whole(path)
    findings = validate_path(path, tokenizer)
    if as_json:
        print_outcome_json(findings.to_json())
    else:
        for line in findings.checked:
            click.echo(line, err=True)
        for line in findings.skipped:
            click.echo(f"not checked: {line}", err=True)
    if findings.problems:
        # Every damaged file is named; of other problems the first ones say what kind they are.
        shown = max(SHOWN, len(findings.damaged))
        lines = [f"  {problem}" for problem in findings.problems[:shown]]
        if len(findings.problems) > shown:
            lines.append(f"  ... {len(findings.problems) - shown} more (--json lists them)")
        listed = "\n".join(lines)
        count = len(findings.problems)
        what = f"{count:,} problem{'s' * (count != 1)}:\n{listed}"
        raise InvalidDataError(what, where=str(path), hint=findings.advice)
    if not as_json:
        click.echo(f"{path}: sound{' in what was checked' if findings.skipped else ''}")
