"""The command itself: fast, lazy, documented."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from dfgen.cli.main import COMMANDS, cli

HEAVY = ("torch", "transformers", "datasets", "pyarrow", "vllm", "numpy", "pydantic", "rich")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from dfgen.cli.main import cli\n"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Examples:" in result.output
    assert f"dfgen {name}" in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_does_not_load_models(name: str) -> None:
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from dfgen.cli.main import cli\n"
        f"assert CliRunner().invoke(cli, [{name!r}, '--help']).exit_code == 0\n"
        "print([n for n in ('torch', 'transformers', 'datasets', 'pyarrow') if n in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_misspelt_command_gets_a_suggestion() -> None:
    result = CliRunner().invoke(cli, ["smaple"])
    assert result.exit_code == 2
    assert "Did you mean 'sample'?" in result.output


def test_no_arguments_show_help() -> None:
    assert "Start with: dfgen demo" in CliRunner().invoke(cli, []).output


def test_user_errors_have_no_traceback(tmp_path) -> None:
    result = CliRunner().invoke(cli, ["run", str(tmp_path / "no.yaml"), "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "there is no such pipeline file" in result.output
    assert "Traceback" not in result.output


def test_debug_shows_the_traceback(tmp_path) -> None:
    result = CliRunner().invoke(
        cli, ["--debug", "run", str(tmp_path / "no.yaml"), "--out", str(tmp_path)]
    )
    assert "ConfigError" in repr(result.exception)


def test_ctrl_c_while_modules_are_loaded_ends_without_a_traceback() -> None:
    """Half a second in which a user may think better of it."""
    code = (
        "import sys\n"
        "class Loading:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'dfgen.cli.main': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Loading())\n"
        "from dfgen.__main__ import main\n"
        "main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (130, "Stopped.\n")
