"""What slime, SkyRL and prime-rl are given, field by field against notes on their sources."""

from __future__ import annotations

import asyncio
import base64
import copy
import io
from dataclasses import replace
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoProcessor

from dfgen.errors import ConfigError, InputError
from dfgen.export.choices import Choices
from dfgen.export.exporting import export_tables
from dfgen.store.finished import open_finished
from dfgen.trainers import prime_rl, skyrl, slime
from dfgen.trainers.example import Example
from dfgen.trainers.examples import Examples, make_examples
from dfgen.trainers.prompting import encode_prompt, split_messages
from dfgen.trainers.recipe import RECIPES, Recipe
from dfgen.trainers.rows import write_rows
from tests.support.field_check import check_fields, fits, load_types
from tests.support.sample_run import make_run

POLICY = Path(__file__).parents[2] / "dfgen/demo/models/policy"
LOSS = RECIPES["df+repair"].change(mask_mode="loss")
RATIO = RECIPES["df"].change(mask_mode="loss")


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("groups")
    run = make_run(folder / "run", prompts=6, samples=4)
    export_tables(open_finished(run), ["groups"], folder / "table", flat=True)
    return folder / "table"


@pytest.fixture(scope="module")
def processor() -> Any:
    return AutoProcessor.from_pretrained(POLICY)


def open_examples(groups: Path, recipe: Recipe) -> Examples:
    return make_examples(groups, recipe, say=None)


# -- the checker itself can fail


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", True),
        ("int", np.int32(1)),
        ("float", 1),
        ("float", float("nan")),
        ("list[int]", [1, 2.0]),
        ("list[int]", (1, 2)),
        ("dict[str, tensor]", {"a": [1]}),
        ("str | None", b"x"),
    ],
)
def test_a_value_of_another_type_is_seen(kind: str, value: Any) -> None:
    assert not fits({}, kind, value)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.pop("tokens"),
        lambda s: s.update(loss_masks=[1]),
        lambda s: s.update(loss_mask=s["loss_mask"][:-1]),
        lambda s: s.update(status="done"),
        lambda s: s.update(response_length=s["response_length"] + 1),
        lambda s: s.update(rollout_log_probs=[0] * s["response_length"]),
    ],
)
def test_a_spoilt_sample_is_seen(spoil: Any, groups: Path, processor: Any, tmp_path: Path) -> None:
    slime.write_rollouts(open_examples(groups, RATIO), tmp_path, processor, batch_size=4)
    sample = load_batches(tmp_path)[0][0]
    sizes = {"total": len(sample["tokens"]), "response": sample["response_length"]}
    check_fields(load_types("slime"), "Sample", sample, sizes)
    spoil(sample)
    with pytest.raises(AssertionError):
        check_fields(load_types("slime"), "Sample", sample, sizes)


# -- slime


def load_batches(folder: Path) -> list[list[dict[str, Any]]]:
    names = sorted(folder.glob("*.pt"), key=lambda path: int(path.stem))
    files = [torch.load(name, weights_only=False) for name in names]
    assert [file["rollout_id"] for file in files] == list(range(len(files)))
    return [file["samples"] for file in files]


@pytest.mark.parametrize("recipe", [LOSS, RATIO], ids=lambda recipe: recipe.name)
def test_slime_files_hold_the_examples(
    recipe: Recipe, groups: Path, processor: Any, tmp_path: Path
) -> None:
    examples = list(open_examples(groups, recipe))
    count = slime.write_rollouts(open_examples(groups, recipe), tmp_path, processor, batch_size=4)
    batches = load_batches(tmp_path)
    assert len(batches) == count == len(examples) // 4
    types = load_types("slime")
    samples = [sample for batch in batches for sample in batch]
    for sample, example in zip(samples, examples, strict=False):
        prompt, inputs = encode_prompt(example.prompt, example.images, processor)
        sizes = {"response": len(example.ids), "total": len(prompt) + len(example.ids)}
        check_fields(types, "Sample", sample, sizes)
        assert sample["tokens"] == prompt + example.ids.tolist()
        assert prompt.count(processor.tokenizer.convert_tokens_to_ids("<image>")) == 16
        assert sample["loss_mask"] == example.loss_mask.tolist()
        assert torch.equal(
            sample["multimodal_train_inputs"]["pixel_values"], inputs["pixel_values"]
        )
        told = sample["metadata"][slime.ADVANTAGE]
        np.testing.assert_allclose(told * example.loss_mask, example.advantages, atol=1e-6)
    has_logprobs = [sample["rollout_log_probs"] is not None for sample in samples]
    assert has_logprobs == [recipe is RATIO] * len(samples)
    assert len({sample["index"] for sample in samples}) == len(samples)


def slime_args(**changed: Any) -> SimpleNamespace:
    settings = {
        "advantage_estimator": "grpo",
        "normalize_advantages": False,
        "use_rollout_logprobs": False,
        "global_batch_size": 4,
        "rollout_temperature": 1.0,
    }
    return SimpleNamespace(**settings | changed)


def test_slime_gets_advantages_as_rewards(groups: Path, processor: Any, tmp_path: Path) -> None:
    slime.write_rollouts(open_examples(groups, LOSS), tmp_path, processor, batch_size=4)
    for batch in load_batches(tmp_path):
        samples = [SimpleNamespace(**sample) for sample in batch]
        raw, advantages = slime.give_advantages(slime_args(), samples)
        assert raw == [sample.reward for sample in samples]
        assert advantages == [sample.metadata[slime.ADVANTAGE] for sample in samples]


@pytest.mark.parametrize(
    "changed",
    [
        {"advantage_estimator": "reinforce_plus_plus"},
        {"normalize_advantages": True},
        {"use_rollout_logprobs": True},
        {"global_batch_size": 2},
        {"rollout_temperature": 0.7},
    ],
)
def test_slime_is_refused_what_changes_the_gradient(changed: dict[str, Any]) -> None:
    metadata = {slime.ADVANTAGE: 1.0, slime.LIKELIHOOD: True, slime.TEMPERATURE: 1.0}
    sample = SimpleNamespace(reward=0.0, metadata=metadata)
    slime.give_advantages(slime_args(), [sample] * 4)
    with pytest.raises(ConfigError):
        slime.give_advantages(slime_args(**changed), [sample] * 4)


def test_slime_has_no_advantages_per_token(groups: Path, processor: Any, tmp_path: Path) -> None:
    examples = open_examples(groups, LOSS.change(mask_mode="advantage"))
    with pytest.raises(ConfigError, match="one advantage per answer"):
        slime.write_rollouts(examples, tmp_path, processor, batch_size=4)


class Sample(SimpleNamespace):
    """As slime's loader makes it of a row of `dfgen export --to slime`."""

    class Status(Enum):
        COMPLETED = "completed"
        TRUNCATED = "truncated"


class Source:
    def __init__(self, groups: list[list[Sample]]) -> None:
        self.groups = groups

    def get_samples(self, count: int) -> list[list[Sample]]:
        taken, self.groups = self.groups[:count], self.groups[count:]
        return taken


def read_rows(run: Path, recipe: Recipe, processor: Any, folder: Path) -> list[list[Sample]]:
    """Rows of `dfgen export --to slime`, as slime's data set draws them."""
    choices = Choices(recipe=recipe)
    export_tables(open_finished(run), ["slime"], folder, flat=True, choices=choices)
    drawn = []
    for row in pq.read_table(next(folder.glob("*.parquet"))).to_pylist():
        pictures = [base64.b64decode(uri.partition(",")[2]) for uri in row["images"]]
        text = processor.apply_chat_template(
            split_messages(row["prompt"]), add_generation_prompt=True, tokenize=False
        )
        images = [PIL.Image.open(io.BytesIO(data)) for data in pictures]
        inputs = {"images": images, "videos": None}
        sample = Sample(index=0, prompt=text, multimodal_inputs=inputs, metadata=row["metadata"])
        drawn.append([sample])
    return drawn


@pytest.mark.parametrize("recipe", [LOSS, RATIO], ids=lambda recipe: recipe.name)
def test_slime_replays_rows_as_it_draws_them(
    recipe: Recipe, groups: Path, processor: Any, tmp_path: Path
) -> None:
    examples = list(open_examples(groups, recipe))
    source = Source(read_rows(groups.parent / "run", recipe, processor, tmp_path / "slime"))
    args = SimpleNamespace(
        n_samples_per_prompt=1, rollout_batch_size=len(examples), hf_checkpoint=str(POLICY)
    )
    drawn = slime.replay_rollout(args, 0, source)
    types = load_types("slime")
    for (sample,), example in zip(drawn, examples, strict=True):
        prompt, _ = encode_prompt(example.prompt, example.images, processor)
        fields = dict(vars(sample)) | {"status": sample.status.value}
        sizes = {"response": len(example.ids), "total": len(prompt) + len(example.ids)}
        check_fields(types, "Sample", fields, sizes)
        assert sample.tokens == prompt + example.ids.tolist()
        told = sample.metadata[slime.ADVANTAGE] * example.loss_mask
        np.testing.assert_allclose(told, example.advantages, atol=1e-6)
        assert (sample.rollout_log_probs is not None) == (recipe is RATIO)


def test_slime_rows_that_cannot_be_replayed_are_refused(
    groups: Path, processor: Any, tmp_path: Path
) -> None:
    rows = read_rows(groups.parent / "run", RATIO, processor, tmp_path / "slime")
    args = SimpleNamespace(n_samples_per_prompt=1, rollout_batch_size=1, hf_checkpoint=str(POLICY))
    with pytest.raises(ConfigError, match="must be 1"):
        slime.replay_rollout(SimpleNamespace(n_samples_per_prompt=4), 0, Source(rows))
    spoilt: dict[str, dict[str, Any]] = {
        "no old log-probs": {"old_logprobs": None},
        "another tokenizer": {"tokenizer_sha256": "0" * 64},
    }
    for words, change in spoilt.items():
        row = copy.deepcopy(rows[0])
        row[0].metadata |= change
        with pytest.raises(InputError, match=words):
            slime.replay_rollout(args, 0, Source([row]))
    rows[0][0].metadata = {}
    with pytest.raises(InputError, match="no stored answer"):
        slime.replay_rollout(args, 0, Source(rows))


def test_slime_says_when_there_is_no_whole_batch(
    groups: Path, processor: Any, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="fewer than one batch"):
        slime.write_rollouts(open_examples(groups, LOSS), tmp_path, processor, batch_size=1000)


# -- SkyRL


def skyrl_config(**algorithm: Any) -> SimpleNamespace:
    settings = {
        "advantage_estimator": "dfgen_stored",
        "advantage_batch_normalize": False,
        "use_kl_in_reward": False,
        "use_kl_loss": False,
        "policy_loss_type": "regular",
    }
    return SimpleNamespace(
        generator=SimpleNamespace(n_samples_per_prompt=1, step_wise_trajectories=False),
        trainer=SimpleNamespace(
            algorithm=SimpleNamespace(**settings | algorithm),
            policy_mini_batch_size=8,
            train_batch_size=8,
            update_epochs_per_batch=1,
        ),
    )


def ask(rows: list[dict[str, Any]], phase: str = "train") -> dict[str, Any]:
    """As SkyRL's data set and `prepare_generator_input` do: all but the prompt is an extra."""
    return {
        "prompts": [row["prompt"] for row in rows],
        "env_classes": [None] * len(rows),
        "env_extras": [{k: v for k, v in row.items() if k != "prompt"} for row in rows],
        "sampling_params": {},
        "trajectory_ids": [f"{index}_0" for index in range(len(rows))],
        "batch_metadata": SimpleNamespace(global_step=1, training_phase=phase),
    }


@pytest.mark.parametrize("recipe", [LOSS, RATIO, RECIPES["df+repair"]], ids=lambda r: r.name)
def test_skyrl_generator_returns_the_examples(
    recipe: Recipe, groups: Path, processor: Any, tmp_path: Path
) -> None:
    examples = list(open_examples(groups, recipe))
    assert write_rows(open_examples(groups, recipe), tmp_path / "rows.parquet") == len(examples)
    rows = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    generator = skyrl.ReplayGenerator(processor, skyrl_config())
    output = asyncio.run(generator.generate(ask(rows)))
    sizes = {"batch": len(examples), "response": [len(example.ids) for example in examples]}
    check_fields(load_types("skyrl"), "GeneratorOutput", output, sizes)
    assert output["response_ids"] == [example.ids.tolist() for example in examples]
    assert output["loss_masks"] == [example.loss_mask.tolist() for example in examples]
    for rewards, example in zip(output["rewards"], examples, strict=True):
        np.testing.assert_array_equal(np.float32(rewards), example.advantages)
    known = all(example.old_logprobs is not None for example in examples)
    assert (output["rollout_logprobs"] is not None) == known
    prompts = [encode_prompt(e.prompt, e.images, processor)[0] for e in examples]
    assert output["prompt_token_ids"] == prompts
    assert [len(values) for values in output["pixel_values"]] == [1] * len(examples)


@pytest.mark.parametrize("changed", [{"use_kl_loss": True}, {"policy_loss_type": "kl_cov"}])
def test_skyrl_moves_no_token_outside_of_the_mask(
    changed: dict[str, Any], groups: Path, processor: Any, tmp_path: Path
) -> None:
    generator = skyrl.ReplayGenerator(processor, skyrl_config(**changed))
    for recipe in (RECIPES["df+repair"], LOSS):
        write_rows(open_examples(groups, recipe), tmp_path / "rows.parquet")
        rows = pq.read_table(tmp_path / "rows.parquet").to_pylist()
        if recipe is LOSS:
            asyncio.run(generator.generate(ask(rows)))
        else:
            with pytest.raises(ConfigError, match="outside of the mask"):
                asyncio.run(generator.generate(ask(rows)))


def test_skyrl_evaluates_with_live_answers(processor: Any) -> None:
    class Live:
        async def generate(self, input_batch: Any) -> dict[str, Any]:
            return {"live": len(input_batch["prompts"])}

    batch = ask([{"prompt": []}], phase="eval")
    with pytest.raises(ConfigError, match="evaluation needs answers"):
        asyncio.run(skyrl.ReplayGenerator(processor, skyrl_config()).generate(batch))
    live = skyrl.ReplayGenerator(processor, skyrl_config(), Live())
    assert asyncio.run(live.generate(batch)) == {"live": 1}


def test_skyrl_rows_without_a_stored_answer_are_refused(processor: Any) -> None:
    with pytest.raises(InputError, match="no stored answer"):
        generator = skyrl.ReplayGenerator(processor, skyrl_config())
        asyncio.run(generator.generate(ask([{"prompt": []}])))


def test_skyrl_is_refused_what_changes_the_gradient(processor: Any) -> None:
    wrong = [
        skyrl_config(advantage_estimator="grpo"),
        skyrl_config(advantage_batch_normalize=True),
        skyrl_config(use_kl_in_reward=True),
    ]
    for part, name, value in (
        ("generator", "n_samples_per_prompt", 4),
        ("generator", "step_wise_trajectories", True),
        ("trainer", "policy_mini_batch_size", 4),
        ("trainer", "update_epochs_per_batch", 2),
    ):
        config = skyrl_config()
        setattr(getattr(config, part), name, value)
        wrong.append(config)
    for config in wrong:
        with pytest.raises(ConfigError):
            skyrl.ReplayGenerator(processor, config)


def test_skyrl_estimator_keeps_advantages() -> None:
    rewards = torch.tensor([[0.5, 0.0, -2.0], [1.0, 1.0, 9.0]])
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    advantages, returns = skyrl.keep_stored_advantages(rewards, mask, index=None, gamma=1.0)
    assert advantages.tolist() == [[0.5, 0.0, -2.0], [1.0, 1.0, 0.0]]
    assert returns is advantages


# -- prime-rl


def test_prime_rl_samples_hold_the_examples(groups: Path, processor: Any) -> None:
    types = load_types("prime_rl")
    seen = set()
    prime_rl.check_examples(open_examples(groups, LOSS), processor)
    for example in open_examples(groups, LOSS):
        sample = prime_rl.make_sample(example, processor, token_types={2: 1})
        prompt, _ = encode_prompt(example.prompt, example.images, processor)
        start = len(prompt)
        check_fields(types, "TrainingSample", sample, {"total": start + len(example.ids)})
        assert sample["token_ids"] == prompt + example.ids.tolist()
        assert sample["mask"] == [False] * start + example.loss_mask.tolist()
        assert sum(sample["mm_token_type_ids"][:start]) == 16
        trained = np.float32(example.advantages * example.loss_mask)
        if example.loss == "likelihood":
            assert not any(sample["rl_weights"])
            stream = sample["ce_weights"]
        else:
            assert sample["rl_weights"] is None
            assert sample["ce_weights"] is None
            assert example.old_logprobs is not None
            np.testing.assert_array_equal(
                np.float32(sample["logprobs"][start:]), example.old_logprobs
            )
            stream = sample["advantages"]
        np.testing.assert_array_equal(np.float32(stream[start:]), trained)
        assert not any(stream[:start])
        seen.add(example.loss)
    assert seen == {"ratio", "likelihood"}


def make_trace(example: Example) -> SimpleNamespace:
    end = 3
    answer = SimpleNamespace(
        token_ids=[5] * end + example.ids.tolist(),
        mask=[False] * end + [True] * len(example.ids),
        advantages=None,
        loss_weights=None,
    )
    asked = SimpleNamespace(token_ids=[7] * 9, mask=[False] * 9, advantages=None)
    return SimpleNamespace(nodes=[asked, answer])


def test_prime_rl_traces_are_annotated(groups: Path) -> None:
    types = load_types("prime_rl")
    for example in open_examples(groups, LOSS):
        trace = make_trace(example)
        prime_rl.assign_advantages(trace, example)
        asked, node = trace.nodes
        assert asked.advantages is None
        fields = {name: getattr(node, name) for name in ("token_ids", "mask", "advantages")}
        sizes = {"node": len(node.token_ids), "sampled": sum(node.mask)}
        check_fields(types, "Node", fields | node.loss_weights, sizes)
        trained = np.float32(example.advantages * example.loss_mask)
        if example.loss == "likelihood":
            assert not any(node.advantages)
            np.testing.assert_array_equal(np.float32(node.loss_weights["ce"][3:]), trained)
        else:
            np.testing.assert_array_equal(np.float32(node.advantages), trained)
            assert node.loss_weights["rl"][3:] == example.loss_mask.tolist()


def test_prime_rl_refuses_other_tokens_and_the_other_mode(groups: Path, processor: Any) -> None:
    first, *_, last = open_examples(groups, LOSS)
    with pytest.raises(InputError, match="not those of the stored answer"):
        prime_rl.assign_advantages(make_trace(first), last)
    with pytest.raises(ConfigError, match="outside of the mask"):
        prime_rl.check_examples(open_examples(groups, RECIPES["df"]), processor)


def test_ids_of_another_tokenizer_are_refused(groups: Path, tmp_path: Path) -> None:
    other = AutoProcessor.from_pretrained(POLICY)
    other.tokenizer.add_tokens(["another"])
    examples = open_examples(groups, LOSS)
    write_rows(examples, tmp_path / "rows.parquet")
    rows = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    generator = skyrl.ReplayGenerator(other, skyrl_config())
    for attempt in (
        lambda: slime.write_rollouts(examples, tmp_path, other, batch_size=1),
        lambda: prime_rl.check_examples(examples, other),
        lambda: asyncio.run(generator.generate(ask(rows))),
    ):
        with pytest.raises(InputError, match="another tokenizer"):
            attempt()


# -- prompts


def test_messages_of_text_make_the_blocks_that_templates_take(groups: Path) -> None:
    for example in open_examples(groups, LOSS):
        blocks = [
            {"type": b["type"]} | ({"text": b["text"]} if b["type"] == "text" else {})
            for message in example.prompt
            for b in message["content"]
        ]
        assert [b for m in split_messages(example.messages) for b in m["content"]] == blocks


# -- rows


def test_rows_store_a_picture_once_for_all_answers_to_it(groups: Path, tmp_path: Path) -> None:
    example = next(iter(open_examples(groups, RATIO)))
    noise = np.random.default_rng(0).bytes(300_000)
    same = replace(example, images=[{"bytes": noise, "path": None}])
    assert write_rows([same] * 40, tmp_path / "rows.parquet") == 40
    assert 300_000 < (tmp_path / "rows.parquet").stat().st_size < 400_000


def test_rows_without_what_the_loss_needs_are_not_written(groups: Path, tmp_path: Path) -> None:
    example = next(iter(open_examples(groups, RATIO)))
    file = tmp_path / "rows.parquet"
    with pytest.raises(InputError, match="no old log-probs"):
        write_rows([example, replace(example, old_logprobs=None)], file)
    with pytest.raises(InputError, match="no example"):
        write_rows([], file)
    assert not list(tmp_path.iterdir())
