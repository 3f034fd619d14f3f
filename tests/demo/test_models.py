"""The models that ship load by their directory alone and do what the demo needs of them."""

import contextlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dfgen.demo
from dfgen.demo import MODEL_NAMES, locate_model
from dfgen.demo.scenes import draw_facts, iter_scenes
from dfgen.demo.truth import true_repair
from dfgen.errors import DfgenError

torch = pytest.importorskip("torch", reason="models run in it: pip install '.[local]'")


def load(name: str) -> tuple[Any, Any]:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = locate_model(name)
    return AutoModelForImageTextToText.from_pretrained(folder), AutoProcessor.from_pretrained(
        folder
    )


def encode(processor: Any, picture: Image.Image, text: str) -> Any:
    content = [{"type": "image", "image": picture}, {"type": "text", "text": text}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )


def test_unknown_and_missing_models_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(DfgenError, match=r"(?s)'polcy'.*policy, repairer"):
        locate_model("polcy")
    monkeypatch.setattr(dfgen.demo, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(DfgenError, match="Reinstall"):
        locate_model("policy")


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_the_processor_gives_what_training_saw(name: str) -> None:
    from dfgen.demo.batches import render_policy_prompt, render_repairer_prompt, scale_pictures
    from dfgen.demo.tokenizer import REPAIR_TEMPLATE

    model, processor = load(name)
    assert model.dtype == torch.float32
    scene = next(iter_scenes(1, seed=4))
    picture = Image.open(BytesIO(scene.image_png))
    text, rendered = scene.question, render_policy_prompt(scene.question)
    if name == "repairer":
        text = REPAIR_TEMPLATE.format(question=scene.question, completion="Answer: 3")
        rendered = render_repairer_prompt(scene.question, "Answer: 3")
    inputs = encode(processor, picture, text)
    assert inputs["input_ids"][0].tolist() == processor.tokenizer(rendered)["input_ids"]
    assert torch.equal(inputs["pixel_values"], scale_pictures(np.array(picture)[None]))


def test_the_tokenizer_on_disk_is_the_one_the_code_builds() -> None:
    from dfgen.demo.tokenizer import build_tokenizer

    built = build_tokenizer().get_vocab()
    for name in MODEL_NAMES:
        _, processor = load(name)
        assert processor.tokenizer.get_vocab() == built


def test_any_text_survives_the_tokenizer() -> None:
    _, processor = load("policy")
    for text in ("<think>(0,1)</think>Step 1: é 日本 12345\n\t ok", " 3", "a  b"):
        ids = processor.tokenizer(text)["input_ids"]
        assert processor.tokenizer.decode(ids, skip_special_tokens=True) == text


@contextlib.contextmanager
def one_thread() -> Any:
    """Use one thread: at this size more of them are slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_the_policy_is_sometimes_right_and_the_repairer_repairs() -> None:
    from dfgen.demo.batches import render_policy_prompt, render_repairer_prompt
    from dfgen.demo.drawing import draw_pictures
    from dfgen.demo.sampling import generate_texts
    from dfgen.demo.tokenizer import END_THINK

    count = 60
    facts = draw_facts(np.random.default_rng(21), count)
    pictures = draw_pictures(facts.layout)
    truths = [facts.truth(index) for index in range(count)]
    questions = [facts.question(index) for index in range(count)]
    torch.manual_seed(0)
    with one_thread():
        model, processor = load("policy")
        prompts = [render_policy_prompt(question) for question in questions]
        answers = generate_texts(
            model, processor.tokenizer, prompts, pictures, sample=True, max_tokens=56
        )
        right = [a.endswith(f"Answer: {t['answer']}") for a, t in zip(answers, truths, strict=True)]
        assert 0.25 <= sum(right) / count <= 0.75
        model, processor = load("repairer")
        prompts = [render_repairer_prompt(q, a) for q, a in zip(questions, answers, strict=True)]
        texts = generate_texts(
            model, processor.tokenizer, prompts, pictures, sample=False, max_tokens=80
        )
    repairs = [text.partition(END_THINK)[2] for text in texts]
    ideal = [true_repair(a, t) for a, t in zip(answers, truths, strict=True)]
    assert sum(r == i for r, i in zip(repairs, ideal, strict=True)) / count >= 0.7
