"""One flipped bit anywhere in a run is found, and what is said of it is enough to mend it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfgen.cli.main import cli
from dfgen.errors import DfgenError
from dfgen.sealed_json import SEAL, seal
from dfgen.store.layout import TABLES
from dfgen.store.run import Run
from dfgen.validate.path import validate_path
from tests.support.full_run import make_full_run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_full_run(tmp_path_factory.mktemp("flips") / "run")


def list_files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def flip(path: Path, place: float, bit: int) -> bytes:
    """Flip a bit at a place of a file (0 to 1); return what the file was."""
    before = path.read_bytes()
    after = bytearray(before)
    after[min(int(place * len(after)), len(after) - 1)] ^= 1 << bit
    path.write_bytes(after)
    return before


def is_sound(root: Path) -> bool:
    """Whether `dfgen validate` would say "sound" and nothing else."""
    try:
        findings = validate_path(root, None)
    except DfgenError:
        return False
    return not findings.problems and not findings.skipped


def test_the_run_has_every_kind_of_file_and_is_sound(root: Path) -> None:
    folders = {path.parent.name for path in list_files(root)}
    assert folders >= {*TABLES, "rejects", "journal"}
    assert is_sound(root)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True, width=32), st.integers(0, 7))
def test_any_one_bit_anywhere_is_found(root: Path, number: int, place: float, bit: int) -> None:
    files = list_files(root)
    path = files[number % len(files)]
    before = flip(path, place, bit)
    try:
        assert not is_sound(root)
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("folder", [*TABLES, "rejects"])
def test_a_damaged_shard_is_named_with_the_way_out(root: Path, tmp_path: Path, folder: str) -> None:
    copy = Path(shutil.copytree(root, tmp_path / "run"))
    path = next((copy / folder).glob("*.parquet"))
    flip(path, 0.5, 3)
    findings = validate_path(copy, None)
    (damage,) = findings.damaged
    assert damage.path == path
    assert str(path) in findings.problems[0]
    assert f"({damage.stage}, shard 0)" in findings.problems[0]
    result = CliRunner().invoke(cli, ["validate", str(copy)])
    assert result.exit_code == 1
    assert f"dfgen run {copy} --redo {damage.stage}:0" in result.output


def test_every_damaged_file_is_listed_and_so_by_export_and_publish(
    root: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(root, tmp_path / "run"))
    paths = list(copy.glob("*/*.parquet"))
    for path in paths:
        flip(path, 0.5, 3)
    for arguments in (
        ["validate", str(copy)],
        ["export", str(copy), "--out", str(tmp_path / "out")],
        ["publish", str(copy), "me/set", "--license", "mit", "--dry-run"],
    ):
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 1
        assert not [path for path in paths if str(path) not in result.output]
        assert "--redo prompts:0 --redo sample:0 --redo repair:0" in result.output
    found = CliRunner().invoke(cli, ["validate", str(copy), "--json"]).stdout
    assert {each["path"] for each in json.loads(found)["damaged"]} == set(map(str, paths))


def forget_checksums(root: Path) -> None:
    """Make a run one of a dfgen that noted no checksums."""
    manifest = json.loads((root / "run.json").read_bytes())
    manifest["shards"] = {}
    manifest.pop("content_sha256")
    (root / "run.json").write_text(json.dumps(manifest))
    for path in (root / "journal").iterdir():
        path.unlink()


@pytest.mark.parametrize("folder", [*TABLES, "rejects"])
def test_without_a_checksum_every_page_is_read(root: Path, tmp_path: Path, folder: str) -> None:
    copy = Path(shutil.copytree(root, tmp_path / "run"))
    forget_checksums(copy)
    findings = validate_path(copy, None)
    assert not findings.problems
    assert any("kept none" in line for line in findings.skipped)
    path, found = next((copy / folder).glob("*.parquet")), []
    for percent in range(2, 30, 2):
        before = flip(path, percent / 100, 3)
        found.append(bool(validate_path(copy, None).damaged))
        path.write_bytes(before)
    assert sum(found) > len(found) / 2, "what is neither page nor footer is in no checksum"
    flip(path, found.index(True) * 0.02 + 0.02, 3)
    result = CliRunner().invoke(cli, ["migrate", str(copy)])
    assert result.exit_code == 1, "damage must not be noted as the truth"


def test_migrate_notes_the_checksums_that_are_missing(root: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(root, tmp_path / "run"))
    forget_checksums(copy)
    assert CliRunner().invoke(cli, ["migrate", str(copy)]).exit_code == 0
    assert is_sound(copy)
    content = (copy / "run.json").read_bytes()
    assert CliRunner().invoke(cli, ["migrate", str(copy)]).exit_code == 0
    assert (copy / "run.json").read_bytes() == content
    flip(next((copy / "masks").glob("*.parquet")), 0.999, 0)
    assert validate_path(copy, None).damaged


def test_a_manifest_that_somebody_changed_stays_so_until_it_is_meant(
    root: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(root, tmp_path / "run"))
    path = copy / "run.json"
    path.write_text(path.read_text().replace('"name": "sample"', '"name": "simple"', 1))
    assert not is_sound(copy)
    run = Run.open_or_create(copy, None)
    with run.lock():
        run.set_stage("mask", state="done", counts={})
    assert not is_sound(copy), "writing to it again is no proof that it is right"
    assert CliRunner().invoke(cli, ["migrate", str(copy)]).exit_code == 0
    assert is_sound(copy)
    assert Run.open_or_create(copy, None).manifest.pipeline["name"] == "simple"


@pytest.mark.parametrize("readable", [True, False])
def test_what_was_not_looked_at_is_not_said_to_be_checked(
    root: Path, tmp_path: Path, readable: bool
) -> None:
    """Each thing that is said of a sound run is said of a damaged one, as checked or as not."""
    copy = Path(shutil.copytree(root, tmp_path / "run"))
    whole = validate_path(copy, None)
    for name in ("trajectories", "masks"):
        path = next((copy / name).glob("*.parquet"))
        if readable:  # a note that is of another file: its rows can be read all the same
            change_note(copy, path)
        else:
            path.write_bytes(path.read_bytes()[:100])
    found = validate_path(copy, None)
    assert len(found.damaged) == 2
    assert not set(whole.checked) & set(found.checked) - {
        line for line in whole.checked if readable and ("mask rows" in line or "one of" in line)
    }
    files = "every file: its checksum, and all of it that can be read; 2 are damaged"
    assert files in found.checked
    subjects = {line.partition(":")[0] for line in whole.checked if "mask rows" not in line}
    said = [*found.checked, *found.skipped]
    missing = [each for each in subjects if not any(line.startswith(each) for line in said)]
    assert not missing
    assert any("own id" in line for line in found.skipped)


def change_note(root: Path, path: Path) -> None:
    """Let run.json hold another checksum of a file, and be whole itself."""
    data = json.loads((root / "run.json").read_bytes())
    name = path.relative_to(root).as_posix()
    for shards in data["shards"].values():
        for entry in shards.values():
            if name in entry["sha256"]:
                entry["sha256"][name] = "0" * 64
    data.pop(SEAL)
    (root / "run.json").write_text(json.dumps(seal(data)))
    for note in (root / "journal").glob("*.done.json"):
        note.unlink()
