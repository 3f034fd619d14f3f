"""A sampled demo run, the repairs of the transformers engine for it, and a real server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.vllm.repair.serving import serve_repairer
from tests.vllm.running import run_dfgen
from tests.vllm.serving import Served

RECIPES = Path(__file__).parents[3] / "pipelines"
#: The key that the server wants, on the environment of the tests only.
KEY = "vllm-test-key-5d1c8a"
# A weak model fills the white space that JSON allows between tokens until its budget is gone.
COMPACT = '{"backend": "xgrammar", "disable_any_whitespace": true}'


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")
    return tmp_path_factory.mktemp("repair")


@pytest.fixture(scope="package")
def server(folder: Path) -> Iterator[Served]:
    """The real server; it wants a key, as those in the recipe's comment may."""
    with serve_repairer(folder, "--structured-outputs-config", COMPACT, api_key=KEY) as served:
        yield served


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a pipeline of the small run: `engine` for the repairer, further fields of repair."""
    return lambda engine, **repair: write_pipeline(tmp_path / "pipeline.yaml", engine, **repair)


def write_pipeline(path: Path, engine: Mapping[str, Any], **repair: Any) -> Path:
    """Write the demo's recipe, smaller, with another repairer."""
    tree = yaml.safe_load((RECIPES / "demo.yaml").read_text("utf-8"))
    tree["prompts"].update(count=30, seed=11, shard_size=8)
    tree["sample"]["num_samples"] = 4
    tree["repair"].update(engine=dict(engine), **repair)
    path.write_text(yaml.safe_dump(tree), "utf-8")
    return path


@pytest.fixture(scope="package")
def sampled(folder: Path) -> Path:
    """A run whose sampling is done."""
    pipeline = write_pipeline(folder / "sample.yaml", TRANSFORMERS)
    run_dfgen("sample", pipeline, "--out", folder / "sampled", "-q")
    return folder / "sampled"


TRANSFORMERS = {
    "engine": "transformers",
    "model": "demo:repairer",
    "dtype": "float32",
    "device": "cpu",
    "batch_size": 16,
}


@pytest.fixture(scope="package")
def reference(folder: Path, sampled: Path) -> dict[str, Mapping[str, Any]]:
    """Repairs of the same trajectories by the transformers engine."""
    run = folder / "reference"
    shutil.copytree(sampled, run)
    run_dfgen("repair", folder / "sample.yaml", "--out", run, "-q")
    repairs = read_repairs(run)
    assert len(repairs) > 40
    return repairs


@pytest.fixture
def run(sampled: Path, tmp_path: Path) -> Path:
    """A copy of the sampled run, to repair."""
    return Path(shutil.copytree(sampled, tmp_path / "run"))


def make_engine(*urls: str, **settings: Any) -> dict[str, Any]:
    """The section of a repairer behind servers; the key is in the environment by this name."""
    return {
        "engine": "openai",
        "model": "repairer",
        "base_url": list(urls),
        "api_key_env": "VLLM_API_KEY",
        "concurrency": 4,
        "max_retries": 4,
        "timeout": 60,
        **settings,
    }


def read_repairs(run: Path) -> dict[str, Mapping[str, Any]]:
    """All repairs of a run by trajectory."""
    from dfgen.store.run import Run

    rows = Run.open_or_create(run, None).table("repairs").iter_rows()
    return {row["trajectory_id"]: row for row in rows}


def read_attempts(run: Path) -> list[Mapping[str, Any]]:
    """Every attempt on record."""
    from dfgen.store.run import Run
    from tests.support.paid_attempts import iter_attempts

    return list(iter_attempts(Run.open_or_create(run, None)))


def check_decided(run: Path) -> dict[str, int]:
    """Every wrong trajectory is in exactly one of repairs and rejects.

    Returns the reasons of those that the repairer was asked about.
    """
    from dfgen.store.counts import count_reject_reasons, count_rows
    from dfgen.store.run import Run
    from dfgen.validate.audit import audit

    opened = Run.open_or_create(run, None)
    assert audit(opened) == []
    numbers = count_rows(opened)["repair"]
    assert numbers["pending"] == 0
    assert numbers["input"] == numbers["output"] + numbers["rejects"]
    reasons = dict(count_reject_reasons(opened).get("repair", {}))
    # An answer that breaks off before it concludes is shown to no repairer, whichever it is.
    reasons.pop("no_answer", None)
    return reasons
