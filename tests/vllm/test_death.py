"""An engine in this very process that fails: said once, clearly, and never used again."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")

from dfgen.errors import EngineError
from tests.vllm.asking import ask, collect, list_scenes


def test_nothing_to_ask_is_no_work(engine: Any) -> None:
    assert collect(engine, []) == {}


# Last in this file: the engine, which belongs to this module alone, is dead afterwards.
def test_an_engine_that_failed_is_not_used_again(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [ask(i, scene, seed=i) for i, scene in enumerate(list_scenes(4))]
    steps = iter(range(5))
    step = engine.binding.engine.step

    def fail_later() -> Any:
        if next(steps, None) is None:
            raise RuntimeError("CUDA error: out of memory\nand forty more lines")
        return step()

    monkeypatch.setattr(engine.binding.engine, "step", fail_later)
    with pytest.raises(EngineError) as caught:
        collect(engine, requests)
    assert "forty more" not in str(caught.value)
    assert "has stopped working: RuntimeError: CUDA error" in str(caught.value)
    assert "gpu_memory_utilization" in (caught.value.hint or "")
    assert "the same command goes on" in (caught.value.hint or "")
    monkeypatch.undo()
    with pytest.raises(EngineError, match="cannot be used again"):
        collect(engine, requests)
