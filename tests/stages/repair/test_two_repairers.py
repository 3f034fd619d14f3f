"""A cheap repairer first, an expensive one for what it fails at; who repaired what is on record."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dfgen.config.load import change_pipeline
from dfgen.config.pipeline import Pipeline
from dfgen.config.repair import RepairConfig
from dfgen.records import Attempt
from dfgen.report.costs import measure_costs
from dfgen.stages.repair.plan import plan_attempts
from dfgen.stages.repair.spending import SpentCount
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.faults.framing import is_probe, read_student
from tests.faults.server import Sampled, Script, make_pipeline, repair_run, sample_run
from tests.stages.repair.test_lanes import stop_at_wait
from tests.support.batch_server import BatchServer, Fate
from tests.support.loopback import LoopbackServer, Received, Reply, write_completion, write_error

CHEAP, DEAR = {"prompt": 0.1, "completion": 0.2}, {"prompt": 1.0, "completion": 2.0}
BATCH = {"poll_s": 0.005, "settle_s": 0.0}


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Sampled:
    root = tmp_path_factory.mktemp("two") / "sampled"
    return sample_run(root, make_pipeline("http://127.0.0.1:1/v1"))


@pytest.fixture
def root(sampled: Sampled, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sampled.root, tmp_path / "run"))


def make_two(cheap: str, dear: str, lane: str = "online", **repair: Any) -> Pipeline:
    """Two repairers, the expensive one named first."""
    tree = make_pipeline("http://127.0.0.1:1/v1", **repair).model_dump(mode="json")
    del tree["repair"]["engine"]
    both = {"engine": "openai", "lane": lane, "batch": BATCH, "concurrency": 4, "max_retries": 1}
    tree["repair"]["engines"] = [
        {**both, "model": "dear", "base_url": dear, "price": DEAR},
        {**both, "model": "cheap", "base_url": cheap, "price": CHEAP},
    ]
    return Pipeline.model_validate(tree)


def fail_for_some(received: Received, before: int) -> Reply | None:
    """The cheap one is of no use for two texts in three; one kind it does not even take."""
    kind = len(read_student(received)) % 3
    if kind == 1:
        return Reply(write_completion("<corrected>Answer: none</corrected>"))
    return Reply(write_error("maximum context length"), 400) if kind == 2 else None


@pytest.mark.parametrize("lane", ["online", "batch"])
def test_the_expensive_one_is_asked_where_the_cheap_one_fails(
    sampled: Sampled, root: Path, lane: str
) -> None:
    serve = LoopbackServer if lane == "online" else BatchServer
    cheap, dear = Script(sampled.ideal, fail_for_some), Script(sampled.ideal)
    with serve(cheap) as first, serve(dear) as second:
        run = repair_run(root, make_two(first.url, second.url, lane))
    assert audit(run) == []
    kinds = Counter[int]()
    for row in run.table("repairs").iter_rows():
        attempts = row["attempts"]
        if not attempts:  # the copy of another one's
            continue
        models = [attempt["model"] for attempt in attempts]
        last = attempts[-1]
        assert last["accepted"] and row["model"] == last["model"]
        kinds[len(attempts)] += 1
        if len(attempts) == 1:
            assert models == ["cheap"]
        elif len(attempts) == 2:  # what it does not take it is not asked again
            assert (models, last["index"]) == (["cheap", "dear"], 2)
        else:
            assert models == ["cheap", "cheap", "dear"]
    assert set(kinds) == {1, 2, 3}
    asked = sum(count for count in dear.asked.values())
    assert asked == kinds[2] + kinds[3] == len(dear.asked)
    costs = measure_costs(run)
    assert costs["by_model"]["dear"]["requests"] == costs["by_model"]["dear"]["accepted"] == asked
    assert costs["by_model"]["cheap"]["accepted"] == kinds[1]
    factor = 0.5 if lane == "batch" else 1.0
    assert costs["by_model"]["dear"]["cost_usd"] == pytest.approx(13e-6 * asked * factor)
    spent = SpentCount().count(run)
    assert spent.cost_usd == pytest.approx(costs["total"]["cost_usd"])
    # A request that was refused without an answer costs nobody knows what.
    assert spent.unknown == costs["total"]["unknown"] == kinds[2]


def test_each_repairer_begins_greedily(sampled: Sampled, root: Path) -> None:
    cheap, dear = Script(sampled.ideal, fail_for_some), Script(sampled.ideal)
    with LoopbackServer(cheap) as first, LoopbackServer(dear) as second:
        repair_run(root, make_two(first.url, second.url))
        assert {request.payload["temperature"] for request in second.received} == {0.0}
        assert {request.payload["model"] for request in second.received} == {"dear"}
        assert {request.payload["temperature"] for request in first.received} == {0.0, 0.7}


def test_a_run_goes_on_from_what_it_has_recorded(sampled: Sampled, root: Path) -> None:
    cheap, dear = Script(sampled.ideal, fail_for_some), Script(sampled.ideal)
    with LoopbackServer(cheap) as first, LoopbackServer(dear) as second:
        pipeline = make_two(first.url, second.url)
        Run.open_or_create(root, pipeline)
        run = repair_run(root, pipeline)
        again = Pipeline.model_validate(run.read_pipeline().model_dump(mode="json"))
        assert [engine.model for engine in again.repair.repairers] == ["cheap", "dear"]
        count = first.count + second.count
        repair_run(root, again)
        assert first.count + second.count == count


def make_attempt(index: int, reason: str) -> Attempt:
    return Attempt(
        index=index,
        accepted=reason == "accepted",
        reason=reason,
        detail="",
        text="",
        finish_reason="stop",
        prompt_tokens=1,
        completion_tokens=1,
        cost_usd=0.0,
        seed=0,
    )


def test_turns_follow_each_other_and_end() -> None:
    engines = [{"engine": "openai", "model": name} for name in "abc"]
    config = RepairConfig.model_validate({"engines": engines, "max_attempts": 2, "candidates": 2})
    attempts: list[Attempt] = []
    asked = []
    while indices := plan_attempts(attempts, config):
        asked.append(indices)
        attempts += [make_attempt(index, "empty") for index in indices]
    assert asked == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11)]
    hopeless = [make_attempt(index, "prompt_too_long") for index in (0, 1)]
    assert plan_attempts(hopeless, config) == (4, 5)
    hopeless += [make_attempt(index, "content_filter") for index in (4, 5, 8, 9)]
    assert plan_attempts(hopeless, config) == ()


def test_engine_and_engines_exclude_each_other() -> None:
    one, other = ({"engine": "openai", "model": name} for name in "ab")
    with pytest.raises(ValidationError, match="exclude each other"):
        RepairConfig.model_validate({"engine": one, "engines": [other]})
    config = RepairConfig.model_validate({"engine": one})
    assert config.repairers == (config.engine,)
    assert RepairConfig().repairers == ()


def test_the_lane_is_that_of_all_repairers(sampled: Sampled, root: Path) -> None:
    cheap, dear = Script(sampled.ideal, fail_for_some), Script(sampled.ideal)
    with BatchServer(cheap) as first, BatchServer(dear) as second:
        pipeline = make_two(first.url, second.url)
        run = Run.open_or_create(root, pipeline)
        given = ["repair.engine.lane=batch"]
        recorded = pipeline.model_dump(mode="json")
        assert [
            engine.lane for engine in change_pipeline(recorded, given, "run.json").repair.repairers
        ] == ["batch", "batch"]
        repair_run(root, change_pipeline(recorded, given, "run.json"))
        assert first.batches and second.batches
    assert audit(run) == []


def test_a_test_that_is_out_with_one_repairer_is_not_asked_of_another(
    sampled: Sampled, root: Path
) -> None:
    """Tests of necessity are made in any round; a start begins with the first repairer's."""
    ideal = Script(sampled.ideal)

    def refuse(received: Received) -> Reply:
        if is_probe(received) or read_student(received) in sampled.ideal:
            return Reply(write_completion("<corrected>Answer: none</corrected>"))
        return ideal(received)

    with BatchServer(refuse) as first, BatchServer(ideal, hold_tests) as second:
        pipeline = make_two(first.url, second.url, "batch", necessity="model")
        stop_at_wait(root, pipeline, lambda: any("_n" in name for name in second.submitted))
        for batch in second.batches.values():
            batch.fate.hold = False
        run = repair_run(root, pipeline)
        tests = [name for name in second.submitted if "_n" in name]
        assert tests and not [name for name in first.submitted if "_n" in name]
        assert set(second.submitted.values()) == {1}
    assert audit(run) == []


def hold_tests(number: int) -> Fate:
    """The dear one's second batch and later ones hold tests."""
    return Fate(hold=number > 0)
