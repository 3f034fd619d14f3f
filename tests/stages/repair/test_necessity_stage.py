"""`necessity: model` over a run: every answer the repairer can give, limits, growth of the bill."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dfgen.config.mask import MaskConfig
from dfgen.demo import locate_model
from dfgen.diff.pair import diff_pair
from dfgen.diff.spans import Span
from dfgen.errors import DfgenError
from dfgen.report.stats import measure_repairs
from dfgen.runners.local import run_stages
from dfgen.stages.repair.estimate import estimate_repairs
from dfgen.stages.repair.necessity import take_back
from dfgen.stages.repair.remaining import iter_undecided
from dfgen.stages.repair.spending import SpentCount
from dfgen.stages.session import Session
from dfgen.store.run import Run
from dfgen.tokens.loading import load_tokenizer
from dfgen.validate.audit import audit
from tests.faults.framing import read_student
from tests.faults.server import Script, list_reversals, make_pipeline, repair_run, sample_run
from tests.support.loopback import LoopbackServer, Received, Reply, write_completion
from tests.support.waiting import wait_until

ANSWERS = ("again", "leave", "garbage", "cut", "refuse")
SETTLED = {
    "again": ("needed", "model", True, 1.0),
    "leave": ("unneeded", "model", False, 0.25),
    "garbage": ("unreadable", "grader", False, 0.25),
    "cut": ("not_finished", "grader", False, 0.25),
    "refuse": ("refused", "grader", False, 0.25),
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A sampled run to copy, its ideal repairs, and those of repairs with a hunk taken back."""
    root = tmp_path_factory.mktemp("necessity") / "sampled"
    pipeline = make_pipeline("http://127.0.0.1:1/v1")
    ideal = sample_run(root, pipeline).ideal
    return root, ideal, list_reversals(ideal, Session(Run.open_or_create(root, None), pipeline))


@pytest.fixture
def fresh(ready: Any, tmp_path: Path) -> Any:
    root, ideal, reversals = ready
    shutil.copytree(root, tmp_path / "run")
    return tmp_path / "run", ideal, reversals


def pick_answer(text: str) -> str:
    return ANSWERS[sum(text.encode()) % len(ANSWERS)]


def make_script(ideal: dict[str, str], reversals: dict[str, str]) -> Script:
    """Repairs what is wrong, and treats tests as `pick_answer` says."""

    def answer(received: Received, before: int) -> Reply | None:
        student = read_student(received)
        if student in ideal:
            return None
        return {
            "again": None,
            "leave": Reply(write_completion(f"<corrected>{student}</corrected>")),
            "garbage": Reply(write_completion("<corrected>it is")),
            "cut": Reply(write_completion("<corrected>it", finish_reason="length")),
            "refuse": Reply(write_completion("", message={"content": None, "refusal": "No."})),
        }[pick_answer(student)]

    return Script(reversals | ideal, answer)


def make_model(url: str, **settings: Any) -> Any:
    return make_pipeline(url, necessity="model", unneeded_weight=0.25, **settings)


def test_every_kind_of_answer_is_on_record_and_weighs_what_it_says(fresh: Any) -> None:
    root, ideal, reversals = fresh
    script = make_script(ideal, reversals)
    with LoopbackServer(script) as server:
        pipeline = make_model(server.url, decoding={"temperature": 0.3})
        run = Run.open_or_create(root, pipeline)
        with run.lock():
            assert run_stages(Session(run, pipeline), ("repair", "mask"))
        temperatures = {
            (read_student(received) in ideal, received.payload["temperature"])
            for received in server.received
        }
    assert audit(run) == []
    assert temperatures == {(True, 0.3), (False, 0.0)}
    completions = {
        row["trajectory_id"]: row["completion"] for row in run.table("trajectories").iter_rows()
    }
    masks = {row["trajectory_id"]: row for row in run.table("masks").iter_rows()}
    seen: Counter[str] = Counter()
    for row in run.table("repairs").iter_rows():
        tests = [entry["attempt"] for entry in row["necessity"] if entry["attempt"]]
        own = [a["cost_usd"] for a in (*row["attempts"], *tests)]
        assert row["cost_usd"] == pytest.approx(sum(own))
        for entry in row["necessity"]:
            if row["copy_of"] is not None:
                assert entry["attempt"] is None
                continue
            if entry["attempt"] is None:
                assert entry["needed"] and entry["decided_by"] == "grader"
                seen["grader"] += 1
                continue
            text = reverse(completions[row["trajectory_id"]], row["repair"], entry)
            kind = pick_answer(text)
            seen[kind] += 1
            found = (entry["attempt"]["reason"], entry["decided_by"], entry["needed"])
            assert (*found, entry["weight"]) == SETTLED[kind]
            mask = masks[row["trajectory_id"]]
            inside = [
                weight
                for weight, keep, start, end in zip(
                    mask["weights"],
                    mask["loss_mask"],
                    mask["token_bytes"],
                    mask["token_bytes"][1:],
                    strict=False,
                )
                if keep and start < entry["end"] and entry["start"] < end
            ]
            assert inside == [entry["weight"]] * len(inside)
    assert set(seen) == {*ANSWERS, "grader"}
    check_the_bill(run, script, ideal, seen)


def reverse(completion: str, repair: str, entry: dict[str, Any]) -> str:
    wrong = Span(entry["start"], entry["end"])
    return take_back(completion, repair, wrong, Span(entry["repair_start"], entry["repair_end"]))[0]


def check_the_bill(run: Run, script: Script, ideal: dict[str, str], seen: Counter[str]) -> None:
    spent = SpentCount().count(run)
    requests, cost = spent.requests, spent.cost_usd
    assert requests == sum(script.asked.values()) == sum(script.paid.values())
    asked = sum(seen[kind] for kind in ANSWERS)
    assert asked == sum(n for text, n in script.asked.items() if text not in ideal)
    fact = run.manifest.get_stage("repair").facts["necessity"]
    assert fact["hunks"] == seen.total()
    assert fact["needed_by_grader"] == seen["grader"]
    assert fact["needed_by_model"] == seen["again"]
    assert fact["unneeded_by_model"] == seen["leave"]
    assert fact["undecided"] == seen["garbage"] + seen["cut"] + seen["refuse"]
    assert (fact["requests"], fact["not_asked"]) == (asked, 0)
    numbers = measure_repairs(run)
    assert numbers["necessity"] == fact
    assert numbers["cost_usd"] == pytest.approx(cost)
    assert numbers["attempts"] + asked == requests


def test_tests_go_out_together(fresh: Any) -> None:
    root, ideal, reversals = fresh
    script = make_script(ideal, reversals)

    def answer(received: Received) -> Reply:
        if read_student(received) not in ideal:
            wait_until(lambda: server.peak >= 6)
        return script(received)

    with LoopbackServer(answer) as server:
        pipeline = make_model(server.url, max_attempts=1, engine={"concurrency": 6})
        run = repair_run(root, pipeline)
        tests = [r for r in server.received if read_student(r) not in ideal]
        first = min(received.number for received in tests)
    # Nothing but tests follows the first one, and those of one repair do not wait for each other.
    assert [r.number for r in tests] == list(range(first, first + len(tests)))
    assert server.peak == 6
    assert audit(run) == []


def test_hunks_over_the_limit_keep_the_graders_verdict(fresh: Any) -> None:
    root, ideal, reversals = fresh
    with LoopbackServer(Script(reversals | ideal)) as server:
        run = repair_run(root, make_model(server.url, necessity_tests=1))
    fact = run.manifest.get_stage("repair").facts["necessity"]
    assert fact["not_asked"] > 0
    for row in run.table("repairs").iter_rows():
        left = [entry for entry in row["necessity"] if entry["attempt"] is None]
        assert len(row["necessity"]) - len(left) <= 1
        assert all(entry["weight"] == (1.0 if entry["needed"] else 0.25) for entry in left)


def test_a_limit_in_the_middle_of_the_tests_and_the_estimate_of_the_rest(fresh: Any) -> None:
    root, ideal, reversals = fresh
    script = Script(reversals | ideal)
    with LoopbackServer(script) as server:
        repairs = len({text for text in ideal if ideal[text] != text})
        limit = repairs + 5
        for _ in range(2):
            with pytest.raises(DfgenError, match="limit"):
                repair_run(root, make_model(server.url, max_requests=limit))
        assert sum(script.paid.values()) == limit
        pipeline = make_model(server.url)
        session = Session(Run.open_or_create(root, None), pipeline)
        left = estimate_repairs(
            iter_undecided(session, pipeline.repair), pipeline.repair, session.tokenizer
        )
        run = repair_run(root, pipeline)
    assert audit(run) == []
    assert SpentCount().count(run).requests == sum(script.paid.values())
    made = sum(script.paid.values()) - limit
    assert left.repairs == left.controls == 0
    assert left.requests == left.most_requests == left.tests == made
    assert left.prompt_tokens > 0


def test_the_estimate_before_the_first_request_is_an_upper_bound(fresh: Any) -> None:
    root, ideal, reversals = fresh
    script = Script(reversals | ideal)
    with LoopbackServer(script) as server:
        pipeline = make_model(server.url, necessity_tests=3)
        session = Session(Run.open_or_create(root, None), pipeline)
        rows = iter_undecided(session, pipeline.repair)
        found = estimate_repairs(rows, pipeline.repair, session.tokenizer)
        run = repair_run(root, pipeline)
    copies = [row["copy_of"] for row in run.table("repairs").iter_rows()]
    assert found.requests == found.repairs == copies.count(None)
    assert found.most_requests == found.repairs * (2 + 3)
    assert found.requests < SpentCount().count(run).requests <= found.most_requests


def test_hunks_protocol_answers_tests_too(fresh: Any) -> None:
    root, ideal, reversals = fresh
    script = Script(reversals | ideal, protocol="hunks")
    with LoopbackServer(script) as server:
        run = repair_run(root, make_model(server.url, protocol="hunks"))
    assert audit(run) == []
    fact = run.manifest.get_stage("repair").facts["necessity"]
    assert fact["needed_by_model"] > 0 and fact["undecided"] == 0
    assert run.manifest.get_stage("repair").facts["schema"]["ignored"] == 0


def test_reversals_differ_from_the_repair_in_one_place(ready: Any) -> None:
    _, _, reversals = ready
    tokenizer = load_tokenizer(str(locate_model("policy")), None)
    for text, ideal in reversals.items():
        assert len(diff_pair(text, ideal, tokenizer, MaskConfig()).hunks) == 1
