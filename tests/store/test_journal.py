"""The journal: crash safe at any byte, exact, and honest about damage."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfgen.errors import DamagedFileError, StorageError
from dfgen.store.journal import Journal

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.dictionaries(st.text(max_size=5), JSON, max_size=4)
LISTS = st.lists(st.lists(RECORDS, min_size=1, max_size=3), max_size=5)


def open_journal(path: Path, **settings: Any) -> Journal:
    return Journal(path / "sample-00003.jsonl", stage="sample", shard=3, **settings)


def flatten(lists: Sequence[Sequence[Any]]) -> list[Any]:
    return [record for records in lists for record in records]


@given(LISTS)
@settings(max_examples=60)
def test_what_was_appended_comes_back(tmp_path_factory: Any, lists: list[list[Any]]) -> None:
    path = tmp_path_factory.mktemp("journal")
    with open_journal(path) as journal:
        for records in lists:
            journal.append(records)
        assert list(journal.replay()) == flatten(lists)
    assert list(open_journal(path).replay()) == flatten(lists)


def test_a_new_journal_is_empty_and_makes_no_file(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    assert list(journal.replay()) == []
    journal.append([])
    assert not journal.exists()
    journal.delete()
    journal.close()


@pytest.mark.parametrize("sync", ["always", 60.0])
def test_cut_at_every_byte_keeps_whole_lists_and_goes_on(tmp_path: Path, sync: Any) -> None:
    lists: list[list[dict[str, Any]]] = [
        [{"a": 1}, {"text": "é\nb"}],
        [{"c": [1.5]}],
        [{"d": "x" * 30}, {"e": None}],
    ]
    with open_journal(tmp_path, sync=sync) as journal:
        ends = []
        for records in lists:
            journal.append(records)
            ends.append(journal.path.stat().st_size)
    content = journal.path.read_bytes()
    for size in range(len(content) + 1):
        journal.path.write_bytes(content[:size])
        complete = flatten(
            [records for records, end in zip(lists, ends, strict=True) if end <= size]
        )
        again = open_journal(tmp_path, sync=sync)
        assert list(again.replay()) == complete
        starts = [0, content.index(b"\n") + 1, *ends]
        assert again.torn_bytes == size - max(start for start in starts if start <= size)
        again.append([{"new": size}])
        again.close()
        assert list(open_journal(tmp_path).replay()) == [*complete, {"new": size}]


@given(lists=LISTS.filter(bool), data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_random_damage_never_gives_wrong_records(
    tmp_path_factory: Any, lists: list[list[Any]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal")
    with open_journal(path, sync="always") as journal:
        ends = []
        for records in lists:
            journal.append(records)
            ends.append(journal.path.stat().st_size)
    content = bytearray(journal.path.read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    junk = data.draw(st.binary(min_size=1, max_size=40))
    content[start : start + len(junk)] = junk
    journal.path.write_bytes(content)
    last_start = ends[-2] if len(ends) > 1 else 0
    damaged = bytes(content) != journal.path.read_bytes()
    assert not damaged
    prefixes = [flatten(lists[:n]) for n in range(len(lists) + 1)]
    try:
        records = list(open_journal(path).replay())
    except DamagedFileError as error:
        assert "offset" in str(error)
        assert str(journal.path) in str(error)
    else:
        assert records in prefixes
        # Only lists that no later line vouches for may be taken for an interrupted write: the
        # damage reaches the last one, and nothing that stood before the damage is lost.
        if records != flatten(lists):
            intact = sum(end <= start for end in ends)
            assert len(records) >= len(prefixes[intact])
            assert start + len(junk) > last_start


def test_damage_in_the_middle_is_named_and_not_appended_to(tmp_path: Path) -> None:
    with open_journal(tmp_path, sync="always") as journal:
        for number in range(4):
            journal.append([{"number": number}])
    content = journal.path.read_bytes()
    offset = content.index(b'{"number":1}')
    journal.path.write_bytes(content.replace(b'{"number":1}', b'{"number":7}'))
    line = content.rindex(b"\n", 0, offset) + 1
    with pytest.raises(DamagedFileError) as caught:
        list(open_journal(tmp_path).replay())
    assert f"offset {line}" in str(caught.value)
    assert f"truncate -s {line}" in str(caught.value)
    with pytest.raises(DamagedFileError):
        open_journal(tmp_path).append([{"number": 9}])
    os.truncate(journal.path, line)  # what the message advises
    assert list(open_journal(tmp_path).replay()) == [{"number": 0}]


def test_a_newline_that_is_damaged_hides_no_line_behind_it(tmp_path: Path) -> None:
    with open_journal(tmp_path, sync="always") as journal:
        journal.append([{"number": 0}])
        end = journal.path.stat().st_size
        journal.append([{"number": 1}])
    content = bytearray(journal.path.read_bytes())
    content[end - 1] = 0
    journal.path.write_bytes(content)
    with pytest.raises(DamagedFileError, match="offset"):
        list(open_journal(tmp_path).replay())


def test_a_hole_that_was_never_synced_is_a_torn_write(tmp_path: Path) -> None:
    """A power loss may keep later blocks and lose earlier ones, down to the last fsync."""
    journal = open_journal(tmp_path, sync=60.0)
    journal.append([{"safe": 1}])
    journal.sync()
    safe = journal.path.stat().st_size
    for number in range(50):
        journal.append([{"number": number}])
    content = bytearray(journal.path.read_bytes())
    content[safe + 10 : safe + 300] = bytes(290)
    journal.close()
    journal.path.write_bytes(content)
    again = open_journal(tmp_path)
    assert list(again.replay()) == [{"safe": 1}]
    assert again.torn_bytes == len(content) - safe
    content[safe - 20 : safe + 10] = bytes(30)  # reaches below the mark: this is damage
    journal.path.write_bytes(content)
    with pytest.raises(DamagedFileError):
        list(open_journal(tmp_path).replay())


@given(st.lists(st.floats(width=32)))
def test_float32_comes_back_bit_for_bit(tmp_path_factory: Any, values: list[float]) -> None:
    array = np.array(values, dtype=np.float32)
    with open_journal(tmp_path_factory.mktemp("journal")) as journal:
        journal.append([{"array": array, "floats": array.tolist(), "scalars": list(array)}])
        (record,) = journal.replay()
    for name in ("array", "floats", "scalars"):
        again = np.array(record[name], dtype=np.float32)
        np.testing.assert_array_equal(again, array)


def test_numpy_is_written_short_and_strangers_are_refused(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        journal.append(
            [
                {
                    "p": np.float32(-0.1),
                    "i": np.int64(3),
                    "b": np.bool_(True),
                    "a": np.eye(2, dtype="f4"),
                }
            ]
        )
        assert b'{"p":-0.1,"i":3,"b":true,"a":[[1.0,0.0],[0.0,1.0]]}' in journal.path.read_bytes()
        with pytest.raises(TypeError, match="not set"):
            journal.append([{"s": {1, 2}}])
        assert len(list(journal.replay())) == 1


def test_half_a_surrogate_pair_survives(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        journal.append([{"text": "\ud83d|\udc00"}])
        assert list(journal.replay()) == [{"text": "\ud83d|\udc00"}]


def test_one_list_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    write = os.write
    with open_journal(tmp_path) as journal:

        def count(descriptor: int, data: bytes) -> int:
            calls.append(data)
            return write(descriptor, data)

        monkeypatch.setattr(os, "write", count)
        journal.append([{"n": n} for n in range(100)])
        monkeypatch.undo()
        assert len(calls) == 1


def test_another_stage_or_version_is_noticed(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        journal.append([{"n": 1}])
    moved = Journal(journal.path, stage="repair", shard=3)
    with pytest.raises(DamagedFileError, match="sample shard 3"):
        list(moved.replay())


def test_a_second_writer_is_noticed(tmp_path: Path) -> None:
    first, second = open_journal(tmp_path), open_journal(tmp_path)
    first.append([{"n": 1}])
    second.append([{"n": 2}])
    with pytest.raises(DamagedFileError, match="another process"):
        first.append([{"n": 3}])
    first.close()
    second.close()
    assert list(open_journal(tmp_path).replay()) == [{"n": 1}, {"n": 2}]


def test_interval_is_kept_without_further_appends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = threading.Event()
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        fsync(descriptor)
        synced.set()

    monkeypatch.setattr(os, "fsync", watch)
    with open_journal(tmp_path, sync=0.05) as journal:
        journal.append([{"n": 1}])
        assert synced.wait(300)


def test_failed_fsync_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    journal = open_journal(tmp_path, sync="always")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(StorageError, match="Input/output error"):
            journal.append([{"n": 1}])
    with pytest.raises(StorageError):
        journal.append([{"n": 2}])
    with pytest.raises(StorageError):
        journal.close()


def test_full_disk_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    room = [25]

    def write_some(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = write(descriptor, data[: room[0]])
        room[0] -= taken
        return taken

    with open_journal(tmp_path) as journal:
        journal.append([{"n": 1}])
        size = journal.path.stat().st_size
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write_some)
            with pytest.raises(StorageError, match="disk is full") as caught:
                journal.append([{"n": 2}, {"n": 3}])
        assert str(journal.path) in str(caught.value)
        assert "same command again" in str(caught.value)
        assert journal.path.stat().st_size == size
        journal.append([{"n": 4}])
        assert list(journal.replay()) == [{"n": 1}, {"n": 4}]


WRITER = """
import sys
from pathlib import Path
from dfgen.store.journal import Journal
with Journal(Path(sys.argv[1]), stage="sample", shard=3) as journal:
    start = sum(1 for _ in journal.replay()) // 3
    for number in range(start, 10**9):
        journal.append([{"n": number, "part": part, "text": "x" * 20000} for part in range(3)])
        print(number, flush=True)
"""


def test_kill_nine_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "sample-00003.jsonl"
    for round_number in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout
        for _ in range(5 + 20 * round_number):
            acknowledged = int(writer.stdout.readline())
        time.sleep(0.003 * round_number)
        writer.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
        writer.stdout.close()
        writer.wait()
        records = [(r["n"], r["part"]) for r in open_journal(tmp_path).replay()]
        count = len(records) // 3
        assert count >= acknowledged + 1
        assert records == [(n, part) for n in range(count) for part in range(3)]
