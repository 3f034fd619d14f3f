"""`dfgen config`: shows, checks or starts a pipeline file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dfgen.cli.local_path import LocalPath
from dfgen.cli.options import SOURCE, examples
from dfgen.errors import ConfigError
from dfgen.terminal_text import show_text


@click.group(
    epilog=examples(
        "dfgen config init my.yaml",
        "dfgen config show my.yaml --set sample.num_samples=16",
        "dfgen config schema > pipeline.schema.json",
    )
)
def command() -> None:
    """Show, check or start a pipeline file."""


@command.command(
    epilog=examples("dfgen config show pipelines/demo.yaml", "dfgen config show runs/a")
)
@click.argument("pipeline", metavar=SOURCE, type=LocalPath())
@click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="Override a field.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of YAML.")
def show(pipeline: Path, settings: tuple[str, ...], as_json: bool) -> None:
    """Print the effective pipeline: defaults, file or run, environment and --set together."""
    from dfgen.cli.options import read_pipeline

    tree = read_pipeline(pipeline, settings, None).model_dump(mode="json")
    if as_json:
        click.echo(json.dumps(tree, indent=2, ensure_ascii=False))
        return
    import yaml

    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    if show_text(text) != text:  # with its own escapes the file stays what it is
        text = yaml.safe_dump(tree, sort_keys=False)
    click.echo(text, nl=False)


@command.command(epilog=examples("dfgen config schema > pipeline.schema.json"))
def schema() -> None:
    """Print the JSON Schema of pipeline files; editors complete and check with it."""
    from dfgen.config.schema import make_pipeline_schema

    click.echo(json.dumps(make_pipeline_schema(), indent=2, ensure_ascii=False))


@command.command(epilog=examples("dfgen config init my.yaml"))
@click.argument("path", type=LocalPath(dir_okay=False))
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def init(path: Path, force: bool) -> None:
    """Write a commented pipeline file to start from."""
    from importlib import resources

    if path.exists() and not force:
        raise ConfigError("exists already.", where=str(path), hint="--force overwrites it.")
    text = resources.files("dfgen.config").joinpath("starter.yaml").read_text("utf-8")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}.", where=str(path)) from None
    click.echo(str(path))
    click.echo(
        "Edit the lines marked EDIT, then: dfgen run FILE --out runs/first --dry-run", err=True
    )
