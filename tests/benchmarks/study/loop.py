"""Trains one arm: the plain loop that all arms of the study share.

A round: draw questions, sample answers, grade, repair the wrong ones, compare, let the arm's recipe
say what is trained on, then a few steps of AdamW. Questions, sampler, losses, divisor, clip and
optimiser are the same for every arm; the same seed gives the same questions in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from transformers import (
    AutoModelForImageTextToText,
    AutoTokenizer,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from dfgen.demo.batches import scale_pictures
from dfgen.diff import PairDiff, diff_pair
from dfgen.tokens import TextTokenizer, load_tokenizer
from dfgen.trainers.advantages import MASKED, NOTHING, Answers, Plan, plan_answers
from tests.benchmarks.study.arms import ARMS, Arm
from tests.benchmarks.study.arms.arm import Failed, Floats
from tests.benchmarks.study.objective import compute_loss
from tests.benchmarks.study.repairers import repair_answers
from tests.benchmarks.study.sampler import Completion, Prompts, draw_completions
from tests.benchmarks.study.scoring import Row, score_rows
from tests.benchmarks.study.settings import Settings
from tests.benchmarks.study.tasks import TASKS, Problem, Task
from tests.benchmarks.study.values import Valuer, Values

BETAS, MAX_NORM, DECAY = (0.9, 0.95), 1.0, 0.4
MAX_EDIT_RATIO = 0.3
"""A repair that changes more is not accepted; dfgen's default."""


@dataclass
class Sampled:
    """One answer of a round with all that is known of it."""

    problem: int
    completion: Completion
    text: str
    right: bool
    diff: PairDiff | None = None
    wrong_weights: Floats | None = None
    new_weights: Floats | None = None
    repair_logprobs: Tensor | None = None
    values: Values | None = None


@dataclass
class Bill:
    """Counts what a run used.

    Attributes:
        sampled: tokens drawn from the policy for training.
        repairs: tokens of the repairs that were asked for, accepted or not.
        continued: tokens of continuations drawn to value masks.
        gradient: tokens with a factor that is not zero, over all passes.
        trained: tokens of answers and repairs that went through the network to be trained on.
        rewards: share of right answers, by round.
        repaired: share of the wrong answers with an accepted repair, by round.
        masked: share of a repaired answer's tokens in dfgen's mask, by round.
    """

    sampled: int = 0
    repairs: int = 0
    continued: int = 0
    gradient: int = 0
    trained: int = 0
    rewards: list[float] = field(default_factory=list)
    repaired: list[float] = field(default_factory=list)
    masked: list[float] = field(default_factory=list)


@dataclass
class Run:
    """The state of a run: everything random comes from its seed.

    Attributes:
        speaker: the model's tokenizer, which knows the prompt's control tokens.
        tokenizer: the same as dfgen reads it, for which all text is only text.
    """

    settings: Settings
    seed: int
    task: Task
    arm: Arm
    model: LlavaForConditionalGeneration
    speaker: PreTrainedTokenizerFast
    tokenizer: TextTokenizer
    generator: torch.Generator
    bill: Bill = field(default_factory=Bill)


def open_run(settings: Settings, seed: int) -> Run:
    """Load the start model."""
    task = TASKS[settings.task]
    folder = task.model
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    generator = torch.Generator().manual_seed(seed)
    arm = ARMS[settings.arm]
    speaker = AutoTokenizer.from_pretrained(folder)
    tokenizer = load_tokenizer(str(folder))
    return Run(settings, seed, task, arm, model, speaker, tokenizer, generator)


def train(run: Run) -> None:
    """Train the run's model in place; its bill is filled on the way."""
    settings = run.settings
    optimiser = torch.optim.AdamW(
        run.model.parameters(), lr=settings.rate, betas=BETAS, weight_decay=0.0
    )
    step = 0
    for number in range(settings.rounds):
        rng = np.random.default_rng([run.seed, number])
        hard = run.task.starts[settings.start]
        problems = run.task.draw(rng, settings.questions, run.task.trained, hard)
        prompts = pack_prompts(run.speaker, problems)
        answers = sample_answers(run, problems, prompts, rng)
        rows = plan_rows(run, prompts, answers)
        order = np.random.default_rng([run.seed, number, 1])
        for _ in range(settings.passes):
            shuffled = order.permutation(settings.questions)
            for start in range(0, settings.questions, settings.batch_questions):
                chosen = set(shuffled[start : start + settings.batch_questions].tolist())
                for group in optimiser.param_groups:
                    group["lr"] = settings.rate * shape_rate(step, settings)
                tokens = sum(len(a.completion.ids) for a in answers if a.problem in chosen)
                batch = [row for row in rows if row.problem in chosen]
                take_step(run, optimiser, prompts, batch, tokens)
                step += 1


def shape_rate(step: int, settings: Settings) -> float:
    """Return the learning rate's factor: up, level, then down to a tenth."""
    left = (settings.steps - step) / (DECAY * settings.steps)
    return min(1.0, (step + 1) / settings.warm_up) * min(1.0, max(0.1, left))


def pack_prompts(speaker: PreTrainedTokenizerFast, problems: list[Problem]) -> Prompts:
    """Encode prompts and scale pictures."""
    ids = speaker([problem.prompt for problem in problems], add_special_tokens=False)["input_ids"]
    return Prompts(ids, scale_pictures(np.stack([problem.picture for problem in problems])))


def sample_answers(
    run: Run, problems: list[Problem], prompts: Prompts, rng: np.random.Generator
) -> list[Sampled]:
    """Sample, grade, repair and compare: the answers of one round, group by group."""
    drawn = draw_completions(
        run.model,
        prompts,
        run.settings.copies,
        max_tokens=run.task.max_tokens,
        generator=run.generator,
    )
    answers = []
    for index, completions in enumerate(drawn):
        for completion in completions:
            text = read_text(run.tokenizer, completion.ids)
            right = problems[index].is_right(text)
            answers.append(Sampled(index, completion, text, right))
    wrong = [answer for answer in answers if not answer.right]
    repair(run, problems, wrong, rng)
    found = [answer.diff for answer in wrong if answer.diff is not None]
    run.bill.sampled += sum(len(answer.completion.ids) for answer in answers)
    run.bill.rewards.append(1 - len(wrong) / len(answers))
    run.bill.repaired.append(len(found) / max(1, len(wrong)))
    run.bill.masked.append(float(np.mean([d.loss_mask.mean() for d in found])) if found else 0.0)
    if run.arm.draws:
        value_answers(run, problems, prompts, answers)
    return answers


def value_answers(
    run: Run, problems: list[Problem], prompts: Prompts, answers: list[Sampled]
) -> None:
    """Value the masked runs of wrong answers by continuations that the policy draws."""
    repaired = [answer for answer in answers if answer.diff is not None]
    # A stream of its own: every arm samples the same answers until its weights differ.
    generator = torch.Generator().manual_seed(1_000_000 * run.seed + len(run.bill.rewards))
    valuer = Valuer(
        run.model,
        run.tokenizer,
        problems,
        prompts,
        run.task.max_tokens,
        run.arm.draws,
        generator,
    )
    found = valuer.value([(a.problem, a.diff) for a in repaired if a.diff is not None])
    for answer, values in zip(repaired, found, strict=True):
        answer.values = values
    run.bill.continued += valuer.tokens


def read_text(tokenizer: TextTokenizer, ids: list[int]) -> str:
    """Decode an answer without its end token."""
    return tokenizer.decode(ids).removesuffix("<|end|>")


def repair(
    run: Run, problems: list[Problem], wrong: list[Sampled], rng: np.random.Generator
) -> None:
    """Repair wrong answers and compare each with its repair."""
    settings = run.settings
    asked = [(problems[answer.problem], answer.text) for answer in wrong]
    for answer, text in zip(wrong, repair_answers(asked, settings.repairer, rng), strict=True):
        run.bill.repairs += len(run.tokenizer.encode(text))
        is_right = problems[answer.problem].is_right(text)
        if (settings.verified and not is_right) or text == answer.text:
            continue
        diff = diff_pair(answer.text, text, run.tokenizer, completion_ids=answer.completion.ids)
        if diff.quality.edit_ratio <= MAX_EDIT_RATIO:
            answer.diff = diff


def plan_rows(run: Run, prompts: Prompts, answers: list[Sampled]) -> list[Row]:
    """Turn answers into what is trained on, by the arm's recipe and masks."""
    recipe, copies = run.arm.recipe, run.settings.copies
    if run.arm.scores_repairs:
        score_repairs(run, prompts, answers)
    weigh_masks(run, answers)
    masked = [0.0 if a.wrong_weights is None else float(a.wrong_weights.sum()) for a in answers]
    summary = Answers(
        edges=np.arange(0, len(answers) + 1, copies),
        rewards=np.array([float(a.right) for a in answers]),
        undecided=np.zeros(len(answers), bool),
        repaired=np.array([a.diff is not None for a in answers]),
        tokens=np.array([len(a.completion.ids) for a in answers]),
        masked=np.array(masked),
        repair_tokens=np.array([0 if a.diff is None else len(a.diff.repair_ids) for a in answers]),
        new=np.array([0 if a.diff is None else int(a.diff.repair_mask.sum()) for a in answers]),
        texts=np.arange(len(answers)),
        blocked=np.zeros(len(answers), bool),
        repair_blocked=np.zeros(len(answers), bool),
    )
    plan = plan_answers(summary, recipe)
    rows = list(iter_rows(run, answers, plan))
    if recipe.balance:
        balance_rows(rows)
    return rows


def iter_rows(run: Run, answers: list[Sampled], plan: Plan) -> Iterator[Row]:
    """Yield sampled answers and repairs with the factor of each token, where one is not zero."""
    recipe = run.arm.recipe
    for index, answer in enumerate(answers):
        ids = answer.completion.ids
        factors = np.full(len(ids), plan.factors[index], dtype=np.float32)
        if plan.use[index] == MASKED:
            assert answer.wrong_weights is not None
            factors *= answer.wrong_weights
        if plan.use[index] != NOTHING and factors.any():
            loss = recipe.right_loss if answer.right else "ratio"
            old = answer.completion.logprobs
            yield Row(answer.problem, ids, torch.from_numpy(factors), old, loss)
        if plan.repair_use[index] == NOTHING or plan.repair_factors[index] == 0:
            continue
        assert answer.diff is not None and answer.new_weights is not None
        new = answer.diff.repair_ids.tolist()
        factors = np.full(len(new), plan.repair_factors[index], dtype=np.float32)
        if plan.repair_use[index] == MASKED:
            factors *= answer.new_weights
        if factors.any():
            old = answer.repair_logprobs
            yield Row(answer.problem, new, torch.from_numpy(factors), old, recipe.positive_loss)


@torch.no_grad()
def score_repairs(run: Run, prompts: Prompts, answers: list[Sampled]) -> None:
    """Store the repairs' log-probs under the policy that sampled the answers."""
    repaired = [answer for answer in answers if answer.diff is not None]
    nothing = torch.zeros(0)
    rows, owners = [], {}
    for answer in repaired:
        assert answer.diff is not None
        row = Row(answer.problem, answer.diff.repair_ids.tolist(), nothing, None, "likelihood")
        rows.append(row)
        owners[id(row)] = answer
    for part, scores in score_rows(run.model, prompts, rows):
        for row, own in zip(part, scores, strict=True):
            owners[id(row)].repair_logprobs = own[: len(row.ids)]


def weigh_masks(run: Run, answers: list[Sampled]) -> None:
    """Let the arm say which tokens of failed answers and repairs count."""
    repaired = [answer for answer in answers if answer.diff is not None]
    rng = np.random.default_rng([run.seed, len(run.bill.rewards), 2])
    for answer in repaired:
        assert answer.diff is not None
        scores = answer.repair_logprobs
        failed = Failed(
            answer.diff,
            answer.completion.logprobs.numpy(),
            None if scores is None else scores.numpy(),
            rng,
            answer.values,
        )
        answer.wrong_weights, answer.new_weights = run.arm.mask(failed)


def balance_rows(rows: list[Row]) -> None:
    """Scale what pulls down so that it weighs as much as what pushes up."""
    up = sum(float(row.factors.clamp(min=0).sum()) for row in rows)
    down = -sum(float(row.factors.clamp(max=0).sum()) for row in rows)
    for row in rows:
        if down > 0:
            row.factors[row.factors < 0] *= up / down


def take_step(
    run: Run, optimiser: torch.optim.AdamW, prompts: Prompts, rows: list[Row], tokens: int
) -> float:
    """Take one step on the rows of some questions, whose sampled answers have so many tokens.

    Returns:
        The loss before the step; 0 where no row is left to train on.
    """
    if not rows:
        return 0.0
    total = 0.0
    optimiser.zero_grad(set_to_none=True)
    for part, scores in score_rows(run.model, prompts, rows):
        loss = compute_loss(part, scores, divisor=tokens, clip=run.settings.clip)
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), MAX_NORM)
    optimiser.step()
    run.bill.gradient += sum(int((row.factors != 0).sum()) for row in rows)
    run.bill.trained += sum(len(row.ids) for row in rows)
    return total
