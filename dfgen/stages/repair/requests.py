"""Puts requests to the repairer and turns its judged answers into repairs and rejects.

Work is done in rounds: round 1 asks for repairs of every wrong trajectory, round 2 asks again where
round 1 was refused, and so on; with `necessity: model` a round also asks about the hunks of what
the rounds before it accepted, and one such round follows the last. Within a round requests stream
without a pause, and what a round asks for depends only on what the rounds before it left on disk.

- ``select``: what is sent; ``plan``: what a trajectory needs next.
- ``prompt``, ``parse``: what the repairer is told, and what it says.
- ``compare``, ``checks``: what changed, and whether that is accepted.
- ``judge``: what is made of an answer, by what was asked for.
- ``necessity``: what is learned by taking single hunks back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dfgen.config.batch import Lane
from dfgen.config.engine import Price
from dfgen.config.repair import RepairConfig
from dfgen.config.sample import Decoding
from dfgen.diff.spans import Span
from dfgen.engines.base import Engine, ImageData, Message, Request, derive_seed
from dfgen.errors import RowError
from dfgen.records import Attempt, Prompt, Trajectory
from dfgen.stages.prompting import Template, build_messages
from dfgen.stages.repair.compare import Accepted
from dfgen.stages.repair.judge import (
    Answerer,
    Answers,
    Judge,
    Judges,
    Outcome,
    Pending,
    name_text,
)
from dfgen.stages.repair.necessity import take_back_entry
from dfgen.stages.repair.parse import EDIT_SCHEMA
from dfgen.stages.repair.plan import Purpose
from dfgen.stages.repair.prompt import fill_fields, load_template
from dfgen.stages.sample.draws import make_answer_key

if TYPE_CHECKING:
    from dfgen.config.mask import MaskConfig
    from dfgen.grade.pool import GradePool
    from dfgen.tokens.tokenizer import TextTokenizer


_NOWHERE = Span(0, 0)


@dataclass(frozen=True, slots=True)
class Task:
    """One request to make.

    Attributes:
        trajectory: the text that the repairer is given: a wrong one, a right one (control), or a
            repair with one hunk taken back (necessity).
        purpose: why it is asked.
        index: of the attempt; of the hunk that was taken back.
        earlier: the attempts of the rounds before.
        place: of the hunk that was taken back, in the bytes of the text.
    """

    trajectory: Trajectory
    prompt: Prompt
    purpose: Purpose = "repair"
    index: int = 0
    earlier: tuple[Attempt, ...] = ()
    place: Span = _NOWHERE


class Repairer:
    """Turns tasks into requests and results into judged outcomes.

    Args:
        config: the repair section.
        engine: who generates.
        tokenizer: of the policy: budgets are counted in its tokens.
        pool: grades repaired answers.
        mask: how texts are compared.
        seed: the run's seed.
        price: what the repairer charges in this lane.
        lane: how requests travel.
        model: what its answers are said to be by; None: the engine says it, for which one that is
            loaded late (`dfgen.engines.late`) is loaded.

    Attributes:
        model: its name.
        judge: reads and compares in this process.
    """

    def __init__(
        self,
        config: RepairConfig,
        engine: Engine,
        tokenizer: TextTokenizer,
        pool: GradePool,
        mask: MaskConfig,
        seed: int,
        price: Price,
        lane: Lane = "online",
        model: str | None = None,
    ) -> None:
        self.config = config
        self.engine = engine
        self.seed = seed
        self.model = engine.info.model if model is None else model
        self.judge = Judge(config, tokenizer, pool, mask, price, self.model)
        self.by = Answerer(self.model, lane, price)
        self.template = load_template(config)

    def run_round(
        self,
        tasks: Iterable[Task],
        judges: Judges | None = None,
        arrived: Callable[[Answers], None] | None = None,
    ) -> Iterator[list[Outcome]]:
        """Do each task; outcomes come as they are ready.

        Args:
            judges: processes that do as `judge` does; None: it does so itself, here.
            arrived: called with answers that came together, before they are judged.
        """
        pending: dict[str, Pending] = {}

        def ask() -> Iterator[Request]:
            for task in tasks:
                request = self.make_request(task)
                pending[request.key] = self.put_aside(task)
                yield request

        def take() -> Iterator[Answers]:
            for results in self.engine.generate(ask()):
                answers = [(result, pending.pop(result.key)) for result in results]
                if arrived is not None:
                    arrived(answers)
                yield answers

        yield from (judges or self.judge).judge_all(take())

    def put_aside(self, task: Task) -> Pending:
        """Return what judging needs of a task when its answer is there."""
        return Pending(
            task.trajectory,
            make_answer_key(task.prompt),
            task.purpose,
            task.index,
            task.place,
            self._derive_seed(task),
            by=self.by,
        )

    def make_request(self, task: Task) -> Request:
        """Make the request of a task."""
        config = self.config
        candidates = 1 if task.purpose == "necessity" else config.candidates
        refusals = list_refusals(task.earlier, task.index, candidates)
        structured = config.protocol == "hunks" and config.structured_output == "auto"
        return Request(
            key=name_request(task),
            messages=write_chat(task.trajectory, task.prompt, refusals, config, self.template),
            decoding=self._choose_decoding(task),
            seed=self._derive_seed(task),
            chat_template_args=config.chat_template_args,
            with_logprobs=False,
            response_schema=EDIT_SCHEMA if structured else None,
        )

    def _derive_seed(self, task: Task) -> int:
        kind = "necessity" if task.purpose == "necessity" else "repair"
        return derive_seed(self.seed, kind, task.trajectory.trajectory_id, task.index)

    def _choose_decoding(self, task: Task) -> Decoding:
        decoding = self.config.decoding
        if task.purpose == "necessity":
            # A verdict should not depend on a draw.
            return decoding.model_copy(update={"temperature": 0.0})
        round_number, candidate = divmod(task.index, self.config.candidates)
        if candidate or round_number % self.config.max_attempts:
            return decoding.model_copy(update={"temperature": self.config.retry_temperature})
        return decoding


def write_chat(
    trajectory: Trajectory,
    prompt: Prompt,
    refusals: Sequence[Attempt],
    config: RepairConfig,
    template: Template,
    images: Sequence[ImageData] | None = None,
) -> tuple[Message, ...]:
    """Write the messages of a request; the one way in which that is done.

    Args:
        trajectory: whose text is to be repaired.
        refusals: of `list_refusals`.
        images: what stands for the prompt's pictures; None: the pictures.
    """
    fields = fill_fields(trajectory, prompt, refusals, config)
    return build_messages(prompt, template, config.system, fields, images)


def list_refusals(earlier: Sequence[Attempt], index: int, candidates: int) -> list[Attempt]:
    """List the attempts that a request tells of: those of the round before its own.

    Args:
        earlier: attempts at the same trajectory.
        index: of the request.
        candidates: requests of a round.
    """
    last_round = index // candidates - 1
    return [attempt for attempt in earlier if attempt.index // candidates == last_round]


def make_test(
    trajectory: Trajectory, prompt: Prompt, repair: Accepted, hunk: int, tokenizer: TextTokenizer
) -> Task:
    """Make the task that asks whether a hunk of a repair is needed.

    Args:
        trajectory: the wrong one.
        repair: of it; its necessity was graded.
        hunk: index among the hunks that were.
    """
    entry = (repair.necessity or [])[hunk]
    text, place = take_back_entry(trajectory.completion, repair.text, entry)
    changes = {"completion": text, "completion_ids": tokenizer.encode(text)}
    return Task(trajectory.model_copy(update=changes), prompt, "necessity", index=hunk, place=place)


def name_request(task: Task) -> str:
    """Name a request as no other of the run is: it is the same request at every start."""
    about = name_text(task.trajectory.completion) if task.purpose == "necessity" else None
    return write_name(task.trajectory.trajectory_id, task.purpose, task.index, about)


def write_name(trajectory_id: str, purpose: Purpose, index: int, about: str | None) -> str:
    """Write the name of a request: `<trajectory_id>_r0` and the like, at most 64 characters of
    letters, digits, `-` and `_`, which every provider takes as an id."""
    return f"{trajectory_id}_{purpose[0]}{index}{f'-{about}' if about else ''}"


def explain_refusal(attempts: Sequence[Attempt]) -> RowError:
    """Explain why there is no repair: the last attempt's reason, all attempts as evidence."""
    return RowError(
        attempts[-1].reason,
        attempts[-1].detail,
        {"attempts": [attempt.model_dump() for attempt in attempts]},
    )
