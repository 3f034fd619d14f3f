"""Files that workers share through a bucket behave as those on a disk do, whoever races."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("obstore")
pytest.importorskip("moto")

from dfgen.errors import InputError
from dfgen.store.bucket.address import is_address, parse_address
from dfgen.store.bucket.objects import open_objects
from dfgen.store.bucket_files import BucketFiles
from tests.support.s3_server import S3Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3") / "log")
    yield server
    server.close()


@pytest.fixture
def files(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> BucketFiles:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return BucketFiles(open_objects(parse_address(f"{server.make_bucket()}/runs/a")), "claims")


def test_a_file_is_created_once(files: BucketFiles) -> None:
    assert files.read("a") is None
    version = files.create("a", b"1")
    assert version is not None
    assert files.create("a", b"2") is None
    assert files.read("a") == (b"1", version)


def test_one_of_many_creates_a_file(files: BucketFiles) -> None:
    def create(worker: int) -> list[str]:
        mine = str(worker).encode()
        return [name for name in map(str, range(10)) if files.create(name, mine) is not None]

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(create, range(4)))
    assert sorted(name for names in won for name in names) == sorted(map(str, range(10)))
    for worker, names in enumerate(won):
        assert all(files.read(name)[0] == str(worker).encode() for name in names)  # type: ignore[index]


def test_one_of_many_replaces_a_version(files: BucketFiles) -> None:
    first = files.create("a", b"0")
    assert first is not None
    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(lambda i: files.replace("a", b"%d" % (i + 1), first), range(4)))
    won = [i for i, version in enumerate(versions) if version is not None]
    assert len(won) == 1
    assert files.read("a") == (b"%d" % (won[0] + 1), versions[won[0]])
    assert files.replace("a", b"9", first) is None
    assert files.replace("none", b"9", first) is None


def test_a_counter_loses_no_step(files: BucketFiles) -> None:
    files.create("n", b"0")

    def count(_: int) -> None:
        while True:
            content, version = files.read("n")  # type: ignore[misc]
            if files.replace("n", b"%d" % (int(content) + 1), version) is not None:
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(20)))
    assert files.read("n")[0] == b"20"  # type: ignore[index]


def test_what_was_deleted_is_gone_and_can_be_created_once(files: BucketFiles) -> None:
    first = files.create("a", b"1")
    assert first is not None
    second = files.replace("a", b"2", first)
    assert not files.delete("a", first), "it is another version now"
    assert second is not None
    assert files.delete("a", second)
    assert not files.delete("a", second)
    assert not files.delete("a")
    assert files.read("a") is None
    assert list(files.list("")) == []
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda i: files.create("a", b"again %d" % i), range(4)))
    assert sum(version is not None for version in made) == 1
    assert files.delete("a")


def test_files_are_listed_by_what_their_names_begin_with(files: BucketFiles) -> None:
    for name in ("mask-1", "sample-1", "sample-2", "deep/sample-3"):
        files.create(name, b"x")
    assert list(files.list("sample-")) == ["sample-1", "sample-2"]
    assert list(files.list("deep/")) == ["deep/sample-3"]
    assert list(files.list("")) == ["deep/sample-3", "mask-1", "sample-1", "sample-2"]


def test_an_empty_file_is_refused(files: BucketFiles) -> None:
    with pytest.raises(ValueError, match="counts as none"):
        files.create("a", b"")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://bucket/runs/a", "s3://bucket/runs/a"),
        ("S3://bucket//runs/a/", "s3://bucket/runs/a"),
        ("az://box/a", "az://box/a"),
    ],
)
def test_addresses_have_one_form(text: str, shown: str) -> None:
    assert is_address(text)
    assert str(parse_address(text)) == shown


@pytest.mark.parametrize(
    "text",
    ["s3://bucket", "s3://key:secret@bucket/a", "s3://a/../b", "s3://bucket/a?sig=x", "ftp://a/b"],
)
def test_an_address_that_no_run_can_have_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_address(text)
    assert "secret" not in str(caught.value)


def test_paths_are_no_addresses() -> None:
    assert not any(map(is_address, ("runs/a", "C:/a", "file:///a", "/s3:/a", str(Path.cwd()))))
