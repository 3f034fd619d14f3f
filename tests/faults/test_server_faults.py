"""Every way a server can misbehave: what dfgen does, and that no row and no money is lost.

After each, every wrong trajectory is in exactly one of repairs and rejects (`audit` compares keys),
and every complete answer that the server would bill is on record as exactly one attempt.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dfgen.engines.openai.classify import Backoff
from dfgen.engines.openai.engine import OpenAIEngine
from dfgen.errors import DfgenError, EngineError
from dfgen.store.counts import count_reject_reasons, count_rows
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.faults.framing import read_student
from tests.faults.server import Script, make_pipeline, repair_run, sample_run
from tests.support.loopback import (
    HELD,
    LoopbackServer,
    Received,
    Reply,
    find_closed_port,
    write_completion,
    write_error,
)
from tests.support.paid_attempts import iter_attempts

KEY = "sk-very-secret-987654321"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def hurry(self: OpenAIEngine, config: Any, backoff: Backoff | None = None) -> None:
        original(self, config, Backoff(max_retries=config.max_retries, base=0.02, longest=0.2))

    original = OpenAIEngine.__init__
    monkeypatch.setattr(OpenAIEngine, "__init__", hurry)


@dataclass(frozen=True)
class Case:
    """A misbehaviour.

    Attributes:
        reply: what the server does instead of answering.
        times: how often it does so to each text that it picks on.
        outcome: `repaired`: as if nothing had happened; a reject reason: that row alone; `stop`:
            the run ends with an error and goes on when the server is well.
        lost: the answer was paid for and did not arrive, which no client can know.
    """

    reply: Callable[[Received], Reply]
    outcome: str
    times: int = 1
    lost: bool = False
    engine: tuple[tuple[str, Any], ...] = ()


def error(status: int, message: str = "no", code: str | None = None, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Reply(write_error(message, code=code), status, named)


def body(content: Any, **reply: Any) -> Any:
    return lambda _: Reply(content, **reply)


GOOD = write_completion("<corrected>x</corrected>")
# Not shorter: an answer that is late because the machine is busy would be paid for twice.
SLOW = (("timeout", 3.0),)
ALWAYS = 1000

CASES = {
    "400": Case(error(400), "bad_request", ALWAYS),
    "400 too long": Case(error(400, "maximum context length is 9"), "prompt_too_long", ALWAYS),
    "400 filter": Case(error(400, "no", "content_filter"), "content_filter", ALWAYS),
    "400 bad image": Case(error(400, "cannot identify image file"), "image_corrupt", ALWAYS),
    "401": Case(error(401, f"bad key {KEY}"), "stop"),
    "402": Case(error(402), "stop"),
    "403": Case(error(403), "stop"),
    "404": Case(error(404, "model m does not exist"), "stop"),
    "408": Case(error(408), "repaired"),
    "409": Case(error(409), "repaired"),
    "413": Case(error(413), "request_too_large", ALWAYS),
    "422": Case(error(422), "bad_request", ALWAYS),
    "429": Case(error(429), "repaired", 2),
    "429 with retry-after": Case(error(429, retry_after="0.1"), "repaired", 2),
    "429 with milliseconds": Case(error(429, retry_after_ms="50"), "repaired", 2),
    "429 for ever": Case(error(429), "rate_limited", ALWAYS),
    "429 quota": Case(error(429, "quota", "insufficient_quota"), "stop"),
    "500": Case(error(500), "repaired", 3),
    "500 for ever": Case(error(500), "server_error", ALWAYS),
    "502": Case(body(b"<html>", status=502), "repaired"),
    "503": Case(error(503), "repaired", 2),
    "504": Case(error(504), "repaired"),
    "reset": Case(body(GOOD, drop="before"), "repaired"),
    "half body": Case(body(GOOD, drop="half"), "repaired"),
    "slow headers": Case(body(GOOD, delay=HELD), "repaired", engine=SLOW, lost=True),
    "slow body": Case(body(GOOD, body_delay=HELD), "repaired", engine=SLOW, lost=True),
    "no body": Case(body(b""), "bad_response", ALWAYS),
    "not JSON": Case(body(b"busy, come back"), "bad_response", ALWAYS),
    # It may have been paid for, so it is not asked for again blindly; that row alone is lost.
    "not JSON once": Case(body(b"busy, come back"), "bad_response"),
    "another shape": Case(body({"output": "x"}), "bad_response", ALWAYS),
    "error in 200": Case(body(write_error("overloaded")), "bad_response", ALWAYS),
    "empty choices": Case(body({"choices": []}), "bad_response", ALWAYS),
    "no text": Case(body(write_completion(None)), "bad_response", ALWAYS),  # type: ignore[arg-type]
    "cut off": Case(body(write_completion("x", finish_reason="length")), "not_finished", ALWAYS),
    "filtered": Case(
        body(write_completion("", finish_reason="content_filter")), "not_finished", ALWAYS
    ),
    "refused in words": Case(
        body(write_completion("", message={"content": None, "refusal": "No."})), "refused", ALWAYS
    ),
    "latin-1": Case(body('{"choices": "é"}'.encode("latin-1")), "bad_response", ALWAYS),
    "utf-16": Case(body("é".encode("utf-16")), "bad_response", ALWAYS),
    "50 MB": Case(body(write_completion("y" * 50_000_000)), "bad_response", 2),
    "answer twice": Case(body(json.dumps(GOOD).encode() * 2), "bad_response", ALWAYS),
    "lone surrogate": Case(body(write_completion("\ud800")), "over_token_budget", ALWAYS),
    "the same answer again": Case(
        lambda received: Reply(write_completion(read_student(received))), "unchanged", ALWAYS
    ),
}


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A sampled run to copy, its ideal repairs, and its wrong texts."""
    root = tmp_path_factory.mktemp("faults") / "sampled"
    sampled = sample_run(root, make_pipeline("http://127.0.0.1:1/v1"))
    rows = Run.open_or_create(root, None).table("trajectories").iter_rows()
    texts = {
        row["completion"] for row in rows if row["reward"] < 1 and row["finish_reason"] != "length"
    }
    return root, sampled.ideal, sorted(texts)


@pytest.fixture
def fresh(ready: Any, tmp_path: Path) -> Any:
    import shutil

    root, ideal, texts = ready
    shutil.copytree(root, tmp_path / "run")
    return tmp_path / "run", ideal, texts


@pytest.mark.parametrize("name", CASES)
def test_fault(name: str, fresh: Any) -> None:
    case = CASES[name]
    root, ideal, texts = fresh
    # The case picks on one text; the rest of the server is well.
    victim = texts[len(texts) // 2]
    victims = set(texts) if case.outcome == "stop" else {victim}

    def fault(received: Received, before: int) -> Reply | None:
        if read_student(received) in victims and before < case.times:
            return case.reply(received)
        return None

    script = Script(ideal, fault)
    with LoopbackServer(script) as server:
        pipeline = make_pipeline(server.url, engine=dict(case.engine))
        if case.outcome == "stop":
            with pytest.raises(EngineError) as caught:
                repair_run(root, pipeline)
            assert "same command" in str(caught.value)
            assert KEY not in str(caught.value)
            assert len(server.received) <= 5, "it went on asking"
            victims.clear()
        run = repair_run(root, pipeline)
    assert audit(run) == []
    numbers = count_rows(run)["repair"]
    assert numbers["pending"] == 0
    assert numbers["input"] == numbers["output"] + numbers["rejects"]
    reasons = count_reject_reasons(run)["repair"]
    reasons.pop("truncated", None)
    if case.outcome in ("repaired", "stop"):
        assert reasons == {}
    else:
        # Copies of the victim share its fate.
        assert set(reasons) == {case.outcome}
    check_nothing_was_paid_twice(run, script, case)
    assert KEY not in everything_written(root)


def check_nothing_was_paid_twice(run: Run, script: Script, case: Case) -> None:
    recorded = list(iter_attempts(run))
    answered = [a for a in recorded if a["finish_reason"] != "error" or is_answer(a)]
    lost = case.times if case.lost else 0
    # What was in flight when a run had to end may be paid for again; nothing else is.
    in_flight = 4 if case.outcome == "stop" else 0
    assert 0 <= sum(script.paid.values()) - len(answered) - lost <= in_flight
    for text, count in script.paid.items():
        assert count <= 2 + lost, f"{count} answers for {text!r}"


def is_answer(attempt: dict[str, Any]) -> bool:
    return attempt["reason"] in ("bad_response", "refused")


def everything_written(root: Path) -> str:
    return "".join(
        path.read_bytes().decode("latin-1") for path in sorted(root.rglob("*")) if path.is_file()
    )


def test_nothing_listens_and_then_it_does(fresh: Any) -> None:
    root, ideal, _ = fresh
    url = f"http://127.0.0.1:{find_closed_port()}/v1"
    with pytest.raises(EngineError, match="no server answers"):
        repair_run(root, make_pipeline(url))
    script = Script(ideal)
    with LoopbackServer(script) as server:
        run = repair_run(root, make_pipeline(server.url))
    assert audit(run) == []
    assert max(script.paid.values()) == 1


def test_one_of_two_servers_is_gone(fresh: Any) -> None:
    root, ideal, _ = fresh
    gone = f"http://127.0.0.1:{find_closed_port()}/v1"
    script = Script(ideal)
    with LoopbackServer(script) as server:
        run = repair_run(root, make_pipeline([gone, server.url]))
    assert audit(run) == []
    assert set(count_reject_reasons(run)["repair"]) <= {"truncated"}
    assert max(script.paid.values()) == 1


def test_two_servers_share_the_work(fresh: Any) -> None:
    root, ideal, _ = fresh
    script = Script(ideal)
    with LoopbackServer(script) as one, LoopbackServer(script) as two:
        run = repair_run(root, make_pipeline([one.url, two.url]))
        seen = Counter({"one": one.count, "two": two.count})
    assert audit(run) == []
    assert min(seen.values()) > 0.2 * seen.total()


def test_a_server_that_dies_and_comes_back(fresh: Any) -> None:
    root, ideal, _ = fresh
    # Dead for as many requests as one text has tries, whichever they are.
    dead = range(3, 15)

    def fault(received: Received, before: int) -> Reply | None:
        return Reply(drop="before") if received.number in dead else None

    script = Script(ideal, fault)
    with LoopbackServer(script) as server:
        pipeline = make_pipeline(server.url, engine={"max_retries": len(dead)})
        run = repair_run(root, pipeline)
    assert server.count > dead.stop
    assert audit(run) == []
    assert set(count_reject_reasons(run)["repair"]) <= {"truncated"}
    assert max(script.paid.values()) == 1


def test_a_server_that_refuses_the_schema_is_asked_without(fresh: Any) -> None:
    root, ideal, texts = fresh

    def fault(received: Received, before: int) -> Reply | None:
        if "response_format" in received.payload:
            return Reply(write_error("response_format of type json_schema is not supported"), 400)
        return None

    script = Script(ideal, fault, "hunks")
    with LoopbackServer(script) as server:
        run = repair_run(root, make_pipeline(server.url, protocol="hunks"))
        asked = sum("response_format" in received.payload for received in server.received)
    assert 1 <= asked <= 4, "only what was in flight"
    assert audit(run) == []
    assert sum(script.paid.values()) == len(texts)


def test_a_server_that_ignores_the_schema_is_found_out(fresh: Any) -> None:
    root, ideal, texts = fresh
    script = Script(ideal, lambda received, _: Reply(write_completion("It should say 4.")), "hunks")
    with LoopbackServer(script) as server:
        run = repair_run(root, make_pipeline(server.url, protocol="hunks"))
    assert audit(run) == []
    reasons = count_reject_reasons(run)["repair"]
    reasons.pop("truncated", None)
    assert set(reasons) == {"unreadable"}
    schema = run.manifest.get_stage("repair").facts["schema"]
    assert schema == {"obeyed": 0, "ignored": 2 * len(texts)}


@pytest.mark.parametrize("limit", [{"max_requests": 5}, {"max_cost_usd": 5 * 13e-6}])
def test_a_limit_stops_cleanly_and_a_higher_one_goes_on(limit: Any, fresh: Any) -> None:
    root, ideal, texts = fresh
    script = Script(ideal)
    with LoopbackServer(script) as server:
        for _ in range(2):
            with pytest.raises(DfgenError, match="limit"):
                repair_run(root, make_pipeline(server.url, **limit))
        # The server bills 7 + 3 tokens at 1 and 2 dollars a million: 13e-6 each.
        assert 4 <= sum(script.paid.values()) <= 5 + 3 * ("max_cost_usd" in limit)
        run = repair_run(root, make_pipeline(server.url))
    assert audit(run) == []
    assert sum(script.paid.values()) == len(texts)
    assert sum(a["cost_usd"] for a in iter_attempts(run)) == pytest.approx(13e-6 * len(texts))


def test_controls_are_kept_apart(fresh: Any) -> None:
    root, ideal, texts = fresh
    right = {
        row["trajectory_id"]: row["completion"]
        for row in Run.open_or_create(root, None).table("trajectories").iter_rows()
        if row["reward"] >= 1
    }

    def fault(received: Received, before: int) -> Reply | None:
        student = read_student(received)
        if student in spoiled:
            return Reply(write_completion(student.replace("Step 1", "Step 1 (again)")))
        return None

    spoiled = set(sorted(set(right.values()) - set(texts))[:2])
    script = Script(ideal, fault)
    with LoopbackServer(script) as server:
        run = repair_run(root, make_pipeline(server.url, controls=1.0))
    assert audit(run) == []
    rows = list(run.table("controls").iter_rows())
    assert {row["trajectory_id"] for row in rows} == set(right)
    changed = [row for row in rows if row["changed"]]
    assert {row["trajectory_id"] for row in changed} == {
        k for k, t in right.items() if t in spoiled or ideal.get(t, t) != t
    }
    assert all(row["attempt"]["reason"] in ("changed", "unchanged") for row in rows)
    repaired = {row["trajectory_id"] for row in run.table("repairs").iter_rows()}
    assert not repaired & set(right)


def test_candidates_keep_the_smallest_and_the_others(fresh: Any) -> None:
    root, ideal, _ = fresh

    def fault(received: Received, before: int) -> Reply | None:
        student = read_student(received)
        if before == 0:
            longer = ideal[student].replace("Step 1", "Now, step 1")
            return Reply(write_completion(longer))
        return None

    script = Script(ideal, fault)
    with LoopbackServer(script) as server:
        run = repair_run(root, make_pipeline(server.url, candidates=3, max_edit_ratio=1.0))
    assert audit(run) == []
    assert set(script.asked.values()) == {3}
    for row in run.table("repairs").iter_rows():
        if row["copy_of"] is None:
            assert len(row["attempts"]) == 3
            assert len(row["alternatives"]) == 2
            assert "Now, step 1" not in row["repair"]
