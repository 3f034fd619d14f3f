"""`dfgen diff`: shows the mask between two texts."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dfgen.cli.json_output import json_option, print_outcome_json
from dfgen.cli.local_path import LocalPath
from dfgen.cli.options import examples
from dfgen.errors import InputError, guess_path


@click.command(
    epilog=examples(
        "dfgen diff wrong.txt right.txt --tokenizer Qwen/Qwen2.5-VL-7B-Instruct",
        "dfgen diff wrong.txt right.txt --tokenizer Qwen/Qwen2.5-VL-7B-Instruct --json",
        "echo '3 + 2 = 6' | dfgen diff - right.txt --tokenizer demo:policy",
    )
)
@click.argument("wrong", type=LocalPath(allow_dash=True, dir_okay=False))
@click.argument("right", type=LocalPath(allow_dash=True, dir_okay=False))
@click.option(
    "--tokenizer",
    required=True,
    help="Directory or Hub id of the tokenizer in whose tokens the mask is made.",
)
@json_option("Print masks, steps and hunks as JSON.")
def command(wrong: Path, right: Path, tokenizer: str, as_json: bool) -> None:
    """Show the mask between two texts: what was wrong, token by token and step by step.

    WRONG and RIGHT are text files; - reads standard input.
    """
    from dfgen.diff.pair import diff_pair
    from dfgen.report.difference import describe_difference, print_difference
    from dfgen.tokens.loading import load_tokenizer

    loaded = load_tokenizer(tokenizer)
    diff = diff_pair(_read(wrong), _read(right), loaded)
    if as_json:
        said = {"tokenizer": loaded.name, "tokenizer_sha256": loaded.sha256}
        print_outcome_json(said | describe_difference(diff))
    else:
        print_difference(diff)


def _read(path: Path) -> str:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        meant = None if path.exists() else guess_path(path)
        hint = f"Did you mean {str(meant)!r}?" if meant else None
        raise InputError(f"cannot be read: {error.strerror}.", where=str(path), hint=hint) from None
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text.", where=str(path)) from None
    return text.rstrip("\n")
