"""A repairer that a job serves: its address is found, and looked for again when it has moved."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from dfgen.errors import LaunchError
from dfgen.runners import serving
from dfgen.runners.serving import Place, find_servers, is_address, serve
from dfgen.stages.stopping import StopSignal
from tests.support.waiting import wait_until

KEY = "a-key-of-this-test"
SERVER = (sys.executable, "-m", "tests.support.served_model")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LOOK_S", 0.05)
    monkeypatch.setattr(serving, "ASK_S", 0.05)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.chdir(ROOT)


class Job:
    """A job that serves, in a thread."""

    def __init__(self, place: Place, *command: str) -> None:
        self.over = False
        self.stop = StopSignal()
        self.outcome: bool | Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(place, command or SERVER))
        self._thread.start()

    def _run(self, place: Place, command: tuple[str, ...]) -> None:
        try:
            self.outcome = serve(command, place, KEY, lambda: self.over, self.stop)
        except LaunchError as error:
            self.outcome = error

    def end(self) -> bool | Exception | None:
        """Wait for its end; says how it ended."""
        self._thread.join(300)
        assert not self._thread.is_alive()
        return self.outcome


@contextmanager
def start(place: Place, *command: str) -> Iterator[Job]:
    job = Job(place, *command)
    try:
        yield job
    finally:
        job.over = True
        job.end()


def test_servers_are_found_when_all_answer_and_take_their_address_away(tmp_path: Path) -> None:
    places = [Place(tmp_path, index, 2) for index in range(2)]
    with start(places[0]) as one, start(places[1]) as two:
        urls = find_servers(tmp_path, KEY, StopSignal())
        assert len(urls) == 2
        assert (tmp_path / "server-0.json").exists()
        one.over = two.over = True
        assert one.end() is True and two.end() is True
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_a_dead_job_has_left_is_not_used(tmp_path: Path) -> None:
    place = Place(tmp_path, 0, 1)
    place.file.write_text(json.dumps({"url": "http://127.0.0.1:9/v1", "count": 1}))
    found: list[str] = []
    looking = threading.Thread(
        target=lambda: found.extend(find_servers(tmp_path, KEY, StopSignal()))
    )
    looking.start()
    with start(place):
        looking.join(300)
        assert found and found[0] == json.loads(place.file.read_text())["url"]


def test_who_has_another_key_is_not_answered(tmp_path: Path) -> None:
    with start(Place(tmp_path, 0, 1)):
        find_servers(tmp_path, KEY, StopSignal())
        with pytest.raises(LaunchError, match="answers after 0 s"):
            find_servers(tmp_path, "another-key", StopSignal(), wait_s=0.2)


def test_a_server_that_dies_says_so_to_all_who_wait(tmp_path: Path) -> None:
    with start(Place(tmp_path, 0, 1), sys.executable, "-c", "import sys; sys.exit(7)") as job:
        with pytest.raises(LaunchError, match="exit code 7"):
            find_servers(tmp_path, KEY, StopSignal())
        assert "exit code 7" in str(job.end())
    with start(Place(tmp_path, 0, 1), "/no/such/program") as job:
        assert "cannot be started" in str(job.end())


def test_a_stop_ends_the_server_and_the_waiting(tmp_path: Path) -> None:
    place = Place(tmp_path, 0, 1)
    with start(place) as job:
        wait_until(place.file.exists)
        job.stop.requested = True
        assert job.end() is False
    assert not place.file.exists()
    stop = StopSignal()
    threading.Timer(0.2, partial(setattr, stop, "requested", True)).start()
    assert find_servers(tmp_path, KEY, stop) == []


@pytest.mark.parametrize(
    "url",
    [5, None, ["x"], "file:///etc/passwd", "http://a/v1", "http://k@b:1/v1", "http://a:1/v1?x=\n"],
)
def test_the_key_goes_to_no_other_kind_of_address(url: object) -> None:
    assert not is_address(url)
    assert is_address("http://gpu-17.cluster_a:40123/v1")
