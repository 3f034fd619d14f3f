"""Runs in .venv-openrlhf with dfgen installed: OpenRLHF's own code from loader to loss.

python check_openrlhf.py FOLDER MODEL: loads the table `openrlhf`, replays it through the executor,
makes experiences, advantages and one update; prints what it saw as JSON. Only Ray, vLLM and
DeepSpeed do not run: the model's forward pass is called in this process.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from dfgen.errors import DfgenError
from dfgen.trainers.__main__ import find_adapter

sys.path.append(str(Path(__file__).parents[1] / "support"))
from openrlhf_stubs import install_stubs

install_stubs()

from openrlhf.datasets import PromptDataset  # noqa: E402
from openrlhf.datasets.utils import blending_datasets  # noqa: E402
from openrlhf.models import Actor, PolicyLoss  # noqa: E402
from openrlhf.trainer.ppo_utils.experience import (  # noqa: E402
    Experience,
    make_experience_batch,
    split_experience_batch,
)
from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker  # noqa: E402
from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator  # noqa: E402
from openrlhf.trainer.ray.vllm_engine import RolloutRayActor, _load_agent_executor  # noqa: E402
from openrlhf.utils.loss_utils import get_loss_batch_info  # noqa: E402
from openrlhf.utils.vlm_utils import merge_mm_train_inputs  # noqa: E402
from transformers import AutoModelForImageTextToText, AutoProcessor  # noqa: E402

MAX_LENGTH = 256
generate_responses = RolloutRayActor.__ray_metadata__.modified_class.generate_responses


def main(folder: str, model_path: str) -> None:
    processor = AutoProcessor.from_pretrained(model_path)
    strategy = make_strategy()
    table = PromptDataset(blending_datasets(folder, strategy=strategy), processor, strategy)
    rows = [score(table[index]) for index in range(len(table))]
    size = len(json.loads(rows[0][2])["samples"])
    strategy.args.rollout.n_samples_per_prompt = size

    responses = draw(rows, size, processor)
    # By a path OpenRLHF would load it as bfloat16.
    actor = Actor(AutoModelForImageTextToText.from_pretrained(model_path, dtype="float32"))
    actor.packing_samples = False
    result = train(strategy, actor, responses)
    result["rows"] = [row[2] for row in rows]
    result["group_size"] = size
    result["refused"] = refuse_bad_data(rows, size, processor)
    print(json.dumps(result))


def score(row: Any) -> Any:
    """Fill in log-probs of repairs where the run was not scored; their values are our own."""
    label = json.loads(row[2])
    for sample in label["samples"]:
        if sample["logprobs"] is None:
            sample["logprobs"] = [-1.0] * len(sample["ids"])
    return (*row[:2], json.dumps(label), row[3])


def make_strategy() -> Any:
    space = SimpleNamespace
    data = space(input_key="input", label_key="label", image_key="images", apply_chat_template=True)
    advantage = space(estimator="dr_grpo", gamma=1.0, lambd=1.0, no_std_norm=True)
    arguments = space(
        data=data,
        use_ms=False,
        algo=space(advantage=advantage, kl=space(use_loss=False)),
        rollout=space(n_samples_per_prompt=0, micro_batch_size=4),
        train=space(dynamic_batch_enable=False),
        reward=space(
            clip_range=(-10, 10),
            overlong_buffer_len=None,
            overlong_penalty_factor=None,
            stop_properly_penalty_coef=None,
        ),
    )
    return space(args=arguments, is_rank_0=lambda: True, print=lambda *_: None)


def draw(rows: list[Any], size: int, processor: Any, **sampling: Any) -> list[dict[str, Any]]:
    """All samples of all rows, as OpenRLHF's rollout worker draws them."""
    worker = SimpleNamespace(executor=_load_agent_executor(str(find_adapter("openrlhf"))))
    parameters = SimpleNamespace(**{"temperature": 1.0, "logprobs": 1, "max_tokens": 1} | sampling)

    async def run() -> list[dict[str, Any]]:
        found = []
        for _, prompt, label, images in rows:
            found += await generate_responses(
                worker, prompt, label, parameters, MAX_LENGTH, processor, size, images
            )
        return found

    return asyncio.run(run())


def train(strategy: Any, actor: Any, responses: list[dict[str, Any]]) -> dict[str, Any]:
    """Experiences, advantages, loss and one update."""
    generator = object.__new__(SamplesGenerator)
    samples = [
        generator._process_response_into_experience(each, max_len=MAX_LENGTH) for each in responses
    ]
    maker = object.__new__(RemoteExperienceMaker)
    maker.strategy, maker.args = strategy, strategy.args
    maker.tokenizer = SimpleNamespace(pad_token_id=0)
    maker.advantage_estimator = strategy.args.algo.advantage.estimator
    maker.kl_ctl = SimpleNamespace(value=0.0)
    batches = maker.split_rollout_samples(samples)
    for batch in batches:
        with torch.no_grad():
            batch.action_log_probs = forward(actor, batch)
        batch.kl = torch.zeros_like(batch.action_log_probs)
    batches = maker.compute_advantages_and_returns(batches)
    items = [item for batch in batches for item in split_experience_batch(batch)]
    whole: Experience = make_experience_batch(items)

    before = [weight.detach().clone() for weight in actor.parameters()]
    optimizer = torch.optim.SGD(actor.parameters(), lr=1e-2)
    logps = forward(actor, whole)
    logps.retain_grad()
    # What the engine said and what the model says differ: a clip that acts shows more than 1.
    old = whole.rollout_log_probs
    loss, *_ = PolicyLoss()(
        logps,
        old,
        whole.advantages,
        action_mask=whole.action_mask,
        **get_loss_batch_info(strategy, whole.action_mask),
    )
    loss.backward()
    optimizer.step()
    mask = whole.action_mask.bool()
    return {
        "loss": loss.item(),
        "outside": logps.grad[~mask].abs().max().item(),
        "inside": logps.grad[mask].abs().sum().item(),
        "finite": bool(torch.isfinite(logps.grad).all()),
        "moved": sum(
            bool((weight != old_weight).any())
            for weight, old_weight in zip(actor.parameters(), before, strict=True)
        ),
        "masks": whole.action_mask.sum(-1).tolist(),
        "advantages": [
            row[kept].tolist() for row, kept in zip(whole.advantages, mask, strict=True)
        ],
        "logps": [row[kept].tolist() for row, kept in zip(logps, mask, strict=True)],
        "old": [row[kept].tolist() for row, kept in zip(old, mask, strict=True)],
        "pictures": sum(each["mm_train_inputs"] is not None for each in responses),
        "ids": [
            whole.sequences[row, 1:][mask[row]].tolist() for row in range(len(whole.sequences))
        ],
    }


def forward(actor: Any, batch: Experience) -> torch.Tensor:
    pictures = merge_mm_train_inputs([batch.mm_train_inputs], "cpu")
    return actor(batch.sequences, batch.action_mask, batch.attention_mask, **pictures)


def refuse_bad_data(rows: list[Any], size: int, processor: Any) -> dict[str, str]:
    """What each kind of bad data or argument ends with."""

    def change(**values: Any) -> list[Any]:
        label = json.loads(rows[0][2]) | values
        return [(*rows[0][:2], json.dumps(label), rows[0][3])]

    samples = json.loads(rows[0][2])["samples"]
    unknown = [sample | {"logprobs": None} for sample in samples]
    tries: dict[str, Any] = {
        "count": (rows, size + 1, {}),
        "temperature": (rows, size, {"temperature": 0.7}),
        "tokenizer": (change(tokenizer_sha256="0" * 64), size, {}),
        "newer": (change(format=2), size, {}),
        "logprobs": (change(samples=unknown), size, {}),
        "plain": ([(*rows[0][:2], "42", rows[0][3])], size, {}),
        "long": (change(samples=[samples[0] | {"ids": [5] * MAX_LENGTH}]), 1, {}),
    }
    found = {}
    for name, (table, count, sampling) in tries.items():
        try:
            draw(table, count, processor, **sampling)
            found[name] = "nothing was refused"
        except DfgenError as error:
            found[name] = f"{error.what} {error.hint}"
    draw(change(samples=unknown), size, processor, logprobs=None)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:3])
