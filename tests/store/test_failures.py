"""Full disks, read-only places, missing permission: named, resumable, nothing half-written."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfgen.errors import StorageError
from dfgen.store.finishing import finish_shard
from dfgen.store.os_errors import explain_os_errors
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.store.examples import make_pipeline, make_prompt, make_trajectory
from tests.support.small_disk import fill, mount_disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    with mount_disk(tmp_path / "disk", 256) as disk:
        yield disk


def test_full_disk_and_on_again(small_disk: Path) -> None:
    root = small_disk / "run"
    run = Run.open_or_create(root, make_pipeline(sample={"num_samples": 400}))
    rows = [make_trajectory("p", n) for n in range(400)]
    rows = [row.model_copy(update={"completion": os.urandom(200).hex()}) for row in rows]
    with run.lock():
        run.table("prompts").write(0, [make_prompt("p")])
        run.journal("sample", 0).append([{"paid": True}])
        ballast = fill(small_disk, leave=40_000)
        before = {path: path.stat().st_size for path in root.rglob("*")}
        with pytest.raises(StorageError, match="disk is full") as caught:
            finish_shard(run, "sample", 0, rows)
        assert str(run.table("trajectories").path(0)) in str(caught.value)
        assert "same command again" in str(caught.value)
        after = {path: path.stat().st_size for path in root.rglob("*")}
        assert {path: after[path] for path in before} == before
        assert {path.name for path in after.keys() - before.keys()} <= {"trajectories"}
        assert not run.is_done("sample", 0)
        with pytest.raises(StorageError, match="disk is full"):
            run.journal("sample", 0).append([{"text": "x" * 60_000}])
        with pytest.raises(StorageError, match="disk is full"):
            run.set_stage("sample", state="done", counts={}, text="x" * 100_000)
        assert list(run.journal("sample", 0).replay()) == [{"paid": True}]
        ballast.unlink()
        finish_shard(run, "sample", 0, rows)
    assert audit(Run.open_or_create(root, None)) == []


def test_no_room_for_a_run(small_disk: Path) -> None:
    fill(small_disk, leave=0)
    with pytest.raises(StorageError, match="disk is full"):
        Run.open_or_create(small_disk / "run", make_pipeline())


def test_read_only_file_system(small_disk: Path) -> None:
    run = Run.open_or_create(small_disk / "run", make_pipeline())
    libc = ctypes.CDLL(None)
    read_only_remount = 32 | 1
    assert libc.mount(b"tmpfs", bytes(small_disk), b"tmpfs", read_only_remount, b"") == 0
    with pytest.raises(StorageError, match="read-only") as caught, run.lock():
        pass
    assert "run.lock" in str(caught.value)
    with pytest.raises(StorageError, match="read-only"):
        Run.open_or_create(small_disk / "other", make_pipeline())
    assert Run.open_or_create(run.root, None).manifest == run.manifest


LIMITED = """
import resource, sys
from pathlib import Path
from dfgen.errors import StorageError
from dfgen.store.finishing import finish_shard
from dfgen.store.run import Run
from tests.store.examples import make_prompt
run = Run.open_or_create(Path(sys.argv[1]), None)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    finish_shard(run, "prompts", 0, [make_prompt("p", bytes(100_000))])
except StorageError as error:
    assert "exceed the size" in str(error), error
else:
    raise SystemExit("it was written")
assert list(run.table("prompts").directory.iterdir()) == []
"""


def test_file_size_limit(tmp_path: Path) -> None:
    Run.open_or_create(tmp_path, make_pipeline())
    command = [sys.executable, "-W", "error", "-c", LIMITED, str(tmp_path)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])


PERMISSION = """
import os, sys
from pathlib import Path
import pyarrow.parquet
from dfgen.errors import StorageError
from dfgen.store.run import Run
from tests.store.examples import make_pipeline
if os.getuid() == 0:
    os.setuid(65534)  # root may write anywhere; nobody may not
run = Run.open_or_create(Path(sys.argv[1]), None)
def lock():
    with run.lock():
        pass
for act in (
    lock,
    lambda: Run.open_or_create(run.root / "new", make_pipeline()),
    lambda: run.journal("sample", 0).append([{"n": 1}]),
    lambda: run.table("prompts").write(0, []),
):
    try:
        act()
    except StorageError as error:
        assert "permission denied" in str(error) and "write permission" in str(error), error
        assert str(run.root) in str(error)
    else:
        raise SystemExit("it was written")
"""


CLOSED = """
import os, sys
from pathlib import Path
import pyarrow.parquet
from dfgen.errors import StorageError
from dfgen.store.run import Run
if os.getuid() == 0:
    os.setuid(65534)  # root may read anything; nobody may not
run = Run.open_or_create(Path(sys.argv[1]), None)
table = run.table("prompts")
for act in (table.shards, lambda: table.exists(0), lambda: table.num_rows(0)):
    try:
        act()
    except StorageError as error:
        assert "permission denied" in str(error) and "read permission" in str(error), error
        assert "write" not in str(error) and str(table.directory) in str(error), error
    else:
        raise SystemExit("it was read")
"""


def test_no_read_permission() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        run = Run.open_or_create(Path(folder) / "run", make_pipeline())
        run.table("prompts").write(0, [])
        closed = run.root / "prompts"
        closed.chmod(0)
        command = [sys.executable, "-c", CLOSED, str(run.root)]
        try:
            subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
        finally:
            closed.chmod(0o755)


def test_no_write_permission() -> None:
    # Not below tmp_path, whose parents are for this user alone; they differ with the runner.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = Path(folder) / "run"
        Run.open_or_create(root, make_pipeline())
        root.chmod(0o555)
        subprocess.run(
            [sys.executable, "-c", PERMISSION, str(root)], check=True, cwd=Path(__file__).parents[2]
        )
        root.chmod(0o755)


def test_every_cause_reads_like_a_sentence(tmp_path: Path) -> None:
    for number in (28, 122, 27, 30, 13, 1, 20, 5):
        with (
            pytest.raises(StorageError) as caught,
            explain_os_errors(tmp_path, "write"),
        ):
            raise OSError(number, os.strerror(number))
        assert str(caught.value).startswith(f"{tmp_path}: cannot write it: ")
        assert caught.value.hint
