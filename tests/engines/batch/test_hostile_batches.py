"""What a provider says of files and batches is read without trust, and no answer is paid twice."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfgen.config.batch import BatchConfig
from dfgen.config.engine import OpenAIConfig
from dfgen.engines.openai.batch.anthropic_form import AnthropicForm
from dfgen.engines.openai.batch.exchange import Exchange
from dfgen.engines.openai.batch.files import FilesEngine
from dfgen.engines.openai.batch.gemini_form import GeminiForm
from dfgen.engines.openai.batch.ledger import Keeping
from dfgen.engines.openai.batch.openai_form import OpenAIForm
from dfgen.engines.openai.batch.results import is_whole
from dfgen.engines.openai.transport import LARGEST_ANSWER
from dfgen.errors import EngineError, InputError
from tests.engines.batch.keeping import Bench, MemoryLog, echo
from tests.engines.making import make_request
from tests.support.batch_server import BatchServer
from tests.support.loopback import Reply

KEY = "sk-hostile-0123456789"
DEEP = b"[" * 100_000 + b"]" * 100_000

Mangle = Callable[[str, str, Reply], Reply | None]


class HostileServer(BatchServer):
    """Works as it should, and then says something else."""

    mangle: Mangle

    def handle(self, method: str, path: str, headers: Any, body: bytes) -> Reply:
        reply = super().handle(method, path, headers, body)
        return self.mangle(method, path, reply) or reply


def run_against(mangle: Mangle, folder: Path, starts: int = 2) -> tuple[list[Any], HostileServer]:
    """The outcome of each start, texts by key or the error; and the server."""
    outcomes: list[Any] = []
    requests = [make_request(f"cell-{i}", f"say {i}") for i in range(4)]
    with HostileServer(echo) as server:
        server.mangle = mangle
        bench = Bench(server, folder)
        for _ in range(starts):
            try:
                found = bench.run(requests)
            except EngineError as error:
                outcomes.append(str(error))
            else:
                outcomes.append({key: result.text for key, result in found.items()})
        return outcomes, server


def say(method: str, part: str, **fields: Any) -> Mangle:
    """Put other fields into the answers of one endpoint."""

    def mangle(asked: str, path: str, reply: Reply) -> Reply | None:
        if asked != method or part not in path or not isinstance(reply.body, dict):
            return None
        return Reply({**reply.body, **fields}, reply.status)

    return mangle


def hand_out(data: bytes) -> Mangle:
    """Hand out something else as results."""
    return lambda _, path, __: Reply(data) if path.endswith("/content") else None


@pytest.mark.parametrize(
    "data",
    [
        b"<html><body>Sign in to go on</body></html>",
        b"",
        b'{"error": {"message": "not yet"}}',
        b'{"custom_id": ["cell-0"], "response": {}}\n',
        b'{"custom_id": "cell-0", "response": ' + DEEP + b"}\n",
        b'{"custom_id": "../../cell-9", "response": {}}\n',
    ],
    ids=["page", "empty", "error", "list", "deep", "foreign"],
)
def test_results_that_answer_nothing_are_not_paid_for_again(tmp_path: Path, data: bytes) -> None:
    outcomes, server = run_against(hand_out(data), tmp_path)
    assert all("answers none of its 4 requests" in outcome for outcome in outcomes)
    assert all("--resubmit" in outcome for outcome in outcomes)
    assert set(server.submitted.values()) == {1}


def test_results_that_were_not_there_yet_are_taken_by_the_next_start(tmp_path: Path) -> None:
    looks = []

    def mangle(_: str, path: str, __: Reply) -> Reply | None:
        looks.append(path)
        asked = sum(each.endswith("/content") for each in looks)
        return Reply(b"<html>") if path.endswith("/content") and asked < 6 else None

    outcomes, server = run_against(mangle, tmp_path)
    assert "answers none" in outcomes[0]
    assert outcomes[1] == {f"cell-{i}": f"re: say {i}" for i in range(4)}
    assert set(server.submitted.values()) == {1}


def test_results_that_were_cut_short_are_downloaded_again(tmp_path: Path) -> None:
    asked = []

    def mangle(_: str, path: str, reply: Reply) -> Reply | None:
        if not path.endswith("/content") or not isinstance(reply.body, bytes):
            return None
        asked.append(path)
        return Reply(reply.body[:-20]) if len(asked) == 1 else None

    outcomes, server = run_against(mangle, tmp_path, starts=1)
    assert len(outcomes[0]) == 4
    assert set(server.submitted.values()) == {1}


@pytest.mark.parametrize("status", ["200", 10**30, -5, None, True])
def test_an_answer_is_taken_whatever_status_stands_beside_it(tmp_path: Path, status: Any) -> None:
    def mangle(_: str, path: str, reply: Reply) -> Reply | None:
        if not path.endswith("/content") or not isinstance(reply.body, bytes):
            return None
        rows = [json.loads(line) for line in reply.body.splitlines()]
        for row in rows:
            row["response"]["status_code"] = status
        return Reply(b"".join(json.dumps(row).encode() + b"\n" for row in rows))

    outcomes, server = run_against(mangle, tmp_path, starts=1)
    assert outcomes == [{f"cell-{i}": f"re: say {i}" for i in range(4)}]
    assert set(server.submitted.values()) == {1}


NO_STATUSES: list[Any] = [5, None, [1], {}]
NO_NAMES: list[Any] = [
    ["a"],
    {"a": 1},
    "../../x?y=#z",
    "a\nb\x00",
    "http://127.0.0.1:1/evil",
    "x" * 10_000,
]


@pytest.mark.parametrize("value", [*NO_NAMES, None, "", ".."])
@pytest.mark.parametrize("endpoint", [("POST", "/files"), ("POST", "/batches")])
def test_what_is_no_id_is_refused_and_handed_over_once(
    tmp_path: Path, endpoint: tuple[str, str], value: Any
) -> None:
    outcomes, server = run_against(say(*endpoint, id=value), tmp_path)
    assert "is no id of a file or batch" in outcomes[0]
    assert len(outcomes[1]) == 4, "the next start finds it in the list"
    assert set(server.submitted.values()) == {1}


@pytest.mark.parametrize(
    "fields",
    [
        *({"output_file_id": value} for value in NO_NAMES),
        *({"status": value} for value in NO_STATUSES),
    ],
    ids=repr,
)
def test_a_batch_in_no_form_is_an_error_and_stays_out(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    outcomes, server = run_against(say("GET", "/batches/", **fields), tmp_path)
    assert all("is not in the form of openai" in outcome for outcome in outcomes)
    assert set(server.submitted.values()) == {1}


@pytest.mark.parametrize(
    "errors", [5, f"{KEY} x", [5, KEY, None], {"data": 5}, {"data": [{"line": 1, "message": KEY}]}]
)
def test_errors_of_any_shape_are_shown_without_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: Any
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    mangle = say("GET", "/batches/", status="failed", errors=errors)
    outcomes, _ = run_against(mangle, tmp_path, starts=1)
    assert outcomes
    assert KEY not in str(outcomes)


@pytest.mark.parametrize("body", [f"<html>{KEY}</html>".encode(), b"[1]", DEEP])
@pytest.mark.parametrize("endpoint", [("GET", "/batches/"), ("POST", "/batches")])
def test_an_answer_that_is_no_object_is_an_error_without_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: tuple[str, str], body: bytes
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def mangle(method: str, path: str, _: Reply) -> Reply | None:
        return Reply(body) if method == endpoint[0] and endpoint[1] in path else None

    outcomes, server = run_against(mangle, tmp_path)
    assert "it is no JSON object" in outcomes[0]
    assert KEY not in str(outcomes)
    assert set(server.submitted.values()) == {1}


@pytest.mark.parametrize("moves", [True, False], ids=["new pages", "the same page"])
def test_a_list_without_an_end_leads_to_no_second_handing_over(tmp_path: Path, moves: bool) -> None:
    pages = []

    def mangle(method: str, path: str, reply: Reply) -> Reply | None:
        if method == "POST" and path.endswith("/batches"):
            return Reply({"error": {"message": "gone"}}, 500)  # it was taken all the same
        if method == "GET" and path.startswith("/v1/batches?"):
            pages.append(path)
            name = f"batch_x{len(pages) if moves else 0}"
            return Reply({"data": [{"id": name}], "has_more": True})
        return None

    outcomes, server = run_against(mangle, tmp_path, starts=1)
    assert "does not come to an end" in outcomes[0]
    assert set(server.submitted.values()) == {1}
    assert len(pages) <= 1001


def test_a_row_that_never_ends_is_skipped(tmp_path: Path) -> None:
    def mangle(_: str, path: str, reply: Reply) -> Reply | None:
        if not path.endswith("/content") or not isinstance(reply.body, bytes):
            return None
        return Reply(b'{"x": "' + b"x" * (LARGEST_ANSWER + 10) + b'"}\n' + reply.body)

    outcomes, server = run_against(mangle, tmp_path, starts=1)
    assert len(outcomes[0]) == 4
    assert set(server.submitted.values()) == {1}


@pytest.mark.parametrize("data", [b"", b"<html>\n</html>\n", b'{"a": 1}\n{"b', b"[1]\n"])
def test_files_that_are_not_whole(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "results"
    path.write_bytes(data)
    assert not is_whole(path)
    path.write_bytes(b'{"a": 1}\n{"b": 2}')
    assert is_whole(path)


ODD_VALUES: list[Any] = [None, True, 10**30, -1, "12", [], {}, [1], "x"]


@pytest.mark.parametrize("value", ODD_VALUES, ids=repr)
@pytest.mark.parametrize("name", ["usage", "content", "stop_reason", "usage.input_tokens"])
def test_a_message_of_anthropic_with_odd_fields_is_an_answer(name: str, value: Any) -> None:
    usage = {"input_tokens": 1, "output_tokens": 2}
    message: dict[str, Any] = {
        "content": [{"type": "text", "text": "x"}],
        "usage": usage,
        "stop_reason": "end_turn",
    }
    if "." in name:
        usage["input_tokens"] = value
    else:
        message[name] = value
    row = {"custom_id": "c", "result": {"type": "succeeded", "message": message}}
    found = AnthropicForm().read_row(json.dumps(row).encode())
    assert found is not None
    assert found.status == 200


@pytest.mark.parametrize("value", ODD_VALUES, ids=repr)
@pytest.mark.parametrize(
    "name", ["usageMetadata", "candidates", "usageMetadata.candidatesTokenCount"]
)
def test_a_response_of_gemini_with_odd_fields_is_an_answer(name: str, value: Any) -> None:
    usage: dict[str, Any] = {"candidatesTokenCount": 2}
    response: dict[str, Any] = {
        "candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}],
        "usageMetadata": usage,
    }
    if "." in name:
        usage["candidatesTokenCount"] = value
    else:
        response[name] = value
    found = GeminiForm().read_row(json.dumps({"key": "c", "response": response}).encode())
    assert found is not None
    assert found.status == 200


@pytest.mark.parametrize("form", [OpenAIForm(BatchConfig()), AnthropicForm(), GeminiForm()])
@pytest.mark.parametrize(
    "line", [DEEP, b'{"custom_id": [1]}', b'{"key": {}}', b"1" * 5000, b"\xff"]
)
def test_no_row_ends_in_a_traceback(form: Any, line: bytes) -> None:
    assert form.read_row(line) is None


def read_results(*paths: Path) -> tuple[list[Any], int]:
    """What lane files makes of results, and how many rows were none."""
    exchange = Exchange(read=paths)
    config = OpenAIConfig(model="m", base_url="http://127.0.0.1:1/v1", lane="files")
    engine = FilesEngine(config, Keeping(paths[0], MemoryLog(), lambda _: (), exchange))
    found = [each for some in engine.generate([make_request("cell", "x")]) for each in some]
    return found, exchange.unread


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_results_that_are_no_file_are_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.jsonl"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
        (tmp_path / "b.jsonl").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be read"):
        read_results(tmp_path)


def test_results_between_rows_that_are_none_are_found(tmp_path: Path) -> None:
    body = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}
    row = {"custom_id": "cell", "response": {"status_code": 200, "body": body}}
    odd = [DEEP, b'{"x": "' + b"x" * LARGEST_ANSWER + b'"}', b"\xff\x00", b'{"custom_id": {}}']
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([*odd, json.dumps(row).encode(), *odd]))
    found, unread = read_results(tmp_path)
    assert [each.text for each in found] == ["hi"]
    assert unread == 2 * len(odd)
