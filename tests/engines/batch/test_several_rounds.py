"""A caller asks in rounds, and each start begins with the first: nothing that is out gets lost."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from dfgen.engines.base import Request
from dfgen.engines.openai.batch.carrier import Carrier
from tests.engines.batch.keeping import Bench, MemoryLog, echo
from tests.engines.making import make_request
from tests.support.batch_server import BatchServer, Fate
from tests.support.killing import Killed

CELLS, ROUNDS = 7, 3


class Fuse:
    """Kills at the n-th moment from now on."""

    def __init__(self) -> None:
        self.left: int | None = None

    def burn(self) -> None:
        """A moment passes."""
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Killed


class FusedLog(MemoryLog):
    """A log at which a process may be killed, before and after a record is on disk."""

    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        self.fuse = fuse

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add records."""
        self.fuse.burn()
        super().append(records)
        self.fuse.burn()


class Caller:
    """Asks about each cell in as many rounds as it needs, from what it has on record.

    Attributes:
        used: answers by key; the bench keeps which of them are on disk.
    """

    def __init__(self, bench: Bench, fuse: Fuse) -> None:
        self.bench, self.fuse = bench, fuse
        self.used: list[str] = []

    def list_requests(self, round_number: int) -> list[Request]:
        """What a round asks: about each cell that has all its answers of the rounds before."""
        wanted = []
        for cell in range(CELLS):
            done = sum(f"{cell}_r{n}" in self.bench.answered for n in range(ROUNDS))
            if done == round_number and round_number <= cell % ROUNDS:
                wanted.append(make_request(f"{cell}_r{round_number}", f"say {cell}"))
        return wanted

    def run(self, **batch: Any) -> None:
        """One start: all rounds, the first ones again where they have nothing left to ask."""
        engine = self.bench.start(**batch)
        for round_number in range(ROUNDS):
            for results in engine.generate(self.list_requests(round_number)):
                self.fuse.burn()
                for result in results:
                    assert result.failure is None
                    self.used.append(result.key)
                    self.bench.answered.add(result.key)
                self.fuse.burn()
        engine.settle()


ALL = {f"{cell}_r{n}" for cell in range(CELLS) for n in range(cell % ROUNDS + 1)}


def test_a_batch_of_a_later_round_waits_until_that_round_asks(tmp_path: Path) -> None:
    with BatchServer(echo, lambda number: Fate(hold=number == 1)) as server:
        bench = Bench(server, tmp_path)
        engine = bench.start()
        first = [make_request(f"cell-{i}_r0", f"say {i}") for i in range(3)]
        second = [make_request(f"cell-{i}_r1", f"say {i}") for i in range(3)]
        for results in engine.generate(first):
            bench.answered.update(result.key for result in results)
        for _ in engine.generate(second):
            engine.cut_waits()
        server.batches["batch_0002"].fate.hold = False
        # The next start finds the first round done, and its answers of the second are there.
        later = bench.start()
        assert [results for results in later.generate([]) if results] == []
        found = [result.key for results in later.generate(second) for result in results]
        assert sorted(found) == [request.key for request in second]
        later.settle()
        assert set(server.submitted.values()) == {1}
    assert "stray" not in bench.log.list_events()
    assert list(tmp_path.iterdir()) == []


def test_a_batch_in_which_only_some_are_asked_keeps_the_others(tmp_path: Path) -> None:
    requests = [make_request(f"cell-{i}", f"say {i}") for i in range(6)]
    with BatchServer(echo, lambda number: Fate(hold=number == 0)) as server:
        bench = Bench(server, tmp_path)
        engine = bench.start()
        for _ in engine.generate(requests):
            engine.cut_waits()
        server.batches["batch_0001"].fate.hold = False
        later, found = bench.start(), []
        for part in (requests[2:4], requests[:1], [], requests[4:]):
            found.append([each.key for results in later.generate(part) for each in results])
            bench.answered.update(found[-1])
        assert [sorted(each) for each in found] == [
            ["cell-2", "cell-3"],
            ["cell-0"],
            [],
            ["cell-4", "cell-5"],
        ]
        assert len(server.batches) == 1
        later.settle()  # nobody has asked for cell-1: it is paid for all the same
    assert [each["custom_id"] for each in bench.log.records if each["event"] == "stray"] == [
        "cell-1"
    ]
    assert bench.log.list_events()[-1] == "closed"


def test_a_stop_in_the_middle_of_asking_throws_no_answer_away(tmp_path: Path) -> None:
    requests = [make_request(f"cell-{i}", f"say {i}") for i in range(4)]
    with BatchServer(echo, lambda number: Fate(hold=number == 0)) as server:
        bench = Bench(server, tmp_path)
        engine = bench.start()
        for _ in engine.generate(requests):
            engine.cut_waits()
        server.batches["batch_0001"].fate.hold = False
        stopped = bench.start()

        def ask() -> Any:
            yield requests[0]
            stopped.cut_waits()  # Ctrl-C, while the next request is being made

        for results in stopped.generate(ask()):
            bench.answered.update(result.key for result in results)
        left = [request for request in requests if request.key not in bench.answered]
        assert set(bench.run(left)) == {request.key for request in left}
        assert len(left) >= 3
        assert len(server.batches) == 1


@pytest.mark.parametrize("seed", range(40))
def test_killed_anywhere_each_request_goes_out_once_and_each_answer_is_used_once(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments, fuse = random.Random(seed), Fuse()
    send = Carrier.send_once

    def send_once(self: Carrier, *arguments: Any, **headers: Any) -> Any:
        fuse.burn()
        answer = send(self, *arguments, **headers)
        fuse.burn()
        return answer

    monkeypatch.setattr(Carrier, "send_once", send_once)

    def plan(number: int) -> Fate:
        return Fate(end="expired", done=1) if number % 4 == 3 else Fate(twice=1)

    with BatchServer(echo, plan) as server:
        bench = Bench(server, tmp_path, FusedLog(fuse))
        caller, kills = Caller(bench, fuse), 0
        batch = {"max_requests": moments.randint(1, 4), "in_flight": moments.randint(1, 3)}
        while True:
            fuse.left = moments.randint(0, 40) if kills < 12 else None
            try:
                caller.run(**batch)
                break
            except Killed:
                kills += 1
        assert kills
        assert sorted(caller.used) == sorted(ALL)
        assert set(server.answered.values()) == {1}
        cut = sum(
            each.counts["failed"] for each in server.batches.values() if each.status == "expired"
        )
        assert server.submitted.total() == len(ALL) + cut
    assert "stray" not in bench.log.list_events()
