from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from dfgen.cli.main import cli
from dfgen.reasons import find_reason
from dfgen.report.samples import gather_samples
from dfgen.report.stats_table import format_figure, print_numbers
from dfgen.report.trajectory import SampleView
from dfgen.store.finished import open_finished
from dfgen.terminal_text import show_text
from tests.report.hostile import ESCAPES, make_mask_row, make_sample


def run_command(*arguments: str | Path) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def render(sample: object, *, colours: bool, width: int = 140) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=colours,
        color_system="truecolor" if colours else None,
        legacy_windows=False,
    )
    console.print(sample)
    return stream.getvalue()


def find_id(root: Path, source: str) -> str:
    for row in open_finished(root).run.table("masks").iter_rows():
        if row["mask_source"] == source:
            return str(row["trajectory_id"])
    raise AssertionError(source)


def test_a_pipe_gets_the_marks_of_a_word_diff(sample_run: Path) -> None:
    output = run_command("inspect", sample_run, "--first", "1")
    assert "[-" in output
    assert "{+" in output
    assert "policy ✗ wrong" in output
    assert "repair ✓ right" in output
    assert "first error" in output
    assert "attempt 1" in output
    assert "\x1b" not in output


def test_an_id_shows_that_trajectory_and_its_beginning_all_of_the_prompt(sample_run: Path) -> None:
    name = find_id(sample_run, "repair")
    assert run_command("inspect", sample_run, name).count("reference answer") == 1
    prompt = name.rpartition("-")[0]
    assert run_command("inspect", sample_run, prompt).count("reference answer") == 4


def test_wrong_answers_are_those_repaired_and_those_not(sample_run: Path) -> None:
    output = run_command("inspect", sample_run, "--wrong", "--first", "100")
    assert "wrong, repaired" in output
    assert "wrong, no accepted repair" in output
    assert "no repair: " in output
    assert "  right  " not in output
    assert "wrong," not in run_command("inspect", sample_run, "--source", "correct")


def test_rejects_are_counted_by_reason(sample_run: Path) -> None:
    output = run_command("inspect", sample_run, "--rejects", "--first", "1")
    assert output.index("rows") < output.index("detail")
    assert "repair" in output


def test_every_code_that_is_shown_is_explained(sample_run: Path) -> None:
    output = " ".join(run_command("inspect", sample_run, "--rejects").split())
    run = open_finished(sample_run).run
    codes = {row["reason"] for row in run.rejects("repair").iter_rows(columns=["reason"])}
    assert codes
    for code in codes:
        reason = find_reason(code)
        assert reason is not None
        assert f"{code}: {reason.meaning} {reason.remedy}" in output


def test_an_unknown_id_is_explained(sample_run: Path) -> None:
    result = CliRunner().invoke(cli, ["inspect", str(sample_run), "zzz"])
    assert result.exit_code == 1
    assert "no trajectory has an id that begins with 'zzz'" in result.output


def test_wrong_and_source_exclude_each_other(sample_run: Path) -> None:
    arguments = ["inspect", str(sample_run), "--wrong", "--source", "correct"]
    assert CliRunner().invoke(cli, arguments).exit_code == 2


@pytest.mark.parametrize("width", [60, 140])
@pytest.mark.parametrize("colours", [True, False])
def test_every_trajectory_can_be_shown_at_every_width(
    sample_run: Path, width: int, colours: bool
) -> None:
    finished = open_finished(sample_run)
    masks = finished.run.table("masks")
    ids = {row["trajectory_id"] for row in masks.iter_rows(columns=["trajectory_id"])}
    for sample in gather_samples(finished, ids):
        assert render(SampleView(sample), colours=colours, width=width)


def test_a_terminal_with_colours_sees_the_picture(sample_run: Path) -> None:
    (sample,) = gather_samples(open_finished(sample_run), {find_id(sample_run, "repair")})
    assert "▀" in render(SampleView(sample), colours=True)
    assert "▀" not in render(SampleView(sample), colours=False)


def test_what_a_model_wrote_cannot_command_the_terminal() -> None:
    output = render(SampleView(make_sample(ESCAPES, 0)), colours=False)
    assert not {character for character in output if character < " "} - {"\n"}
    assert not {"\x9b", "\u202e", "\x7f"} & set(output)
    assert "␛[2J" in output


def test_an_edit_of_white_space_alone_can_be_seen() -> None:
    row = make_mask_row("I  see 3.", "I see 4.")
    sample = replace(make_sample("x", 0), mask=row)
    assert "␣" in render(SampleView(sample, details=False), colours=True)


def test_markup_of_rich_is_text() -> None:
    assert "[bold]x[/bold]" in render(SampleView(make_sample("[bold]x[/bold]", 0)), colours=False)


def test_disarming_keeps_everything_else() -> None:
    text = "a\tb\nc é 日本 🙂 −"
    assert show_text(text) == text


def test_stats_skip_what_has_not_happened(sample_run: Path) -> None:
    output = run_command("stats", sample_run)
    assert "demo truth" in output
    assert "distributions" not in output
    assert "{}" not in output
    assert "people" not in output


def test_some_figures_can_be_printed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    print_numbers({"repairs": {"accepted": 3, "controls": {"false_edit_rate": 0.25}}})
    output = capsys.readouterr().out
    assert "accepted" in output
    assert "false edit rate: 25.0%" in output
    assert "stage" not in output


def test_stats_as_json_keep_their_names(sample_run: Path) -> None:
    numbers = json.loads(run_command("stats", sample_run, "--json"))
    assert {"run", "counts", "rejects", "groups", "repairs", "masks", "demo_truth"} <= set(numbers)
    assert set(numbers["counts"]["repair"]) == {"input", "output", "rejects", "pending"}
    assert numbers["masks"]["sources"]["repair"] == numbers["repairs"]["accepted"]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("pass_rate", 0.5625, "56.2%"),
        ("cost_usd", 0.0, "$0.00"),
        ("cost_usd_per_accepted", 0.000217, "$0.00022"),
        ("hunks_per_repair", 3.85, "3.85"),
        ("median_edit_ratio", None, "-"),
        ("completion_tokens", 12345, "12,345"),
        ("sources", {"repair": 2, "correct": 1}, "repair: 2, correct: 1"),
        ("pass_rate_histogram", [0, 1, 8], " ▂█  (0 1 8)"),
    ],
)
def test_figures_are_written_by_their_names(name: str, value: object, text: str) -> None:
    assert format_figure(name, value) == text
