"""A shard as the unit of work: one at a time or many together, reopened when its input changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner

from dfgen.arrow_types import Float32
from dfgen.cli.main import cli
from dfgen.engines.base import Request
from dfgen.records import Record
from dfgen.runners.local import run_stages
from dfgen.stages import registry
from dfgen.stages.registry import run_shard
from dfgen.stages.session import Session
from dfgen.stages.work import Tools, open_graders
from dfgen.store.counts import count_rows
from dfgen.store.finishing import finish_shard, take_back
from dfgen.store.layout import StageLayout, add_side_stage
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.stages.sample.test_stage import sample
from tests.support.sample_run import make_pipeline as make_sample_pipeline
from tests.support.sample_run import make_run
from tests.support.stub_engine import StubEngine, make_pipeline


class Gauge(Record):
    """What a stub stage says of each repaired trajectory."""

    SCHEMA: ClassVar[str] = "dfgen.gauge/1"
    trajectory_id: str
    prompt_id: str
    repair_logprobs: list[Float32] | None
    surprise: Float32


LAYOUT = StageLayout("gauge", "gauges", Gauge, ("repairs", "trajectories"))


class GaugeStage:
    """Scores every repaired trajectory; what it gives each token is up to the test."""

    stage = "gauge"

    def __init__(self, logprob: float = -0.25) -> None:
        self.logprob = logprob
        self.worked_on: list[int] = []

    def list_facts(self, session: Session) -> dict[str, str]:
        return {}

    @contextmanager
    def open_tools(self, session: Session) -> Iterator[Tools]:
        yield Tools(session.pipeline)

    def run_shards(self, session: Session, tools: Tools, shards: list[int]) -> None:
        for shard in shards:
            self.worked_on.append(shard)
            masks = session.run.table("masks").iter_rows(shard, ["trajectory_id", "repair_ids"])
            lengths = {row["trajectory_id"]: len(row["repair_ids"] or ()) for row in masks}
            rows = [
                Gauge(
                    trajectory_id=row["trajectory_id"],
                    prompt_id=row["prompt_id"],
                    repair_logprobs=[self.logprob] * lengths[row["trajectory_id"]],
                    surprise=1.0,
                )
                for row in session.run.table("repairs").iter_rows(shard)
            ]
            session.finish_shard("gauge", shard, rows, [])

    def close(self, session: Session) -> None:
        pass


@pytest.fixture
def gauge(monkeypatch: pytest.MonkeyPatch) -> Iterator[GaugeStage]:
    work = GaugeStage()
    monkeypatch.setitem(registry.WORKS, "gauge", work)
    with add_side_stage(LAYOUT):
        yield work


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", prompts=12, samples=4)


def answer(request: Request) -> str:
    return f"Answer: {len(request.key) % 3}"


def read_files(root: Path, *tables: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for table in tables
        for path in sorted((root / table).glob("*.parquet"))
    }


def run_stage(root: Path, *stages: str) -> Run:
    pipeline = make_sample_pipeline(12, 4, 0)
    run = Run.open_or_create(root, pipeline)
    with run.lock():
        assert run_stages(Session(run, pipeline), stages)
    return run


def read_masks(run: Run) -> dict[str, dict[str, Any]]:
    return {row["trajectory_id"]: row for row in run.table("masks").iter_rows()}


def test_shards_one_by_one_in_any_order_are_those_of_one_go(tmp_path: Path) -> None:
    """What a cluster hands out gives the bytes that the local runner writes."""
    pipeline = make_pipeline()
    together = sample(tmp_path / "together", pipeline, StubEngine(answer))
    with together.lock():
        run_stages(Session(together, pipeline), ("mask",))
    alone = Run.open_or_create(tmp_path / "alone", pipeline)
    with alone.lock():
        run_stages(Session(alone, pipeline), ("prompts",))
        with open_graders(pipeline.grade) as graders:
            for stage, engine in (("sample", StubEngine(answer)), ("mask", None)):
                for shard in (2, 0, 1):
                    # Each time as a process of its own would: nothing but the run and its tools.
                    run = Run.open_or_create(tmp_path / "alone", None)
                    run_shard(run, stage, shard, Tools(pipeline, engine, graders))
                    assert run.is_done(stage, shard)
                alone.set_stage(stage, state="done", counts=count_rows(alone)[stage])
    tables = ("prompts", "trajectories", "masks")
    assert read_files(tmp_path / "alone", *tables) == read_files(tmp_path / "together", *tables)
    assert audit(alone) == []


def test_an_unknown_stage_is_named(root: Path) -> None:
    with pytest.raises(ValueError, match="no stage 'prompts' of shards"):
        run_shard(Run.open_or_create(root, None), "prompts", 0, Tools(make_pipeline()))


def test_entries_say_what_a_shard_was_made_from(root: Path) -> None:
    run = Run.open_or_create(root, None)
    entry = run.entry("mask", 0)
    assert entry is not None
    assert entry.generation == 1
    assert entry.made_from == {"trajectories": 1, "repairs": 1, "scores": 0, "values": 0}
    assert entry.rows == run.table("masks").num_rows(0)
    assert set(entry.sha256) == {"masks/part-00000.parquet"}
    manifest = json.loads((root / "run.json").read_text())
    assert manifest["shards"]["mask"]["0"] == entry.model_dump()
    assert not list((root / "journal").glob("*"))


def test_equal_rows_are_the_same_generation_and_reopen_nothing(root: Path) -> None:
    run = Run.open_or_create(root, None)
    with run.lock():
        rejects = run.rejects("sample")
        refused = list(rejects.iter_rows(0)) if rejects.exists(0) else []
        finish_shard(run, "sample", 0, list(run.table("trajectories").iter_rows(0)), refused)
    assert run.generation("trajectories", 0) == 1
    assert run.is_done("repair", 0) and run.is_done("mask", 0)
    assert run.manifest.get_stage("mask").state == "done"


def test_other_rows_reopen_what_was_made_of_them_and_the_old_files_stay(root: Path) -> None:
    run = Run.open_or_create(root, None)
    before = read_files(root, "masks", "repairs")
    with run.lock():
        rows = list(run.table("trajectories").iter_rows(0))
        rows[0]["metadata"] = '{"regraded": true}'
        rejects = run.rejects("sample")
        refused = list(rejects.iter_rows(0)) if rejects.exists(0) else []
        finish_shard(run, "sample", 0, rows, refused)
    assert run.generation("trajectories", 0) == 2
    assert not run.is_done("repair", 0) and not run.is_done("mask", 0)
    assert {run.manifest.get_stage(stage).state for stage in ("repair", "mask")} == {"running"}
    assert read_files(root, "masks", "repairs") == before
    assert audit(run) == [], "a run with shards to do again is sound"
    counts = count_rows(run)["mask"]
    assert counts["pending"] == counts["input"] > 0, "and says that they are to be done"
    refused = CliRunner().invoke(cli, ["export", str(root), "--out", str(root.parent / "out")])
    assert refused.exit_code == 1 and "are older than the answers" in refused.output
    said = CliRunner().invoke(cli, ["validate", str(root)])
    assert said.exit_code == 0 and "mask: 1 shards are to be made anew" in said.output
    again = run_stage(root, "mask")
    assert again.is_done("mask", 0)
    entry = again.entry("mask", 0)
    assert entry is not None and entry.made_from["trajectories"] == 2
    assert read_files(root, "masks", "repairs") == before, "the same masks: nothing of them changed"
    assert again.generation("masks", 0) == 1


def test_a_side_table_is_folded_into_the_masks(root: Path, gauge: GaugeStage) -> None:
    before = read_masks(Run.open_or_create(root, None))
    files = read_files(root, "trajectories", "repairs", "prompts")
    run = run_stage(root, "gauge")
    assert gauge.worked_on == [0]
    assert run.manifest.get_stage("mask").state == "running"
    assert read_masks(run) == before, "the masks are as they were until their stage runs"
    run = run_stage(root, "mask")
    masks = read_masks(run)
    repaired = {key for key, row in before.items() if row["mask_source"] == "repair"}
    assert repaired
    for key, row in masks.items():
        expected = [-0.25] * len(row["repair_ids"]) if key in repaired else None
        weights = row.pop("weights")
        assert (weights is not None) == (key in repaired), "they are made of these logprobs"
        assert {**row, "weights": None} == {**before[key], "repair_logprobs": expected}
    assert read_files(root, "trajectories", "repairs", "prompts") == files
    assert run.manifest.tables[-1] == "gauges"
    assert run.manifest.get_stage("mask").state == "done"
    assert audit(run) == []
    run_stage(root, "gauge", "mask")
    assert gauge.worked_on == [0], "nothing is left to do"


def test_a_new_generation_of_scores_reopens_the_masks(root: Path, gauge: GaugeStage) -> None:
    run_stage(root, "gauge", "mask")
    gauge.logprob = -0.5
    run = Run.open_or_create(root, None)
    with run.lock():
        run_shard(run, "gauge", 0, Tools(make_sample_pipeline(12, 4, 0)))
    assert run.generation("gauges", 0) == 2
    assert not run.is_done("mask", 0)
    masks = read_masks(run_stage(root, "mask"))
    assert {row["repair_logprobs"][0] for row in masks.values() if row["repair_logprobs"]} == {-0.5}


def test_scores_of_repairs_that_changed_are_not_used(root: Path, gauge: GaugeStage) -> None:
    """A side table that is older than what it speaks of says nothing until it is made anew."""
    run_stage(root, "gauge", "mask")
    run = Run.open_or_create(root, None)
    key = next(iter(run.table("repairs").iter_rows()))["trajectory_id"]
    with run.lock():
        take_back(run, "repair", 0, {key})
        kept = list(run.table("repairs").iter_rows(0))
        finish_shard(run, "repair", 0, kept, list(run.rejects("repair").iter_rows(0)))
    assert not run.is_done("gauge", 0) and not run.is_done("mask", 0)
    masks = read_masks(run_stage(root, "mask"))
    assert all(row["repair_logprobs"] is None for row in masks.values())
    masks = read_masks(run_stage(root, "gauge", "mask"))
    assert masks[key]["mask_source"] == "outcome"
    for row in masks.values():
        assert (row["repair_logprobs"] is not None) == (row["mask_source"] == "repair")


def test_what_was_taken_back_is_open_whatever_happens_next(root: Path) -> None:
    """A crash right after it leaves a run that is sound, with that trajectory to do again."""
    run = Run.open_or_create(root, None)
    key = next(iter(run.table("repairs").iter_rows()))["trajectory_id"]
    paid = run.table("repairs").num_rows(0)
    with run.lock():
        take_back(run, "repair", 0, {key})
    again = Run.open_or_create(root, None)
    assert not again.is_done("repair", 0)
    assert again.table("repairs").num_rows(0) == paid - 1
    assert again.manifest.get_stage("repair").state == "running"
    assert audit(again) == []


@pytest.mark.parametrize("table", ["prompts", "trajectories", "repairs", "masks", "rejects"])
def test_a_flipped_bit_is_found_in_every_table(root: Path, table: str) -> None:
    path = next((root / table).glob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert any(
        str(path) in problem and "checksum" in problem
        for problem in audit(Run.open_or_create(root, None))
    )


def test_a_damaged_run_is_not_published(root: Path) -> None:
    path = root / "repairs" / "part-00000.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    arguments = ["publish", str(root), "me/masks", "--license", "mit", "--dry-run"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert "files of the run are damaged" in result.output
    assert str(path) in result.output
