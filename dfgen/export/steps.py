"""A completion cut into its steps, as tables of process supervision want it."""

from __future__ import annotations

from collections.abc import Sequence


def cut_steps(
    completion_text: str,
    token_bytes: Sequence[int],
    step_ids: Sequence[int],
    step_labels: Sequence[bool] | None,
) -> tuple[list[str], list[bool]]:
    """Text and label of every step that has text.

    Args:
        completion_text: the answer.
        token_bytes: length T+1, UTF-8 offsets of its tokens.
        step_ids: length T, ascending.
        step_labels: whether the repair touches each step; None: the whole answer is right.

    Returns:
        The texts, which together are the answer, and whether each step is right. A step without a
        token of its own (its text lies inside its neighbour's token) is left out.
    """
    data = completion_text.encode()
    starts = [i for i in range(len(step_ids)) if i == 0 or step_ids[i] != step_ids[i - 1]]
    texts, labels = [], []
    for start, end in zip(starts, [*starts[1:], len(step_ids)], strict=True):
        text = data[token_bytes[start] : token_bytes[end]].decode(errors="replace")
        if text:
            texts.append(text)
            labels.append(step_labels is None or not step_labels[step_ids[start]])
    return texts, labels
