"""Writes examples as message nodes of verifiers 0.4 (`MessageNode`), which prime-rl trains on.

    nodes = make_nodes(example, prompt_ids)        # checked by verifiers' own type

A node says per token what is trained: `mask`, and over the tokens in it `logprobs` and
`advantages`, as the trainer's `rl` loss takes them; likelihood goes through the stream `ce` of
`loss_weights`, which is a weight for each token of the node. prime-rl divides either loss by its
own count of tokens, and leaves tokens of advantage 0 out of the `rl` loss and its count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dfgen.errors import InputError
from dfgen.trainers.floats import list_floats
from dfgen.trainers.pictures import write_data_uri

if TYPE_CHECKING:
    from dfgen.trainers.example import Example


def describe_nodes(
    example: Example, prompt_ids: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    """Describe the messages of an example as nodes, a chain from the first to the answer.

    Args:
        example: an answer or a repair, T tokens.
        prompt_ids: of the whole prompt with its pictures and the opening of the answer, as the
            model reads it; they become those of the last message before the answer. None: the
            nodes of the prompt hold no tokens.

    Returns:
        Plain data, as JSON can hold it. The last node has `token_ids` T, `mask` T, `advantages`
        and `logprobs` as many as the mask is true, `loss_weights` T.

    Raises:
        InputError: its loss is a ratio, and nobody knows its log-probs; or a picture is none.
    """
    nodes: list[dict[str, Any]] = []
    pictures = [write_data_uri(image) for image in example.images]
    for message in example.prompt:
        content = [_write_part(block, pictures) for block in message["content"]]
        nodes.append(_make_node(len(nodes), {"role": message["role"], "content": content}))
    if prompt_ids is not None and nodes:
        nodes[-1]["token_ids"] = [int(token) for token in prompt_ids]
        nodes[-1]["mask"] = [False] * len(prompt_ids)
    nodes.append(_make_answer(example, len(nodes)))
    return nodes


def make_nodes(example: Example, prompt_ids: Sequence[int] | None = None) -> list[Any]:
    """Make `MessageNode` objects of an example; arguments and errors as `describe_nodes`."""
    from verifiers.v1.graph import MessageNode

    return [MessageNode.model_validate(node) for node in describe_nodes(example, prompt_ids)]


def iter_nodes(
    examples: Iterable[Example], find_prompt_ids: Callable[[Example], Sequence[int]]
) -> Iterator[list[Any]]:
    """Yield the nodes of each example.

    Args:
        examples: such as `make_examples` gives.
        find_prompt_ids: encodes prompt and pictures as the model's processor does.
    """
    for example in examples:
        yield make_nodes(example, find_prompt_ids(example))


def _make_node(number: int, message: dict[str, Any]) -> dict[str, Any]:
    # The time is fixed, so that equal runs give equal files.
    parent = number - 1 if number else None
    return {"parent": parent, "message": message, "timestamp": 0.0}


def _write_part(block: dict[str, Any], pictures: list[str]) -> dict[str, Any]:
    if block["type"] == "image":
        return {"type": "image_url", "image_url": {"url": pictures.pop(0)}}
    return {"type": "text", "text": block["text"]}


def _make_answer(example: Example, number: int) -> dict[str, Any]:
    node = _make_node(number, {"role": "assistant", "content": example.text})
    mask, old = example.loss_mask, example.old_logprobs
    if example.loss == "ratio" and old is None and mask.any():
        raise InputError(
            f"nobody knows the log-probs of {example.trajectory_id} ({example.kind}), and its loss "
            "needs a ratio.",
            hint="dfgen score RUN, or a recipe whose loss is likelihood.",
        )
    node["sampled"] = example.kind != "repair"
    node["token_ids"] = example.ids.tolist()
    node["mask"] = mask.tolist()
    node["logprobs"] = [] if old is None else list_floats(old[mask])
    credit = example.advantages[mask]
    if example.loss == "likelihood":
        # No credit is assigned, which is not the same as none known: `rl` leaves these tokens out.
        node["advantages"] = [0.0] * len(credit)
        node["loss_weights"] = {"ce": list_floats(example.advantages * mask)}
    else:
        node["advantages"] = list_floats(credit)
    return node
