"""A run directory from its first file to its last, through crashes and other people's folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dfgen.errors import DamagedFileError, RunLockedError, StorageError
from dfgen.store.atomic_files import replace_file
from dfgen.store.finishing import finish_shard
from dfgen.store.layout import STAGES
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.store.examples import (
    finish_example_shard,
    make_finished_run,
    make_mask,
    make_pipeline,
    make_prompt,
    make_reject,
    make_repair,
    make_trajectory,
)
from tests.support.killing import Killed, kill_after


def test_a_new_run_is_its_manifest(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "run"
    run = Run.open_or_create(root, make_pipeline(name="first"))
    assert [path.name for path in root.iterdir()] == ["run.json"]
    data = json.loads((root / "run.json").read_text())
    assert data["format"] == "dfgen.run/1"
    assert data["pipeline"]["policy"]["model"] == "demo:policy"
    again = Run.open_or_create(root, make_pipeline(name="second"))
    assert again.manifest == run.manifest
    assert Run.open_or_create(root, None).manifest == run.manifest


def test_directories_that_are_no_run(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no run here"):
        Run.open_or_create(tmp_path, None)
    with pytest.raises(StorageError, match="no run here"):
        Run.open_or_create(tmp_path / "nowhere", None)
    (tmp_path / "thesis.tex").write_text("!")
    with pytest.raises(StorageError, match=r"not a run .* not empty: thesis\.tex"):
        Run.open_or_create(tmp_path, make_pipeline())
    with pytest.raises(StorageError):
        Run.open_or_create(tmp_path / "thesis.tex", make_pipeline())
    with pytest.raises(StorageError, match="part of the path is a file"):
        Run.open_or_create(tmp_path / "thesis.tex" / "run", make_pipeline())


def test_a_crash_before_the_manifest_leaves_an_empty_directory(tmp_path: Path) -> None:
    left = tmp_path / ".dfgen-run.json.12345678.tmp"
    left.write_text("{")
    run = Run.open_or_create(tmp_path, make_pipeline())
    with run.lock():
        assert left.exists()  # may belong to a process that waits for the lock
    os.utime(left, (1e9, 1e9))
    with run.lock():
        assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "run.lock"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ("[]", "does not say"),
        ('{"format": "other/1"}', "does not say"),
        ('{"format": "dfgen.run/1", "created": "now"}', "field pipeline: Field required"),
        ('{"format": "dfgen.run/1", "created": "now", "pipeline": {}, "x": 1}', "field x"),
    ],
)
def test_damaged_manifest(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(DamagedFileError, match=message) as caught:
        Run.open_or_create(tmp_path, make_pipeline())
    assert str(tmp_path / "run.json") in str(caught.value)


def test_manifest_of_a_newer_version(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": "dfgen.run/2", "new": true}')
    with pytest.raises(StorageError, match="newer dfgen") as caught:
        Run.open_or_create(tmp_path, None)
    assert not isinstance(caught.value, DamagedFileError)


def test_stage_notes_add_up_and_keep_those_of_others(tmp_path: Path) -> None:
    one = Run.open_or_create(tmp_path, make_pipeline())
    two = Run.open_or_create(tmp_path, None)
    one.set_stage("sample", state="running", counts={"output": 3}, engine={"name": "vllm"})
    two.set_stage("repair", state="done", counts={"output": 1}, cost_usd=0.5)
    one.set_stage("sample", state="done", counts={"output": 4}, wall_s=2.5)
    stages = Run.open_or_create(tmp_path, None).manifest.stages
    assert stages["sample"].counts == {"output": 4}
    assert stages["sample"].facts == {"engine": {"name": "vllm"}, "wall_s": 2.5}
    assert stages["sample"].started and stages["sample"].finished
    assert stages["repair"].facts == {"cost_usd": 0.5}


def test_lock_is_for_one(tmp_path: Path) -> None:
    run = Run.open_or_create(tmp_path, make_pipeline())
    other = Run.open_or_create(tmp_path, None)
    with run.lock(), pytest.raises(RunLockedError), other.lock():
        pass
    with other.lock():
        other.set_stage("sample", state="running", counts={})


def test_nothing_is_written_after_the_lock_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.open_or_create(tmp_path, make_pipeline())
    with run.lock():
        assert run._lock
        monkeypatch.setattr(run._lock, "_lost", True)
        writes: list[Callable[[], None]] = [
            lambda: run.journal("sample", 0).append([{"n": 1}]),
            lambda: run.table("prompts").write(0, []),
            lambda: run.set_stage("sample", state="done", counts={}),
        ]
        for write in writes:
            with pytest.raises(RunLockedError, match="somebody removed it"):
                write()
    assert not (tmp_path / "journal").exists()


def test_order_of_finishing_and_every_crash_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop before each rename and removal; the next start finishes with the same files."""

    def work(run: Run) -> None:
        with run.lock():
            if run.is_done("sample", 0):
                return
            journal = run.journal("sample", 0)
            known = [record["n"] for record in journal.replay()]
            for n in range(3):
                if n not in known:
                    paid.append(n)
                    journal.append([{"n": n}])
            journal.close()
            finish_shard(
                run,
                "sample",
                0,
                [make_trajectory("p", n) for n in (0, 2)],
                [make_reject("sample", "p-1")],
            )

    contents = []
    steps = 0
    while True:
        root = tmp_path / str(steps)
        run = Run.open_or_create(root, make_pipeline(sample={"num_samples": 3}))
        finish_shard(run, "prompts", 0, [make_prompt("p")])
        paid: list[int] = []

        crashed = False
        try:
            with kill_after(monkeypatch, steps):
                work(run)
        except Killed:
            crashed = True
        (root / "run.lock").unlink(missing_ok=True)  # this process lives on, unlike a real one
        work(Run.open_or_create(root, None))
        assert paid == [0, 1, 2]
        assert audit(Run.open_or_create(root, None)) == []
        files = sorted(path for path in root.rglob("[!.]*") if path.is_file())
        assert [str(path.relative_to(root)) for path in files if path.suffix != ".json"] == [
            "prompts/part-00000.parquet",
            "rejects/sample-00000.parquet",
            "trajectories/part-00000.parquet",
        ]
        contents.append([path.read_bytes() for path in files if path.suffix == ".parquet"])
        assert contents[-1] == contents[0]
        steps += 1
        if not crashed:
            break
    assert steps > 5


def test_growth_opens_the_shards_again(tmp_path: Path) -> None:
    run = make_finished_run(tmp_path)
    grown = make_pipeline(sample={"num_samples": 3})
    assert all(run.is_done(stage, 1) for stage in STAGES)
    run.check_stage("sample", grown, {})
    assert not run.is_done("sample", 1)
    assert audit(run) == []
    kept = list(run.table("trajectories").iter_rows(1))
    new = [make_trajectory(name, 2).model_dump() for name in ("p2", "p3")]
    rows = [*kept[:2], new[0], *kept[2:], new[1]]
    finish_shard(run, "sample", 1, rows)
    assert run.is_done("sample", 1) and not run.is_done("repair", 1) and not run.is_done("mask", 1)
    assert audit(run) == []


def test_masks_made_before_the_repairs_are_open_again(tmp_path: Path) -> None:
    run = Run.open_or_create(tmp_path, make_pipeline())
    finish_shard(run, "prompts", 0, [make_prompt("p")])
    finish_shard(run, "sample", 0, [make_trajectory("p", n) for n in range(2)])
    finish_shard(run, "mask", 0, [make_mask("p", n, "outcome") for n in range(2)])
    assert run.is_done("mask", 0)
    finish_shard(run, "repair", 0, [make_repair("p", 1)], [make_reject("repair", "p-0")])
    assert not run.is_done("mask", 0)
    finish_shard(run, "mask", 0, [make_mask("p", 0, "outcome"), make_mask("p", 1, "repair")])
    assert run.is_done("mask", 0)


def test_rejects_that_are_gone_lose_their_file(tmp_path: Path) -> None:
    run = make_finished_run(tmp_path)
    assert run.rejects("sample").exists(0)
    rows = [make_trajectory(name, n) for name in ("p0", "p1") for n in range(2)]
    finish_shard(run, "sample", 0, rows)
    assert not run.rejects("sample").exists(0)


def test_replaced_files_are_whole_or_untouched(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with replace_file(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    with pytest.raises(ZeroDivisionError), replace_file(path) as temporary:
        temporary.write_text("two")
        raise ZeroDivisionError
    assert path.read_text() == "one"
    assert len(list(path.parent.iterdir())) == 1


def test_opening_a_run_imports_no_pyarrow(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from dfgen.store.run import Run;"
        "import dfgen.store.counts;"
        "Run.open_or_create(Path(sys.argv[1]), None);"
        "print([n for n in ('pyarrow', 'numpy', 'datasets', 'torch') if n in sys.modules])"
    )
    Run.open_or_create(tmp_path, make_pipeline())
    command = [sys.executable, "-c", program, str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root)
    assert done.stdout == "[]\n"


def test_two_processes_may_begin_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def lose(source: str | Path, target: Path, **options: bool) -> None:
        if target.name == "run.json" and not target.exists():
            target.write_bytes(Path(source).read_bytes().replace(b'"run"', b'"theirs"'))
        link(source, target, **options)

    monkeypatch.setattr(os, "link", lose)
    run = Run.open_or_create(tmp_path / "run", make_pipeline())
    assert run.manifest.pipeline["name"] == "theirs"


def test_example_shards_are_sound(tmp_path: Path) -> None:
    run = Run.open_or_create(tmp_path, make_pipeline())
    for stage in STAGES:
        finish_example_shard(run, stage, 0, ["p0", "p1"])
        assert audit(run) == []
        assert run.is_done(stage, 0)


WRITER = """
import sys, time
from pathlib import Path
from dfgen.store.finishing import finish_shard
from dfgen.store.run import Run
from tests.store.examples import make_prompt
run = Run.open_or_create(Path(sys.argv[1]), None)
def rows():
    for n in range(40):
        yield make_prompt(f"{n:04d}", bytes(1_000_000))
    print("writing", flush=True)
    time.sleep(600)
with run.lock():
    run.journal("prompts", 0).append([{"n": 1}])
    finish_shard(run, "prompts", 0, rows())
"""


def test_kill_nine_while_a_shard_is_written(tmp_path: Path) -> None:
    run = Run.open_or_create(tmp_path, make_pipeline())
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == "writing\n"
        with pytest.raises(RunLockedError, match=f"pid {writer.pid}"), run.lock():
            pass
        writer.kill()
    assert len(list((tmp_path / "prompts").iterdir())) == 1
    assert run.table("prompts").shards() == []
    with run.lock():
        assert list((tmp_path / "prompts").iterdir()) == []
        assert list(run.journal("prompts", 0).replay()) == [{"n": 1}]
