"""Requests of one prompt follow each other and begin alike, so that a server's cache is of use."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dfgen.check.forecast import price_ways
from dfgen.cli.main import cli
from dfgen.config.engine import OpenAIConfig, Price, TransformersConfig
from dfgen.config.repair import RepairConfig
from dfgen.engines.base import ImageData
from dfgen.records import Trajectory
from dfgen.stages.ingest import read_shard
from dfgen.stages.prompting import build_messages
from dfgen.stages.repair.estimate import Estimate, Load
from dfgen.stages.repair.prompt import fill_fields, load_template
from dfgen.stages.session import Session
from dfgen.store.run import Run
from tests.faults.framing import read_student
from tests.faults.server import Sampled, Script, make_pipeline, repair_run, sample_run
from tests.support.batch_server import BatchServer
from tests.support.loopback import LoopbackServer, Received

PROTOCOLS = [
    {"protocol": "rewrite"},
    {"protocol": "rewrite", "prefix_lock": True},
    {"protocol": "hunks"},
]


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Sampled:
    root = tmp_path_factory.mktemp("order") / "sampled"
    return sample_run(root, make_pipeline("http://127.0.0.1:1/v1"))


@pytest.mark.parametrize("answer", ["given", "blind"])
@pytest.mark.parametrize("settings", PROTOCOLS, ids=["rewrite", "locked", "hunks"])
def test_picture_question_and_reference_come_before_the_wrong_answer(
    sampled: Sampled, settings: dict[str, Any], answer: Any
) -> None:
    config = RepairConfig(answer=answer, **settings)
    run = Run.open_or_create(sampled.root, None)
    session = Session(run, make_pipeline("http://127.0.0.1:1/v1"))
    prompt = next(iter(read_shard(session, 0)))
    texts = []
    for completion in ("Step 1: there are 4.\nAnswer: 4", "Nothing alike. Answer: 7"):
        trajectory = Trajectory.model_construct(completion=completion)
        fields = fill_fields(trajectory, prompt, (), config)
        (message,) = build_messages(prompt, load_template(config), None, fields)
        assert isinstance(message.content[0], ImageData)
        assert all(isinstance(part, str) for part in message.content[len(prompt.images) :])
        texts.append("".join(part for part in message.content if isinstance(part, str)))
    alike = "".join(
        one
        for one, other in itertools.takewhile(
            lambda pair: pair[0] == pair[1], zip(*texts, strict=False)
        )
    )
    assert prompt.question in alike
    assert (prompt.answer in alike.partition("Reference answer:")[2]) == (answer == "given")
    # All that differs stands behind it: the mark, the answer, what was refused.
    assert len(alike) > 0.75 * len(texts[0].partition("Step 1: there are 4.")[0])


def list_prompts(sampled: Sampled, texts: list[str]) -> list[set[str]]:
    """The prompts that each text may be an answer to."""
    owners: dict[str, set[str]] = {}
    for row in Run.open_or_create(sampled.root, None).table("trajectories").iter_rows():
        owners.setdefault(row["completion"], set()).add(row["prompt_id"])
    return [owners[text] for text in texts]


def count_runs(prompts: list[set[str]]) -> Counter[str]:
    """How often each prompt's requests begin anew in an order of requests."""
    runs: Counter[str] = Counter()
    here: set[str] = set()
    for owners in prompts:
        if not owners & here:
            here = owners
            runs.update([min(owners)])
    return runs


@pytest.mark.parametrize("lane", ["online", "batch"])
def test_requests_of_one_prompt_follow_each_other(
    sampled: Sampled, tmp_path: Path, lane: str
) -> None:
    root = Path(shutil.copytree(sampled.root, tmp_path / "run"))
    script = Script(sampled.ideal)
    if lane == "online":
        with LoopbackServer(script) as server:
            repair_run(root, make_pipeline(server.url, engine={"concurrency": 1}))
            asked = [read_student(received) for received in server.received]
    else:
        with BatchServer(script) as batches:
            engine = {"lane": "batch", "batch": {"poll_s": 0.005, "settle_s": 0.0}}
            repair_run(root, make_pipeline(batches.url, engine=engine))
            bodies = [row["body"] for row in batches.lines]
        asked = [read_student(Received(0, "", {}, body)) for body in bodies]
    assert len(asked) > 8
    assert set(count_runs(list_prompts(sampled, asked)).values()) == {1}


def test_three_ways_are_priced() -> None:
    """2,000 shared and 500 own tokens read, 150 written at 5 times the price, 4 to a prompt."""
    found = Estimate()
    found.next_repairs.add(4, read=2500, pictures=0, written=150)
    found.next_repairs.shared_tokens = 3 * 2000
    price = Price(prompt=1e6, completion=5e6, cached=0.1e6)
    ways = price_ways((found.next_repairs, found.next_tests), OpenAIConfig(model="m", price=price))
    assert ways == pytest.approx({"plain": 4 * 3250, "cache_order": 4 * 1900, "batch": 4 * 1625})
    assert price_ways((found.next_repairs, found.next_tests), OpenAIConfig(model="m")) is None
    assert price_ways((found.next_repairs, found.next_tests), TransformersConfig(model="m")) is None
    assert price_ways((Load(),), OpenAIConfig(model="m", price=price)) is None


@pytest.mark.parametrize(
    ("price", "cheapest"),
    [
        ({"batch_factor": 0.5, "cached": 0.1}, "batch"),
        ({"batch_factor": 1.0, "cached": 0.1, "cached_from": 0}, "cache_order"),
        ({"batch_factor": 1.0, "cached": 0.1, "cached_from": 10**6}, "plain"),
    ],
)
def test_a_dry_run_names_the_cheapest(
    sampled: Sampled, tmp_path: Path, price: dict[str, float], cheapest: str
) -> None:
    root = Path(shutil.copytree(sampled.root, tmp_path / "run"))
    prices = {"prompt": 1.0, "completion": 2.0, **price}
    settings = [f"--set=repair.engine.price.{name}={value}" for name, value in prices.items()]
    arguments = ["repair", str(root), "--dry-run", "--no-check", *settings]
    found = CliRunner().invoke(cli, [*arguments, "--json"])
    assert found.exit_code == 0, found.output
    estimate = json.loads(found.output)["estimate"]
    assert estimate["cheapest"] == cheapest
    assert estimate["ways"]["batch"] == pytest.approx(
        estimate["ways"]["plain"] * price["batch_factor"], abs=2e-6
    )
    shown = CliRunner().invoke(cli, arguments).output
    assert f"The cheapest is {cheapest.replace('_', ' ')} (--lane" in shown
