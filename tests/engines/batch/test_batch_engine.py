"""The batch lane against a server of the OpenAI form: its whole life, and what goes wrong in it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dfgen.engines.base import Request
from dfgen.engines.openai.batch.handing_over import HandingOver
from dfgen.errors import EngineError
from tests.engines.batch.keeping import Bench, echo
from tests.engines.making import draw_image, make_request
from tests.support.batch_server import BatchServer, Fate, Stored
from tests.support.loopback import Received, Reply, write_completion, write_error
from tests.support.other_batch_servers import MistralServer, TogetherServer

COLORS = ("red", "green", "blue", "white", "black", "gray", "pink")


def make_requests(count: int) -> list[Request]:
    """Requests with a picture each; every third has the same as the one before."""
    return [
        make_request(f"cell-{i}", draw_image(COLORS[i % 7], (20 + i % 3, 10)), f"say {i}")
        for i in range(count)
    ]


def expect_all(found: dict[str, Any], count: int) -> None:
    assert {key: result.text for key, result in found.items()} == {
        f"cell-{i}": f"re: say {i}" for i in range(count)
    }


def test_a_round_is_answered_in_several_batches_and_every_picture_arrives(tmp_path: Path) -> None:
    requests = make_requests(25)
    with BatchServer(echo, max_requests=10) as server:
        bench = Bench(server, tmp_path)
        expect_all(bench.run(requests, max_requests=10), 25)
        assert [each.counts["total"] for each in server.batches.values()] == [10, 10, 5]
        sent = Counter(
            part.sha256
            for request in requests
            for message in request.messages
            for part in message.content
            if not isinstance(part, str)
        )
        assert server.pictures == sent
        intended = [record for record in bench.log.records if record["event"] == "intended"]
        assert sum(record["pictures"] for record in intended) == 25
        # Name and tag are the key that was written down before.
        assert [f"dfgen-{record['key']}.jsonl" for record in intended] == [
            server.files[batch.file_id].name for batch in server.batches.values()
        ]
        assert [each.metadata["dfgen"] for each in server.batches.values()] == [
            record["key"] for record in intended
        ]
    assert list(tmp_path.iterdir()) == []


def test_files_are_cut_by_bytes_and_a_row_that_fits_none_is_refused(tmp_path: Path) -> None:
    requests = [*make_requests(6), make_request("large", "x" * 3000)]
    with BatchServer(echo, max_bytes=2000) as server:
        found = Bench(server, tmp_path).run(requests, max_bytes=2000)
        assert all(len(file.data) <= 2000 for file in server.files.values())
        assert len(server.batches) > 1
    large = found.pop("large")
    assert large.failure is not None
    assert large.failure.reason == "request_too_large"
    expect_all(found, 6)


def test_not_more_batches_are_out_than_may_be(tmp_path: Path) -> None:
    open_at_once = []

    def look(what: str, before: int) -> None:
        if what == "POST /batches":
            busy = [each for each in server.batches.values() if each.status != "completed"]
            open_at_once.append(len(busy) + 1)

    with BatchServer(echo, lambda _: Fate(polls=3), look) as server:
        expect_all(Bench(server, tmp_path).run(make_requests(20), max_requests=2, in_flight=3), 20)
    assert max(open_at_once) == 3


@pytest.mark.parametrize("end", ["expired", "cancelled"])
def test_a_batch_that_is_cut_keeps_what_it_finished(tmp_path: Path, end: str) -> None:
    def plan(number: int) -> Fate:
        return Fate(end=end, done=4) if number == 0 else Fate()

    with BatchServer(echo, plan) as server:
        expect_all(Bench(server, tmp_path).run(make_requests(9)), 9)
        assert server.answered == {f"cell-{i}": 1 for i in range(9)}
        assert [each.counts["total"] for each in server.batches.values()] == [9, 5]


def test_results_in_another_order_twice_or_in_no_file(tmp_path: Path) -> None:
    def plan(number: int) -> Fate:
        return Fate(twice=3, lost=2) if number == 0 else Fate(twice=1)

    with BatchServer(echo, plan) as server:
        bench = Bench(server, tmp_path)
        expect_all(bench.run(make_requests(8)), 8)
        closed = [record for record in bench.log.records if record["event"] == "closed"]
        assert [(record["answered"], record["twice"]) for record in closed] == [(6, 3), (2, 1)]


def test_rows_fail_by_reason_and_those_that_may_succeed_go_out_again(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()

    def answer(received: Received) -> Reply:
        seen[received.text] += 1
        refusals = {
            "say 1": Reply(write_error("maximum context length", code="x"), 400),
            "say 2": Reply(write_error("content management policy"), 400),
            "say 3": Reply(write_error("slow down"), 429 if seen["say 3"] < 3 else 200),
            "say 4": Reply(write_error("always down"), 503),
            "say 5": Reply({"choices": []}),
        }
        if received.text == "say 3" and seen["say 3"] >= 3:
            return echo(received)
        return refusals.get(received.text) or echo(received)

    with BatchServer(answer) as server:
        found = Bench(server, tmp_path).run(make_requests(7))
    reasons = {key: each.failure.reason for key, each in found.items() if each.failure}
    assert reasons == {
        "cell-1": "prompt_too_long",
        "cell-2": "content_filter",
        "cell-4": "server_error",
        "cell-5": "bad_response",
    }
    assert (seen["say 3"], seen["say 4"]) == (3, 4)
    assert found["cell-3"].text == "re: say 3"
    # What a useless answer took is not lost; what nobody told is not zero.
    assert found["cell-4"].usage.prompt_tokens is None


def test_a_server_that_refuses_schemas_is_asked_without(tmp_path: Path) -> None:
    def answer(received: Received) -> Reply:
        if "response_format" in received.payload:
            return Reply(write_error("response_format is not supported"), 400)
        return echo(received)

    requests = [
        replace(make_request(f"cell-{i}", f"say {i}"), response_schema={"type": "object"})
        for i in range(3)
    ]
    with BatchServer(answer) as server:
        expect_all(Bench(server, tmp_path).run(requests), 3)


def test_a_refused_line_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    requests = make_requests(5)
    requests[2] = make_request("cell-2", "REFUSE THIS LINE")
    with BatchServer(echo) as server:
        found = Bench(server, tmp_path).run(requests)
    refused = found.pop("cell-2").failure
    assert refused is not None
    assert refused.reason == "bad_request"
    assert "line 3 of the batch file: invalid_request" in refused.detail
    assert sorted(found) == ["cell-0", "cell-1", "cell-3", "cell-4"]


def test_a_batch_that_fails_as_a_whole_says_where(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        bench = Bench(server, tmp_path)
        with pytest.raises(EngineError, match="model_not_found") as caught:
            bench.run(make_requests(3), model="unknown")
        assert "line 1 of dfgen-" in str(caught.value.where)
        assert "request cell-0" in str(caught.value.where)
        # Nothing of it was worked on: with a model that is there it goes out again.
        expect_all(bench.run(make_requests(3)), 3)


FAULTS = {
    "429": Reply(write_error("slow down"), 429),
    "500": Reply(write_error("broken"), 500),
    "503": Reply(write_error("no place"), 503, {"retry-after": "0"}),
    "dropped": Reply(drop="before"),
    "half": Reply(write_completion("x"), drop="half"),
}
ENDPOINTS = ["POST /files", "POST /batches", "GET /batches/*", "GET /files/*/content"]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_endpoint_may_fail_twice(tmp_path: Path, endpoint: str, fault: Reply) -> None:
    def misbehave(what: str, before: int) -> Reply | None:
        return fault if what == endpoint and before < 2 else None

    with BatchServer(echo, fault=misbehave) as server:
        expect_all(Bench(server, tmp_path).run(make_requests(4)), 4)
        assert set(server.submitted.values()) == {1}


@pytest.mark.parametrize("fault", ["500", "dropped"])
@pytest.mark.parametrize("endpoint", ["POST /files", "POST /batches"])
def test_what_was_taken_and_not_answered_is_found_again(
    tmp_path: Path, endpoint: str, fault: str
) -> None:
    """The server takes a file or a batch, and its answer is lost."""

    class Losing(BatchServer):
        def handle(self, method: str, path: str, *rest: Any) -> Reply:
            reply = super().handle(method, path, *rest)
            first = self.asked[endpoint] == 1
            return FAULTS[fault] if first and f"{method} {path[3:]}" == endpoint else reply

    with Losing(echo, unlisted_s=0.1) as server:
        expect_all(Bench(server, tmp_path).run(make_requests(4), settle_s=2.0), 4)
        assert set(server.submitted.values()) == {1}
        assert len(server.batches) == 1


@pytest.mark.parametrize("endpoint", ["POST /files", "POST /batches"])
def test_what_was_sent_for_longer_than_a_provider_needs_to_list_it_is_found_again(
    tmp_path: Path, endpoint: str
) -> None:
    """It is taken at the end of an upload, whose answer is lost."""

    class Slow(BatchServer):
        def handle(self, method: str, path: str, *rest: Any) -> Reply:
            first = f"{method} {path[3:]}" == endpoint and not self.asked[endpoint]
            if first:
                time.sleep(0.5)
            reply = super().handle(method, path, *rest)
            return FAULTS["dropped"] if first else reply

    with Slow(echo, unlisted_s=0.1) as server:
        expect_all(Bench(server, tmp_path).run(make_requests(4), settle_s=0.3), 4)
        assert set(server.submitted.values()) == {1}
        assert len(server.files) == 2, "the requests and the answers"


def test_a_stop_leaves_batches_running_and_the_next_start_finds_them(tmp_path: Path) -> None:
    with BatchServer(echo, lambda number: Fate(hold=number < 3)) as server:
        bench = Bench(server, tmp_path)
        engine = bench.start(max_requests=2)
        for results in engine.generate(make_requests(6)):
            assert results == []
            engine.cut_waits()
        assert len(server.batches) == 3
        for batch in server.batches.values():
            batch.fate.hold = False
        later = bench.start(max_requests=2)
        assert set(later.list_out()) == {f"cell-{i}" for i in range(6)}
        expect_all(bench.run(make_requests(8), max_requests=2), 8)
        assert set(server.submitted.values()) == {1}


def test_an_answer_that_nobody_asks_for_any_more_is_on_record(tmp_path: Path) -> None:
    with BatchServer(echo, lambda _: Fate(hold=True)) as server:
        bench = Bench(server, tmp_path)
        engine = bench.start()
        for _ in engine.generate(make_requests(3)):
            engine.cut_waits()
        server.batches["batch_0001"].fate.hold = False
        bench.answered.add("cell-1")  # journalled by a start that was killed then
        assert set(bench.run(make_requests(1))) == {"cell-0"}
    strays = [record for record in bench.log.records if record["event"] == "stray"]
    assert [(each["custom_id"], each["prompt_tokens"]) for each in strays] == [("cell-2", 7)]


def test_batches_whose_answers_are_on_record_already_give_no_provider_up(tmp_path: Path) -> None:
    with BatchServer(echo) as server:
        bench = Bench(server, tmp_path)
        engine = bench.start(max_requests=1, in_flight=5)
        for _ in engine.generate(make_requests(5)):
            engine.cut_waits()
        # Journalled by starts that were killed before they could close them.
        bench.answered |= {f"cell-{i}" for i in range(5)}
        assert set(bench.run(make_requests(6)[5:])) == {"cell-5"}
        assert len(server.batches) == 6
    assert "stray" not in bench.log.list_events()


def test_an_upload_that_broke_off_with_its_sender_is_made_again(tmp_path: Path) -> None:
    down = True

    def lose(what: str, before: int) -> Reply | None:
        return Reply(drop="before") if down and what == "POST /files" else None

    with BatchServer(echo, fault=lose) as server:
        bench = Bench(server, tmp_path)
        with pytest.raises(EngineError):
            bench.run(make_requests(3))
        down = False
        name = f"dfgen-{bench.log.records[0]['key']}.jsonl"
        row = (tmp_path / name).read_bytes().splitlines(keepends=True)[0]
        server.files["file-torn"] = Stored("file-torn", name, row, "batch")
        expect_all(bench.run(make_requests(3)), 3)
        assert set(server.submitted.values()) == {1}
        assert len(server.batches) == 1


def test_a_provider_that_lists_nothing_stops_for_a_yes(tmp_path: Path) -> None:
    def lose(what: str, before: int) -> Reply | None:
        return Reply(drop="before") if what == "POST /batches" else None

    with BatchServer(echo, fault=lose, lists=False) as server:
        with pytest.raises(EngineError) as caught:
            Bench(server, tmp_path).run(make_requests(2))
        assert "--resubmit" in str(caught.value.hint)


def test_a_batch_that_is_forgotten_stops_for_a_yes(tmp_path: Path) -> None:
    with BatchServer(echo, lambda _: Fate(hold=True)) as server:
        bench = Bench(server, tmp_path)
        engine = bench.start()
        for _ in engine.generate(make_requests(2)):
            engine.cut_waits()
        server.batches.clear()
        for _ in range(2):
            with pytest.raises(EngineError, match="does not know the batch") as caught:
                bench.run(make_requests(2))
            assert "--resubmit" in str(caught.value.hint)


def test_batches_that_never_answer_are_given_up(tmp_path: Path) -> None:
    with BatchServer(echo, lambda _: Fate(end="expired", done=0)) as server:
        with pytest.raises(EngineError, match="3 batches in a row"):
            Bench(server, tmp_path).run(make_requests(2))
        assert len(server.batches) == 3


@pytest.mark.parametrize("step", ["POST /files", "POST /batches"])
def test_what_was_taken_long_after_it_was_put_on_record_is_found(tmp_path: Path, step: str) -> None:
    """An upload may last longer than a provider needs to list what it has taken."""
    took_s = 600.0

    def lose(what: str) -> None:
        if what == ("file" if step == "POST /files" else "batch"):
            raise ConnectionError

    with BatchServer(echo, accepted=lose, unlisted_s=0.1) as server:
        bench = Bench(server, tmp_path)
        engine = bench.start(settle_s=0.3)
        attempts = engine.generate(make_requests(3))
        with pytest.MonkeyPatch.context() as patch:
            # The process dies before it can look for what the server has just taken.
            patch.setattr(HandingOver, "_look_for", die)
            with pytest.raises(KeyboardInterrupt):
                next(attempts)
        for record in bench.log.records:
            record["seconds"] -= took_s
        server.accepted = lambda what: None
        expect_all(bench.run(make_requests(3), settle_s=0.3), 3)
        assert set(server.submitted.values()) == {1}
        assert len(server.batches) == 1


def die(*_: Any) -> None:
    raise KeyboardInterrupt


def test_a_server_without_batches_is_named_as_such(tmp_path: Path) -> None:
    """Most servers of one's own have none: neither the model nor the address is wrong then."""

    def lack(what: str, before: int) -> Reply:
        return Reply(write_error("Not Found"), 404)

    with BatchServer(echo, fault=lack) as server, pytest.raises(EngineError) as caught:
        Bench(server, tmp_path).run(make_requests(2))
    assert "HTTP 404: Not Found" in caught.value.what
    assert "serves no batches is asked with `--lane online`" in str(caught.value)


def test_a_batch_that_is_not_listed_yet_is_not_gone(tmp_path: Path) -> None:
    def hide(what: str, before: int) -> Reply | None:
        return (
            Reply(write_error("no such batch"), 404)
            if "GET /batches/" in what and before < 2
            else None
        )

    with BatchServer(echo, fault=hide) as server:
        bench = Bench(server, tmp_path)
        expect_all(bench.run(make_requests(3), settle_s=600.0), 3)
        assert "gone" not in bench.log.list_events()


@pytest.mark.parametrize(
    ("kind", "batch", "sent"),
    [
        (BatchServer, {}, ("24h", None)),
        (BatchServer, {"completion_window": "1h"}, ("1h", None)),
        (BatchServer, {"provider": "groq", "completion_window": "7d"}, ("7d", None)),
        (MistralServer, {"provider": "mistral"}, ("24h", None)),
        (MistralServer, {"provider": "mistral", "completion_window": "168h"}, ("168h", None)),
        (TogetherServer, {"provider": "together", "priority": 7}, ("24h", 7)),
        (TogetherServer, {"provider": "together", "priority": 0}, ("24h", 0)),
    ],
)
def test_window_and_priority_reach_the_provider_with_every_batch(
    tmp_path: Path, kind: type[BatchServer], batch: dict[str, Any], sent: tuple[str, Any]
) -> None:
    with kind(echo) as server:
        expect_all(Bench(server, tmp_path).run(make_requests(4), max_requests=2, **batch), 4)
        assert [(each.window, each.priority) for each in server.batches.values()] == [sent] * 2


def test_what_the_window_has_cut_goes_out_again_with_the_same_window(tmp_path: Path) -> None:
    with BatchServer(echo, lambda n: Fate() if n else Fate(end="expired", done=3)) as server:
        bench = Bench(server, tmp_path)
        expect_all(bench.run(make_requests(5), completion_window="1h"), 5)
        totals = [(each.window, each.counts["total"]) for each in server.batches.values()]
        assert totals == [("1h", 5), ("1h", 2)]
