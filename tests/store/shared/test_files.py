"""Every form of shared files keeps the same promises, whoever races."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfgen.errors import StorageError
from dfgen.store import atomic_files
from dfgen.store.atomic_files import create_file
from dfgen.store.shared import files as shared_files
from dfgen.store.shared.files import PosixFiles, SharedFiles
from tests.support.azure_server import find_azurite, open_in_container
from tests.support.s3_server import open_in_bucket

FORMS: dict[str, Callable[[Path], SharedFiles]] = {"posix": PosixFiles}
"""How each form is opened; all that are opened with the same path see the same files."""
if importlib.util.find_spec("obstore") and importlib.util.find_spec("moto"):
    FORMS["bucket"] = open_in_bucket
if importlib.util.find_spec("obstore") and find_azurite():
    FORMS["azure"] = open_in_container


@pytest.fixture(params=FORMS)
def open_files(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], SharedFiles]:
    return lambda: FORMS[request.param](tmp_path / "shared")


def test_what_is_written_is_read(open_files: Callable[[], SharedFiles]) -> None:
    files = open_files()
    assert files.read("claims/mask-00001") is None
    first = files.create("claims/mask-00001", b"a")
    assert first is not None
    assert open_files().read("claims/mask-00001") == (b"a", first)
    second = files.replace("claims/mask-00001", b"b", first)
    assert second not in (None, first)
    assert files.read("claims/mask-00001") == (b"b", second)


def test_only_what_is_not_there_is_created(open_files: Callable[[], SharedFiles]) -> None:
    files = open_files()
    assert files.create("claims/x", b"a")
    assert files.create("claims/x", b"b") is None
    assert files.delete("claims/x")
    assert files.create("claims/x", b"c")
    found = files.read("claims/x")
    assert found is not None
    assert found[0] == b"c"


def test_only_what_has_not_changed_is_replaced(open_files: Callable[[], SharedFiles]) -> None:
    files = open_files()
    first = files.create("claims/x", b"a")
    assert first is not None
    second = files.replace("claims/x", b"b", first)
    assert second is not None
    assert files.replace("claims/x", b"c", first) is None
    assert not files.delete("claims/x", first)
    assert files.read("claims/x") == (b"b", second)
    assert files.delete("claims/x", second)
    assert files.read("claims/x") is None
    assert not files.delete("claims/x")
    assert files.replace("claims/x", b"d", second) is None, "gone is not unchanged"


def test_a_version_never_comes_back(open_files: Callable[[], SharedFiles]) -> None:
    files, seen = open_files(), set()
    for _ in range(40):
        version = files.create("claims/x", b"same")
        assert version is not None
        assert version not in seen
        seen.add(version)
        assert files.delete("claims/x", version)


def test_files_are_listed_by_folder(open_files: Callable[[], SharedFiles]) -> None:
    files = open_files()
    for name in ("claims/mask-00001", "claims/mask-00000", "claims/deep/x", "claimsx/y", "z"):
        files.create(name, b"-")
    files.delete("claims/mask-00001")
    assert list(files.list("claims")) == ["claims/deep/x", "claims/mask-00000"]
    assert list(files.list("nothing")) == []


@pytest.mark.parametrize("name", ["", "../x", "/x", "a//b", "a/../b", "a/0b", "a b", "a/"])
def test_a_name_leads_nowhere_else(open_files: Callable[[], SharedFiles], name: str) -> None:
    with pytest.raises(ValueError, match="no name of a shared file"):
        open_files().create(name, b"-")


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["create", "replace", "stale", "delete", "delete stale"]),
        st.sampled_from(["a/x", "a/y"]),
        st.binary(min_size=1, max_size=3).filter(lambda data: data[0] != 0),
    ),
    max_size=60,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(actions=ACTIONS)
def test_it_does_what_a_dictionary_would(
    actions: list[tuple[str, str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    for form in FORMS.values():
        files = form(tmp_path_factory.mktemp("shared"))
        model: dict[str, tuple[bytes, str]] = {}
        old: dict[str, str] = {}
        for action, name, data in actions:
            known = model.get(name)
            if action == "create":
                version = files.create(name, data)
                assert (version is None) == (known is not None)
                if version is not None:
                    model[name] = (data, version)
            elif action == "replace" and known is not None:
                version = files.replace(name, data, known[1])
                assert version is not None
                old[name], model[name] = known[1], (data, version)
            elif action == "stale" and name in old:
                assert files.replace(name, data, old[name]) is None
            elif action == "delete":
                assert files.delete(name) == (known is not None)
                if known is not None:
                    old[name] = model.pop(name)[1]
            elif action == "delete stale" and name in old:
                assert not files.delete(name, old[name])
        assert {name: files.read(name) for name in files.list("a")} == model


COUNTERS = [f"claims/counter-{letter}" for letter in "abcdefgh"]
#: By one of four: of three others no more than 15 changes fall between two looks of one, who may
#: not be further behind and still be told the truth.
TIMES = 5


def count_up(files: SharedFiles) -> None:
    """Add one, `TIMES` times, to the number that each of some files holds."""
    for name in COUNTERS:
        for _ in range(TIMES):
            while True:
                found = files.read(name)
                if found is None:
                    if files.create(name, b"1"):
                        break
                elif files.replace(name, b"%d" % (int(found[0]) + 1), found[1]):
                    break


def read_counters(files: SharedFiles) -> list[int]:
    return [int(found[0]) if (found := files.read(name)) else 0 for name in COUNTERS]


def test_no_change_is_lost_between_threads(open_files: Callable[[], SharedFiles]) -> None:
    with ThreadPoolExecutor(4) as pool:
        for task in [pool.submit(count_up, open_files()) for _ in range(4)]:
            task.result()
    assert read_counters(open_files()) == [4 * TIMES] * len(COUNTERS)


def test_no_change_is_lost_between_processes(tmp_path: Path) -> None:
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                count_up(PosixFiles(tmp_path))
            finally:
                os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    found = [PosixFiles(tmp_path).read(name) for name in COUNTERS]
    assert found == [(b"%d" % (3 * TIMES), str(3 * TIMES))] * len(COUNTERS)


def test_one_of_all_who_create_wins(open_files: Callable[[], SharedFiles]) -> None:
    barrier = threading.Barrier(4)

    def create_all(who: int) -> set[int]:
        files = open_files()
        barrier.wait()
        return {k for k in range(20) if files.create(f"claims/s-{k:05d}", b"%d" % (who + 1))}

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(create_all, range(4)))
    assert sorted(k for each in won for k in each) == list(range(20))


@pytest.mark.parametrize("others", [1, 15, 16, 17, 40])
def test_a_process_that_was_frozen_before_it_wrote_is_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """However many versions have come, and have been cleared away, while it stood still."""
    files = PosixFiles(tmp_path)
    version = files.create("claims/x", b"mine")
    assert version is not None

    def freeze(path: Path, content: bytes, **options: Any) -> None:
        monkeypatch.setattr(shared_files, "create_file", create_file)
        now: str | None = version
        for number in range(others):
            now = files.replace("claims/x", b"theirs %d" % number, now or "")
        create_file(path, content, **options)

    monkeypatch.setattr(shared_files, "create_file", freeze)
    assert files.replace("claims/x", b"late", version) is None
    found = files.read("claims/x")
    assert found is not None
    assert found[0] == b"theirs %d" % (others - 1)


def test_no_more_files_stay_than_are_needed(tmp_path: Path) -> None:
    files = PosixFiles(tmp_path)
    version = files.create("workers/w-1", b"0")
    for beat in range(100):
        version = files.replace("workers/w-1", b"%d" % beat, version or "")
    assert len(list((tmp_path / "workers/w-1").iterdir())) <= 16


def test_only_what_a_power_loss_leaves_worthless_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[int] = []
    monkeypatch.setattr(os, "fsync", waits.append)
    files = PosixFiles(tmp_path)
    version = files.create("claims/mask-00001", b"mine")
    assert version is not None
    assert files.delete("claims/mask-00001", version)
    assert not waits
    assert files.create("budget/repair", b"1") is not None
    assert waits


def test_a_file_gets_its_name_when_it_is_whole_where_the_system_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a process that is killed leaves no temporary file."""
    descriptor = atomic_files.open_unnamed(tmp_path)
    if descriptor is None:
        pytest.skip("no files without a name here (tmpfs before Linux 6.5, NFS)")
    os.close(descriptor)
    monkeypatch.delattr(atomic_files, "_create_from_temporary")
    create_file(tmp_path / "new", b"whole")
    assert (tmp_path / "new").read_bytes() == b"whole"
    with pytest.raises(FileExistsError):
        create_file(tmp_path / "new", b"other")


@pytest.mark.parametrize("form", ["no unnamed files", "no links"])
def test_other_file_systems_create_exclusively_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(atomic_files, "open_unnamed", lambda directory: None)
    if form == "no links":

        def refuse(*args: Any, **kwargs: Any) -> None:
            raise PermissionError(1, "no links here")

        monkeypatch.setattr(os, "link", refuse)
    with ThreadPoolExecutor(4) as pool:
        for task in [pool.submit(count_up, PosixFiles(tmp_path)) for _ in range(4)]:
            task.result()
    assert read_counters(PosixFiles(tmp_path)) == [4 * TIMES] * len(COUNTERS)


def test_an_answer_that_nfs_lost_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link is made, the answer lost, the repeated call told that it exists."""
    real = os.link

    def link_and_complain(source: Path, target: Path, **options: Any) -> None:
        real(source, target, **options)
        raise FileExistsError(17, "File exists")

    monkeypatch.setattr(atomic_files, "open_unnamed", lambda directory: None)
    monkeypatch.setattr(os, "link", link_and_complain)
    assert PosixFiles(tmp_path).create("claims/x", b"mine") is not None


def test_a_disk_that_does_not_take_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared_files, "create_file", refuse)
    with pytest.raises(StorageError, match="the disk is full"):
        PosixFiles(tmp_path).create("claims/x", b"-")
