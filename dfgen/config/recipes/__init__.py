"""Holds pipeline files to start from; `dfgen config init` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from dfgen.errors import ConfigError, guess_name

STARTER = "starter"

COPIES = {
    "vllm-7b": "vllm-7b.yaml",
    "vllm-72b": "repair-vllm-72b.yaml",
    "hosted-api": "repair-hosted-api.yaml",
    "offline": "repair-offline.yaml",
    "imported-answers": "mathv-repair.yaml",
}
"""Recipe -> its copy in the folder `pipelines` of the repository, which `make schemas` writes."""

RECIPES: tuple[str, ...] = (STARTER, *COPIES)
"""All names, in the order in which they are listed."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A pipeline file to copy and edit.

    Attributes:
        name: as it is asked for.
        text: of the file, comments included.
    """

    name: str
    text: str

    @property
    def description(self) -> str:
        """Its first sentence, which says for whom it is."""
        return self.text.splitlines()[0].lstrip("# ").split(". ")[0].rstrip(".")

    def write_for(self, path: str) -> str:
        """Return the text with the commands in it calling the file by this path."""
        copy = COPIES.get(self.name)
        return self.text if copy is None else self.text.replace(f"pipelines/{copy}", path)


def read_recipe(name: str) -> Recipe:
    """Read a recipe.

    Raises:
        ConfigError: there is none of this name; says which there are.
    """
    if name not in RECIPES:
        meant = guess_name(name, RECIPES)
        guess = f" Did you mean {meant!r}?" if meant else ""
        raise ConfigError(
            f"there is no recipe {name[:80]!r}.", hint=f"There are: {', '.join(RECIPES)}.{guess}"
        )
    return Recipe(name, resources.files(__name__).joinpath(f"{name}.yaml").read_text("utf-8"))


def propose_recipe(devices: Path = Path("/dev")) -> str:
    """Propose a recipe for this machine: vLLM's where the package and a GPU are there.

    Args:
        devices: where the system lists its devices; nothing is loaded to find out.
    """
    gpus = [*devices.glob("nvidia[0-9]*"), *devices.glob("kfd")]
    return "vllm-7b" if gpus and find_spec("vllm") is not None else STARTER


def copy_recipes(folder: str) -> None:
    """Write the copies that the repository shows to people who browse it."""
    for name, copy in COPIES.items():
        Path(folder, copy).write_text(read_recipe(name).text, encoding="utf-8")
