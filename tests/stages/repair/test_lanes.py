"""The repair stage in its three lanes: the same repairs, and nothing asked twice between them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.engines.base import Request
from dfgen.errors import DfgenError, EngineError
from dfgen.stages.lanes import iter_records, read_out
from dfgen.stages.repair.requests import Repairer
from dfgen.stages.repair.spending import SpentCount
from dfgen.store.run import Run
from tests.faults.framing import read_student
from tests.faults.server import Sampled, Script, make_pipeline, repair_run, sample_run
from tests.support.batch_server import BatchServer, Fate
from tests.support.loopback import LoopbackServer, Received, Reply, write_completion
from tests.support.paid_attempts import iter_attempts

BATCH = {"poll_s": 0.005, "settle_s": 0.0}


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Sampled:
    """A small run whose sampling is done."""
    root = tmp_path_factory.mktemp("lanes") / "sampled"
    return sample_run(root, make_pipeline("http://127.0.0.1:1/v1"))


@pytest.fixture
def root(sampled: Sampled, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sampled.root, tmp_path / "run"))


def batch_engine(**batch: Any) -> dict[str, Any]:
    return {"lane": "batch", "batch": {**BATCH, **batch}}


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def read_repairs(root: Path) -> list[tuple[str, str, str]]:
    """What was repaired, who and how, without what differs between lanes."""
    run = Run.open_or_create(root, None)
    return [
        (row["trajectory_id"], row["repair"], json.dumps([a["reason"] for a in row["attempts"]]))
        for row in run.table("repairs").iter_rows()
    ]


def refuse_first(received: Received, before: int) -> Reply | None:
    """Two texts in three get a useless answer to the first attempt.

    It is told by its temperature: a client that sends a request again, because a busy machine let
    its connection go, makes no second attempt of it.
    """
    student = read_student(received)
    if received.payload["temperature"] == 0 and len(student) % 3:
        return Reply(write_completion("<corrected>Answer: none</corrected>"))
    return None


def test_batches_make_the_repairs_that_single_requests_make(
    sampled: Sampled, root: Path, tmp_path: Path
) -> None:
    online = Path(shutil.copytree(root, tmp_path / "online"))
    with LoopbackServer(Script(sampled.ideal, refuse_first)) as server:
        repair_run(online, make_pipeline(server.url))
    with BatchServer(Script(sampled.ideal, refuse_first)) as server:
        engine = batch_engine(max_requests=4, in_flight=3)
        run = repair_run(root, make_pipeline(server.url, engine=engine))
    assert read_repairs(root) == read_repairs(online) != []
    attempts = list(iter_attempts(run))
    assert {a["lane"] for a in attempts} == {"batch"}
    assert {a["index"] for a in attempts} == {0, 1}
    # 7 tokens read at $1 and 3 written at $2 a million, at half the price.
    assert [a["cost_usd"] for a in attempts] == pytest.approx([6.5e-6] * len(attempts))
    assert SpentCount().count(run).cost_usd == pytest.approx(sum(a["cost_usd"] for a in attempts))
    assert read_out(run, "repair") == []


def test_tests_of_necessity_go_in_batches_too(sampled: Sampled, root: Path) -> None:
    with BatchServer(Script(sampled.ideal)) as server:
        pipeline = make_pipeline(server.url, engine=batch_engine(), necessity="model")
        run = repair_run(root, pipeline)
        tests = [name for name in server.submitted if "_n" in name]
    assert tests and set(server.submitted.values()) == {1}
    recorded = [a for a in iter_attempts(run) if a["reason"] in ("needed", "unneeded")]
    assert len(recorded) == len(tests)


def test_before_any_answer_a_request_costs_what_is_guessed_of_it(
    sampled: Sampled, root: Path
) -> None:
    price = {"prompt": 1000.0, "completion": 2000.0}
    with BatchServer(Script(sampled.ideal)) as server:
        engine = batch_engine() | {"price": price}
        run = repair_run(root, make_pipeline(server.url, engine=engine, max_cost_usd=1.0))
        first, *rest = [batch.counts["total"] for batch in server.batches.values()]
    # All at once could have cost more than the limit; once it is known what they cost, the rest is
    # let through.
    assert 0 < first < 6 < sum(rest)
    assert SpentCount().count(run).cost_usd <= 1.0


def test_what_is_out_counts_towards_a_limit_and_is_taken(sampled: Sampled, root: Path) -> None:
    with BatchServer(Script(sampled.ideal), lambda number: Fate(hold=number == 0)) as server:
        pipeline = make_pipeline(server.url, engine=batch_engine(), max_requests=3)
        stop_at_first_wait(root, pipeline)
        server.batches["batch_0001"].fate.hold = False
        with pytest.raises(DfgenError, match="limit"):
            repair_run(root, pipeline)
        assert server.submitted.total() == 3
    assert SpentCount().count(Run.open_or_create(root, None)).requests == 3


def test_dollars_of_batches_of_an_earlier_start_count_towards_a_limit(
    sampled: Sampled, root: Path
) -> None:
    """An answer costs $0.0065: 7 tokens read at $1000 and 3 written at $2000 a million, halved."""
    price = {"prompt": 1000.0, "completion": 2000.0}
    with BatchServer(Script(sampled.ideal), lambda number: Fate(hold=number == 0)) as server:
        engine = batch_engine(max_requests=4, in_flight=1) | {"price": price}
        stop_at_first_wait(root, make_pipeline(server.url, engine=engine))
        assert server.submitted.total() == 4
        # $0.026 are out already: nothing more is handed over before it is known what they cost,
        # and then two more, which makes $0.039.
        limited = make_pipeline(server.url, engine=engine, max_cost_usd=0.0391)
        stop_at_first_wait(root, limited)
        assert server.submitted.total() == 4
        server.batches["batch_0001"].fate.hold = False
        engine_of = f"{{engine: openai, model: m, base_url: '{server.url}', lane: batch, price: "
        engine_of += f"{json.dumps(price)}, batch: {json.dumps(BATCH)}}}"
        options = ("--max-cost", "0.0391", "--set", f"repair.engine={engine_of}", "--no-check")
        said = call("repair", root, *options, code=1)
        assert set(server.submitted.values()) == {1}
        assert server.submitted.total() == 6
    assert "repair.max_cost_usd=0.0391" in said
    assert "6 requests, $0.0390 in this run" in said
    spent = SpentCount().count(Run.open_or_create(root, None))
    assert (spent.requests, spent.unknown) == (6, 0)
    assert spent.cost_usd == pytest.approx(0.039)


def test_the_wait_for_batches_is_no_silence(sampled: Sampled, root: Path) -> None:
    with BatchServer(Script(sampled.ideal), lambda _: Fate(polls=3)) as server:
        settings = (f"base_url={server.url}", "batch={poll_s: 0.005, settle_s: 0.0}")
        options = [part for each in settings for part in ("--set", f"repair.engine.{each}")]
        said = call("repair", root, "--lane", "batch", "--no-check", *options)
        count = len(server.submitted)
    assert re.search(
        rf"1 batch out, {count:,} requests, since [\d -]*\d\d:\d\d; Ctrl-C leaves it running", said
    )


def rehearse(root: Path, *options: object) -> dict[str, Any]:
    """The estimate of a dry run."""
    found: dict[str, Any] = json.loads(call("repair", root, "--dry-run", "--json", *options))
    return found["estimate"]


def test_a_dry_run_counts_only_what_is_not_out_in_batches(sampled: Sampled, root: Path) -> None:
    before = rehearse(root)
    assert before["out"] == {}
    whole = before["stages"]["repair"]["requests"]
    with BatchServer(Script(sampled.ideal), lambda _: Fate(hold=True)) as server:
        pipeline = make_pipeline(server.url, engine=batch_engine(max_requests=2, in_flight=2))
        stop_at_first_wait(root, pipeline)
        assert server.submitted.total() == 4
    found = rehearse(root)
    assert {name: found["out"]["repair"][name] for name in ("lane", "files", "requests")} == {
        "lane": "batch",
        "files": 2,
        "requests": 4,
    }
    left = found["stages"]["repair"]["requests"]
    assert left == {name: count - 4 for name, count in whole.items()}
    assert 0 < found["ways"]["batch"] < before["ways"]["batch"]
    said = call("repair", root, "--dry-run")
    assert re.search(
        r"repair: 2 batches out, 4 requests, since [^.]*\. They are asked already", said
    )
    shown = set(server.submitted)
    rows = Run.open_or_create(root, None).table("trajectories").iter_rows()
    handed_over = [row["completion"] for row in rows if f"{row['trajectory_id']}_r0" in shown]
    assert len(handed_over) == 4
    assert not [text for text in handed_over if text in said.partition("rows read")[0]]


def test_a_dry_run_knows_the_tests_of_necessity_that_are_out(sampled: Sampled, root: Path) -> None:
    with BatchServer(Script(sampled.ideal), lambda number: Fate(hold=number > 0)) as server:
        pipeline = make_pipeline(server.url, engine=batch_engine(), necessity="model")
        stop_at_wait(root, pipeline, lambda: len(server.batches) > 1)
        tests = [name for name in server.submitted if "_n" in name]
    found = rehearse(root)
    assert found["out"]["repair"]["requests"] == len(tests) > 0
    assert found["stages"]["necessity"]["requests"]["least"] == 0


def test_a_dry_run_counts_only_what_is_not_out_in_files(root: Path, tmp_path: Path) -> None:
    whole = rehearse(root)["stages"]["repair"]["requests"]["least"]
    lane = ("--lane", "files", "--set", "repair.max_attempts=1", "--no-check")
    call("repair", root, *lane, "--write", tmp_path / "requests")
    found = rehearse(root, "--set", "repair.max_attempts=1")
    assert found["out"]["repair"]["requests"] == whole > 0
    assert found["total"]["requests"] == {"least": 0, "most": 0}
    said = call("repair", root, "--dry-run", "--set", "repair.max_attempts=1")
    assert f"repair: 1 file out, {whole} requests, since" in said
    assert "Nothing is left to ask: the rest was done before." in said


def test_other_lanes_do_not_ask_what_is_out(sampled: Sampled, root: Path) -> None:
    with BatchServer(Script(sampled.ideal), lambda _: Fate(hold=True)) as server:
        pipeline = make_pipeline(server.url, engine=batch_engine())
        stop_at_first_wait(root, pipeline)
        with pytest.raises(EngineError, match=r"out since .* in lane batch"):
            repair_run(root, make_pipeline(server.url))
        said = call("status", root)
        assert "in batch batch_0001 since" in said
        count = len(server.submitted)
        assert f"out: {count:,} requests of repair" in said
        said = call("repair", root, "--lane", "batch", "--dry-run")
    forecast = rehearse(root, "--lane", "online", "--resubmit")
    assert forecast["out"] == {}
    assert forecast["stages"]["repair"]["requests"]["least"] == count
    kept = rehearse(root, "--lane", "batch", "--resubmit")  # the provider knows them
    assert kept["out"]["repair"]["requests"] == count
    assert kept["stages"]["repair"]["requests"]["least"] == 0
    with LoopbackServer(Script(sampled.ideal)) as server:
        address = f"repair.engine.base_url={server.url}"
        said = call(
            "repair", root, "--lane", "online", "--resubmit", "--set", address, "--no-check"
        )
    assert f"{count:,} requests that were out are asked again." in said
    assert read_out(Run.open_or_create(root, None), "repair") == []


def stop_at_first_wait(root: Path, pipeline: Any) -> None:
    """Start repairing, and ask for a stop as soon as everything is handed over."""
    stop_at_wait(root, pipeline, lambda: True)


def stop_at_wait(root: Path, pipeline: Any, is_time: Callable[[], bool]) -> None:
    """Start repairing, and ask for a stop at the first wait for which it is time."""
    from dfgen.engines.openai.batch.carrier import Carrier, CutError
    from dfgen.runners.local import run_stages
    from dfgen.stages.session import Session

    run = Run.open_or_create(root, pipeline)
    session = Session(run, pipeline)

    def wait(self: Carrier, seconds: float) -> None:
        if is_time():
            session.stop.requested = True
            raise CutError

    with pytest.MonkeyPatch.context() as patch, run.lock():
        patch.setattr(Carrier, "wait", wait)
        assert not run_stages(session, ("repair",))


def answer_files(folder: Path, script: Script, target: Path, *, part: slice = slice(None)) -> None:
    """Do as `vllm run-batch` does, in another order."""
    target.mkdir(exist_ok=True)
    for path in sorted(folder.glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()][part]
        answers = []
        for row in reversed(rows):
            reply = script(Received(0, row["url"], {}, row["body"]))
            response = {"status_code": reply.status, "request_id": "r", "body": reply.body}
            answers.append({"custom_id": row["custom_id"], "response": response, "error": None})
        (target / path.name).write_text("".join(json.dumps(each) + "\n" for each in answers))


def test_files_are_answered_elsewhere_in_parts_and_twice(
    sampled: Sampled, root: Path, tmp_path: Path
) -> None:
    online = Path(shutil.copytree(root, tmp_path / "online"))
    with LoopbackServer(Script(sampled.ideal, refuse_first)) as server:
        repair_run(online, make_pipeline(server.url))
    repair_run_settings = ("--lane", "files", "--set", "repair.engine.batch.max_requests=5")
    pipeline = tmp_path / "pipeline.yaml"
    pipeline.write_text(
        yaml.safe_dump(make_pipeline("http://127.0.0.1:1/v1").model_dump(mode="json"))
    )
    script = Script(sampled.ideal, refuse_first)
    start = ("repair", pipeline, "--out", root, *repair_run_settings, "--no-check")
    said = call(*start, "--write", tmp_path / "first")
    assert "requests to answer" in said and "wait for the repairer's answers" in said
    assert f"dfgen repair {root} --lane files --read FOLDER" in said and "connecting" not in said
    written = sorted((tmp_path / "first").glob("*.jsonl"))
    assert len(written) > 1
    assert "out: 5 requests of repair in a file for somebody else since" in call("status", root)
    assert "waits for answers of repair" in call("status", root)
    call(*start, "--write", tmp_path / "first", code=1)
    answers = tmp_path / "answers"
    answer_files(tmp_path / "first", script, answers, part=slice(2))
    (answers / "torn.jsonl").write_text("\nno result\n")
    said = call(*start, "--read", answers)
    assert f"1 line is no result, such as {answers / 'torn.jsonl'}:2." in said
    assert "--write FOLDER" in said
    half = SpentCount().count(Run.open_or_create(root, None)).requests
    assert half == 2 * (len(written) - 1) + min(2, len(written[-1].read_text().splitlines()))
    answer_files(tmp_path / "first", script, answers)
    call(*start, "--read", answers, "--read", answers, "--write", tmp_path / "second")
    # Attempts that are told what failed are in the second folder.
    answer_files(tmp_path / "second", script, tmp_path / "more")
    said = call(*start, "--read", tmp_path / "more", "--read", answers)
    assert "wait for the repairer" not in said
    assert read_repairs(root) == read_repairs(online)
    run = Run.open_or_create(root, None)
    assert {a["lane"] for a in iter_attempts(run)} == {"files"}
    assert read_out(run, "repair") == []
    assert any(record["event"] == "answered" for record in iter_records(run, "repair"))


def test_files_that_are_none_are_named(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    settings = ("--set", "repair.engine.lane=files", "--no-check")
    assert "no file of results" in call(
        "repair", root, *settings, "--read", tmp_path / "empty", code=1
    )
    assert "--write requests/" in call("repair", root, *settings, code=1)


def test_every_request_has_a_name_of_its_own_that_providers_take(
    sampled: Sampled, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []
    make = Repairer.make_request

    def watch(self: Repairer, task: Any) -> Request:
        asked.append(make(self, task))
        return asked[-1]

    monkeypatch.setattr(Repairer, "make_request", watch)
    with LoopbackServer(Script(sampled.ideal, refuse_first)) as server:
        repair_run(
            root,
            make_pipeline(server.url, necessity="model", controls=1.0, candidates=2),
        )
    names = [request.key for request in asked]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names)
    assert {re.sub(r".*_([rcn]).*", r"\1", name) for name in names} == set("rcn")


def test_what_is_out_is_no_answer_to_another_question(sampled: Sampled, root: Path) -> None:
    with BatchServer(Script(sampled.ideal), lambda number: Fate(hold=number == 0)) as server:
        pipeline = make_pipeline(server.url, engine=batch_engine())
        stop_at_first_wait(root, pipeline)
        count = len(server.submitted)
        server.batches["batch_0001"].fate.hold = False
        other = ("repair", root, "--no-check", "--set", "repair.engine.model=another")
        assert "another" in call(*other, code=1)
        assert f"{count:,} requests that are out" in call(*other, "--redo", "repair", code=1)
        said = call(*other, "--redo", "repair", "--yes")
        assert "whose answers nobody will take" in said
        assert set(server.submitted.values()) == {2}
        assert {row["body"]["model"] for row in server.lines[count:]} == {"another"}
    run = Run.open_or_create(root, None)
    assert {attempt["model"] for attempt in iter_attempts(run)} == {"another"}
    spent = SpentCount().count(run)
    # What the first ones cost nobody knows.
    assert (spent.requests, spent.unknown) == (2 * count, count)
    costs = json.loads(call("stats", root, "--cost", "--json"))
    assert costs["by_reason"]["given up"]["unknown"] == count


def test_a_run_that_is_killed_in_its_second_round_pays_no_answer_twice(
    sampled: Sampled, root: Path, tmp_path: Path
) -> None:
    online = Path(shutil.copytree(root, tmp_path / "online"))
    with LoopbackServer(Script(sampled.ideal, refuse_first)) as server:
        repair_run(online, make_pipeline(server.url))
    script = Script(sampled.ideal, refuse_first)
    with BatchServer(script, lambda number: Fate(hold=number > 0)) as batches:
        pipeline = make_pipeline(batches.url, engine=batch_engine())
        stop_at_wait(root, pipeline, lambda: len(batches.batches) > 1)
        for batch in batches.batches.values():
            batch.fate.hold = False
        run = repair_run(root, pipeline)
        assert set(batches.submitted.values()) == {1}
        assert len(batches.batches) == 2
    assert read_repairs(root) == read_repairs(online)
    assert len(list(iter_attempts(run))) == script.paid.total()
    assert not [record for record in iter_records(run, "repair") if record["event"] == "stray"]
