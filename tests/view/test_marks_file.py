"""The file of marks: what was said to be kept stays readable, whatever else lies there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dfgen.errors import InputError, StorageError
from dfgen.view.marks_file import Mark, MarksFile

MARK = Mark(trajectory_id="a-0", mask="good_mask")
OTHER = Mark(trajectory_id="b-0", note="ü\u2028\n")


def test_what_a_crash_has_cut_short_takes_no_mark_with_it(tmp_path: Path) -> None:
    file = MarksFile(tmp_path / "marks.jsonl")
    file.add(MARK)
    whole = file.path.read_bytes()
    for cut in range(1, len(whole)):
        file.path.write_bytes(whole + whole[:cut])
        assert file.read() == [MARK]
        file.add(OTHER)
        assert file.read() == [MARK, OTHER]


def test_a_last_line_without_its_end_is_kept(tmp_path: Path) -> None:
    file = MarksFile(tmp_path / "marks.jsonl")
    file.add(MARK)
    file.path.write_bytes(file.path.read_bytes().rstrip())
    assert file.read() == [MARK]
    file.add(OTHER)
    assert file.read() == [MARK, OTHER]


@pytest.mark.parametrize("line", [b"x", b"[" * 100_000, b"{}", b"\xff", b'{"trajectory_id": NaN}'])
def test_a_line_that_is_none_is_named(tmp_path: Path, line: bytes) -> None:
    file = MarksFile(tmp_path / "marks.jsonl")
    file.path.write_bytes(line + b"\n" + MARK.model_dump_json().encode() + b"\n")
    with pytest.raises(InputError, match="line 1"):
        file.read()


def test_a_pipe_or_device_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(StorageError):
            MarksFile(path).add(MARK)
        with pytest.raises(StorageError):
            MarksFile(path).read()


def test_marks_that_cannot_be_written_can_be_kept_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        MarksFile(tmp_path / "gone" / "marks.jsonl").add(Mark(trajectory_id="a"))
    assert "--marks" in (caught.value.hint or "")
    assert caught.value.where == str(tmp_path / "gone" / "marks.jsonl")
