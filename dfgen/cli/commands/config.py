"""`dfgen config`: shows, checks or starts a pipeline file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dfgen.cli.json_output import json_option, print_outcome_json
from dfgen.cli.local_path import LocalPath, RunPath
from dfgen.cli.options import SOURCE, examples
from dfgen.errors import ConfigError


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
@click.argument("pipeline", metavar=SOURCE, type=RunPath())
@click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="Override a field.")
@json_option("Print JSON instead of YAML.")
def show(pipeline: Path, settings: tuple[str, ...], as_json: bool) -> None:
    """Print the effective pipeline: defaults, file or run, environment and --set together.

    Behind every value that is not the default stands the default.
    """
    from dfgen.cli.options import read_pipeline

    effective = read_pipeline(pipeline, settings, None)
    if as_json:
        print_outcome_json(effective.model_dump(mode="json"), indent=2)
        return
    from dfgen.config.showing import write_marked

    for line in write_marked(effective):
        click.echo(line)


@command.command(epilog=examples("dfgen config schema > pipeline.schema.json"))
def schema() -> None:
    """Print the JSON Schema of pipeline files; editors complete and check with it."""
    from dfgen.config.schema import make_pipeline_schema

    click.echo(json.dumps(make_pipeline_schema(), indent=2, ensure_ascii=False))


@command.command(
    epilog=examples(
        "dfgen config init my.yaml",
        "dfgen config init my.yaml --recipe hosted-api",
        "dfgen config init --list",
    )
)
@click.argument("path", type=LocalPath(dir_okay=False), required=False)
@click.option(
    "--recipe",
    metavar="NAME",
    help="Which one; see --list.  [default: vllm-7b where vLLM and a GPU are found, else starter]",
)
@click.option("--list", "list_them", is_flag=True, help="List the recipes and end.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def init(path: Path | None, recipe: str | None, list_them: bool, force: bool) -> None:
    """Write a commented pipeline file to start from."""
    from dfgen.config.recipes import RECIPES, propose_recipe, read_recipe

    proposed = propose_recipe()
    if list_them:
        for name in RECIPES:
            mark = "  (proposed here)" if name == proposed else ""
            click.echo(f"{name:<18}{read_recipe(name).description}{mark}")
        return
    if path is None:
        raise click.UsageError("Missing argument 'PATH': the file to write.")
    found = read_recipe(recipe or proposed)
    if path.exists() and not force:
        raise ConfigError("exists already.", where=str(path), hint="--force overwrites it.")
    try:
        path.write_text(found.write_for(str(path)), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}.", where=str(path)) from None
    click.echo(str(path))
    if recipe is None:
        click.echo(f"The recipe {found.name}; `dfgen config init --list` shows all.", err=True)
    click.echo(f"Edit the lines marked EDIT, then: dfgen check {path}", err=True)
