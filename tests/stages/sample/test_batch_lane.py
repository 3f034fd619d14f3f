"""A policy behind a server that is sampled in batches, from the command line to the checked run."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.config.pipeline import Pipeline
from dfgen.engines.openai.batch.carrier import Carrier, CutError
from dfgen.errors import ConfigError
from dfgen.runners.local import run_stages
from dfgen.stages.lanes import iter_records, read_out
from dfgen.stages.session import Session
from dfgen.stages.value.stage import ValueStage
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.support.batch_server import BatchServer, Fate
from tests.support.loopback import LoopbackServer, Received, Reply, write_completion

PROMPTS, SAMPLES = 12, 6
BATCH = {"poll_s": 0.005, "settle_s": 0.0, "max_requests": 5, "in_flight": 2}


def answer(received: Received) -> Reply:
    """Right for some seeds: groups of every kind."""
    kind = zlib.crc32(json.dumps([received.text, received.payload["seed"]]).encode()) % 2 + 1
    return Reply(write_completion(f"Step 1: counting gives {kind}.\nAnswer: {kind}"))


def make_pipeline(url: str, lane: str = "batch", **sample: Any) -> Pipeline:
    policy = {
        "engine": "openai",
        "model": "m",
        "base_url": url,
        "lane": lane,
        "batch": BATCH,
        "retokenize": True,
        "return_token_ids": False,
        "tokenizer": "demo:policy",
    }
    return Pipeline.model_validate(
        {
            "prompts": {"source": "demo", "count": PROMPTS, "seed": 3, "shard_size": 3},
            "policy": policy,
            "sample": {"num_samples": SAMPLES, "max_tokens": 32, **sample},
        }
    )


def sample(root: Path, pipeline: Pipeline, *, is_time: Any = lambda: False) -> Run:
    """Read the prompts and sample them; a stop is asked for at the first wait when it is time."""
    run = Run.open_or_create(root, pipeline)
    session = Session(run, pipeline)
    wait = Carrier.wait

    def stop(self: Carrier, seconds: float) -> None:
        if is_time():
            session.stop.requested = True
            raise CutError
        wait(self, seconds)

    with pytest.MonkeyPatch.context() as patch, run.lock():
        patch.setattr(Carrier, "wait", stop)
        run_stages(session, ("prompts", "sample"))
    return run


def read_rows(run: Run) -> dict[str, tuple[str, list[int]]]:
    return {
        row["trajectory_id"]: (row["completion"], row["completion_ids"])
        for row in run.table("trajectories").iter_rows()
    }


def test_the_command_samples_in_batches_what_it_samples_online(tmp_path: Path) -> None:
    with BatchServer(answer) as server:
        file = tmp_path / "my.yaml"
        file.write_text(yaml.safe_dump(make_pipeline(server.url).model_dump(mode="json")))
        command = ["sample", str(file), "--out", str(tmp_path / "run"), "--no-check"]
        result = CliRunner().invoke(cli, command)
        assert result.exit_code == 0, result.output
        assert server.submitted.total() == len(server.submitted) == PROMPTS * SAMPLES
        assert len(server.batches) > PROMPTS * SAMPLES // BATCH["max_requests"]
        assert sum(server.pictures.values()) == PROMPTS * SAMPLES
    result = CliRunner().invoke(cli, ["validate", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    with LoopbackServer(answer) as online:
        other = sample(tmp_path / "online", make_pipeline(online.url, "online"))
    assert read_rows(Run.open_or_create(tmp_path / "run", None)) == read_rows(other)


@pytest.mark.parametrize("batches", [1, 4, 6, 7])
def test_a_stop_while_groups_are_decided_asks_no_cell_twice(tmp_path: Path, batches: int) -> None:
    """With `stop_early_after` a start begins with the first halves again, second ones being out."""
    with LoopbackServer(answer) as online:
        other = sample(tmp_path / "online", make_pipeline(online.url, "online", stop_early_after=2))
    with BatchServer(answer, lambda number: Fate(hold=number >= batches)) as server:
        pipeline = make_pipeline(server.url, stop_early_after=2)
        root = tmp_path / "run"
        run = sample(root, pipeline, is_time=lambda: len(server.batches) > batches)
        assert read_out(run, "sample")
        for batch in server.batches.values():
            batch.fate.hold = False
        server.plan = lambda _: Fate()
        run = sample(root, pipeline)
        assert audit(run) == []
        assert set(server.submitted.values()) == {1}
    assert read_rows(run) == read_rows(other)
    events = Counter(record["event"] for record in iter_records(run, "sample"))
    assert events["stray"] == 0
    assert read_out(run, "sample") == []


def test_a_dry_run_counts_only_the_cells_that_are_not_out(tmp_path: Path) -> None:
    root = tmp_path / "run"
    with BatchServer(answer, lambda number: Fate(hold=number > 0)) as server:
        run = sample(root, make_pipeline(server.url), is_time=lambda: len(server.batches) > 2)
        out = sum(len(file.cells) for file in read_out(run, "sample"))
        assert out == 2 * BATCH["max_requests"]
    drawn = server.submitted.total() - out
    result = CliRunner().invoke(cli, ["sample", str(root), "--dry-run", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["estimate"]
    assert found["out"]["sample"]["requests"] == out
    left = PROMPTS * SAMPLES - drawn - out
    assert found["stages"]["sample"]["requests"] == {"least": left, "most": left}


def test_truncated_answers_of_batches_are_drawn_again_online(tmp_path: Path) -> None:
    """The refusal names a way, and the way leads there; what is written is as if all was online."""
    cut_off = 0

    def cut(received: Received) -> Reply:
        nonlocal cut_off
        if received.payload["max_tokens"] <= 32 and received.payload["seed"] % 3 == 0:
            cut_off += 1
            return Reply(write_completion("Step 1: counting", finish_reason="length"))
        return answer(received)

    root = tmp_path / "run"
    with BatchServer(cut) as server:
        sample(root, make_pipeline(server.url))
    command = ["sample", str(root), "--no-check", "--retry", "length", "--retry-max-tokens", "64"]
    refused = CliRunner().invoke(cli, command)
    assert refused.exit_code == 1
    assert "cannot wait for answers in lane batch" in refused.output
    way = "--set policy.lane=online"
    assert way in refused.output
    with LoopbackServer(cut) as online:
        command += [*way.split(), "--set", f"policy.base_url={online.url}"]
        result = CliRunner().invoke(cli, command)
        assert result.exit_code == 0, result.output
        assert online.count == cut_off > 0
    run = Run.open_or_create(root, None)
    # Drawing on from prefixes is refused in the same words.
    session = Session(run, run.read_pipeline(["policy.lane=batch"]))
    with pytest.raises(ConfigError) as refusal, ValueStage().open_tools(session):
        pass
    assert way in str(refusal.value)
    assert audit(run) == []
    finished = Counter(row["finish_reason"] for row in run.table("trajectories").iter_rows())
    assert finished == {"stop": PROMPTS * SAMPLES}
