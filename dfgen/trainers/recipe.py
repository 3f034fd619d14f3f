"""Says what of a group of answers is trained on, and how strongly: one small set of choices.

A recipe is data, so that a run of training can write down what it did. The named ones are the arms
that studies of credit assignment compare; `grpo` and `sft` are the controls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from dfgen.errors import ConfigError, guess_name

Failed = Literal["mask", "full", "drop"]
Right = Literal["full", "drop"]
Positives = Literal["none", "new", "all"]
Loss = Literal["ratio", "likelihood"]
Factor = Literal["advantage", "one"]
MaskMode = Literal["advantage", "loss"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "failed": ("mask", "full", "drop"),
    "unrepaired": ("full", "drop"),
    "right": ("full", "drop"),
    "right_loss": ("ratio", "likelihood"),
    "positives": ("none", "new", "all"),
    "positive_loss": ("ratio", "likelihood"),
    "factor": ("advantage", "one"),
    "scale_rewards": ("group", "none"),
    "copies": ("each", "once"),
    "mask_mode": ("advantage", "loss"),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What of a group is trained on.

    Attributes:
        name: how it is called where results are reported.
        failed: of a wrong answer that has a repair: only its masked tokens (`mask`), all tokens
            (`full`, as GRPO does), or nothing (`drop`).
        unrepaired: of a wrong answer without an accepted repair: all tokens, or nothing.
        right: of right answers: all tokens, or nothing.
        right_loss: by the trainer's ratio objective, or by plain likelihood.
        positives: of a repair: nothing, its new tokens, or all tokens.
        positive_loss: `likelihood`: -c * sum of log-probs, no ratio and no clip; `ratio`: the
            trainer's objective with advantage c. c is minus the advantage of the failed answer, and
            never below 0.
        factor: by which a `likelihood` example counts: its advantage (of a repair: c), or 1 for
            each, as supervised fine-tuning does; then right answers of groups in which all are
            right count, too, and repairs count in the divisor: the loss is a mean.
        scale_rewards: divide advantages by the group's standard deviation, or not (Dr. GRPO).
        all_wrong: c of the repairs of a group in which no answer is right, where every advantage
            is 0; 0 leaves those repairs out.
        weights: multiply masked tokens by the soft column `weights`, in [0, 1].
        balance: scale what pulls down so that its advantage mass equals what pushes up in the whole
            data set; a mask on one side breaks the zero sum of GRPO's advantages. Needs a pass
            over the data before the first example.
        copies: a repair that identical answers share counts once per answer, or once per text.
        mask_mode: `advantage`: tokens outside of the mask have advantage 0 and still count in the
            trainer's normaliser; `loss`: they are outside of the loss mask and do not count.
    """

    name: str = "custom"
    failed: Failed = "mask"
    unrepaired: Right = "full"
    right: Right = "full"
    right_loss: Loss = "ratio"
    positives: Positives = "all"
    positive_loss: Loss = "likelihood"
    factor: Factor = "advantage"
    scale_rewards: Literal["group", "none"] = "group"
    all_wrong: float = 1.0
    weights: bool = False
    balance: bool = False
    copies: Literal["each", "once"] = "each"
    mask_mode: MaskMode = "advantage"

    def __post_init__(self) -> None:
        """Refuse what is no choice. Raises `ConfigError`."""
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise ConfigError(
                    f"recipe.{name} is {value!r}; it can be {', '.join(choices)}.",
                    where=f"recipe {self.name}",
                )
        for name in ("weights", "balance"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(
                    f"recipe.{name} is {getattr(self, name)!r}; it can be true or false.",
                    where=f"recipe {self.name}",
                )
        if not isinstance(self.all_wrong, (int, float)) or not 0 <= self.all_wrong < float("inf"):
            raise ConfigError(
                f"recipe.all_wrong is {self.all_wrong!r}; it must be a number of 0 or more.",
                where=f"recipe {self.name}",
            )

    @property
    def uses_ratio(self) -> tuple[bool, bool]:
        """Whether any sampled answer, and any repair, is trained on by ratio."""
        answers = self.right == "full" and self.right_loss == "ratio"
        answers = answers or self.failed != "drop" or self.unrepaired != "drop"
        return answers, self.positives != "none" and self.positive_loss == "ratio"

    @property
    def imitates(self) -> bool:
        """Whether each repair counts 1, as in supervised fine-tuning, and so in the divisor."""
        return self.positive_loss == "likelihood" and self.factor == "one"

    def change(self, **choices: Any) -> Recipe:
        """Return a recipe with other choices, called `NAME+changed` unless a name is given.

        Raises:
            ConfigError: a choice that there is not.
        """
        known = [field.name for field in fields(self)]
        for name in choices:
            if name not in known:
                close = guess_name(name, known)
                raise ConfigError(
                    f"a recipe has no choice {name!r}; it has {', '.join(known)}.",
                    where=f"recipe {self.name}",
                    hint=f"Did you mean {close!r}?" if close else None,
                )
        choices.setdefault("name", self.name if not choices else f"{self.name}+changed")
        return replace(self, **choices)

    def describe(self) -> dict[str, Any]:
        """Return all choices, for the record of a training run."""
        return asdict(self)


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("grpo", failed="full", positives="none"),
        Recipe("df", failed="mask", positives="none"),
        Recipe("df+repair", failed="mask", positives="new"),
        Recipe("df+whole", failed="mask", positives="all"),
        Recipe("grpo+repair", failed="full", positives="all", positive_loss="ratio"),
        Recipe("right-only", failed="drop", unrepaired="drop", positives="none"),
        Recipe(
            "sft",
            failed="drop",
            unrepaired="drop",
            right_loss="likelihood",
            positives="all",
            factor="one",
        ),
    )
}
"""By name. `grpo`: every token of every answer. `df`: failed answers are gated by their masks.
`df+repair`: the repair's new tokens are positives as well. `df+whole`: all tokens of the repair are
(the default, because it did best in the study of `make study`). `grpo+repair`: whole repairs join
the group's right answers. `right-only`: failed answers stay in the baseline and are
otherwise left out. `sft`: likelihood of right and repaired answers, each counted once."""

DEFAULT_RECIPE = "df+whole"


def find_recipe(recipe: str | Recipe) -> Recipe:
    """Return a recipe by its name, changed by what follows; a recipe is returned as it is.

    Args:
        recipe: such as `df`, or `df+whole mask_mode=loss positive_loss=ratio`.

    Raises:
        ConfigError: there is no such recipe, field or value.
    """
    if isinstance(recipe, Recipe):
        return recipe
    name, *changes = recipe.split() or [""]
    if name not in RECIPES:
        close = guess_name(name, RECIPES)
        raise ConfigError(
            f"there is no recipe {name!r}; there are {', '.join(RECIPES)}.",
            hint=f"Did you mean {close!r}?" if close else "Or give a Recipe(...) of your own.",
        )
    return change_recipe(RECIPES[name], changes)


def change_recipe(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """Change a recipe by texts like `failed=full`; without any it is returned as it is.

    Raises:
        ConfigError: there is no such field or value.
    """
    known = {key: value for key, value in recipe.describe().items() if key != "name"}
    changed: dict[str, Any] = {}
    for text in changes:
        key, equals, value = text.partition("=")
        if not equals or key not in known:
            close = guess_name(key, known)
            raise ConfigError(
                f"{text!r} is no choice of a recipe, FIELD=VALUE.",
                hint=f"Did you mean {close}=...?" if close else f"Choices: {', '.join(known)}.",
            )
        changed[key] = _read_value(text, value, known[key])
    return recipe.change(**changed) if changed else recipe


def _read_value(text: str, value: str, default: Any) -> Any:
    if isinstance(default, bool):
        if value not in ("true", "false"):
            raise ConfigError(f"{text!r}: it can be true or false.")
        return value == "true"
    if isinstance(default, float):
        try:
            return float(value)
        except ValueError:
            raise ConfigError(f"{text!r}: it must be a number.") from None
    return value
