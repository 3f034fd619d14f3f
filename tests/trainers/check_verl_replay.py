"""Runs in .venv-verl with dfgen installed: stored answers on verl's own way to the loss.

python check_verl_replay.py GROUPS MODEL RECIPE MASK_MODE [RECIPE MASK_MODE ...]: rows are written,
read by RLHFDataset, replayed by the worker of trainer V1, put into a real TransferQueue, got from
there as the trainer does, and go through the estimator and every policy loss. Prints as JSON what
came out, for each recipe.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AUTH_MODE", "disabled")

import hydra
import numpy as np
import ray
import torch
import transfer_queue as tq
import verl
from omegaconf import DictConfig, OmegaConf
from transformers import AutoProcessor
from verl import DataProto
from verl.trainer.ppo.core_algos import POLICY_LOSS_REGISTRY
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories
from verl.utils import tensordict_utils as tu
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

from dfgen.errors import DfgenError
from dfgen.trainers.examples import make_examples
from dfgen.trainers.prompting import encode_prompt
from dfgen.trainers.recipe import find_recipe
from dfgen.trainers.reference import (
    compute_dapo,
    compute_grpo,
    compute_gspo_token,
    compute_sapo,
)
from dfgen.trainers.rows import write_rows

# What README tells people to set, besides their model and sizes.
SETTINGS = [
    "algorithm.adv_estimator=dfgen_stored",
    "algorithm.rollout_correction.bypass_mode=True",
    "actor_rollout_ref.actor.policy_loss.loss_mode=dfgen_vanilla",
    "actor_rollout_ref.rollout.n=1",
    "trainer.val_before_train=False",
]
FAULTS = {
    "estimator": ["algorithm.adv_estimator=grpo"],
    "loss": ["actor_rollout_ref.actor.policy_loss.loss_mode=vanilla"],
    "copies": ["actor_rollout_ref.rollout.n=2"],
    "temperature": ["actor_rollout_ref.rollout.temperature=0.7"],
    "length": ["data.max_response_length=4"],
    "bypass": ["algorithm.rollout_correction.bypass_mode=False"],
    "kl": ["algorithm.use_kl_in_reward=True"],
    "processor": [],
}


def compose(model: str, changes: list[str]) -> DictConfig:
    folder = str(Path(verl.__file__).parent / "trainer/config")
    sizes = ["data.max_prompt_length=64", "data.max_response_length=128"]
    own = [f"actor_rollout_ref.model.path={model}", "actor_rollout_ref.rollout.name=vllm"]
    small = [
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1",
        "+actor_rollout_ref.actor.policy_loss.dro_beta=0.1",
    ]
    with hydra.initialize_config_dir(folder, version_base=None):
        return hydra.compose("ppo_trainer", [*own, *sizes, *small, *SETTINGS, *changes])


def replay(file: str, config: DictConfig, prefix: str, *, with_processor: bool = True) -> DataProto:
    """What the trainer's `_compute_advantage` has in hands."""
    processor = AutoProcessor.from_pretrained(config.actor_rollout_ref.model.path)
    rows = RLHFDataset(file, processor.tokenizer, config.data, processor)
    batch = collate_fn([rows[index] for index in range(len(rows))])
    batch["uid"] = np.array([f"{prefix}{i:03}" for i in range(len(rows))], dtype=object)
    sent = tu.get_tensordict(batch)
    tu.assign_non_tensor_data(sent, "global_steps", 1)
    worker = AgentLoopWorkerTQ.__ray_metadata__.modified_class(config, None, None, [object()])
    # verl makes processors of Qwen-VL, GLM-V, Gemma 4 and Mllama only; the demo policy is a Llava.
    assert worker.processor is None
    if with_processor:
        worker.processor = processor

    async def run() -> None:
        await worker.generate_sequences(sent)
        await asyncio.gather(*worker.background_tasks)

    asyncio.run(run())
    tags = tq.kv_list("train")["train"]
    keys = [f"{uid}_0_0" for uid in batch["uid"]]
    assert all(tags[key]["status"] == "success" for key in keys), tags
    assert all(int(tags[key]["min_global_steps"]) == 0 for key in keys)
    fields = ["response_mask", "rm_scores", "rollout_log_probs", "responses", "prompts"]
    got = tq.kv_batch_get(keys=keys, partition_id="train", select_fields=fields)
    lengths = got["responses"].offsets().diff().tolist()
    inputs = tq.kv_batch_get(keys=keys, partition_id="train", select_fields=["multi_modal_inputs"])
    data = DataProto(batch=got.to_padded_tensor())
    # As `_compute_old_log_prob` and `_compute_advantage` do.
    data.batch["old_log_probs"] = data.batch["rollout_log_probs"]
    data.batch["token_level_rewards"] = data.batch["rm_scores"]
    data.non_tensor_batch["uid"] = batch["uid"]
    data.meta_info["lengths"] = lengths
    pictures = [dict(getattr(i, "data", i)) for i in inputs["multi_modal_inputs"]]
    data.meta_info["pixels"] = [p["pixel_values"] for p in pictures if p]
    data.meta_info["keys"] = keys
    return data


def estimate(data: DataProto, config: DictConfig) -> DataProto:
    return compute_advantage_for_multi_trajectories(
        data,
        batch_keys=data.meta_info["keys"],
        adv_estimator=config.algorithm.adv_estimator,
        num_repeat=config.actor_rollout_ref.rollout.n,
        config=config.algorithm,
    )


def try_losses(data: DataProto, config: DictConfig, agg: str) -> dict[str, Any]:
    """Gradients of every policy loss at a policy that has moved away from the sampling one."""
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    batch = data.batch
    mask, advantages = batch["response_mask"].bool(), batch["advantages"]
    trained = mask & (advantages != 0)
    generator = torch.Generator().manual_seed(0)
    # Ratios below 3, where verl's second clip would begin, which the reference does not have.
    noise = (torch.randn(advantages.shape, generator=generator) * 0.3).clamp(-1, 1)
    old = batch["old_log_probs"]
    start = torch.where(old > 0.5, torch.full_like(old, -0.7), old) + noise
    found = {}
    for name in sorted(n for n in POLICY_LOSS_REGISTRY if n.startswith("dfgen_")):
        logp = start.clone().requires_grad_()
        try:
            loss, _ = POLICY_LOSS_REGISTRY[name](
                old_log_prob=old,
                log_prob=logp,
                advantages=advantages,
                response_mask=mask,
                loss_agg_mode=agg,
                config=actor,
                rollout_is_weights=None,
            )
        except DfgenError as error:
            found[name] = {"refused": error.what}
            continue
        loss.backward()
        assert logp.grad is not None
        again = start.clone().requires_grad_()
        # Likelihood by its definition here: the ratio to the policy as it is.
        before = torch.where(old > 0.5, start, old)
        own = compute_reference(name, agg, actor, [again, before, advantages, mask])
        difference = None
        if own is not None:
            own.backward()
            difference = max(
                float((own - loss).detach().abs()), float((again.grad - logp.grad).abs().max())
            )
        found[name] = {
            "difference": difference,
            "loss": float(loss),
            "outside": float(logp.grad[~trained].abs().max()),
            "inside": float(logp.grad[trained].abs().mean()),
            "gradient": [row[m].tolist() for row, m in zip(logp.grad, mask, strict=True)],
        }
    found["log_prob"] = [row[m].tolist() for row, m in zip(start, mask, strict=True)]
    return found


def compute_reference(name: str, agg: str, actor: Any, tensors: list[torch.Tensor]) -> Any:
    """The same loss by dfgen.trainers.reference, where both have the same formula."""
    mask = tensors[-1]
    per_row = mask.sum(-1)
    if name == "dfgen_vanilla" and agg == "token-mean":
        return compute_dapo(*tensors, float(mask.sum()))
    if name == "dfgen_vanilla" and agg == "seq-mean-token-mean":
        return compute_grpo(*tensors, per_row)
    if name == "dfgen_gspo" and agg == "seq-mean-token-mean":
        clips = {"low": actor.clip_ratio_low, "high": actor.clip_ratio_high}
        return compute_gspo_token(*tensors, per_row, **clips)
    if name == "dfgen_sapo":
        return compute_sapo(*tensors, per_row, positive=actor.tau_pos, negative=actor.tau_neg)
    return None


def try_faults(file: str, model: str) -> dict[str, str]:
    found = {}
    for name, changes in FAULTS.items():
        config = compose(model, changes)
        try:
            data = replay(file, config, f"{name}-", with_processor=name != "processor")
            config.algorithm.adv_estimator = "dfgen_stored"
            estimate(data, config)
        except DfgenError as error:
            found[name] = str(error)
    return found


def main(groups: str, model: str, *recipes: str) -> None:
    ray.init(num_cpus=8, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    tq.init(OmegaConf.create({"backend": {"SimpleStorage": {"num_data_storage_units": 1}}}))
    config, results = compose(model, []), []
    processor = AutoProcessor.from_pretrained(model)
    for index, (name, mode) in enumerate(zip(recipes[::2], recipes[1::2], strict=True)):
        recipe = find_recipe(name).change(mask_mode=mode)
        examples = make_examples(groups, recipe, say=None)
        file = f"rows{index}.parquet"
        count = write_rows(examples, file)
        wanted = [encode_prompt(e.prompt, e.images, processor)[1] for e in examples]
        data = estimate(replay(file, config, f"r{index}-"), config)
        lengths = data.meta_info["lengths"]
        names = ("responses", "response_mask", "rm_scores", "old_log_probs", "advantages")
        results.append(
            {
                "count": count,
                "pixels": [
                    float((pixels - inputs["pixel_values"]).abs().max())
                    for pixels, inputs in zip(data.meta_info["pixels"], wanted, strict=True)
                ],
                "batch": {
                    field: [
                        row[:length].tolist()
                        for row, length in zip(data.batch[field], lengths, strict=True)
                    ]
                    for field in names
                }
                | {"prompts": data.batch["prompts"].tolist()},
                "losses": {
                    agg: try_losses(data, config, agg)
                    for agg in ("token-mean", "seq-mean-token-sum", "seq-mean-token-mean")
                },
            }
        )
    faults = try_faults("rows0.parquet", model)
    ray.shutdown()
    print(json.dumps({"recipes": results, "faults": faults}))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
