"""The first hour with dfgen: twelve questions of one's own, mistakes included, to a trained step.

Everything that is printed meanwhile stands in `first_hour.txt`, for people to read. When a message
is changed on purpose, write it anew, read what differs, and commit it with the change:

    python -m tests.end_to_end.test_first_hour && git diff tests/end_to_end/first_hour.txt
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from dfgen.demo.scenes import iter_scenes
from tests.support.transcript import Transcript

GOLDEN = Path(__file__).with_name("first_hour.txt")
PICTURES = Path("data/pictures")
QUESTIONS = Path("data/questions.jsonl")
# What a shell of CI or of a developer may hold, and a newcomer's does not.
FOREIGN = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HF_TOKEN")

EDITS = {
    "data/prompts.jsonl": str(QUESTIONS),
    "answer: answer}": "answer: anwser, id: nr}",
    "Qwen/Qwen2.5-VL-3B-Instruct": "demo:policy",
    "Qwen/Qwen2.5-VL-32B-Instruct": "demo:repairer",
    "bfloat16": "float32",
    "num_samples: 8": "num_samples: 4",
    "max_tokens: 1024": "max_tokens: 64",
    # The demo's repairer is no instruct model: it was trained on one wording, and looks for itself.
    "answer: given": "answer: blind",
    "max_tokens: 1536": "max_tokens: 96",
    "prefix_lock: true": "prefix_lock: false",
    "max_edit_ratio: 0.3": (
        "max_edit_ratio: 0.6\n"
        '  prompt: "{question}\\nRepair this answer:\\n{completion}{images}"\n #'
    ),
}


def make_rows() -> list[dict[str, Any]]:
    """Draw fourteen pictures, of which two come later, and ask something about each."""
    PICTURES.mkdir(parents=True)
    rows = []
    for number, scene in enumerate(iter_scenes(14, seed=41), start=1):
        name = f"{number:02}.png"
        (PICTURES / name).write_bytes(scene.image_png)
        row = {"nr": f"q-{number:02}", "question": scene.question}
        rows.append({**row, "image": f"pictures/{name}", "answer": scene.answer})
    return rows


def write_rows(rows: list[dict[str, Any]]) -> None:
    QUESTIONS.write_text("".join(json.dumps(row) + "\n" for row in rows))


def edit(path: str, changes: dict[str, str]) -> None:
    """Replace texts in a file, each of which must be there."""
    text = Path(path).read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    Path(path).write_text(text)


def live_the_hour() -> str:
    """Do all of it in the current, empty folder; return what a person has read."""
    story = Transcript()
    rows = make_rows()
    write_rows([*rows[:12], {**rows[2], "nr": "q-13"}])
    (PICTURES / "07.png").rename("07.png")
    begin(story)
    check(story)
    run_four(story)
    run_all(story)
    grow(story, rows)
    change_settings(story)
    look(story)
    export(story)
    train(story)
    return story.text


def begin(story: Transcript) -> None:
    story.tell("I have data/questions.jsonl, 12 questions with pictures; one line is there twice.")
    story.type("dfgen config init", code=2)
    story.type("dfgen config init --list")
    story.type("dfgen config init my.yaml --recipe hosted_api", code=1)
    story.type("dfgen config init my.yaml --recipe hosted-api")
    story.tell("I enter my data and my policy, and forget about the key.")
    edit(
        "my.yaml",
        {
            "source: datasets": "source: jsonl",
            "MathLLMs/MathVision ": str(QUESTIONS),
            "  split: test                           # EDIT\n": "",
            "images: decoded_image, answer: answer, choices: options}": "images: image}",
            "Qwen/Qwen2.5-VL-3B-Instruct": "demo:policy",
        },
    )
    story.type("dfgen check my.yaml --offline", code=1)
    story.type("dfgen run my.yaml --out runs/first --limit 4", code=1)
    story.tell("No key at hand. I take models that run here.")
    story.type("dfgen config init my.yaml --recipe offline", code=1)
    story.type("dfgen config init my.yaml --recipe offline --force")


def check(story: Transcript) -> None:
    story.tell("I edit the marked lines, and misspell a column.")
    edit("my.yaml", EDITS)
    story.type("dfgen check my.yaml", code=1)
    story.tell("It is `answer`. And I misspell a setting on the command line, and one in the file.")
    edit("my.yaml", {"anwser": "answer"})
    story.type("dfgen check my.yaml --set sample.num_sample=8", code=1)
    edit("my.yaml", {"max_attempts": "max_atempts"})
    story.type("dfgen check my.yaml", code=1)
    edit("my.yaml", {"max_atempts": "max_attempts"})
    story.type("dfgen check my.yaml")
    story.type("dfgen config show my.yaml")


def run_four(story: Transcript) -> None:
    story.tell("Four questions first. What would be asked?")
    story.type("dfgen run my.yaml --limit 4 --dry-run")
    story.type("dfgen run my.yaml --limit 4", code=2)
    story.type("dfgen status runs/first", code=2)
    story.type("dfgen run my.yaml --out runs/first --limit 4")
    story.type("dfgen status runs/first")
    story.type("dfgen ls runs")
    story.type("dfgen inspect runs/first --first 1")


def run_all(story: Transcript) -> None:
    story.tell("That looks right. Now all of them; the picture 07.png is not where it should be.")
    story.type("dfgen run my.yaml --out runs/first")
    story.type("dfgen inspect runs/first --rejects")
    story.tell("I put the picture where it belongs.")
    shutil.move("07.png", PICTURES / "07.png")
    story.type("dfgen run my.yaml --out runs/first")


def grow(story: Transcript, rows: list[dict[str, Any]]) -> None:
    story.tell("Two more questions came in; I add them to the file.")
    write_rows([*rows[:12], {**rows[2], "nr": "q-13"}, *rows[12:]])
    story.type("dfgen run my.yaml --out runs/first")
    story.type("dfgen status runs/first")


def change_settings(story: Transcript) -> None:
    story.tell("Smaller repairs only: does that need the repairer again?")
    story.type("dfgen run my.yaml --out runs/first --set repair.max_edit_ratio=0.2", code=1)
    story.type("dfgen repair runs/first --rejudge --set repair.max_edit_ratio=0.2")
    story.type("dfgen run runs/first")
    story.type("dfgen run runs/first")
    story.tell("Cooler answers?")
    story.type("dfgen run runs/first --set sample.temperature=0.8", code=1)
    story.tell("No. But once more for the last questions.")
    story.type("dfgen run runs/first --redo sample:3", code=1)
    story.type("dfgen run runs/first --redo sample:3 --dry-run")
    story.type("dfgen run runs/first --redo sample:3 --yes")


def look(story: Transcript) -> None:
    story.type("dfgen stats runs/first")
    story.type("dfgen inspect runs/first --id q-05")
    story.type("dfgen inspect runs/first --id q-99", code=1)
    story.type("dfgen validate runs/first")
    story.type("dfgen validate runs/frist", code=2)


def export(story: Transcript) -> None:
    story.type("dfgen export runs/first --to group --out exported", code=2)
    story.type("dfgen export runs/first --to groups", code=2)
    story.type("dfgen export runs/first --to groups --out exported")
    story.type("dfgen export runs/first --to sft --out exported", code=1)


def train(story: Transcript) -> None:
    """One step of plain gradient descent on the reference losses."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from dfgen.demo import locate_model
    from dfgen.trainers.examples import make_examples

    story.tell("And a step of training, with the reference losses and no trainer.")
    processor = AutoProcessor.from_pretrained(locate_model("policy"))
    model = AutoModelForImageTextToText.from_pretrained(locate_model("policy"), dtype="float32")
    examples = list(make_examples("exported", tokenizer=processor, say=story.show))
    before = compute_loss(model, processor, examples)
    before.backward()
    with torch.no_grad():
        for weights in model.parameters():
            if weights.grad is not None:
                weights.sub_(0.02 * weights.grad)
        after = compute_loss(model, processor, examples)
    assert after.item() < before.item()
    story.show("The loss has fallen.")


def compute_loss(model: Any, processor: Any, examples: list[Any]) -> Any:
    """Compute what the default recipe minimises: GRPO of the answers, likelihood of the repairs."""
    import torch

    from dfgen.trainers.prompting import encode_prompt
    from dfgen.trainers.reference import compute_grpo, compute_likelihood

    tokens = sum(example.divisor for example in examples)
    losses = []
    for example in examples:
        prompt, inputs = encode_prompt(example.prompt, example.images, processor)
        ids = torch.tensor([[*prompt, *example.ids.tolist()]])
        logits = model(input_ids=ids, **inputs).logits[:, len(prompt) - 1 : -1]
        logps = logits.log_softmax(-1).gather(-1, ids[:, len(prompt) :, None]).squeeze(-1)
        advantages, mask = (
            torch.from_numpy(array.copy())[None]
            for array in (example.advantages, example.loss_mask)
        )
        if example.loss == "likelihood":
            losses.append(compute_likelihood(logps, advantages, mask, tokens))
        else:
            old = torch.from_numpy(example.old_logprobs.copy())[None]
            divisor = torch.tensor([float(example.divisor)])
            losses.append(compute_grpo(logps, old, advantages, mask, divisor) / len(examples))
    return torch.stack(losses).sum()


def test_the_first_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
    assert live_the_hour() == GOLDEN.read_text("utf-8")


if __name__ == "__main__":
    for foreign in FOREIGN:
        os.environ.pop(foreign, None)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        GOLDEN.write_text(live_the_hour(), encoding="utf-8")
