"""The transformers engine on a real, tiny model."""

from __future__ import annotations

import io
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from dfgen.config.engine import TransformersConfig
from dfgen.engines.base import ImageData, Request, Result
from dfgen.engines.loading import load_engine
from dfgen.errors import EngineError
from tests.engines.making import draw_image, make_request

torch = pytest.importorskip("torch", reason="models run in it: pip install '.[local]'")

RED, BLUE, GREEN = draw_image("red"), draw_image("blue"), draw_image("green")


def generate(engine: Any, *requests: Request) -> list[Result]:
    return [result for batch in engine.generate(requests) for result in batch]


def mixed_requests(count: int, **sampling: Any) -> list[Request]:
    """Requests of different lengths, with one, two and no pictures."""
    kinds: list[tuple[Any, ...]] = [
        (RED, "How many?"),
        (RED, "and", BLUE, "Which is which, and how many are there?"),
        ("No picture at all.",),
        (GREEN, "Drei?"),
    ]
    return [
        make_request(index, *kinds[index % len(kinds)], seed=1000 + index, **sampling)
        for index in range(count)
    ]


@pytest.fixture(scope="module")
def load(tiny_llava: Path) -> Any:
    def load(**settings: Any) -> Any:
        return load_engine(
            TransformersConfig(
                **{"model": str(tiny_llava), "device": "cpu", "dtype": "float32", **settings}
            )
        )

    return load


@pytest.fixture(scope="module")
def reference(tiny_llava: Path) -> tuple[Any, Any]:
    """The same model and processor through transformers alone."""
    from transformers import AutoModelForImageTextToText, AutoProcessor, GenerationConfig

    model = AutoModelForImageTextToText.from_pretrained(tiny_llava, dtype=torch.float32).eval()
    config = model.generation_config
    model.generation_config = GenerationConfig(
        eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
    return model, AutoProcessor.from_pretrained(tiny_llava)


def prepare(processor: Any, request: Request) -> Any:
    from PIL import Image

    images, content = [], []
    for part in request.messages[-1].content:
        if isinstance(part, ImageData):
            images.append(Image.open(io.BytesIO(part.data)).convert("RGB"))
            content.append({"type": "image"})
        else:
            content.append({"type": "text", "text": part})
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    return processor(text=[text], images=[images] if images else None, return_tensors="pt")


@pytest.mark.parametrize("parts", [(RED, "How many?"), ("Hello",), (RED, BLUE, "Which?")])
def test_greedy_equals_plain_generate(
    engine: Any, reference: tuple[Any, Any], parts: tuple[Any, ...]
) -> None:
    model, processor = reference
    request = make_request("a", *parts, temperature=0)
    inputs = prepare(processor, request)
    inputs.pop("token_type_ids", None)
    with torch.inference_mode():
        expected = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    [result] = generate(engine, request)
    assert result.token_ids == expected[0, inputs["input_ids"].shape[1] :].tolist()
    assert result.usage.prompt_tokens == inputs["input_ids"].shape[1]


def test_logprobs_equal_teacher_forcing(engine: Any, reference: tuple[Any, Any]) -> None:
    model, processor = reference
    requests = mixed_requests(8, temperature=0.7, top_k=50)
    compared = 0
    for request, result in zip(requests, generate(engine, *requests), strict=True):
        assert result.token_ids is not None
        assert result.logprobs is not None
        if model.config.image_token_id in result.token_ids:
            # An untrained model may say "<image>", and reading that back needs a picture for it.
            continue
        compared += 1
        inputs = prepare(processor, request)
        inputs.pop("token_type_ids", None)
        ids = torch.tensor([list(result.token_ids)])
        start = inputs["input_ids"].shape[1]
        inputs["input_ids"] = torch.cat([inputs["input_ids"], ids], dim=1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        with torch.inference_mode():
            logits = model(**inputs).logits[0, start - 1 : -1].float()
        expected = logits.log_softmax(-1).gather(1, ids[0][:, None])[:, 0].tolist()
        assert list(result.logprobs) == pytest.approx(expected, abs=1e-5)
        assert len(result.logprobs) == len(result.token_ids) == result.usage.completion_tokens
    assert compared >= 5


def test_the_same_cells_twice_are_equal_to_the_last_bit(engine: Any) -> None:
    assert generate(engine, *mixed_requests(11)) == generate(engine, *mixed_requests(11))


def test_ids_do_not_depend_on_the_batch(engine: Any, load: Any) -> None:
    requests = mixed_requests(12)
    together = generate(engine, *requests)
    alone = generate(load(batch_size=1), *requests)
    for first, second in zip(together, alone, strict=True):
        assert first.token_ids == second.token_ids
        assert first.logprobs == pytest.approx(second.logprobs, abs=1e-5)


def test_another_layout_of_pictures(tmp_path: Path) -> None:
    """Idefics3 gives pictures as [rows, most pictures of a row, ...]: rows cannot be joined."""
    from tests.support.tiny_idefics import write_tiny_idefics

    directory = write_tiny_idefics(tmp_path / "idefics")
    results = {}
    for size in (1, 8):
        config = TransformersConfig(model=str(directory), device="cpu", batch_size=size)
        results[size] = generate(load_engine(config), *mixed_requests(12))
    for alone, together in zip(results[1], results[8], strict=True):
        assert alone.failure is None
        assert together.token_ids == alone.token_ids
        assert together.logprobs == pytest.approx(alone.logprobs, abs=1e-4)
        assert together.usage == alone.usage
    assert [result.usage.image_tokens for result in results[8][:4]] == [4, 8, 0, 4]


def test_a_run_resumed_at_a_batch_border_is_equal_to_the_last_bit(engine: Any) -> None:
    requests = mixed_requests(20)
    assert generate(engine, *requests)[8:] == generate(engine, *requests[8:])


def test_batches_follow_the_order_of_requests(engine: Any) -> None:
    batches = list(engine.generate(iter(mixed_requests(19))))
    assert [len(batch) for batch in batches] == [8, 8, 3]
    assert [result.key for batch in batches for result in batch] == [str(i) for i in range(19)]


def test_requests_are_pulled_one_batch_at_a_time(engine: Any) -> None:
    pulled: list[str] = []

    def requests() -> Any:
        for request in mixed_requests(24):
            pulled.append(request.key)
            yield request

    results = engine.generate(requests())
    next(results)
    assert len(pulled) == 8
    results.close()


def test_seeds_make_samples_differ(engine: Any) -> None:
    results = generate(engine, *(make_request(seed, RED, "How?", seed=seed) for seed in range(8)))
    assert len({tuple(result.token_ids or ()) for result in results}) == 8


def test_pictures_matter(engine: Any) -> None:
    first, second = generate(
        engine,
        make_request("a", RED, "How many?", temperature=0),
        make_request("b", BLUE, "How many?", temperature=0),
    )
    assert first.logprobs != second.logprobs


def test_rows_end_at_their_own_end(engine: Any) -> None:
    """Sequences that end early keep their end token, no padding, and do not stop the others."""
    requests = [
        make_request(seed, RED, "How?", seed=seed, temperature=3.0, max_tokens=120)
        for seed in range(24)
    ]
    results = generate(engine, *requests)
    eos = engine.info.settings["eos_ids"]
    ended = [result for result in results if result.finish_reason == "stop"]
    assert ended
    assert len(ended) < len(results)
    for result in results:
        ids = list(result.token_ids or ())
        inside = ids[:-1] if result.finish_reason == "stop" else ids
        assert not set(inside) & set(eos)
        if result.finish_reason == "stop":
            assert ids[-1] in eos
            assert result.stop_reason is None
        else:
            assert len(ids) == 120
        assert result.logprobs is not None
        assert len(result.logprobs) == len(ids)
        assert "<|end|>" not in result.text


def test_each_row_has_its_own_length_and_stop_strings(engine: Any) -> None:
    requests = [
        make_request("a", "Hi", seed=1, max_tokens=3),
        make_request("b", "Hi", seed=1, max_tokens=30),
        make_request("c", "Hi", seed=1, max_tokens=30, stop=("e", "a", "o", " ")),
        make_request("d", "Hi", seed=1, max_tokens=1, temperature=0),
    ]
    a, b, c, d = generate(engine, *requests)
    assert [len(result.token_ids or ()) for result in (a, d)] == [3, 1]
    assert len(b.token_ids or ()) > 3
    assert list(b.token_ids or ())[:3] == list(a.token_ids or ())
    assert c.finish_reason == "stop"
    assert c.stop_reason in ("e", "a", "o", " ")
    length = len(c.token_ids or ())
    assert list(b.token_ids or ())[:length] == list(c.token_ids or ())
    assert b.text.startswith(c.text + c.stop_reason)


def test_usage_counts_pictures(engine: Any) -> None:
    one, two, none = generate(
        engine,
        make_request("a", RED, "x"),
        make_request("b", RED, BLUE, "x"),
        make_request("c", "x"),
    )
    assert [result.usage.image_tokens for result in (one, two, none)] == [4, 8, 0]
    assert two.usage.prompt_tokens == one.usage.prompt_tokens + 4 == none.usage.prompt_tokens + 8


def test_a_chat_template_of_the_request_is_used(engine: Any) -> None:
    template = "{% for m in messages %}{{ m.content[0].text }}{% endfor %}{{ tail }}"
    plain, longer = generate(
        engine,
        make_request("a", "x", chat_template=template),
        make_request("b", "x", chat_template=template, chat_template_args={"tail": "!!"}),
    )
    assert (plain.usage.prompt_tokens, longer.usage.prompt_tokens) == (1, 3)


def test_a_system_message_is_written(engine: Any) -> None:
    plain, system = generate(
        engine, make_request("a", "x"), make_request("b", "x", system="Be brief.")
    )
    assert system.usage.prompt_tokens > plain.usage.prompt_tokens


def test_bad_rows_fail_alone(engine: Any) -> None:
    broken = ImageData(b"\x89PNG no", "00", "image/png")
    requests = [
        make_request("good", RED, "x", seed=1),
        make_request("broken", broken, "x"),
        make_request("long", RED, "y" * 400),
        make_request("tag", "a literal <image> in the text"),
        make_request("again", RED, "x", seed=1),
    ]
    results = {result.key: result for result in generate(engine, *requests)}
    reasons = {
        key: result.failure.reason for key, result in results.items() if result.failure is not None
    }
    assert reasons == {
        "broken": "image_corrupt",
        "long": "prompt_too_long",
        "tag": "prompt_invalid",
    }
    assert all(results[key].finish_reason == "error" for key in reasons)
    assert results["long"].failure is not None
    assert "max_tokens 12" in results["long"].failure.detail
    assert "256" in results["long"].failure.detail
    assert results["good"].token_ids == results["again"].token_ids


def test_max_length_counts_prompt_and_completion(load: Any) -> None:
    engine = load(max_length=20)
    fits, not_quite = generate(
        engine, make_request("a", "x", max_tokens=17), make_request("b", "x", max_tokens=18)
    )
    assert fits.failure is None
    assert not_quite.failure is not None
    assert "max_length, 20" in not_quite.failure.detail


def test_a_max_tokens_that_no_prompt_can_meet_is_said_once(engine: Any) -> None:
    with pytest.raises(EngineError, match="max_tokens 1024 leaves no room") as caught:
        generate(engine, make_request("a", "x", max_tokens=1024))
    assert "the model's own limit is 256" in caught.value.what


def test_logprobs_can_be_left_out(engine: Any) -> None:
    [result] = generate(engine, make_request("a", "x", with_logprobs=False))
    assert result.logprobs is None
    assert result.token_ids is not None


def test_pictures_and_prompts_are_processed_once_each(
    load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dfgen.engines.transformers import collation, prompts

    calls: list[tuple[str, int]] = []
    decoded: list[str] = []
    process, decode = prompts.run_processor, prompts.decode_picture

    def count_process(loaded: Any, texts: list[str], images: Any) -> Any:
        calls.append(("process", len(texts)))
        return process(loaded, texts, images)

    def count_decode(source: ImageData) -> Any:
        decoded.append(source.sha256)
        return decode(source)

    monkeypatch.setattr(prompts, "run_processor", count_process)
    monkeypatch.setattr(collation, "run_processor", count_process)
    monkeypatch.setattr(prompts, "decode_picture", count_decode)
    engine = load(batch_size=6)
    chats = [(RED, "one"), (RED, "two"), (BLUE, "and three")]
    requests = [
        make_request(f"{chat[1]}-{sample}", *chat, seed=sample)
        for chat in chats
        for sample in range(8)
    ]
    generate(engine, *requests)
    # Once per prompt, and once the first mixed batch to compare joining with the processor's own.
    assert sorted(calls) == [("process", 1)] * 3 + [("process", 6)]
    assert len(decoded) == 2
    assert [key for key, _ in groupby(decoded)] == [RED.sha256, BLUE.sha256]


def test_info_says_what_made_the_results(engine: Any, tiny_llava: Path) -> None:
    info = engine.info
    assert (info.name, info.dtype) == ("transformers", "float32")
    assert info.tokenizer == info.model == str(tiny_llava)
    assert info.hashes.keys() == {"tokenizer", "processor", "chat_template", "weights"}
    assert all(len(digest) == 64 for digest in info.hashes.values())
    assert info.settings["device"] == "cpu"


def test_another_engine_of_the_same_directory_has_the_same_hashes(engine: Any, load: Any) -> None:
    assert load().info.hashes == engine.info.hashes
