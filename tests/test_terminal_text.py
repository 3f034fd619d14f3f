"""Text of unknown origin in a terminal: shown, never obeyed, whichever command prints it."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dfgen.cli.main import cli
from dfgen.cli.streams import SafeStream, make_output_safe
from dfgen.report.console import open_console
from dfgen.terminal_text import cut_text, show_line, show_text
from tests.support.hostile_run import POISON, poison_run
from tests.support.sample_run import make_run

DIRECTIONS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def find_commands(text: str) -> set[str]:
    """Characters that a terminal obeys or that turn the direction of writing."""
    controls = {each for each in text if unicodedata.category(each) == "Cc"}
    return (controls - {"\n", "\t"}) | (DIRECTIONS & set(text))


@given(st.text(st.characters() | st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Cs"])))
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    shown = show_text(text)
    assert not find_commands(shown)
    assert show_text(shown) == shown
    shown.encode()
    assert not set("\n\t") & set(show_line(text))


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Zl", "Zp", "Cs"])))
def test_what_is_harmless_stays_as_it_is(text: str) -> None:
    assert show_text(f"a\tb\n{text}") == f"a\tb\n{text}"


def test_letters_that_need_a_joiner_keep_it() -> None:
    assert show_text("👩\u200d🔬 می\u200cخواهم é 日本 −") == "👩\u200d🔬 می\u200cخواهم é 日本 −"


@given(st.text(st.characters(exclude_characters=[chr(n) for n in range(32)])))
def test_json_means_the_same_afterwards(text: str) -> None:
    written = json.dumps({"text": text}, ensure_ascii=False)
    assert json.loads(show_text(written)) == {"text": text}


def test_a_long_text_is_cut_and_says_so() -> None:
    assert show_text("\x1b" + "x" * 2000, limit=3) == "␛xx… (1,998 more characters)"
    assert show_text("abc", limit=3) == "abc"


@given(st.text("ab\x1b\n", max_size=90), st.integers(1, 40))
def test_a_text_is_cut_only_where_that_makes_it_shorter(text: str, limit: int) -> None:
    cut = cut_text(text, limit)
    assert cut == text or len(cut) < len(text)
    if cut != text:
        more = int(cut[limit:].removeprefix("… (").removesuffix(" more characters)"))
        assert (cut[:limit], more) == (text[:limit], len(text) - limit)
    else:
        assert len(text) - limit <= len("… (99 more characters)")
    assert show_text(text, limit) == show_text(text[:limit]) + cut[limit:] or cut == text


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_bars_of_other_packages_move_on_a_terminal_and_nothing_else_does() -> None:
    stream = SafeStream(terminal := Terminal())
    for text in ("\rloading", "\x1b[A", "\x1b[2J", "a\rb", "\x1b[A\x1b[2J"):
        stream.write(text)
    assert terminal.getvalue() == "\rloading\x1b[A␛[2Ja␍b␛[A␛[2J"
    stream = SafeStream(file := io.StringIO())
    stream.write("\rloading")
    assert file.getvalue() == "␍loading"


def test_a_console_keeps_its_own_colours_and_obeys_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.table import Table

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    with make_output_safe():
        table = Table(title=POISON)
        table.add_column("column", style="red")
        table.add_row(POISON)
        open_console().print(table, POISON)
    output = terminal.getvalue()
    assert "\x1b[31m" in output
    assert not {"\x07", "\x9b", "\u202e", "\b", "\r", "\x7f"} & set(output)
    assert output.count("[red]") == 3
    assert "\x1b]" not in output
    assert "\x1b[2J" not in output


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_run(tmp_path_factory.mktemp("hostile") / "run", prompts=6, samples=3)
    name = "a\x1b[2J\rb\u202e\x9bc [red]"
    return poison_run(Path(shutil.move(root, root.with_name(name))))


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


COMMANDS = (
    ["inspect"],
    ["inspect", "--wrong", "--first", "50"],
    ["inspect", "--source", "correct"],
    ["inspect", "--rejects", "--first", "50"],
    ["stats"],
    ["stats", "--json"],
    ["validate"],
    ["validate", "--json"],
    ["migrate"],
    ["report"],
    ["export"],
    ["regrade", "--dry-run"],
    ["score", "--dry-run"],
    ["publish"],
    ["diff"],
    ["config", "show"],
    ["run"],
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_lets_a_hostile_run_command_the_terminal(
    hostile: Path, tmp_path: Path, words: list[str]
) -> None:
    extra: list[str | Path] = []
    if words == ["export"]:
        extra = ["--out", tmp_path / "\x1b]0;x\x07"]
    if words == ["publish"]:
        extra = ["me/set", "--license", POISON, "--dry-run"]
    output = run(words[0], hostile, *words[1:], *extra).output
    assert output
    assert not find_commands(output)


def test_ids_names_and_values_that_are_wrong_are_named_harmlessly(
    hostile: Path, tmp_path: Path
) -> None:
    config = tmp_path / "pipeline.yaml"
    config.write_text(json.dumps({f"x{POISON}": 1, "policy": {"engine": POISON}}))
    for arguments in (
        ["inspect", hostile, POISON],
        ["inspect", tmp_path / POISON],
        [POISON],
        ["stats", f"--{POISON}"],
        ["config", "show", config],
        ["run", config, "--out", tmp_path / POISON],
        ["run", config, "--out", tmp_path / "run", "--set", f"policy.engine={POISON}"],
    ):
        result = run(*arguments)
        assert result.exit_code
        assert not find_commands(result.output), arguments


def test_a_dry_run_shows_hostile_questions_harmlessly(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    row = {"question": f"How many? {POISON}", "answer": "3", "image": "a.png"}
    rows.write_text(json.dumps(row) + "\n")
    config = tmp_path / "pipeline.yaml"
    pipeline = {
        "prompts": {"source": "jsonl", "path": str(rows)},
        "policy": {"engine": "transformers", "model": "demo:policy"},
        "sample": {"max_tokens": 64},
    }
    config.write_text(json.dumps(pipeline))
    result = run("run", config, "--out", tmp_path / "run", "--dry-run")
    assert not find_commands(result.output)
    assert result.exit_code == 0, result.output
    assert "How many? ␛" in result.output


def test_every_console_is_opened_in_one_place() -> None:
    package = Path(__file__).parents[1] / "dfgen"
    opened = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"(?<![\w_])Console\(", path.read_text())
    ]
    assert opened == ["report/console.py"]
