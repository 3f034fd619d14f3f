"""A LoRA adapter as the policy: it acts like the merged model, and only on its own base."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")

from dfgen.engines.loading import load_engine
from dfgen.errors import EngineError
from tests.vllm.asking import ask, collect, list_scenes
from tests.vllm.conftest import POLICY, make_config


class TestLora:
    def write(self, path: Path, hidden: int = 128) -> Path:
        """An adapter for the first layer's query projection, as PEFT writes it."""
        import torch
        from safetensors.torch import save_file

        path.mkdir()
        settings = {
            "peft_type": "LORA",
            "r": 4,
            "lora_alpha": 8,
            "target_modules": ["q_proj"],
            "base_model_name_or_path": "policy",
            "bias": "none",
            "task_type": "CAUSAL_LM",
        }
        (path / "adapter_config.json").write_text(json.dumps(settings))
        noise = torch.Generator().manual_seed(0)
        name = "base_model.model.model.language_model.layers.0.self_attn.q_proj"
        weights = {
            f"{name}.lora_A.weight": torch.randn(4, hidden, generator=noise) * 0.3,
            f"{name}.lora_B.weight": torch.randn(hidden, 4, generator=noise) * 0.3,
        }
        save_file(weights, path / "adapter_model.safetensors")
        return path

    def merge(self, adapter: Path, target: Path) -> Path:
        """The same model with the adapter's change in its weights: W + alpha / r * B A."""
        from safetensors.torch import load_file, save_file

        shutil.copytree(POLICY, target)
        weights = load_file(target / "model.safetensors")
        low = load_file(adapter / "adapter_model.safetensors")
        (first,) = [value for name, value in low.items() if "lora_A" in name]
        (second,) = [value for name, value in low.items() if "lora_B" in name]
        name = "language_model.model.layers.0.self_attn.q_proj.weight"
        weights[name] = weights[name] + 8 / 4 * second @ first
        save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
        return target

    def test_an_adapter_acts_like_its_merged_model(self, tmp_path: Path) -> None:
        adapter = self.write(tmp_path / "adapter")
        requests = [ask(i, scene, temperature=0.0) for i, scene in enumerate(list_scenes(8))]
        engine = load_engine(make_config(lora=str(adapter)))
        try:
            ours = collect(engine, requests)
            assert "lora" in engine.info.hashes
        finally:
            engine.close()
        merged = load_engine(make_config(self.merge(adapter, tmp_path / "merged")))
        try:
            theirs = collect(merged, requests)
        finally:
            merged.close()
        for key, result in ours.items():
            assert result.token_ids == theirs[key].token_ids
            assert result.logprobs == pytest.approx(theirs[key].logprobs, abs=1e-4)

    def test_an_adapter_of_another_model(self, tmp_path: Path) -> None:
        adapter = self.write(tmp_path / "adapter", hidden=96)
        with pytest.raises(EngineError, match="adapter does not fit the model"):
            load_engine(make_config(lora=str(adapter)))
