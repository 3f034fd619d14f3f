"""Starts workers on one run with scripted models, and compares what comes of it with a calm run."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfgen.store.layout import SHARED
from dfgen.store.shared.claims import Claim, iter_claims
from dfgen.store.shared.crew import Crew, Member
from dfgen.store.shared.files import PosixFiles
from tests.support import scripted_models
from tests.support.forking import Forked, start_module
from tests.support.scripted_runs import hash_tables

TABLES = ("prompts", "trajectories", "repairs", "masks", "rejects", "controls", "scores", "values")


@dataclass
class SharedRuns:
    """Runs of one pipeline.

    Args:
        folder: of everything.
        sections: merged into the pipeline.
    """

    folder: Path
    sections: Mapping[str, Any]
    lease_s: float = 60.0
    name: str = "run"
    needed: Counter[str] = field(default_factory=Counter)

    @property
    def root(self) -> Path:
        """The shared run."""
        return self.folder / self.name

    @property
    def files(self) -> PosixFiles:
        """Its shared files."""
        return PosixFiles(self.root / SHARED)

    def start(
        self,
        *options: str,
        root: Path | None = None,
        notes: Path | None = None,
        shared: bool = True,
        command: str = "run",
        **environment: str,
    ) -> Forked:
        """Start a worker; `environment` as `DFGEN_TEST_...` without the beginning."""
        recipe = self.folder / "recipe.yaml"
        if not recipe.exists():
            pipeline = scripted_models.make_pipeline(self.folder, **self.sections)
            temporary = recipe.with_suffix(".tmp")
            temporary.write_text(json.dumps(pipeline.model_dump(mode="json")))
            temporary.replace(recipe)
        words = ["--shared", "--lease", str(self.lease_s)] if shared else []
        more = {f"DFGEN_TEST_{name.upper()}": value for name, value in environment.items()}
        return start_module(
            "tests.support.scripted_worker",
            notes or self.folder,
            command,
            recipe,
            "--out",
            self.root if root is None else root,
            *words,
            *options,
            env={**os.environ, "OMP_NUM_THREADS": "1", **more},
            merge=True,
        )

    @contextmanager
    def hold(self, who: str = "") -> Iterator[None]:
        """Have no model answer meanwhile, or not this one; requests still come in."""
        path = self.folder / (f"hold-{who}" if who else "hold")
        path.touch()
        yield
        path.unlink()

    def make_calm(self, command: str = "run") -> Path:
        """Make the same run by one process alone; what it asks for is what is needed."""
        root = self.folder / "calm"
        notes = self.folder / "calm-notes"
        notes.mkdir()
        finish(self.start(root=root, notes=notes, shared=False, command=command))
        self.needed = count_asked(notes)
        return root

    def list_repeated(self) -> list[str]:
        """List what was asked for more often than the calm run asked for it."""
        return list((self.count_asked() - self.needed).elements())

    def count_asked(self) -> Counter[str]:
        """How often each model was asked for each thing, the calm run left out."""
        return count_asked(self.folder)

    def count_repairs(self) -> int:
        """How often the repairer was asked."""
        asked = self.count_asked().items()
        return sum(count for key, count in asked if key.startswith("repairer "))

    def list_claims(self) -> list[Claim]:
        """List the claims of shards."""
        return [claim for claim in iter_claims(self.files) if claim.shard is not None]

    def find_worker(self, process: Forked) -> Member | None:
        """Return the record of a worker, if it has one."""
        members = Crew(self.files, self.root).iter_members()
        return next((each for each in members if each.holder.pid == process.pid), None)

    def has_shard(self, process: Forked, stage: str = "") -> bool:
        """Whether a worker has claimed a shard."""
        member = self.find_worker(process)
        return member is not None and any(
            claim.token == member.token and claim.name.startswith(stage)
            for claim in self.list_claims()
        )


def count_asked(notes: Path) -> Counter[str]:
    """Count the requests that workers have noted in a folder."""
    path = notes / "asked"
    return Counter(path.read_text().splitlines() if path.exists() else ())


def finish(process: Forked, code: int = 0) -> str:
    """Wait for a worker, which must end with this code; returns what it printed."""
    out, _ = process.communicate(timeout=300)
    assert process.returncode == code, out
    return out


def kill(process: Forked) -> None:
    """End a worker at once."""
    process.kill()
    process.communicate(timeout=300)


def assert_same(root: Path, calm: Path) -> None:
    """Assert that two runs have the same data, byte by byte, and nothing is left lying about."""
    assert hash_tables(root, TABLES) == hash_tables(calm, TABLES)
    stages = [json.loads((each / "run.json").read_text())["stages"] for each in (root, calm)]
    assert {name: (s["state"], s["counts"]) for name, s in stages[0].items()} == {
        name: (s["state"], s["counts"]) for name, s in stages[1].items()
    }
    assert not list((root / "journal").iterdir())
    # Where files cannot be written without a name, a kill leaves some among the shared files, which
    # go when a process has the run alone.
    left = [path.relative_to(root) for path in root.rglob(".dfgen-*")]
    assert not [path for path in left if path.parts[0] != SHARED]
