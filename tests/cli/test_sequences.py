"""Whatever is done to a run, in whatever order: nothing is lost, nothing is paid for twice, and in
the end there is what a run made at once with the last settings has.

A sequence of commands and accidents is drawn from a seed: rows are appended and put in another
order, a second file comes with rows of the first, limits and samples are raised, a start is killed
before a write, files are cut, emptied or gone, journals are torn, the source is shorter for a
while, shards are made anew, attempts are judged anew. After each step every command that only
looks must end without a traceback, and a start that refuses must name the command that helps.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.errors import DfgenError
from dfgen.stages.repair.spending import SpentCount
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.support.killing import Killed, kill_before_write
from tests.support.scripted_models import Models, answer_by_index, make_pipeline
from tests.support.scripted_runs import invoke

WORDS = ["fine", "fair", "poor", "bad", "fine"]
REPAIRS = {"poor": ["fine"], "bad": ["fine"], "fair": ["fine"]}
TABLES = ("prompts", "trajectories", "repairs", "masks")
STEPS, MOST_STARTS = 9, 8
_REDO = re.compile(r"--redo ((?:prompts|sample|repair|mask)(?::[\d,]+)?)")


class Sequence:
    """A run, its source, and what has happened to them.

    Attributes:
        lost: whether files with answers were damaged or thrown away: those are paid for again.
    """

    def __init__(self, folder: Path, seed: int, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.root = folder, folder / "run"
        self.random = random.Random(seed)
        self.patch = patch
        self.models = Models(answer_by_index(WORDS), REPAIRS)
        self.models.replace_engines(patch)
        self.first, self.second = list(range(4)), list[int]()
        self.limit: int | None = 3
        self.samples = 2
        self.lost = False
        self.done: list[str] = []

    def write(self, first: list[int] | None = None) -> Path:
        """Write the source and the pipeline as they are now."""
        pipeline = make_pipeline(self.folder / "data", sample={"num_samples": self.samples})
        tree = pipeline.model_dump(mode="json", exclude_unset=True)
        names = ["questions.jsonl", "more.jsonl"] if self.second else ["questions.jsonl"]
        parts = [self.first if first is None else first, self.second]
        for name, numbers in zip(names, parts, strict=False):
            rows = [{"question": f"What is thing {n}?", "answer": "fine"} for n in numbers]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (self.folder / "data" / name).write_text(text)
        paths = [str(self.folder / "data" / name) for name in names]
        tree["prompts"] |= {"path": paths, "limit": self.limit}
        file = self.folder / "pipeline.yaml"
        file.write_text(json.dumps(tree))
        return file

    def start(self, *options: str) -> tuple[int, str]:
        """Give the command once; returns how it ended and what it said."""
        arguments = ["run", self.write(), "--out", self.root, "-q", "--no-check", *options]
        try:
            result = CliRunner().invoke(cli, [*map(str, arguments)])
        except Killed:
            return -9, ""
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result.exit_code, result.output

    def finish(self) -> None:
        """Give the command until it is done, doing what its refusals advise."""
        options: tuple[str, ...] = ()
        for _ in range(MOST_STARTS):
            code, said = self.start(*options)
            if code == 0:
                return
            found = _REDO.search(said)
            assert found, f"it refuses and names no way out after {self.done}:\n{said}"
            self.lost = True
            options = ("--redo", found[1], "--yes")
        raise AssertionError(f"the advice does not help after {self.done}:\n{said}")

    def append(self) -> None:
        taken = max([*self.first, *self.second])
        more = [taken + n for n in range(1, self.random.randint(2, 4))]
        (self.second if self.second and self.random.random() < 0.5 else self.first).extend(more)

    def reorder(self) -> None:
        self.random.shuffle(self.first)

    def add_second(self) -> None:
        """A second file, with rows of the first one among its own."""
        if not self.second:
            new = max(self.first) + 1
            self.second = [self.first[0], new, new + 1, self.first[-1]]

    def raise_limit(self) -> None:
        self.limit = None if self.limit is None or self.random.random() < 0.5 else self.limit + 2

    def raise_samples(self) -> None:
        self.samples = min(self.samples + 1, len(WORDS))

    def shrink_for_a_while(self) -> None:
        """Most rows are not in the source, for one start; it keeps what it has."""
        kept, self.first = self.first, self.first[:1]
        code, said = self.start()
        self.first = kept
        assert code == 0 or _REDO.search(said) or "not in the source" in said, said

    def kill(self) -> None:
        with self.patch.context() as patch:
            kill_before_write(patch, self.random.randint(0, 9))
            self.start()

    def damage(self) -> None:
        """Cut, empty, overwrite or remove a file of a table."""
        files = sorted(p for name in TABLES for p in (self.root / name).glob("*.parquet"))
        if not files:
            return
        file = self.random.choice(files)
        how = self.random.choice(["cut", "empty", "flip", "gone"])
        self.done.append(f"{how} {file.parent.name}/{file.name}")
        content = bytearray(file.read_bytes())
        if how == "gone":
            file.unlink()
        elif how == "flip":
            content[self.random.randrange(len(content))] ^= 0xFF
            file.write_bytes(content)
        else:
            file.write_bytes(content[: len(content) // 2 if how == "cut" else 0])
        self.lost = True
        assert self.look() != 0 or how == "flip"

    def tear_journal(self) -> None:
        """A journal ends within a record, as after a crash of the machine."""
        for file in sorted((self.root / "journal").glob("*.jsonl")):
            with file.open("ab") as stream:
                stream.write(b'{"trajectory_id": "ab')

    def redo(self) -> None:
        stage = self.random.choice(["prompts", "sample", "repair", "mask"])
        shards = (
            Run.open_or_create(self.root, None)
            .table(
                {"sample": "trajectories", "repair": "repairs", "mask": "masks"}.get(stage, stage)
            )
            .shards()
        )
        if shards:
            self.lost = True
            wish = f"{stage}:{self.random.choice(shards)}"
            self.done.append(f"--redo {wish}")
            code, said = self.start("--redo", wish, "--yes")
            assert code == 0 or _REDO.search(said) or "finished" in said, said

    def rejudge(self) -> None:
        arguments = ["repair", str(self.root), "-q", "--rejudge", "--no-check"]
        result = CliRunner().invoke(cli, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output

    def look(self) -> int:
        """Commands that only look never end in a traceback; returns what validate says."""
        codes = {}
        for command in ("status", "stats", "validate"):
            result = CliRunner().invoke(cli, [command, str(self.root)])
            exception = result.exception
            assert exception is None or isinstance(exception, (SystemExit, DfgenError)), (
                command,
                self.done,
                exception,
            )
            codes[command] = result.exit_code
        return codes["validate"]

    def list_steps(self) -> list[Callable[[], None]]:
        calm = [self.append, self.reorder, self.add_second, self.raise_limit, self.raise_samples]
        wild = [self.shrink_for_a_while, self.kill, self.kill, self.tear_journal, self.rejudge]
        return [*calm, *wild]


def read_rows(root: Path) -> dict[str, list[dict[str, Any]]]:
    """All rows of each table sorted by key, without what tells where a row of the source stands."""
    run = Run.open_or_create(root, None)
    found = {}
    for name in TABLES:
        rows = [dict(row) for row in run.table(name).iter_rows()]
        for row in rows:
            for place in ("source", "row_id", "source_row"):
                row.pop(place, None)
        found[name] = sorted(rows, key=lambda r: r.get("trajectory_id") or r["prompt_id"])
    return found


def check_end(sequence: Sequence, tmp_path: Path) -> None:
    """Compare a run with one that is made at once."""
    sequence.limit = None
    sequence.finish()
    root, models = sequence.root, sequence.models
    assert audit(Run.open_or_create(root, None)) == [], sequence.done
    drawn, asked = models.drawn.copy(), models.asked.copy()
    invoke("run", sequence.write(), "--out", tmp_path / "calm", "-q")
    assert read_rows(root) == read_rows(tmp_path / "calm"), sequence.done
    fresh = models.asked - asked
    assert set(fresh) == set(asked) and set(models.drawn - drawn) == set(drawn)
    spent = SpentCount().count(Run.open_or_create(root, None)).requests
    if not sequence.lost:
        assert drawn == Counter(dict.fromkeys(drawn, 1)), sequence.done
        assert asked == fresh, sequence.done
        assert spent == asked.total(), sequence.done
    # What stood in a file that nobody can read any more is not known.
    assert spent <= asked.total(), sequence.done
    sequence.start()
    assert models.asked == asked + fresh, "a finished run asks nothing"


@pytest.mark.parametrize("seed", range(4))
def test_growth_with_kills_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    sequence = Sequence(tmp_path, seed, monkeypatch)
    sequence.finish()
    for _ in range(STEPS):
        step = sequence.random.choice(sequence.list_steps())
        sequence.done.append(step.__name__)
        step()
        sequence.look()
        if sequence.random.random() < 0.4:
            sequence.finish()
    check_end(sequence, tmp_path)


@pytest.mark.parametrize("seed", range(2))
def test_growth_with_damage_ends_as_a_run_made_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """What is damaged or made anew is paid for again, and the rest is not."""
    sequence = Sequence(tmp_path, 100 + seed, monkeypatch)
    sequence.finish()
    for _ in range(STEPS):
        wild = [sequence.damage, sequence.damage, sequence.redo]
        step = sequence.random.choice([*sequence.list_steps(), *wild, *wild])
        sequence.done.append(step.__name__)
        step()
        if sequence.random.random() < 0.4:
            sequence.finish()
    check_end(sequence, tmp_path)
