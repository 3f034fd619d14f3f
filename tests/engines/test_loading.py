"""From a section to an engine, and what is not imported on the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dfgen.config.engine import OpenAIConfig, Price, TransformersConfig, find_price
from dfgen.config.vllm import VllmConfig
from dfgen.engines import loading
from dfgen.engines.base import derive_seed
from dfgen.errors import MissingExtraError


def test_importing_the_engines_is_light() -> None:
    code = (
        "import sys, dfgen.engines.base, dfgen.engines.chat, dfgen.engines.loading;"
        "heavy = {'torch', 'transformers', 'openai', 'httpx', 'httpx2', 'PIL', 'jinja2'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_openai_engine_needs_no_torch() -> None:
    code = (
        "import sys; from dfgen.config.engine import OpenAIConfig;"
        "from dfgen.engines.loading import load_engine;"
        "load_engine(OpenAIConfig(model='m', base_url='http://127.0.0.1:1/v1'));"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError) as caught:
        loading.require_module("torch", extra="local")
    assert "pip install '.[local]' in the clone of dfgen" in str(caught.value)


def test_a_broken_package_speaks_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_installed.py").write_text("import a_dependency_that_is_not_there")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="a_dependency_that_is_not_there"):
        loading.require_module("half_installed", extra="local")


def test_demo_names_are_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    import dfgen.demo

    asked: list[str] = []

    def locate(name: str) -> Path:
        asked.append(name)
        return Path("/models") / name

    monkeypatch.setattr(dfgen.demo, "locate_model", locate)
    assert dfgen.demo.resolve_model("demo:policy") == "/models/policy"
    assert dfgen.demo.resolve_model("owner/name") == "owner/name"
    assert asked == ["policy"]


def test_seeds_of_cells_share_nothing() -> None:
    seeds = {derive_seed(0, prompt, index) for prompt in "abcdefgh" for index in range(64)}
    assert len(seeds) == 512
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(0, "a", 1) == derive_seed(0, "a", 1) != derive_seed(1, "a", 1)


def test_only_a_server_has_a_price() -> None:
    price = Price(prompt=1.0, completion=2.0)
    assert find_price(OpenAIConfig(model="m", price=price)) == price
    for config in (TransformersConfig(model="m"), VllmConfig(model="m"), None):
        assert find_price(config) == Price()
