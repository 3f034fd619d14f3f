"""Files that workers share through a bucket: what is special about them, and addresses of runs.

What every form of shared files promises is in test_shared_files.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from dfgen.errors import InputError, MissingExtraError
from dfgen.store.bucket.address import is_address, parse_address
from dfgen.store.bucket.opening import open_objects


def test_a_counter_loses_no_step_though_the_same_bytes_are_written(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    pytest.importorskip("obstore", reason="make cluster-env installs it")
    pytest.importorskip("moto", reason="make cluster-env installs it")
    from tests.support.s3_server import open_in_bucket

    files = open_in_bucket(tmp_path)
    files.create("n", b"0")

    def count(_: int) -> None:
        while True:
            found = files.read("n")
            assert found is not None
            if files.replace("n", b"%d" % (int(found[0]) + 1), found[1]) is not None:
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(20)))
    found = files.read("n")
    assert found is not None
    assert found[0] == b"20"


@pytest.mark.parametrize("turn", ["first", "second"])
def test_what_one_has_for_itself_for_a_while_takes_three_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turn: str
) -> None:
    """One look and two writes, also where somebody had it before: each shard and each change of
    run.json costs that."""
    pytest.importorskip("obstore", reason="make cluster-env installs it")
    pytest.importorskip("moto", reason="make cluster-env installs it")
    from dfgen.store.bucket.objects import ObstoreObjects
    from tests.support.s3_server import open_in_bucket

    def have(who: bytes) -> None:
        files = open_in_bucket(tmp_path)
        assert files.read("claims/x") is None
        version = files.create("claims/x", who)
        assert version is not None
        assert files.delete("claims/x", version)

    if turn == "second":
        have(b"somebody")
    asked: list[str] = []
    for name in ("get", "head", "create", "replace", "put", "list", "delete"):
        real = getattr(ObstoreObjects, name)

        def note(*args: Any, name: str = name, real: Any = real) -> Any:
            asked.append(name)
            return real(*args)

        monkeypatch.setattr(ObstoreObjects, name, note)
    have(b"this")
    assert asked == ["get", "create" if turn == "first" else "replace", "replace"]


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


def test_a_missing_package_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was called a refusal of the store."""
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(MissingExtraError) as raised:
        open_objects(parse_address("s3://bucket/runs/a"))
    assert "pip install" in str(raised.value) and "bucket" in str(raised.value)
