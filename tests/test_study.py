"""The study's harness: it samples as the model does, skips what is done, and its sums are right."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.study.chain_truth import count_roots, repair_chain
from tests.benchmarks.study.chains import ADD_PHRASES, KINDS, draw_chains
from tests.benchmarks.study.compare import compare, correct_holm, tail_of_t
from tests.benchmarks.study.plan import list_wider_tuning
from tests.benchmarks.study.repairers import spoil_repair
from tests.benchmarks.study.results import Results
from tests.benchmarks.study.settings import REGIMES, Settings
from tests.benchmarks.study.tasks import TASKS

SMALL = Settings("steps", "55", "rounds", "df+new", 1e-4, rounds=1, questions=4)


@pytest.mark.parametrize("seed", range(5))
def test_a_chain_is_its_own_repair_and_a_spoilt_one_is_put_right(seed: int) -> None:
    rng = np.random.default_rng(seed)
    chains, pictures = draw_chains(rng, 12)
    assert pictures.shape == (12, 64, 64, 3)
    assert {chain.kind for chain in chains} == set(KINDS)
    for chain in chains:
        text = chain.write(rng)
        assert text.endswith(f"Answer: {chain.answer}")
        assert repair_chain(chain, text) == text
        assert count_roots(chain, text) == (0, 0)
        spoilt = spoil_repair(text, rng)
        assert spoilt != text
        assert repair_chain(chain, spoilt) == text
        looks, adds = count_roots(chain, spoilt) or (0, 0)
        assert looks + adds == 1


def test_a_false_look_that_everything_follows_is_one_root() -> None:
    rng = np.random.default_rng(3)
    (chain,), _ = draw_chains(rng, 1, ("shapes",))
    lines, total = [], 0
    for index, seen in enumerate(["square", *chain.list_looks()[1:]]):
        total += chain.value_of(seen)
        lines.append(f"{index + 1} {seen}, {ADD_PHRASES[0]} {total}")
    text = "\n".join([*lines, f"Answer: {total}"])
    assert count_roots(chain, text) == (int(chain.list_looks()[0] != "square"), 0)
    assert count_roots(chain, text.replace("Answer", "Result")) is None


def test_a_garbled_chain_is_repaired_in_the_words_that_can_be_read() -> None:
    rng = np.random.default_rng(4)
    (chain,), _ = draw_chains(rng, 1, ("colours",))
    true = chain.write(rng)
    lines = true.split("\n")
    lines[3] = "4 , , makes"
    repaired = repair_chain(chain, "\n".join(lines[:9]))
    assert repaired.split("\n")[:3] == lines[:3]
    assert repaired.split("\n")[4:9] == lines[4:9]
    assert repaired.endswith(f"Answer: {chain.answer}")


@pytest.mark.parametrize("name", TASKS)
def test_both_tasks_grade_and_repair(name: str) -> None:
    task = TASKS[name]
    rng = np.random.default_rng(0)
    for problem in task.draw(rng, 6, (*task.trained, *task.untrained), task.starts["55"]):
        text = problem.write(rng)
        assert problem.is_right(text)
        assert problem.repair(text) == text
        assert not problem.is_right(text[:-3])


def test_the_learned_editor_sees_the_picture_and_not_the_truth() -> None:
    pytest.importorskip("torch", reason="models run in it: pip install '.[local]'")
    from tests.benchmarks.study.repairers import repair_answers

    rng = np.random.default_rng(0)
    task = TASKS["steps"]
    problems = task.draw(rng, 12, task.trained, (0, 0))
    wrong = [(problem, spoil_repair(problem.write(rng), rng)) for problem in problems]
    repaired = repair_answers(wrong, "learned", rng)
    right = [problem.is_right(text) for (problem, _), text in zip(wrong, repaired, strict=True)]
    assert sum(right) >= 10


def test_rows_of_rates_that_were_given_up_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    from tests.benchmarks.study.tables import COLUMNS, print_tables

    figures = dict.fromkeys((key for _, key, _ in COLUMNS), 0.5)
    rows: list[dict[str, Any]] = [
        {
            **asdict(SMALL.change(rate=rate, arm=arm, questions=16)),
            "seed": seed,
            **figures,
            "greedy_true": rate,
        }
        for rate in (1e-4, 3e-4)
        for arm in ("df+new", "df+new, no all-wrong", "grpo")
        for seed in (1, 2)
    ]
    print_tables(rows, {"steps/df+new": 3e-4, "steps/grpo": 1e-4})
    told = capsys.readouterr().out
    assert "| df+new (2) | 0.0003 |" in told
    assert "| df+new, no all-wrong (2) | 0.0003 |" in told
    assert "| grpo (2) | 0.0001 |" in told
    assert told.count("| df+new (2)") == told.count("| grpo (2) | 0.0001") == 1


def test_p_values_are_corrected_for_all_that_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Over all tables, and with the rivals that no repairer changes beside every repairer's."""
    from tests.benchmarks.study.tables import COLUMNS, print_tables

    def make_rows(arm: str, greedy: float, **changes: Any) -> list[dict[str, Any]]:
        figures: dict[str, Any] = dict.fromkeys((key for _, key, _ in COLUMNS), 0.5)
        settings = SMALL.change(**{"arm": arm, "questions": 16} | changes)
        return [
            asdict(settings) | figures | {"seed": seed, "greedy_accuracy": greedy + 0.001 * seed**2}
            for seed in (1, 2, 3)
        ]

    rows = [
        *make_rows("df+new", 0.6),
        *make_rows("grpo", 0.5, rate=3e-5),
        *make_rows("grpo", 0.55, rate=3e-5, questions=32),
        *make_rows("sft", 0.7),
        *make_rows("df+new", 0.4, repairer="fallible"),
        *make_rows("sft", 0.3, repairer="fallible")[:1],
    ]
    print_tables(rows, {"steps/df+new": 1e-4, "steps/grpo": 3e-5, "steps/sft": 1e-4})
    told = capsys.readouterr().out
    assert "5 comparisons are shown; corrected p-values are for all of them" in told
    plain, fallible = told.split("## steps, rounds, fallible repairer")
    assert "| 55 % | grpo (3) | +10.0 [+10.0, +10.0] |" in plain
    assert "| 55 % | grpo, 32 questions (3) | +5.0 [+5.0, +5.0] |" in plain
    assert "| 55 % | grpo (3) | -10.0 [-10.0, -10.0] |" in fallible
    assert "| 55 % | sft (1) | +10.0 |" in fallible
    assert "| grpo, 32 questions (3) |" in fallible


def test_the_readme_shows_what_the_results_say(tmp_path: Path) -> None:
    """`python -m tests.benchmarks.study summary` writes its tables anew."""
    from tests.benchmarks.study.plan import read_rates
    from tests.benchmarks.study.results import FOLDER
    from tests.benchmarks.study.summary import README, update_readme

    shutil.copy(FOLDER / "results.parquet", tmp_path)
    copy = tmp_path / "README.md"
    shutil.copy(README, copy)
    update_readme(Results(tmp_path).read(), read_rates(), copy)
    assert copy.read_text("utf-8") == README.read_text("utf-8")
    assert copy.read_text("utf-8").count("| df+new (") >= 3


def test_the_report_can_show_the_curves(tmp_path: Path) -> None:
    from dfgen.report.curves import read_curves
    from tests.benchmarks.study.curves import write_curves
    from tests.benchmarks.study.plan import read_rates
    from tests.benchmarks.study.results import FOLDER

    shutil.copy(FOLDER / "results.parquet", tmp_path)
    rows = write_curves(Results(tmp_path).read(), read_rates(), tmp_path / "curves.parquet")
    charts = read_curves(tmp_path / "curves.parquet")
    assert "chains, rounds, perfect repairer: from about 10 % right" in [c["title"] for c in charts]
    curves = {curve["name"]: curve["points"] for curve in charts[0]["curves"]}
    assert {len(points) for points in curves.values()} == {15}
    assert all(point[4] == 5 for point in curves["df+new"])
    counted = sum(point[4] for c in charts for curve in c["curves"] for point in curve["points"])
    assert counted == rows


def test_the_plan_asks_the_main_question_first() -> None:
    """And no run in it is of an arm, repairer or task that there is not."""
    from tests.benchmarks.study.arms import ARMS, MAIN_ARMS
    from tests.benchmarks.study.plan import SEEDS, list_study
    from tests.benchmarks.study.repairers import REPAIRERS

    jobs = list(dict.fromkeys((settings, seed) for settings, seed in list_study()))
    assert all(s.arm in ARMS and s.repairer in REPAIRERS and s.task in TASKS for s, _ in jobs)
    main = {(start, arm, seed) for start in ("10", "30") for arm in MAIN_ARMS for seed in SEEDS}
    for task in TASKS:
        places = [
            place
            for place, (s, seed) in enumerate(jobs)
            if (s.task, s.regime, s.repairer) == (task, "rounds", "perfect")
            and (s.start, s.arm, seed) in main
            and s.questions == 16
        ]
        assert len(places) == len(main)
        assert max(places) < min(
            place
            for place, (s, _) in enumerate(jobs)
            if s.regime == "offline" or s.repairer != "perfect"
        )


def test_a_rate_at_an_edge_of_the_grid_is_tried_beyond_it() -> None:
    chosen = {"chains/sft": 3e-4, "chains/grpo": 3e-5, "chains/df": 1e-4}
    jobs = {(s.arm, s.rate, seed) for s, seed in list_wider_tuning("chains", chosen)}
    assert jobs == {(a, r, n) for a, r in (("sft", 1e-3), ("grpo", 1e-5)) for n in (101, 102)}


def test_hard_questions_are_answered_as_often_by_each_number() -> None:
    """Objects that are not asked about make them hard, and not what is asked about."""
    task = TASKS["steps"]
    ends = {
        name: [p.write(np.random.default_rng(0)).split()[-1] for p in drawn]
        for name in ("10", "55")
        if (drawn := task.draw(np.random.default_rng(1), 400, task.trained, task.starts[name]))
    }
    for found in ends.values():
        assert max(found.count(end) for end in set(found)) < 0.35 * len(found)


def test_settings_are_told_apart() -> None:
    assert SMALL.hash == SMALL.change().hash
    others = {SMALL.change(rate=2e-4).hash, SMALL.change(arm="df").hash, SMALL.hash}
    assert len(others) == 3
    assert {Settings("t", "1", r, "a", 1.0, **REGIMES[r]).steps for r in REGIMES} == {60}


def test_the_tail_of_t_is_that_of_the_tables() -> None:
    assert tail_of_t(2.776, 4) == pytest.approx(0.05, abs=1e-4)
    assert tail_of_t(12.706, 1) == pytest.approx(0.05, abs=1e-4)
    assert tail_of_t(0.0, 4) == pytest.approx(1.0, abs=1e-6)


def test_holm_corrects_in_the_order_given() -> None:
    assert correct_holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_arms_are_compared_by_seeds_that_both_have() -> None:
    found = compare({1: 0.5, 2: 0.6, 3: 0.7}, {1: 0.4, 2: 0.5, 9: 0.0})
    assert found is not None
    assert (found.seeds, found.mean) == (2, pytest.approx(0.1))
    assert compare({1: 0.5}, {2: 0.5}) is None


def test_a_run_that_is_done_or_claimed_is_left_alone(tmp_path: Path) -> None:
    results = Results(tmp_path)
    with results.claim(SMALL, 1) as mine, results.claim(SMALL, 1) as again:
        assert mine
        assert not again
    results.add(SMALL, 1, {"greedy_accuracy": 0.5, "rewards": [0.1]})
    assert results.merge() == 1
    results.add(SMALL, 2, {"greedy_accuracy": 0.6, "rewards": [0.1]})
    with results.claim(SMALL, 1) as mine:
        assert not mine
    assert results.done() == {(SMALL.hash, 1), (SMALL.hash, 2)}
    assert results.merge() == 2
    assert not list(results.fresh.glob("*"))


def test_rows_of_another_machine_are_taken_over_once(tmp_path: Path) -> None:
    here, there = Results(tmp_path / "here"), Results(tmp_path / "there")
    here.add(SMALL, 1, {"greedy_accuracy": 0.5})
    for seed in (1, 2, 3):
        there.add(SMALL, seed, {"greedy_accuracy": 0.6, "continued": seed})
    there.merge()
    there.add(SMALL, 4, {"greedy_accuracy": 0.7})
    assert here.take_over(there) == 3
    assert here.take_over(there) == 0
    assert {r["seed"]: r["greedy_accuracy"] for r in here.read()} == {
        1: 0.5,
        2: 0.6,
        3: 0.6,
        4: 0.7,
    }


def test_two_steps_give_a_row_and_move_the_weights(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="models run in it: pip install '.[local]'")
    from tests.benchmarks.study.run_one import do_run

    settings = SMALL.change(test_questions=2, copies=4, batch_questions=2, purpose="tune")
    figures = do_run(settings, 3)
    assert figures["gradient"] > 0
    assert figures["trained"] > figures["gradient"]
    assert all(np.isfinite(v) for v in figures.values() if isinstance(v, float))
    results = Results(tmp_path)
    results.add(settings, 3, json.loads(json.dumps(figures)))
    assert results.merge() == 1
    assert results.read()[0]["rewards"] == figures["rewards"]


def test_every_arm_trains_on_what_its_name_says() -> None:
    """Of one and the same round of answers."""
    pytest.importorskip("torch", reason="models run in it: pip install '.[local]'")
    from tests.benchmarks.study.arms import ARMS
    from tests.benchmarks.study.loop import (
        open_run,
        pack_prompts,
        plan_rows,
        sample_answers,
        value_answers,
    )

    run = open_run(SMALL.change(copies=4), 3)
    rng = np.random.default_rng(0)
    problems = run.task.draw(rng, 6, run.task.trained, (0, 8))
    prompts = pack_prompts(run.speaker, problems)
    answers = sample_answers(run, problems, prompts, rng)
    rights = [sum(a.right for a in answers if a.problem == i) for i in range(6)]
    assert 0 < sum(rights) < len(answers)
    run.arm = ARMS["df, value"]
    value_answers(run, problems, prompts, answers)
    assert run.bill.continued > 0
    seen = {}
    for name, arm in ARMS.items():
        run.arm = arm
        rows = plan_rows(run, prompts, answers)
        assert rows, name
        assert all(np.isfinite(row.factors.numpy()).all() for row in rows), name
        up = sum(int((row.factors > 0).sum()) for row in rows)
        down = sum(int((row.factors < 0).sum()) for row in rows)
        seen[name] = (len(rows), up, down)
        for row in rows:
            assert len(row.factors) == len(row.ids)
            assert row.old is None or len(row.old) == len(row.ids)
            assert not (row.loss == "likelihood" and (row.factors < 0).any())
    down = {name: figures[2] for name, figures in seen.items()}
    assert down["right-only"] == down["sft"] == down["new only"] == 0
    assert down["df"] == down["random tokens"] == down["lowest log-prob"] == down["df+new"]
    assert 0 < down["df, value"] < down["df"]
    assert 0 < down["df, consequences 0"] < down["df"] < down["suffix"] <= down["grpo"]
    up = {name: figures[1] for name, figures in seen.items()}
    assert up["grpo"] == up["df"] == up["right-only"] < up["df+new"] < up["df+whole"]
    if 0 in rights:
        assert up["df+new, no all-wrong"] < up["df+new"]


def test_continuations_go_on_as_the_answer_did_and_values_fall_to_nothing() -> None:
    torch = pytest.importorskip("torch", reason="models run in it: pip install '.[local]'")
    from tests.benchmarks.study.loop import open_run, pack_prompts
    from tests.benchmarks.study.sampler import continue_completions, draw_completions

    run = open_run(SMALL, 0)
    problems = run.task.draw(np.random.default_rng(1), 4, ("sum", "difference"), (0, 0))
    prompts = pack_prompts(run.speaker, problems)
    drawn = draw_completions(run.model, prompts, 1, max_tokens=56, generator=None)
    cuts = [(i, c.ids[:cut]) for i, (c,) in enumerate(drawn) for cut in (0, 7, len(c.ids) - 1)]
    again = continue_completions(run.model, prompts, cuts, 2, max_tokens=56, generator=None)
    for (index, begun), completions in zip(cuts, again, strict=True):
        assert [[*begun, *c.ids] for c in completions] == [drawn[index][0].ids] * 2
    ended = [(0, drawn[0][0].ids)]
    full = len(drawn[0][0].ids)
    generator = torch.Generator().manual_seed(1)
    assert continue_completions(
        run.model, prompts, ended, 2, max_tokens=full, generator=generator
    ) == [[]]


def test_what_is_lost_at_a_hunk_is_its_weight() -> None:
    """With a policy whose values are known: right until the changed token, and lost after it."""
    from dfgen.diff import diff_pair
    from dfgen.diff.weights import value_weights
    from dfgen.tokens import load_tokenizer
    from tests.benchmarks.study.values import Valuer

    tokenizer = load_tokenizer(str(TASKS["steps"].model))
    wrong = "Step 1: red circles: I see 2.\nStep 2: blue circles: I see 1.\nAnswer: 3"
    right = wrong.replace("see 2", "see 3").replace("Answer: 3", "Answer: 4")
    diff = diff_pair(wrong, right, tokenizer, completion_ids=tokenizer.encode(wrong))
    first = int(np.flatnonzero(diff.loss_mask)[0])

    class Known(Valuer):
        def measure(self, prefixes: list[tuple[int, list[int]]]) -> list[float]:
            self.tokens += len(prefixes)
            return [0.5 if len(ids) <= first else 0.0 for _, ids in prefixes]

    valuer = Known(None, tokenizer, [], None, 56, 4, None)  # type: ignore[arg-type]
    (values,) = valuer.value([(0, diff)])
    assert values.start == 0.5
    assert values.drops == [0.5, 0.0]
    # The question, and both ends of the first hunk: the second is behind what is lost.
    assert valuer.tokens == 3
    weights = value_weights(diff, values.drops, values.start)
    assert weights.sum() == weights[first] == 1


def test_counterfactual_weights_are_those_of_the_masks() -> None:
    """Token by token, and not the heaviest of a hunk for all of it."""
    from dfgen.diff import diff_pair
    from dfgen.diff.weights import counterfactual_weights
    from dfgen.tokens import load_tokenizer
    from tests.benchmarks.study.arms import ARMS
    from tests.benchmarks.study.arms.arm import Failed

    tokenizer = load_tokenizer(str(TASKS["steps"].model))
    wrong = "Step 1: red circles: I see 12.\nAnswer: 12"
    diff = diff_pair(wrong, wrong.replace("12", "34"), tokenizer)
    logprobs = -np.linspace(0.1, 2, len(diff.repair_ids)).astype(np.float32)
    failed = Failed(diff, logprobs, logprobs, np.random.default_rng(0))
    for name in ("df, counterfactual", "df+new, counterfactual"):
        own, new = ARMS[name].mask(failed)
        assert own == pytest.approx(counterfactual_weights(diff, logprobs.tolist()))
        assert len(set(own[diff.loss_mask].tolist())) == diff.loss_mask.sum() > 2
        assert new == pytest.approx(np.where(diff.repair_mask, 1 - np.exp(logprobs), 0))


def test_the_sampler_agrees_with_the_model() -> None:
    torch = pytest.importorskip("torch", reason="models run in it: pip install '.[local]'")
    from tests.benchmarks.study.loop import open_run, pack_prompts
    from tests.benchmarks.study.sampler import draw_completions
    from tests.benchmarks.study.scoring import Row, score_rows

    run = open_run(SMALL, 0)
    problems = run.task.draw(np.random.default_rng(1), 6, ("sum", "compare"), (0, 8))
    prompts = pack_prompts(run.speaker, problems)
    drawn = draw_completions(
        run.model, prompts, 3, max_tokens=56, generator=torch.Generator().manual_seed(1)
    )
    rows = [
        Row(index, c.ids, torch.zeros(0), c.logprobs, "ratio")
        for index, completions in enumerate(drawn)
        for c in completions
    ]
    seen = 0
    with torch.no_grad():
        for part, scores in score_rows(run.model, prompts, rows):
            for row, own in zip(part, scores, strict=True):
                assert (row.old - own[: len(row.ids)]).abs().max() < 1e-4
                seen += 1
    assert seen == 18
    again = draw_completions(
        run.model, prompts, 3, max_tokens=56, generator=torch.Generator().manual_seed(1)
    )
    assert [c.ids for r in again for c in r] == [c.ids for r in drawn for c in r]
    whole = run.model(
        input_ids=torch.tensor([prompts.ids[0] + rows[0].ids]),
        pixel_values=prompts.pixel_values[:1],
    ).logits.log_softmax(-1)
    start = len(prompts.ids[0]) - 1
    own = whole[0, start:-1].gather(-1, torch.tensor(rows[0].ids)[:, None])[:, 0]
    assert (own - rows[0].old).abs().max() < 1e-4
