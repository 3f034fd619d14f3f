"""Objects of a Storage Bucket: huggingface_hub and hf_xet themselves, against a loopback Hub."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dfgen.errors import InputError
from dfgen.store.bucket.address import is_address, parse_address
from dfgen.store.bucket.objects import Objects
from tests.support.bucket_runs import open_bucket
from tests.support.hub import Fault, HubStub
from tests.support.hub_runs import BUCKET
from tests.support.hub_store import Entry

HASH = "f" * 64


@pytest.fixture
def objects(bucket: str) -> Objects:
    return open_bucket(f"{bucket}/runs/a")


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_what_is_written_is_read(objects: Objects, tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)
    path = tmp_path / "content"
    path.write_bytes(content)
    version = objects.put("t/a.parquet", path)
    found = objects.get("t/a.parquet")
    assert found is not None
    assert found[0] == content
    assert (found[1].key, found[1].size, found[1].version) == ("t/a.parquet", size, version)
    assert objects.head("t/a.parquet") == found[1]
    assert objects.download("t/a.parquet", tmp_path / "copy") == found[1]
    assert (tmp_path / "copy").read_bytes() == content
    file = objects.open(found[1])
    file.seek(size // 2)
    assert file.read(100) == content[size // 2 : size // 2 + 100]
    file.seek(0)
    assert file.read() == content


def test_what_is_not_there_is_none(objects: Objects, tmp_path: Path) -> None:
    assert objects.get("a") is None
    assert objects.head("a") is None
    assert objects.download("a", tmp_path / "a") is None
    assert not (tmp_path / "a").exists()
    assert list(objects.list()) == []


def test_a_list_has_every_page_and_nobody_elses(hub: HubStub, objects: Objects) -> None:
    files = hub.state.buckets[BUCKET].files
    names = [f"trajectories/part-{number:05d}.parquet" for number in range(5_000)]
    files.update({f"runs/a/{name}": Entry(HASH, 7, 1e9, 0.0) for name in names})
    files.update({f"runs/{name}": Entry(HASH, 7, 1e9, 0.0) for name in ("ab/x", "a.json", "b/x")})
    before = hub.count("GET", "/tree")
    assert [each.key for each in objects.list()] == names
    assert hub.count("GET", "/tree") - before == 6
    assert [each.key for each in objects.list("traj/")] == []
    assert [each.key for each in objects.list("trajectories/", after=names[-3])] == names[-2:]
    late = objects.list("trajectories/", after=names[-3])
    assert [each.key for each in late] == names[-2:]


def test_times_are_those_of_the_hub(hub: HubStub, objects: Objects) -> None:
    """What a writer says is of a clock that may be wrong; a shard keeps the time of its file."""
    hub.state.buckets[BUCKET].clock_s = 10_000
    objects.put("a", b"a")
    entry = hub.state.buckets[BUCKET].files["runs/a/a"]
    found = objects.head("a")
    assert found is not None
    assert found.modified.timestamp() == pytest.approx(entry.uploaded, abs=0.01)
    assert found.modified.timestamp() > entry.written + 5_000


def test_what_is_there_is_not_created_and_another_version_not_replaced(objects: Objects) -> None:
    first = objects.create("a", b"first")
    assert first is not None
    assert objects.create("a", b"second") is None
    second = objects.replace("a", b"second", first)
    assert second is not None
    assert objects.replace("a", b"third", first) is None
    found = objects.get("a")
    assert found is not None
    assert found[0] == b"second"


def test_who_is_written_over_at_once_is_told(hub: HubStub, objects: Objects) -> None:
    files = hub.state.buckets[BUCKET].files
    objects.put("other", b"other")

    def write_over() -> None:
        files["runs/a/a"] = files["runs/a/other"]

    hub.faults.append(Fault("POST", "/paths-info", skip=1, hook=write_over))
    assert objects.create("a", b"mine") is None


def test_an_open_file_stays_the_one_that_was_listed(objects: Objects) -> None:
    objects.put("a", b"first" * 100)
    known = objects.head("a")
    assert known is not None
    objects.put("a", b"other" * 100)
    assert objects.open(known).read() == b"first" * 100


def test_many_are_deleted_and_copied(hub: HubStub, objects: Objects) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: objects.put(f"n/{number}", b"n"), range(6)))
    objects.copy("n/0", "m/0")
    before = hub.count("POST", "/batch")
    objects.delete([f"n/{number}" for number in range(6)] + ["n/none"])
    objects.delete(["n/none"])
    assert hub.count("POST", "/batch") - before == 1
    assert [each.key for each in objects.list()] == ["m/0"]


def test_an_address_on_the_hub_names_owner_bucket_and_folder() -> None:
    assert is_address("hf://buckets/me/b/run")
    address = parse_address("HF://buckets/me//b/runs/a/")
    assert str(address) == "hf://buckets/me/b/runs/a"
    assert (address.bucket, address.folder) == ("buckets/me/b", "runs/a")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hf://datasets/me/d/run", "not in a repository"),
        ("hf://me/model/run", "not in a repository"),
        ("hf://buckets", "no name of a bucket"),
        ("hf://buckets/me", "no name of a bucket"),
        ("hf://buckets/me/b", "no folder in it"),
        ("hf://buckets/me/b/..", "signs that not every store keeps"),
        ("hf://hf_secret@buckets/me/b/run", "a user name or a password"),
    ],
)
def test_another_address_on_the_hub_is_refused_with_the_form(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_address(text)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "hf://buckets/OWNER/NAME/FOLDER" in str(caught.value)
