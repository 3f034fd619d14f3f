"""Addresses where paths belong: one sentence, in every command, and nothing is made."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dfgen.cli.local_path import LocalPath, RunPath
from dfgen.cli.main import COMMANDS, cli

BUCKETS = ["s3://b/run", "gs://b/run", "az://b/run", "S3://b/run"]
BUCKETS += ["hf://datasets/a/b", "hf://buckets/a/b", "HF://a/b/c"]
"""Where a run may lie, but for a bucket's name, which has more than one sign, or, on the Hub, for
a repository in place of a bucket, or no folder."""
ADDRESSES = ["http://h/run", "abfss://c@a/run", "file:///tmp/run"]
ADDRESSES += ["s3:/b/run", "hf:/buckets/me/b/run", "zip::s3://b/run"]


def list_commands() -> list[tuple[str, click.Command]]:
    context = click.Context(cli)
    found: list[tuple[str, click.Command]] = []
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        inner = command.commands.items() if isinstance(command, click.Group) else ()
        found += [(f"{name} {each}", sub) for each, sub in inner] or [(name, command)]
    return found


PATHS = [
    (name, param)
    for name, command in list_commands()
    for param in command.params
    if isinstance(param.type, click.Path)
]


@pytest.mark.parametrize(("name", "param"), PATHS, ids=lambda each: getattr(each, "name", each))
def test_every_path_of_every_command_is_local(name: str, param: click.Parameter) -> None:
    assert isinstance(param.type, LocalPath), f"{name} {param.name}: use LocalPath"


@pytest.mark.parametrize(("name", "param"), PATHS, ids=lambda each: getattr(each, "name", each))
def test_an_address_is_refused(
    name: str, param: click.Parameter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    others = dict(list_commands())[name].params
    given = [
        each.type.choices[0]
        for each in others
        if isinstance(each, click.Argument) and isinstance(each.type, click.Choice)
    ]
    given += [param.opts[0]] if isinstance(param, click.Option) else []
    runs = isinstance(param.type, RunPath)
    for address in ADDRESSES if runs else [*ADDRESSES, *BUCKETS]:
        result = CliRunner().invoke(cli, [*name.split(), *given, address])
        assert result.exit_code == 2, result.output
        said = " ".join(result.output.replace("│", " ").split())
        assert "is an address: " in said and "Traceback" not in said
    for address in BUCKETS if runs else ():
        result = CliRunner().invoke(cli, [*name.split(), *given, address])
        assert result.exit_code == 1, result.output
        assert "is no address of a run" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path", ["run", "./s3:/b", "a b", "a:b", "C:run", "-", "%41", "ü", "a/b:/c"]
)
def test_paths_are_paths(path: str) -> None:
    assert LocalPath().convert(path, None, None) == Path(path)
