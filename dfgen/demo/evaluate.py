"""Measures the two demo models: ``python -m dfgen.demo.evaluate``.

Prints one JSON object. The questions come from a stream of their own; no training stage saw them.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfgen.demo import locate_model
from dfgen.demo.questions import KINDS
from dfgen.demo.scenes import Facts, draw_facts
from dfgen.demo.truth import is_consistent, true_repair

#: The stream of evaluation questions; training uses streams 1 to 4 and 8 to 9 of its seed.
STREAM = 77


def share(part: int, whole: int) -> float | None:
    """Return a share, or None where there is nothing to take a share of."""
    return round(part / whole, 4) if whole else None


def is_right(text: str, truth: dict[str, Any]) -> bool:
    """Say whether an answer ends with the right final answer."""
    return text.endswith(f"Answer: {truth['answer']}")


def mark_answers(
    model: Any, tokenizer: Any, *, count: int, seed: int, sample: bool
) -> NDArray[np.bool_]:
    """Let a policy answer questions that no stage of a demo run has seen, and say which are right.

    Equal counts and seeds are the same questions, so two policies can be compared in pairs.

    Args:
        model, tokenizer: of the policy.
        count: questions.
        seed: of the questions, from `STREAM`.
        sample: draw at temperature 1 by torch's global seed; else greedily.

    Returns:
        bool[count]: the final answer is right.
    """
    from dfgen.demo.batches import render_policy_prompt
    from dfgen.demo.drawing import draw_pictures
    from dfgen.demo.sampling import generate_texts

    facts = draw_facts(np.random.default_rng([seed, STREAM]), count)
    prompts = [render_policy_prompt(facts.question(index)) for index in range(count)]
    pictures = draw_pictures(facts.layout)
    answers = generate_texts(model, tokenizer, prompts, pictures, sample=sample, max_tokens=56)
    return np.array([is_right(text, facts.truth(i)) for i, text in enumerate(answers)])


def summarise_policy(answers: list[str], truths: list[dict[str, Any]]) -> dict[str, Any]:
    """Say how often the policy is right, and what its wrong answers come from."""
    right = [is_right(text, truth) for text, truth in zip(answers, truths, strict=True)]
    pairs = list(zip(answers, truths, right, strict=True))
    wrong = [(text, truth) for text, truth, ok in pairs if not ok]
    lucky = [ok and true_repair(text, truth) != text for text, truth, ok in pairs]
    by_kind = {
        kind: share(
            sum(ok for _, truth, ok in pairs if truth["kind"] == kind),
            sum(truth["kind"] == kind for truth in truths),
        )
        for kind in KINDS
    }
    return {
        "questions": len(answers),
        "right": share(sum(right), len(right)),
        "right_by_kind": by_kind,
        "in_grammar": share(
            sum(true_repair(text, truth) is not None for text, truth, _ in pairs), len(pairs)
        ),
        "wrong_by_miscount_only": share(sum(is_consistent(*pair) for pair in wrong), len(wrong)),
        "right_with_a_false_step": share(sum(lucky), sum(right)),
    }


def summarise_repairer(
    answers: list[str], repairs: list[str], truths: list[dict[str, Any]], encode: Any
) -> dict[str, Any]:
    """Compare learned repairs with ideal ones.

    Any change to an answer that is true throughout is a false edit. Others end right in spite of
    a false step: changing that step is a right edit, though no grader would ask for it.
    Garbled answers have no ideal repair: a repair of one is never exact, and any change to one
    that ends right counts as a false edit of a right answer.
    """
    from rapidfuzz.distance import Levenshtein

    rows = [
        (answer, repair, truth, true_repair(answer, truth))
        for answer, repair, truth in zip(answers, repairs, truths, strict=True)
    ]
    wrong = [row for row in rows if not is_right(row[0], row[2])]
    verified = [row for row in wrong if is_right(row[1], row[2])]
    true = [row for row in rows if row[0] == row[3]]
    right = [row for row in rows if is_right(row[0], row[2])]
    ratios = []
    for answer, repair, _, _ in verified:
        old, new = encode(answer), encode(repair)
        ratios.append(Levenshtein.distance(old, new) / max(len(old), len(new)))
    return {
        "wrong_answers": len(wrong),
        "verified": share(len(verified), len(wrong)),
        "exact_of_verified": share(sum(r == ideal for _, r, _, ideal in verified), len(verified)),
        "exact_of_verified_in_grammar": share(
            sum(r == ideal for _, r, _, ideal in verified),
            sum(row[3] is not None for row in verified),
        ),
        "mean_edit_ratio": round(float(np.mean(ratios)), 4) if ratios else None,
        "true_answers": len(true),
        "false_edits_of_true": share(sum(answer != r for answer, r, _, _ in true), len(true)),
        "right_answers": len(right),
        "changed_of_right": share(sum(answer != r for answer, r, _, _ in right), len(right)),
        "false_edits_of_right": share(
            sum(r not in (answer, ideal) for answer, r, _, ideal in right), len(right)
        ),
        "spoilt_of_right": share(sum(not is_right(r, t) for _, r, t, _ in right), len(right)),
    }


def evaluate_models(policy: Path, repairer: Path | None, count: int, seed: int) -> dict[str, Any]:
    """Sample the policy once a question (T = 1) and repair every answer greedily."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoTokenizer

    from dfgen.demo.batches import render_policy_prompt, render_repairer_prompt
    from dfgen.demo.drawing import draw_pictures
    from dfgen.demo.sampling import generate_texts
    from dfgen.demo.tokenizer import END_THINK

    torch.manual_seed(seed)
    facts: Facts = draw_facts(np.random.default_rng([seed, STREAM]), count)
    truths = [facts.truth(index) for index in range(count)]
    questions = [facts.question(index) for index in range(count)]
    pictures = draw_pictures(facts.layout)
    tokenizer = AutoTokenizer.from_pretrained(policy)
    answers = generate_texts(
        AutoModelForImageTextToText.from_pretrained(policy),
        tokenizer,
        [render_policy_prompt(question) for question in questions],
        pictures,
        sample=True,
        max_tokens=56,
    )
    report = {"policy": summarise_policy(answers, truths)}
    if repairer is None:
        return report
    texts = generate_texts(
        AutoModelForImageTextToText.from_pretrained(repairer),
        tokenizer,
        [render_repairer_prompt(q, a) for q, a in zip(questions, answers, strict=True)],
        pictures,
        sample=False,
        max_tokens=80,
    )
    repairs = [text.partition(END_THINK)[2] for text in texts]
    report["repairer"] = summarise_repairer(
        answers, repairs, truths, lambda text: tokenizer(text)["input_ids"]
    )
    return report


def main() -> None:
    """Run the evaluation from the command line."""
    parser = argparse.ArgumentParser(description="Measure the demo models.")
    parser.add_argument("--models", type=Path, help="directory with policy/ and repairer/")
    parser.add_argument("--count", type=int, default=1000, help="questions (default 1000)")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    root: Path | None = arguments.models
    policy = root / "policy" if root else locate_model("policy")
    repairer = root / "repairer" if root else locate_model("repairer")
    report = evaluate_models(
        policy, repairer if repairer.is_dir() else None, arguments.count, arguments.seed
    )
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
