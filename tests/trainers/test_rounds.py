"""Data of several rounds are loaded together, with their ages; and where plugin files lie."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import dfgen.trainers.rounds as rounds_module
from dfgen.cli.main import cli
from dfgen.errors import InputError
from dfgen.trainers.__main__ import ADAPTERS, find_adapter, list_adapters, main
from dfgen.trainers.examples import make_examples
from dfgen.trainers.rounds import load_rounds
from tests.support.group_files import write_groups
from tests.trainers.test_examples import REPAIRED, RIGHT, WRONG


@pytest.fixture
def rounds(tmp_path: Path) -> list[Path]:
    """Three rounds whose names are not in the order in which they were made."""
    names = ("c", "a", "b")
    groups = ([[RIGHT, WRONG]], [[RIGHT, REPAIRED]], [[WRONG, WRONG, RIGHT]])
    return [
        write_groups(tmp_path / "data" / name, group, created=f"2026-01-0{day}T00:00:00Z")
        for day, (name, group) in enumerate(zip(names, groups, strict=True), 1)
    ]


def test_rounds_come_oldest_first_with_their_ages(rounds: list[Path]) -> None:
    for data in (rounds, rounds[0].parent, str(rounds[0].parent)):
        examples = load_rounds(data, say=None)
        assert [e.age for e in examples] == [2, 2, 1, 1, 1, 0, 0, 0]
        assert len(examples) == 8
    alone = [list(make_examples(each, say=None)) for each in rounds]
    together = list(load_rounds(rounds, say=None))
    # Baselines are each round's own, though all asked the same prompt.
    for one, other in zip([e for each in alone for e in each], together, strict=True):
        assert one.advantages.tolist() == other.advantages.tolist()


def test_stale_rounds_are_dropped_and_told(rounds: list[Path]) -> None:
    said: list[str] = []
    assert {e.age for e in load_rounds(rounds, max_age=1, say=said.append)} == {0, 1}
    assert "Rounds: a (age 1), b (age 0); 1 older left out" in said[0]
    assert "of 5 answers to 2 prompts" in said[0]
    assert {e.age for e in load_rounds(rounds, max_age=0, say=None)} == {0}
    with pytest.raises(InputError, match="max_age is -1"):
        load_rounds(rounds, max_age=-1, say=None)


def test_balance_is_that_of_all_rounds(rounds: list[Path]) -> None:
    from dfgen.trainers.recipe import RECIPES

    found = list(load_rounds(rounds, RECIPES["df+repair"].change(balance=True), say=None))
    assert sum(float(e.advantages.sum()) for e in found) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("choose", "message"),
    [
        (lambda r: [r[1], r[0]], "was begun after"),
        (lambda r: [r[0], r[0].parent / "again"], "exports of one run"),
        (lambda r: [r[0], r[0]], "exports of one run"),
        (lambda r: [], "no round is given"),
        (lambda r: r[0], "no folder in it holds an exported round"),
        (lambda r: [r[0], r[0].parent / "other"], "different tokenizers"),
    ],
)
def test_rounds_that_do_not_fit_are_refused(rounds: list[Path], choose: Any, message: str) -> None:
    folder = rounds[0].parent
    write_groups(folder / "again", [[RIGHT]], created="2026-01-01T00:00:00Z")
    write_groups(folder / "other", [[RIGHT]], tokenizer="b" * 64, created="2026-02-01T00:00:00Z")
    with pytest.raises(InputError, match=message):
        load_rounds(choose(rounds), say=None)


def test_the_next_round_samples_with_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting that the documented command names."""
    assert "--set policy.model=checkpoints/round-1" in (rounds_module.__doc__ or "")
    command = ["config", "show", "pipelines/vllm-7b.yaml"]
    monkeypatch.chdir(Path(__file__).parents[2])
    shown = CliRunner().invoke(cli, [*command, "--set", "policy.model=checkpoints/round-1"])
    assert shown.exit_code == 0, shown.output
    assert "model: checkpoints/round-1" in shown.output


def test_a_plugin_file_is_found_by_its_trainer(tmp_path: Path) -> None:
    (tmp_path / "prime_rl.py").write_text("")
    assert find_adapter("prime-rl", tmp_path) == tmp_path / "prime_rl.py"
    assert list_adapters(tmp_path) == ["prime_rl"]
    with pytest.raises(InputError, match=r"there are prime_rl\."):
        find_adapter("swift", tmp_path)
    with pytest.raises(InputError, match="Did you mean 'prime_rl'"):
        find_adapter("prime_rll", tmp_path)
    with pytest.raises(InputError, match="no adapter 'recipe'"):
        find_adapter("recipe")


def test_the_command_lists_what_there_is() -> None:
    command = [sys.executable, "-m", "dfgen.trainers"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in listed.splitlines()] == list_adapters()
    wrong = subprocess.run([*command, "no"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "there is no adapter 'no'" in wrong.stderr
    assert main(["a", "b"]) == 2
    folder = Path(main.__code__.co_filename).parent
    adapters = {path.stem for path in folder.glob("*.py")} & ADAPTERS.keys()
    assert adapters == set(list_adapters())
