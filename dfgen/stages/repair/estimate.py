"""Estimates what repairing would cost, from the real rows and without a single call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from os.path import commonprefix
from typing import TYPE_CHECKING

from dfgen.config.engine import Price
from dfgen.config.repair import RepairConfig
from dfgen.engines.base import ImageData, Part
from dfgen.pictures.tokens import estimate_tokens
from dfgen.records import Prompt, Trajectory
from dfgen.stages.prompting import build_messages
from dfgen.stages.repair.plan import Plan, Undecided, count_later
from dfgen.stages.repair.prompt import fill_fields, load_template

if TYPE_CHECKING:
    from dfgen.stages.repair.requests import Task
    from dfgen.tokens.tokenizer import TextTokenizer

_EDIT_TOKENS = 60
"""Assumed of one JSON edit with its reason, and two of them per repair."""
_LETTERS_PER_TOKEN = 4
"""Of English text."""
FRAME_TOKENS = 12
"""Of a chat template and the tags around a text."""


@dataclass
class Load:
    """Requests, and the tokens that they read and write.

    Among those read are `image_tokens`, and `shared_tokens`: beginnings that a request has in
    common with the one before it, picture and question at least, which a server may have kept.
    """

    requests: int = 0
    prompt_tokens: int = 0
    image_tokens: int = 0
    completion_tokens: int = 0
    shared_tokens: int = 0

    def add(self, requests: int, *, read: int, pictures: int, written: int) -> None:
        """Add requests that are alike; the tokens are those of each."""
        self.requests += requests
        self.prompt_tokens += requests * read
        self.image_tokens += requests * pictures
        self.completion_tokens += requests * written

    def times(self, factor: float) -> Load:
        """Return as much as this so many times."""
        return Load(**{name: round(value * factor) for name, value in vars(self).items()})


@dataclass
class Estimate:
    """Sums over the requests that would be made.

    Attributes:
        repairs, controls, tests: first requests by purpose; tests are of repairs already accepted.
        out: requests that are out in files or batches; no other sum holds them.
        next_repairs, next_tests: the first requests, with answers of the length to be expected;
            controls are among the repairs.
        all_repairs, all_tests: if all attempts were refused but the last, its repair tested at as
            many hunks as may be, and every answer as long as `max_tokens`. Feedback to refused
            attempts is not counted.
    """

    repairs: int = 0
    controls: int = 0
    tests: int = 0
    out: int = 0
    next_repairs: Load = field(default_factory=Load)
    next_tests: Load = field(default_factory=Load)
    all_repairs: Load = field(default_factory=Load)
    all_tests: Load = field(default_factory=Load)

    @property
    def requests(self) -> int:
        """First requests of every purpose."""
        return self.next_repairs.requests + self.next_tests.requests

    @property
    def most_requests(self) -> int:
        """Requests of every purpose that will not be exceeded."""
        return self.all_repairs.requests + self.all_tests.requests

    @property
    def prompt_tokens(self) -> int:
        """Tokens that the first requests read."""
        return self.next_repairs.prompt_tokens + self.next_tests.prompt_tokens


def estimate_repairs(
    rows: Iterable[Undecided],
    config: RepairConfig,
    tokenizer: TextTokenizer,
    cached_from: int = 0,
) -> Estimate:
    """Count tokens of the next requests, text by the policy's tokenizer.

    Args:
        cached_from: tokens of a shared beginning below which no server keeps it.
    """
    template = load_template(config)
    total, longest = Estimate(), config.decoding.max_tokens
    before: tuple[Part, ...] = ()

    def count(text: str) -> int:
        return len(tokenizer.encode(text))

    for row in rows:
        trajectory, prompt, plan = row.trajectory, row.prompt, row.plan
        # A test sends the repair with a hunk taken back: about as long as the trajectory.
        fields = fill_fields(trajectory, prompt, (), config)
        messages = build_messages(prompt, template, config.system, fields)
        text = "".join(p for m in messages for p in m.content if isinstance(p, str))
        pictures = trajectory.image_tokens
        if pictures is None:
            pictures = sum(estimate_tokens(i.width, i.height) for i in prompt.image_info)
        read = count(text) + pictures + FRAME_TOKENS
        written = min(guess_answer(len(trajectory.completion_ids), config), longest)
        first, tests = len(row.unasked), _count_tests(plan, config)
        is_test = plan.purpose == "necessity"
        total.out += len(row.out)
        total.repairs += plan.purpose == "repair" and first > 0
        total.controls += plan.purpose == "control" and first > 0
        total.tests += first * is_test
        each = {"read": read, "pictures": pictures}
        load = total.next_tests if is_test else total.next_repairs
        if first:
            parts = tuple(part for message in messages for part in message.content)
            shared = _count_shared(before, parts, pictures, count)
            before = parts
            for tokens in (shared, *[read] * (first - 1)):
                load.shared_tokens += tokens if tokens >= cached_from else 0
        load.add(first, **each, written=written)
        most = total.all_tests if is_test else total.all_repairs
        most.add(first + count_later(plan, config) - tests, **each, written=longest)
        total.all_tests.add(tests, **each, written=longest)
    return total


def estimate_unseen(
    prompts: Iterable[Prompt],
    answers: int,
    length: float,
    config: RepairConfig,
    count: Callable[[str], int],
    cached_from: int = 0,
) -> Load:
    """Count tokens of one request about each answer, where no answer is there yet.

    Args:
        answers: wrong ones of each prompt.
        length: of each, in tokens.
        count: counts the tokens of a text.
        cached_from: see `estimate_repairs`.
    """
    template, load = load_template(config), Load()
    written = min(guess_answer(round(length), config), config.decoding.max_tokens)
    before: tuple[Part, ...] = ()
    for prompt in prompts:
        pictures = sum(estimate_tokens(info.width, info.height) for info in prompt.image_info)
        # Two answers that begin differently: what requests about them share is what comes before.
        one, other = (
            tuple(
                part
                for message in build_messages(
                    prompt,
                    template,
                    config.system,
                    fill_fields(Trajectory.model_construct(completion=text), prompt, (), config),
                )
                for part in message.content
            )
            for text in ("A", "Z")
        )
        text = "".join(part for part in one if isinstance(part, str))
        shared = [_count_shared(before, one, pictures, count)]
        shared += [_count_shared(one, other, pictures, count)] * (answers - 1)
        load.shared_tokens += sum(tokens for tokens in shared if tokens >= cached_from)
        read = count(text) + round(length) + pictures + FRAME_TOKENS
        load.add(answers, read=read, pictures=pictures, written=written)
        before = one
    return load


def guess_answer(completion_tokens: int, config: RepairConfig) -> int:
    """Guess how many tokens a repairer writes about a completion of so many."""
    return 2 * _EDIT_TOKENS if config.protocol == "hunks" else completion_tokens + FRAME_TOKENS


def guess_cost(task: Task, config: RepairConfig, price: Price) -> float:
    """Guess dollars for a request before any has been answered, without a tokenizer."""
    prompt, trajectory = task.prompt, task.trajectory
    letters = len(load_template(config).text) + len(prompt.question) + len(config.system or "")
    pictures = sum(estimate_tokens(info.width, info.height) for info in prompt.image_info)
    answer = len(trajectory.completion_ids)
    read = letters // _LETTERS_PER_TOKEN + pictures + answer + FRAME_TOKENS
    written = min(guess_answer(answer, config), config.decoding.max_tokens)
    return price.count(read, written, None) or 0.0


def _count_shared(
    before: Sequence[Part], parts: Sequence[Part], pictures: int, count_tokens: Callable[[str], int]
) -> int:
    """Tokens of the beginning that two requests have in common.

    Args:
        pictures: tokens of all pictures of the second one.
    """
    text, shown, count = "", 0, sum(isinstance(part, ImageData) for part in parts)
    for one, other in zip(before, parts, strict=False):
        if isinstance(one, str) and isinstance(other, str):
            text += commonprefix([one, other])  # noqa: RUF071  # letter by letter is meant
            if one != other:
                break
        elif isinstance(one, str) or isinstance(other, str) or one.sha256 != other.sha256:
            break
        else:
            shown += 1
    return count_tokens(text) + (pictures * shown // count if count else 0)


def _count_tests(plan: Plan, config: RepairConfig) -> int:
    """Tests that may follow the attempts of a plan."""
    return config.necessity_tests * (plan.purpose == "repair" and config.necessity == "model")
