"""The key, and a password in the address, are in nothing that `dfgen repair` writes or says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from dfgen.store.counts import count_reject_reasons
from dfgen.store.run import Run
from tests.faults.command import call_here, find_in_files, repair, repair_here, write_pipeline
from tests.faults.framing import is_probe, read_student
from tests.faults.server import Sampled, Script
from tests.support.loopback import (
    LoopbackServer,
    Received,
    Reply,
    write_completion,
    write_error,
)

KEY = "sk-proj-Abc_123-do-not-print-me"
PASSWORD = "hunter2-of-the-gateway"


def echo(received: Received) -> str:
    """What a careless server says back: the header, and all headers as JSON."""
    return f"got {received.headers['authorization']} in {json.dumps(dict(received.headers))}"


# Says everything that Python, the event loop and the `openai` package know how to say; all three
# read it as they start.
LOUD = {"PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1", "OPENAI_LOG": "debug"}


def stop(received: Received, status: int) -> Reply:
    """Refuse for good."""
    return Reply(write_error(echo(received), code="insufficient_quota"), status)


@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["plain", "debug"])
@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_a_server_that_repeats_the_key_as_it_ends_the_run(
    status: int, debug: tuple[str, ...], copied: Sampled, tmp_path: Path
) -> None:
    with LoopbackServer(lambda received: stop(received, status)) as server:
        pipeline = write_pipeline(tmp_path / "p.yaml", server.url)
        said = repair_here(pipeline, copied.root, *debug, code=1, OPENAI_API_KEY=KEY)
    check_stopped(status, said, copied)
    assert ("Traceback" in said) == bool(debug)


def test_a_process_that_tells_all_it_can_does_not_tell_the_key(
    copied: Sampled, tmp_path: Path
) -> None:
    with LoopbackServer(lambda received: stop(received, 401)) as server:
        pipeline = write_pipeline(tmp_path / "p.yaml", server.url)
        said = repair(pipeline, copied.root, "--debug", code=1, OPENAI_API_KEY=KEY, **LOUD)
    check_stopped(401, said, copied)
    assert "Traceback" in said


def check_stopped(status: int, said: str, copied: Sampled) -> None:
    assert f"HTTP {status}" in said and "got Bearer ***" in said
    assert KEY not in said
    assert find_in_files(copied.root, KEY) == []


def test_a_server_that_repeats_the_key_row_by_row(copied: Sampled, tmp_path: Path) -> None:
    """In errors that become rejects, and in answers: those of a model that was shown headers."""
    script = Script(copied.ideal)
    texts = sorted(set(copied.ideal))

    def answer(received: Received) -> Reply:
        student = None if is_probe(received) else read_student(received)
        kind = texts.index(student) % 5 if student in texts else 0
        said = echo(received)
        return {
            1: Reply(write_error(said), 400),
            2: Reply(write_error(said), 500),
            3: Reply(said.encode()),
            4: Reply(write_completion("", message={"content": None, "refusal": said})),
        }.get(kind) or script(received)

    with LoopbackServer(answer) as server:
        pipeline = write_pipeline(tmp_path / "p.yaml", server.url, engine={"max_retries": 0})
        said = repair(pipeline, copied.root, "--debug", OPENAI_API_KEY=KEY, **LOUD)
    reasons = Counter(count_reject_reasons(Run.open_or_create(copied.root, None))["repair"])
    assert reasons.keys() >= {"bad_request", "server_error", "bad_response", "refused"}
    said += call_here("mask", pipeline, "--out", copied.root, OPENAI_API_KEY=KEY)
    said += call_here("stats", copied.root, "--json")
    said += call_here("report", copied.root)
    assert KEY not in said
    assert find_in_files(copied.root, KEY) == []


def test_a_password_in_the_address(copied: Sampled, tmp_path: Path) -> None:
    script = Script(copied.ideal)

    def answer(received: Received) -> Reply:
        if received.number == 0:
            return Reply(write_error(f"{PASSWORD} {echo(received)}"), 400)
        return script(received)

    with LoopbackServer(answer) as server:
        url = server.url.replace("http://", f"http://team:{PASSWORD}@")
        pipeline = write_pipeline(tmp_path / "p.yaml", url, max_attempts=1)
        said = repair(pipeline, copied.root, "--debug", **LOUD)
        headers = server.received[-1].headers["authorization"]
    assert headers.startswith("Basic ")
    said += call_here("mask", pipeline, "--out", copied.root)
    said += call_here("report", copied.root)
    assert PASSWORD not in said
    # It stands where the user put it, in the pipeline file, and nowhere that dfgen writes.
    assert find_in_files(copied.root, PASSWORD) == []
    assert find_in_files(copied.root, headers.removeprefix("Basic ")) == []


def test_a_password_in_an_address_that_is_none(copied: Sampled, tmp_path: Path) -> None:
    """What the HTTP library says of an address holds all of it, and --debug shows its words."""
    url = f"http://team:{PASSWORD}@127.0.0.1:99999/v1"
    pipeline = write_pipeline(tmp_path / "p.yaml", url)
    said = repair_here(pipeline, copied.root, "--debug", code=1)
    assert "127.0.0.1:99999" in said
    assert PASSWORD not in said and "team:" not in said
    assert find_in_files(copied.root, PASSWORD) == []
