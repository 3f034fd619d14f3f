"""`dfgen repair` with the real `vllm serve`: whole texts, pictures as data URLs."""

from __future__ import annotations

import signal
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")

from dfgen.config.engine import OpenAIConfig
from dfgen.engines.loading import load_engine
from dfgen.tokens.loading import load_tokenizer
from tests.faults.command import call_here, find_in_files
from tests.vllm.asking import ask, collect, list_scenes
from tests.vllm.repair.conftest import (
    KEY,
    RECIPES,
    check_decided,
    make_engine,
    read_attempts,
    read_repairs,
)
from tests.vllm.repair.serving import MAX_LENGTH, REPAIRER, serve_repairer
from tests.vllm.running import count_journal_lines, run_dfgen, start_dfgen, wait_until
from tests.vllm.serving import Served

Repairs = dict[str, Mapping[str, Any]]


def check_same(run: Path, reference: Repairs) -> None:
    """The repairs are those of the transformers engine, text for text."""
    check_decided(run)
    ours = read_repairs(run)
    assert {key: row["repair"] for key, row in ours.items()} == {
        key: row["repair"] for key, row in reference.items()
    }


def test_the_repairs_are_those_of_the_transformers_engine(
    server: Served, reference: Repairs, run: Path, write: Callable[..., Path]
) -> None:
    before = server.count_finished()
    pipeline = write(make_engine(server.url))
    out, err = run_dfgen("repair", pipeline, "--out", run, VLLM_API_KEY=KEY)
    check_same(run, reference)
    attempts = read_attempts(run)
    assert server.count_finished() - before == len(attempts)
    # The server counts the picture's tokens too.
    assert all(attempt["prompt_tokens"] > 16 for attempt in attempts)
    call_here("mask", pipeline, "--out", run, "-q")
    call_here("validate", run)
    assert KEY not in out + err
    assert find_in_files(run, KEY) == []


def test_a_wrong_key_ends_the_run_at_once(
    server: Served, run: Path, write: Callable[..., Path]
) -> None:
    pipeline = write(make_engine(server.url))
    wrong = "vllm-wrong-key-77e2"
    said = call_here("repair", pipeline, "--out", run, code=1, VLLM_API_KEY=wrong)
    assert "HTTP 401" in said and "api_key_env" in said and "same command" in said
    assert wrong not in said
    assert find_in_files(run, wrong) == []


def test_a_model_that_the_server_does_not_have(
    server: Served, run: Path, write: Callable[..., Path]
) -> None:
    pipeline = write(make_engine(server.url, model="another"))
    said = call_here("repair", pipeline, "--out", run, code=1, VLLM_API_KEY=KEY)
    # The check before the start asks the server which models it has: nothing is sent to one.
    assert "serves no model 'another'" in said


def test_prompts_that_are_too_long_are_rejects(
    server: Served, reference: Repairs, run: Path, write: Callable[..., Path]
) -> None:
    lengths = [row["attempts"][0]["prompt_tokens"] for row in reference.values() if row["attempts"]]
    fits = int(statistics.median(lengths))
    padding = " 1" * (MAX_LENGTH - 1 - fits)
    assert len(load_tokenizer(str(REPAIRER), None).encode(padding)) == MAX_LENGTH - 1 - fits
    pipeline = write(
        make_engine(server.url),
        prompt="{question}\nRepair this answer:\n{completion}{images}" + padding,
        decoding={"temperature": 0.0, "max_tokens": 8},
        max_attempts=1,
    )
    run_dfgen("repair", pipeline, "--out", run, "-q", VLLM_API_KEY=KEY)
    reasons = check_decided(run)
    # What fits is answered, and cut off: whether it is a good repair is another test.
    assert set(reasons) == {"prompt_too_long", "not_finished"}
    attempts = read_attempts(run)
    assert sum(a["reason"] == "prompt_too_long" for a in attempts) == sum(
        length > fits for length in lengths
    )


def test_one_of_two_servers_dies_in_the_middle(
    server: Served,
    reference: Repairs,
    run: Path,
    write: Callable[..., Path],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    before = server.count_finished()
    with serve_repairer(folder, api_key=KEY) as other:
        # The first picture takes a server seconds; the other would have finished alone.
        warm_up(other)
        warm = other.count_finished()
        pipeline = write(make_engine(server.url, other.url, concurrency=2))
        process = start_dfgen("repair", pipeline, "--out", run, "-q")

        def count_shared() -> tuple[int, int]:
            return server.count_finished() - before, other.count_finished() - warm

        # Not a number of answers in all: a busy machine may serve the two unequally.
        wait_until(lambda: min(count_shared()) >= 2, process)
        shared = count_shared()
        other.kill()
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    check_same(run, reference)
    # What was in flight at the dead one was sent again, and nothing else.
    attempts = read_attempts(run)
    assert "error" not in {attempt["finish_reason"] for attempt in attempts}
    paid = server.count_finished() - before + shared[1]
    assert paid <= len(attempts) + 2 + 2


def warm_up(server: Served) -> None:
    config = OpenAIConfig(model="repairer", base_url=server.url, api_key_env="VLLM_API_KEY")
    requests = [ask(index, scene) for index, scene in enumerate(list_scenes(2))]
    assert all(result.failure is None for result in collect(load_engine(config), requests).values())


def test_kill_9_in_the_middle_loses_and_repeats_nothing(
    server: Served, reference: Repairs, run: Path, write: Callable[..., Path]
) -> None:
    before = server.count_finished()
    pipeline = write(make_engine(server.url, concurrency=2))
    command = ("repair", pipeline, "--out", run, "-q")
    for more in (4, 4):
        lines = count_journal_lines(run, "repair")
        process = start_dfgen(*command, VLLM_API_KEY=KEY)
        wait_until(lambda least=lines + more: count_journal_lines(run, "repair") > least, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert len(read_attempts(run)) < len(reference)
    run_dfgen(*command, VLLM_API_KEY=KEY)
    check_same(run, reference)
    # Two in flight and one being written down, at each of two kills.
    assert 0 <= server.count_finished() - before - len(read_attempts(run)) <= 2 * 3


def test_the_recipe_for_a_served_model_is_true(server: Served, tmp_path: Path) -> None:
    """As it stands, with another model, another address and the demo's prompts."""
    run = tmp_path / "recipe"
    policy = "{engine: transformers, model: 'demo:policy', dtype: float32, device: cpu}"
    # Two names of one server: both are asked.
    urls = f"[{server.url}, {server.url.replace('127.0.0.1', 'localhost')}]"
    run_dfgen(
        *("run", RECIPES / "repair-vllm-72b.yaml", "--out", run, "--json"),
        "--set=prompts={source: demo, count: 6, seed: 5}",
        f"--set=policy={policy}",
        "--set=sample.num_samples=4",
        "--set=sample.max_tokens=64",
        "--set=repair.engine.model=repairer",
        f"--set=repair.engine.base_url={urls}",
        "--set=repair.decoding.max_tokens=120",
        VLLM_API_KEY=KEY,
    )
    check_decided(run)
    call_here("validate", run)
    attempts = read_attempts(run)
    assert {attempt["finish_reason"] for attempt in attempts} <= {"stop", "length"}
    assert len({attempt["seed"] for attempt in attempts}) == len(attempts)
