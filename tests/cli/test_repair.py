"""`dfgen run` and `dfgen repair` on a sampled run: limits, `--dry-run`, the table at the end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.stages.repair.spending import SpentCount
from dfgen.stages.session import Session
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.faults.server import Script, list_reversals, make_pipeline, sample_run
from tests.support.loopback import LoopbackServer

NOWHERE = "http://127.0.0.1:1/v1"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    root = tmp_path_factory.mktemp("repair") / "sampled"
    pipeline = make_pipeline(NOWHERE)
    ideal = sample_run(root, pipeline).ideal
    session = Session(Run.open_or_create(root, None), pipeline)
    return root, list_reversals(ideal, session) | ideal


def prepare(ready: Any, folder: Path, url: str, **settings: Any) -> tuple[str, ...]:
    """A copy of the sampled run and its pipeline file, as arguments."""
    shutil.copytree(ready[0], folder / "run")
    file = folder / "pipeline.yaml"
    file.write_text(yaml.safe_dump(make_pipeline(url, **settings).model_dump(mode="json")))
    return str(file), "--out", str(folder / "run")


def invoke(command: str, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [command, *arguments])
    assert result.exit_code == code, result.output
    return result.output if code else result.stdout


@pytest.mark.parametrize("command", ["run", "repair"])
@pytest.mark.parametrize("limit", [("--max-requests", "5"), ("--max-cost", "0.00007")])
def test_a_limit_given_as_a_flag_stops_and_a_higher_one_goes_on(
    command: str, limit: tuple[str, str], ready: Any, tmp_path: Path
) -> None:
    script = Script(ready[1])
    with LoopbackServer(script) as server:
        arguments = prepare(ready, tmp_path, server.url)
        text = invoke(command, *arguments, "-q", *limit, code=1)
        assert "limit" in text and "same command" in text
        # 13 millionths of a dollar each; what was in flight is finished.
        assert 4 <= sum(script.paid.values()) <= 5 + 3 * (limit[0] == "--max-cost")
        invoke(command, *arguments, "-q", "--max-requests", "1000", "--max-cost", "1")
    run = Run.open_or_create(tmp_path / "run", None)
    assert audit(run) == []
    assert SpentCount().count(run).requests == sum(script.paid.values())


def test_limits_are_documented_where_they_work() -> None:
    for command in ("run", "repair"):
        text = invoke(command, "--help")
        assert "--max-cost" in text and "--max-requests" in text
    assert "--max-cost" not in invoke("mask", "--help")


@pytest.mark.parametrize("command", ["run", "repair"])
def test_a_dry_run_counts_the_rows_there_are(command: str, ready: Any, tmp_path: Path) -> None:
    arguments = prepare(ready, tmp_path, NOWHERE, necessity="model", necessity_tests=3)
    told = json.loads(invoke(command, *arguments, "--dry-run", "--json"))
    stages = told["estimate"]["stages"]
    assert list(stages) == ["repair", "necessity"]
    repairs = stages["repair"]["requests"]["least"]
    assert repairs > 0
    assert stages["repair"]["requests"]["most"] == 2 * repairs
    assert stages["necessity"]["requests"] == {"least": 0, "most": 3 * repairs}
    tokens, pictures = (stages["repair"][name] for name in ("prompt_tokens", "image_tokens"))
    assert tokens["least"] > pictures["least"] > 0
    assert 0 < stages["repair"]["usd"]["least"] < stages["repair"]["usd"]["most"]
    total = told["estimate"]["total"]["usd"]
    assert total["most"] > stages["repair"]["usd"]["most"]
    # What is repaired first is shown as it would be sent.
    assert told["repair_prompts"][0]["templated"] is False
    assert "<picture 1>" in told["repair_prompts"][0]["text"]


def test_the_last_table_tells_what_was_paid_for(ready: Any, tmp_path: Path) -> None:
    with LoopbackServer(Script(ready[1], protocol="hunks")) as server:
        settings = {"necessity": "model", "controls": 1.0, "protocol": "hunks"}
        text = invoke("repair", *prepare(ready, tmp_path, server.url, **settings))
    lines = " ".join(text.split())
    for words in (
        *("accepted", "attempts", "median edit ratio", "cost per accepted"),
        *("tokens saved by hunks", "tokens saved share"),
        *("necessity", "needed by grader", "needed by model", "unneeded by model", "undecided"),
        *("controls", "false edit rate"),
    ):
        assert words in lines, words
