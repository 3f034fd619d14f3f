"""What a completion is: compared with transformers, which knows nothing of vLLM."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")

from dfgen.engines.base import Request, derive_seed
from tests.engines.making import draw_image, make_request
from tests.vllm.asking import MAX_TOKENS, ask, collect, list_scenes


def test_greedy_ids_and_logprobs_are_those_of_transformers(engine: Any, reference: Any) -> None:
    requests = [ask(index, scene, temperature=0.0) for index, scene in enumerate(list_scenes(24))]
    ours, theirs = collect(engine, requests), collect(reference, requests)
    for key, result in ours.items():
        assert result.failure is None
        assert result.token_ids == theirs[key].token_ids
        assert result.logprobs == pytest.approx(theirs[key].logprobs, abs=1e-4)
        assert result.text == theirs[key].text
        assert result.finish_reason == theirs[key].finish_reason
        assert result.usage == theirs[key].usage
        assert result.usage.image_tokens == 16


def test_other_forms_of_prompts_agree_with_transformers(engine: Any, reference: Any) -> None:
    red, blue = draw_image("red"), draw_image("blue", (80, 20))
    template = "{% for m in messages %}{{ m['role'] }}:{% for p in m['content'] %}"
    template += "{% if p['type'] == 'image' %}<image>{% else %}{{ p['text'] }}{% endif %}"
    template += "{% endfor %};{% endfor %}{{ ending }}"
    forms = [
        make_request("text", "How many?", temperature=0.0),
        make_request("two", red, "and", blue, "which?", temperature=0.0),
        make_request("same", red, red, "twice?", temperature=0.0),
        make_request("system", red, "What?", system="Be brief.", temperature=0.0),
        make_request(
            "template",
            red,
            "What?",
            chat_template=template,
            chat_template_args={"ending": "Answer:"},
            temperature=0.0,
        ),
    ]
    ours, theirs = collect(engine, forms), collect(reference, forms)
    for key, result in ours.items():
        assert result.failure is None
        assert result.token_ids == theirs[key].token_ids, key
        assert result.logprobs == pytest.approx(theirs[key].logprobs, abs=1e-4)
        assert result.usage == theirs[key].usage


def test_the_picture_arrives(engine: Any) -> None:
    scenes = list_scenes(2)
    requests = [ask("a", scenes[0], temperature=0.0), ask("b", (scenes[0][0], scenes[1][1]))]
    results = collect(engine, requests)
    assert results["a"].logprobs[:3] != pytest.approx(results["b"].logprobs[:3], abs=1e-6)


def test_ids_keep_the_end_of_sequence_and_the_tokens_of_stop_strings(engine: Any) -> None:
    scene = list_scenes(1)[0]
    whole = collect(engine, [ask("x", scene, temperature=0.0)])["x"]
    assert whole.finish_reason == "stop" and whole.stop_reason is None
    assert whole.token_ids[-1] == 1, "the end-of-sequence token is part of what was sampled"
    stopped = collect(engine, [ask("x", scene, temperature=0.0, stop=("Step 2",))])["x"]
    assert (stopped.finish_reason, stopped.stop_reason) == ("stop", "Step 2")
    assert "Step 2" not in stopped.text and whole.text.startswith(stopped.text)
    assert stopped.token_ids == whole.token_ids[: len(stopped.token_ids)]
    cut = collect(engine, [ask("x", scene, temperature=0.0, max_tokens=5)])["x"]
    assert cut.finish_reason == "length" and cut.token_ids == whole.token_ids[:5]
    assert cut.usage.completion_tokens == 5


def test_logprobs_are_those_of_the_model_before_temperature(engine: Any, reference: Any) -> None:
    """The drawn ids are put through the model of transformers, which gives their probabilities."""
    import torch

    requests = [
        ask(i, scene, temperature=0.5, top_k=5, top_p=0.9, seed=i)
        for i, scene in enumerate(list_scenes(6))
    ]
    results = collect(engine, requests)
    for request in requests:
        drawn = results[request.key]
        prompt = reference._reader.read(request)
        ids = torch.tensor([drawn.token_ids])
        inputs = {**prompt.inputs, "input_ids": torch.cat([prompt.inputs["input_ids"], ids], 1)}
        inputs.pop("token_type_ids", None)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        with torch.inference_mode():
            logits = reference._loaded.model(**inputs).logits[0, prompt.length - 1 : -1]
        expected = logits.float().log_softmax(-1).gather(1, ids[0][:, None])[:, 0].tolist()
        assert drawn.logprobs == pytest.approx(expected, abs=1e-4)


def test_a_response_schema_is_obeyed(engine: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"answer": {"enum": ["yes", "no"]}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    request = dataclasses.replace(
        ask("x", list_scenes(1)[0], max_tokens=100), response_schema=schema
    )
    # JSON allows white space without end, and a model that never learnt JSON makes use of that.
    text = "".join(collect(engine, [request])["x"].text.split())
    assert text and any(f'{{"answer":"{word}"}}'.startswith(text) for word in ("yes", "no"))


def test_without_logprobs_there_are_none(engine: Any) -> None:
    result = collect(engine, [ask("x", list_scenes(1)[0], with_logprobs=False)])["x"]
    assert result.logprobs is None and result.text


class TestSeeds:
    def test_the_same_cell_twice_is_equal_in_any_company(self, engine: Any) -> None:
        scenes = list_scenes(8)
        alone = collect(engine, [ask("x", scenes[0], seed=2**63 - 1)])["x"]
        crowd = [ask(index, scene, seed=index) for index, scene in enumerate(scenes)]
        together = collect(engine, [*crowd[:4], ask("x", scenes[0], seed=2**63 - 1), *crowd[4:]])
        assert together["x"].token_ids == alone.token_ids
        assert together["x"].logprobs == pytest.approx(alone.logprobs, abs=1e-5)

    def test_the_cells_of_a_prompt_differ(self, engine: Any) -> None:
        scene = list_scenes(1)[0]
        cells = [ask(k, scene, seed=derive_seed(0, "p", k)) for k in range(16)]
        drawn = {tuple(result.token_ids) for result in collect(engine, cells).values()}
        assert len(drawn) >= 14

    def test_neighbouring_prompts_are_uncorrelated(self, flat_engine: Any) -> None:
        """Equal noise shows in equal draws from flat distributions."""
        scenes = list_scenes(12)

        def measure(seeds: list[int]) -> float:
            """Share of positions at which two prompts drew the same token, over all pairs."""
            requests = [
                ask(i, scene, seed=seed, temperature=2.0, max_tokens=40)
                for i, (scene, seed) in enumerate(zip(scenes, seeds, strict=True))
            ]
            rows = [result.token_ids for result in collect(flat_engine, requests).values()]
            pairs = list(itertools.combinations(rows, 2))
            total = sum(min(len(left), len(right)) for left, right in pairs)
            assert total > 300
            return sum(a == b for ab in pairs for a, b in zip(*ab, strict=False)) / total

        # 320 tokens, so independent draws agree once in some hundred.
        assert measure([derive_seed(0, f"p{i}", 0) for i in range(12)]) < 0.03
        # The proof that the test could see it: what one seed for all of them does.
        assert measure([7] * 12) > 0.1


class TestFeeding:
    def test_input_is_consumed_lazily(self, engine: Any) -> None:
        """Never more requests taken than results given back plus the window of 32."""
        taken, given, worst = 0, 0, 0

        def feed() -> Any:
            nonlocal taken
            for index, scene in enumerate(list_scenes(100)):
                taken += 1
                yield ask(index, scene, max_tokens=8, seed=index)

        for results in engine.generate(feed()):
            given += len(results)
            worst = max(worst, taken - given)
        assert (taken, given) == (100, 100)
        assert worst <= 32

    def test_short_ones_do_not_wait_for_long_ones(self, engine: Any) -> None:
        scene = list_scenes(1)[0]
        requests = [ask("long", scene, max_tokens=200)]
        requests += [ask(f"short{i}", scene, max_tokens=2, seed=i) for i in range(6)]
        order = [result.key for results in engine.generate(requests) for result in results]
        assert order[-1] == "long" and len(order) == 7

    def test_an_iterator_closed_early_leaves_nothing_behind(self, engine: Any) -> None:
        scenes = list_scenes(20)
        iterator = engine.generate(ask(i, scene, seed=i) for i, scene in enumerate(scenes))
        next(iterator)
        iterator.close()
        assert not engine.binding.engine.has_unfinished_requests()
        assert len(collect(engine, [ask("x", scenes[0])])) == 1

    def test_samples_of_a_prompt_reuse_its_prefill(self, engine: Any) -> None:
        """Reported by vLLM itself: tokens of each prompt that it did not have to compute."""
        cached: list[int] = []
        step = engine.binding.step

        def watch() -> list[Any]:
            outputs = step()
            cached.extend(output.num_cached_tokens for output in outputs)
            return outputs

        engine.binding.step = watch
        try:
            question, image = list_scenes(1, seed=77)[0]
            scene = (question * 6, image)
            results = collect(engine, [ask(k, scene, seed=k) for k in range(8)])
        finally:
            del engine.binding.step
        prompt = results["0"].usage.prompt_tokens
        assert prompt > 64 and sum(cached) >= 7 * (prompt - prompt % 32 - 32)


class TestSharedRendering:
    """The samples of a prompt are rendered twice at most; who shares gets what the others got."""

    @pytest.fixture
    def rendered(self, engine: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """Prompts that vLLM was asked to render."""
        render, seen = engine.binding.render, list[Any]()

        def watch(prompt: Any) -> Any:
            seen.append(prompt)
            return render(prompt)

        monkeypatch.setattr(engine.binding, "render", watch)
        return seen

    def test_two_renderings_for_eight_samples(self, engine: Any, rendered: list[Any]) -> None:
        scenes = list_scenes(3, seed=41)
        requests = [share(f"{s}-{k}", scenes[s], k) for s in range(3) for k in range(8)]
        together = collect(engine, requests)
        assert len(rendered) == 6
        for request in requests[::5]:
            (alone,) = collect(engine, [request]).values()
            assert alone.token_ids == together[request.key].token_ids
            assert alone.usage == together[request.key].usage

    def test_emptied_caches_between_two_passes(self, engine: Any, rendered: list[Any]) -> None:
        scene = list_scenes(1, seed=42)[0]
        requests = [share(k, scene, k) for k in range(4)]
        first = collect(engine, requests)
        engine.binding.engine.reset_mm_cache()
        second = collect(engine, requests)
        assert len(rendered) == 4
        assert {k: r.token_ids for k, r in first.items()} == {
            k: r.token_ids for k, r in second.items()
        }

    def test_not_across_another_prompt(self, engine: Any, rendered: list[Any]) -> None:
        one, two = list_scenes(2, seed=43)
        requests = [share(k, (one, two)[k % 2], k) for k in range(8)]
        collect(engine, requests)
        assert len(rendered) == 8


MESSAGES: dict[str, Any] = {}


def share(key: object, scene: tuple[str, Any], seed: int) -> Request:
    """A request whose messages are those of its neighbours, as the sample stage makes them."""
    request = ask(key, scene, seed=seed, max_tokens=16)
    messages = MESSAGES.setdefault(scene[1].sha256, request.messages)
    return dataclasses.replace(request, messages=messages)


class TestBadRows:
    def fail(self, engine: Any, request: Request) -> tuple[str, str]:
        """Reason and detail; a good neighbour with the same picture must come through."""
        good = ask("good", list_scenes(1)[0])
        results = collect(engine, [request, good, request])
        assert results["good"].failure is None
        failure = results[request.key].failure
        assert failure is not None
        return failure.reason, failure.detail

    def test_too_long_with_its_completion(self, engine: Any) -> None:
        request = ask("bad", list_scenes(1)[0], max_tokens=250)
        reason, detail = self.fail(engine, request)
        assert reason == "prompt_too_long" and "max_model_len, 256" in detail

    def test_too_long_by_itself(self, engine: Any) -> None:
        question, image = list_scenes(1)[0]
        reason, _ = self.fail(engine, ask("bad", (question * 100, image)))
        assert reason == "prompt_too_long"

    def test_a_refused_picture_is_sent_again_with_the_next_prompt(self, engine: Any) -> None:
        """vLLM's front remembers a picture that its engine never got; nobody may pay for that."""
        question, image = list_scenes(1, seed=99)[0]
        requests = [ask("long", (question, image), max_tokens=250), ask("fits", (question, image))]
        results = collect(engine, requests)
        assert results["long"].failure.reason == "prompt_too_long"
        assert results["fits"].failure is None

    def test_caches_that_ran_apart_are_mended(self, engine: Any) -> None:
        from dfgen.engines.vllm.prompts import VllmPrompt

        question, image = list_scenes(1, seed=98)[0]
        request = ask("x", (question, image))
        prompt = engine._reader.read(request)
        assert isinstance(prompt, VllmPrompt)
        engine.binding.render(prompt)  # rendered and never added: the front believes it was sent
        assert collect(engine, [request])["x"].failure is None

    def test_too_many_pictures(self, engine: Any) -> None:
        red = draw_image("red")
        reason, detail = self.fail(engine, make_request("bad", red, red, red, "?"))
        assert reason == "too_many_images" and "allows 2" in detail

    @pytest.mark.parametrize("text", ["What is <image>?", "<image>"])
    def test_a_picture_token_in_the_question(self, engine: Any, text: str) -> None:
        red = draw_image("red")
        assert self.fail(engine, make_request("bad", red, text))[0] == "prompt_invalid"
        assert self.fail(engine, make_request("bad", text))[0] == "prompt_invalid"

    def test_an_unreadable_picture(self, engine: Any) -> None:
        from dfgen.engines.base import ImageData

        broken = ImageData(b"no picture", "0" * 64, "image/png")
        assert self.fail(engine, make_request("bad", broken, "?"))[0].startswith("image_")


def test_info_says_what_made_the_results(engine: Any, reference: Any) -> None:
    info = engine.info
    assert info.name == "vllm" and info.version and info.dtype == "float32"
    assert info.hashes == reference.info.hashes
    assert info.settings["attention"] == "CPU_ATTN"
    assert info.settings["max_model_len"] == 256
    assert info.settings["images_per_prompt"] == 2
    assert info.settings["processor_limits"] == {"size": {"height": 64, "width": 64}}
    assert info.settings["max_model_len"] > MAX_TOKENS
