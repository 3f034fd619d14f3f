"""Defines section `repair`: how wrong answers are repaired, and what counts as a repair."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from dfgen.config.engine import EngineConfig, Price
from dfgen.config.sample import Decoding
from dfgen.config.section import Section

SoftCheck = Literal["meta_talk", "language", "control_characters", "answer_only", "leak"]


def _read_off(value: Any) -> Any:
    # YAML reads a bare `off` as false.
    return "off" if value is False else value


_Off = BeforeValidator(_read_off)


def _read_price(engine: Any) -> float:
    """What a section says that a token read and one written cost together; 0: nothing."""
    price = engine.get("price") if isinstance(engine, dict) else getattr(engine, "price", None)
    price = price.model_dump() if isinstance(price, Price) else price
    if not isinstance(price, dict):
        return 0.0
    found = [price.get(name, 0) for name in ("prompt", "completion")]
    return sum(value for value in found if isinstance(value, int | float))


class RepairConfig(Section):
    """The repairer, its prompt, and the checks a repair must pass."""

    engine: EngineConfig | None = None
    """Who repairs; unset: the repair stage is left out and wrong trajectories stay `outcome`."""
    engines: list[EngineConfig] = Field(default_factory=list)
    """Several repairers instead of `engine`, which is then the first of them. They are asked in the
    order of their prices: the cheapest about every wrong answer, each next one about those at which
    the ones before it have failed, `max_attempts` times each."""
    protocol: Literal["hunks", "rewrite"] = "rewrite"
    """hunks: the repairer returns a JSON list of edits, each a text to find and its replacement:
    small by construction, and fewer tokens to pay. rewrite: it returns the whole corrected text,
    for models that cannot do JSON."""
    prefix_lock: bool = False
    """Keep everything before the first error as it is: with `rewrite` the repairer quotes the first
    wrong words and writes on from there; with `hunks` this is so anyway."""
    structured_output: Annotated[Literal["auto", "off"], _Off] = "auto"
    """auto: with `hunks`, ask the server for output by JSON schema (`response_format`), and do
    without where it refuses."""
    answer: Literal["given", "blind"] = "given"
    """Whether the repairer is shown the reference answer."""
    show_solution: bool = False
    """Show the reference solution too, where the prompt has one."""
    system: str | None = None
    """System message; unset: none."""
    prompt: str | None = None
    """Template of the user message, text or `file:PATH`; unset: the one that comes with dfgen.
    Fields: {images} {question} {choices} {completion}; {fence}, a mark that the completion cannot
    hold, for the lines around it; {reference}, the lines that state the reference answer and
    solution, empty when `answer` is blind; {feedback}, why the attempt before was refused, empty in
    the first."""
    decoding: Decoding = Decoding(temperature=0.0, max_tokens=2048)
    retry_temperature: float = Field(default=0.7, ge=0)
    """Temperature of further attempts and candidates; a greedy one would repeat the first."""
    max_attempts: int = Field(default=2, gt=0)
    """Attempts per trajectory and repairer; a further one is told what failed."""
    candidates: int = Field(default=1, gt=0)
    """Repairs asked for in each attempt. The smallest accepted one is the repair; the others that
    were accepted are kept for agreement weights."""
    max_edit_ratio: float = Field(default=0.3, gt=0, le=1)
    """Largest share of tokens that may change: edit distance / longer of both texts. Masks of
    larger edits are less precise (the README has the figures by ratio)."""
    max_step_ratio: float = Field(default=1.0, gt=0, le=1)
    """Largest share of steps that may change."""
    max_hunks: int | None = Field(default=None, gt=0)
    """Largest number of separate edits; unset: any."""
    allow: list[SoftCheck] = Field(default_factory=list)
    """Checks that do not refuse: meta_talk (speaks about the answer it corrects), language (another
    one than the answer's), control_characters, answer_only (a new final answer that no reasoning
    leads to), leak (states the reference answer where it was not derived)."""
    necessity: Annotated[Literal["off", "grade", "model"], _Off] = "off"
    """grade: take back each hunk of an accepted repair alone and grade again; where the answer is
    right all the same, the hunk weighs `unneeded_weight`. A grader sees final answers only. model:
    ask the repairer about those hunks, too. It gets the repair with the hunk taken back, in the
    same prompt as any wrong answer, and answers greedily; a hunk that it changes again weighs 1.
    Where its answer decides nothing (cut off, unreadable, failed), that is on record, and the hunk
    keeps the grader's verdict: `unneeded_weight`."""
    necessity_tests: int = Field(default=8, gt=0)
    """Hunks of a repair that `necessity: model` asks about at most, a request each, in the order of
    the text; the others keep the grader's verdict."""
    unneeded_weight: float = Field(default=0.5, ge=0, le=1)
    """Weight of a hunk that is not needed."""
    controls: float = Field(default=0.0, ge=0, le=1)
    """Share of the right trajectories that is sent to the repairer as well, to see how often it
    changes what is right. They are stored in `controls/` and never used for training."""
    require_answer: bool = True
    """Repair only wrong answers whose final answer the grader could read; without one a repair has
    to add an ending, and the difference is that ending. The others get the reject `no_answer`."""
    per_group: int | None = Field(default=None, gt=0)
    """Different wrong answers repaired per prompt at most; unset: all. Identical ones are repaired
    once, and count once."""
    max_cost_usd: float | None = Field(default=None, ge=0)
    """Stop when the repairs of the run have cost this much by `price`; what is in flight then is
    still finished."""
    max_requests: int | None = Field(default=None, ge=0)
    """Stop after this many requests of the run to the repairer."""
    chat_template_args: dict[str, Any] = Field(default_factory=dict)
    """Passed to the chat template (`enable_thinking: false`)."""

    @model_validator(mode="before")
    @classmethod
    def _order_engines(cls, data: Any) -> Any:
        """Put the cheapest repairer first, and into `engine`."""
        if not isinstance(data, dict) or not isinstance(data.get("engines"), list | tuple):
            return data
        ordered = sorted(data["engines"], key=_read_price)
        first = data.get("engine")
        if not ordered:
            return data
        if first is not None and first != ordered[0]:
            raise ValueError("engine and engines exclude each other; leave out engine")
        return {**data, "engines": ordered, "engine": ordered[0]}

    @property
    def repairers(self) -> tuple[EngineConfig, ...]:
        """Who repairs, in the order in which they are asked; empty: nobody."""
        if self.engines:
            return tuple(self.engines)
        return () if self.engine is None else (self.engine,)

    @property
    def all_attempts(self) -> int:
        """Attempts of all repairers together at a trajectory, at most."""
        return self.max_attempts * max(1, len(self.engines))
