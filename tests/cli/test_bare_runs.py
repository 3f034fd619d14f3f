"""Every command on a finished run works on one that has masks and nothing else, and claims no more
than it has read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import dfgen
from dfgen.cli.main import cli
from dfgen.errors import InputError
from dfgen.records import Mask
from dfgen.store.finished import open_finished
from dfgen.store.shards import ShardTable
from tests.support.bare_run import PROMPTS, Prompts, make_bare_run
from tests.support.sample_run import make_run

NO_RATES = "no answers of its own: there are no pass rates"
NO_QUESTIONS = "no questions and no pictures"
MASKS = 24


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("bare") / "run", prompts=6, samples=4, seed=2)


@pytest.fixture(scope="module", params=PROMPTS)
def prompts(request: pytest.FixtureRequest) -> Prompts:
    found: Prompts = request.param
    return found


@pytest.fixture(scope="module")
def bare(source: Path, prompts: Prompts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bare_run(source, tmp_path_factory.mktemp(prompts) / "run", prompts)


def run_command(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def read_ids(root: Path) -> set[str]:
    masks = ShardTable(root / "masks", Mask)
    return {row["trajectory_id"] for row in masks.iter_rows(columns=["trajectory_id"])}


def test_stats_say_what_is_left_out(bare: Path, prompts: Prompts) -> None:
    result = run_command("stats", bare)
    assert "pass rate" not in result.stdout
    assert "attempts" not in result.stdout
    assert "pending" in result.stdout  # the column
    assert NO_RATES in result.stderr
    assert (NO_QUESTIONS in result.stderr) == (prompts == "none")
    numbers = json.loads(run_command("stats", bare, "--json").stdout)
    assert not {"groups", "repairs"} & set(numbers)
    assert numbers["counts"]["mask"] == {
        "input": MASKS + 1,
        "output": MASKS,
        "rejects": 1,
        "pending": 0,
    }
    assert not {"sample", "repair"} & set(numbers["counts"])
    assert ("demo_truth" in numbers) == (prompts != "none")
    assert any(NO_RATES in sentence for sentence in numbers["left_out"])


def test_inspect_shows_masks_with_what_is_known(bare: Path, prompts: Prompts) -> None:
    result = run_command("inspect", bare, "--first", "100")
    assert "wrong, repaired" in result.stdout
    assert "?" not in result.stdout.replace("?\n", "")  # only questions end in one
    assert ("reference answer" in result.stdout) == (prompts != "none")
    assert NO_RATES in result.stderr
    for name in sorted(read_ids(bare))[:3]:
        assert name in run_command("inspect", bare, name).stdout
    assert "ids_differ" in run_command("inspect", bare, "--rejects").stdout


def test_a_prompt_id_finds_its_masks_whatever_they_are_called(bare: Path) -> None:
    rows = list(ShardTable(bare / "masks", Mask).iter_rows(columns=["trajectory_id", "prompt_id"]))
    wanted = rows[0]["prompt_id"]
    shown = run_command("inspect", bare, wanted).stdout
    assert all(row["trajectory_id"] in shown for row in rows if row["prompt_id"] == wanted)


def test_the_report_is_written(bare: Path, tmp_path: Path) -> None:
    result = run_command("report", bare, "--out", tmp_path / "report.html")
    assert f"{MASKS} of {MASKS} trajectories" in result.stderr
    assert NO_RATES in result.stderr
    page = (tmp_path / "report.html").read_text("utf-8")
    assert NO_RATES in page
    head = json.loads(page.split('id="head">')[1].split("</script>")[0])
    assert head["run"]["policy"] is head["run"]["repairer"] is None
    assert "groups" not in head["numbers"]


def test_validation_says_what_it_cannot_prove(bare: Path) -> None:
    result = run_command("validate", bare)
    assert f"{MASKS} mask rows: every invariant (ids decoded again)" in result.stderr
    assert "not checked: whether a row was lost" in result.stderr
    assert result.stdout == f"{bare}: sound in what was checked\n"
    found = json.loads(run_command("validate", bare, "--json").stdout)
    assert found["sound"] and found["skipped"]


@pytest.mark.parametrize("table", ["groups", "trajectories", "preference", "stepwise"])
def test_exports_hold_what_can_be_made(
    source: Path, bare: Path, prompts: Prompts, table: str, tmp_path: Path
) -> None:
    arguments = ("export", bare, "--to", table, "--out", tmp_path / "out")
    if prompts == "none" and table != "trajectories":
        result = run_command(*arguments, code=1)
        assert f"the table {table} needs the questions" in result.stderr
        assert "there can be: trajectories" in result.stderr
        assert not (tmp_path / "out").exists()
        return
    run_command(*arguments)
    rows = read_rows(tmp_path / "out")
    run_command("export", source, "--to", table, "--out", tmp_path / "full")
    full = read_rows(tmp_path / "full")
    if prompts == "all":
        assert rows == full
        return
    if table == "trajectories":
        assert len(rows) == MASKS
        known = [row for row in rows if row["problem"] is not None]
        assert len(known) < MASKS
        assert bool(known) == (prompts == "some")
        assert {row["problem"] for row in known} <= {row["problem"] for row in full}
        return
    nested = [mask for row in rows for mask in row.get("trajectories", [row])]
    names = [mask["trajectory_id"] for mask in nested]
    assert 0 < len(names) == len(set(names))
    origin = {row["prompt_id"]: row["prompt"] for row in full}
    assert all(row["prompt"] == origin[row["prompt_id"]] for row in rows)
    assert {row["prompt_id"] for row in rows} == set(list_known(bare)) & set(origin)


def list_known(root: Path) -> list[str]:
    table = open_finished(root).prompts
    assert table is not None
    return [row["prompt_id"] for row in table.iter_rows(columns=["prompt_id"])]


def read_rows(folder: Path) -> list[dict[str, Any]]:
    return [row for path in folder.glob("*.parquet") for row in pq.read_table(path).to_pylist()]


def test_the_manifest_of_an_export_names_no_models(bare: Path, tmp_path: Path) -> None:
    run_command("export", bare, "--to", "trajectories", "--out", tmp_path / "out")
    manifest = json.loads((tmp_path / "out/dfgen.json").read_text())
    assert set(manifest["origin"]) == {"mask", "stages"}
    assert manifest["prompts_left_out"] == 0
    assert manifest["tokenizer"]["sha256"] == open_finished(bare).tokenizer.sha256


def test_publishing_leaves_out_tables_and_claims(bare: Path, prompts: Prompts) -> None:
    arguments = ("publish", bare, "me/masks", "--license", "mit", "--dry-run")
    result = run_command(*arguments)
    folder = bare / "publish/me--masks"
    tables = {path.parent.name for path in folder.rglob("*.parquet")}
    card = (folder / "README.md").read_text("utf-8")
    if prompts == "none":
        assert tables == {"trajectories"}
        assert "left out: groups, which needs the questions" in result.stderr
        assert "GRPOTrainer" not in card
        asked = run_command(*arguments, "--config-names", "groups", code=1)
        assert "the table groups needs the questions" in asked.stderr
    else:
        assert tables == {"groups", "trajectories"}
        assert "GRPOTrainer" in card
    for claim in ("verified", "stronger model", "pass rate", "grader |", "The policy was right"):
        assert claim not in card
    assert "given correction" in card


def test_python_loads_masks_and_groups(bare: Path, prompts: Prompts) -> None:
    rows = list(dfgen.load_masks(bare, tokenizer="demo:policy"))
    assert len(rows) == len(dfgen.load_masks(bare)) == MASKS
    assert {row["trajectory_id"] for row in rows} == read_ids(bare)
    assert any(row["problem"] is None for row in rows) == (prompts != "all")
    if prompts == "none":
        with pytest.raises(InputError, match="needs the questions"):
            dfgen.load_groups(bare)
        return
    groups = list(dfgen.load_groups(bare))
    assert len(groups) == len(dfgen.load_groups(bare)) > 0
    for group in groups:
        assert {row["prompt_id"] for row in rows} >= {group["prompt_id"]}
        assert group["trajectories"]


def test_contradictions_are_found(source: Path, tmp_path: Path) -> None:
    root = make_bare_run(source, tmp_path / "run", "all")
    masks = ShardTable(root / "masks", Mask)
    rows = list(masks.iter_rows())
    masks.write(0, [*rows, rows[0]])
    problems = json.loads(run_command("validate", root, "--json", code=1).stdout)["problems"]
    name = rows[0]["trajectory_id"]
    assert any(f"1 rows are there more than once: {name}" in problem for problem in problems)


def test_answers_that_went_missing_are_no_bare_run(source: Path, tmp_path: Path) -> None:
    """Who drew answers must have them: a lost folder is a fault, not a kind of run."""
    import shutil

    root = shutil.copytree(source, tmp_path / "run")
    shutil.rmtree(root / "trajectories")
    result = run_command("validate", root, code=1)
    assert "trajectories are not there" in result.stderr
    assert "sound" not in result.stdout
