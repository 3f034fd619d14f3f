"""Replays stored answers in OpenRLHF: an executor that generates nothing.

    dfgen export RUN --to openrlhf --out data/openrlhf
    ... train_ppo_ray --train.agent_func_path $(python -m dfgen.trainers openrlhf) \\
        --data.prompt_dataset data/openrlhf --data.input_key input --data.label_key label \\
        --data.apply_chat_template --rollout.n_samples_per_prompt 8 \\
        --algo.advantage.estimator dr_grpo

A row's samples travel as JSON in its label, as `dfgen.export.tables.openrlhf` writes them. The
token mask becomes runs in `action_ranges`, the advantage becomes the reward; the estimator
`dr_grpo` only subtracts the mean of a row, which a sample without tokens makes 0. (`reinforce`
would subtract the mean of the batch, `group_norm` would divide.) Read from the sources of OpenRLHF
0.11.2 (utils/agent.py, trainer/ppo_utils/samples_generator.py, experience_maker.py).
"""

from __future__ import annotations

import json
from typing import Any

from openrlhf.utils.agent import AgentExecutorBase
from openrlhf.utils.vlm_utils import process_prompt_with_images

from dfgen.errors import ConfigError, InputError
from dfgen.trainers.checks import hash_tokenizer
from dfgen.version import UPDATE_HINT

FORMAT = 1
"""Of the label, as the export writes it."""


class AgentExecutor(AgentExecutorBase):  # type: ignore[misc]
    """Answers a prompt with the samples of its label, one after the other.

    OpenRLHF does not say which of its samples it asks for. It asks for all of a row in a row, so
    that counting is enough; a count that does not come out even is refused.
    """

    def __init__(self) -> None:
        """Start before the first sample."""
        self.label: str | None = None
        self.samples: list[dict[str, Any]] = []
        self.turn = 0
        self.proved: str | None = None

    async def execute(
        self,
        prompt: str,
        label: str,
        sampling_params: Any,
        max_length: int,
        hf_tokenizer: Any,
        llm_engine: Any,  # noqa: ARG002
        images: Any = None,
    ) -> dict[str, Any]:
        """Return the next stored sample of this row as OpenRLHF's response.

        Raises:
            ConfigError: an argument of OpenRLHF under which the advantages would be others.
            InputError: the label is none of ours, or of another tokenizer or a newer dfgen.
        """
        if label != self.label:
            self.open_row(label, sampling_params, hf_tokenizer)
        sample = self.samples[self.turn % len(self.samples)]
        self.turn += 1
        prompt_ids, tensors, _ = process_prompt_with_images(hf_tokenizer, prompt, images)
        start, ids = len(prompt_ids), [*prompt_ids, *sample["ids"]]
        if len(ids) > max_length:
            raise ConfigError(
                f"prompt and answer {sample['trajectory_id']} have {len(ids)} tokens; "
                f"OpenRLHF would cut them at {max_length}.",
                hint=f"Set --data.max_len to {len(ids)} or more.",
            )
        return {
            "prompt": prompt,
            "label": label,
            "images": images,
            "mm_train_inputs": tensors,
            "observation_tokens": ids,
            "action_ranges": [(start + first, start + last) for first, last in sample["runs"]],
            "rollout_log_probs": find_logprobs(sample, start, sampling_params),
            "reward": sample["advantage"],
            "scores": sample["advantage"],
            "truncated": sample["truncated"],
            "extra_logs": {},
        }

    def open_row(self, label: str, sampling_params: Any, tokenizer: Any) -> None:
        """Take up another row."""
        if self.samples and self.turn % len(self.samples):
            raise ConfigError(
                f"OpenRLHF drew {self.turn} samples of a row that has {len(self.samples)}; its "
                "baseline would not be 0.",
                hint=f"Set --rollout.n_samples_per_prompt to {len(self.samples)}.",
            )
        row = read_label(label)
        if sampling_params.temperature != row["temperature"]:
            raise ConfigError(
                f"OpenRLHF divides logits by {sampling_params.temperature}, and these log-probs "
                f"are of temperature {row['temperature']}.",
                hint=f"Set --rollout.temperature {row['temperature']}, or export for the other.",
            )
        if self.proved is None and row["tokenizer_sha256"] is not None:
            self.proved = hash_tokenizer(tokenizer)
        if self.proved != row["tokenizer_sha256"]:
            raise InputError(
                "the token ids belong to another tokenizer than the model's.",
                hint="Carry the masks over with dfgen retokenize, then export again.",
            )
        self.label, self.samples, self.turn = label, row["samples"], 0


def read_label(label: str) -> dict[str, Any]:
    """Read the JSON of a label. Raises `InputError` where it is none of ours."""
    try:
        row = json.loads(label)
        written = row["format"]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"this label holds no stored answers: {str(label)[:60]!r}.",
            hint="Write the rows with: dfgen export RUN --to openrlhf --out DIR; evaluation needs "
            "rows and an agent of its own.",
        ) from error
    if written != FORMAT:
        raise InputError(
            f"this label has format {written}; this dfgen reads {FORMAT}.", hint=UPDATE_HINT
        )
    return dict(row)


def find_logprobs(sample: dict[str, Any], start: int, sampling_params: Any) -> list[float] | None:
    """Return one log-prob per token if OpenRLHF corrects for the engine's, else None.

    Tokens outside of the mask, and the prompt's `start` tokens, have 0.0: a NaN there would spread.
    """
    if sampling_params.logprobs is None:
        return None
    if sample["logprobs"] is None:
        raise InputError(
            f"nobody knows the log-probs of the {sample['kind']} of {sample['trajectory_id']}, and "
            "--algo.advantage.is_correction_level needs them.",
            hint="dfgen score RUN, then export again; or set the level to off.",
        )
    return [0.0] * start + list(sample["logprobs"])
