"""The house rules that a tool can check: which way imports point, and the shape of files."""

from __future__ import annotations

import ast
import graphlib
import re
import statistics
from pathlib import Path

import pytest

from tests.support.code_trees import parse_file

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dfgen"

# What each part may import of dfgen, besides itself. records, config, errors, reasons and version
# are the ground that everything stands on.
GROUND = {"records", "config", "errors", "reasons", "version", "retry_after", "dataset_names"}
GROUND |= {"arrow_types", "bounded_reads", "interrupts", "parquet_batches", "regular_files"}
GROUND |= {"terminal_text", "dataset_file", "ending", "sealed_json", "sizes"}
ARROWS = {
    "errors": set(),
    "reasons": set(),
    "retry_after": set(),
    "terminal_text": set(),
    "interrupts": set(),
    "ending": set(),
    "sizes": set(),
    "dataset_names": set(),
    "regular_files": set(),
    "parquet_batches": set(),
    "bounded_reads": {"errors"},
    "sealed_json": set(),
    "version": set(),
    "dataset_file": {"dataset_names", "errors", "regular_files", "sealed_json", "version"},
    "arrow_types": set(),
    "records": {"arrow_types", "errors"},
    "config": {"records", "errors", "reasons", "version", "terminal_text"},
    "tokens": {"errors", "demo"},
    "diff": {"records", "errors", "config", "tokens"},
    "grade": GROUND,
    "store": GROUND | {"pictures", "tokens"},
    "pictures": {"errors", "config"},
    "prompts": GROUND | {"demo", "grade", "pictures"},
    "engines": GROUND | {"pictures", "demo"},
    "demo": GROUND,
    "stages": GROUND | {"engines", "grade", "diff", "pictures", "prompts", "tokens", "store"},
    "runners": GROUND | {"stages", "engines", "grade", "store"},
    "check": GROUND | {"stages", "engines", "grade", "prompts", "tokens", "store", "demo"},
    "validate": GROUND | {"tokens", "store"},
    "status": GROUND | {"stages", "store"},
    "report": GROUND | {"stages", "engines", "diff", "pictures", "store", "tokens", "demo"},
    "view": GROUND | {"report", "store", "pictures"},
    "export": GROUND | {"stages", "engines", "pictures", "store", "tokens", "trainers", "validate"},
    # A trainer's environment has numpy and pyarrow, and neither pydantic nor datasets.
    "trainers": {"errors", "version", "dataset_names", "dataset_file", "tokens"}
    | {"parquet_batches", "regular_files"},
    "publish": GROUND | {"export", "report", "stages", "store", "validate"},
    "cli": GROUND
    | {"runners", "stages", "report", "engines", "diff", "store", "tokens", "prompts", "demo"}
    | {"export", "publish", "status", "validate", "check", "view"},
    "": {"diff", "tokens", "version", "config", "export"},
    "__main__": {"cli", "ending"},
}


def list_modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported_parts(path: Path) -> set[str]:
    parts = set()
    for node in ast.walk(parse_file(path)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "dfgen":
                names = [f"dfgen.{alias.name}" for alias in node.names]
        parts |= {name.split(".")[1] for name in names if re.match(r"dfgen\.\w", name)}
    return parts


def name_module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(path: Path) -> set[str]:
    """Modules of dfgen that a file imports anywhere, also where it names one to import from."""
    found = set()
    for node in ast.walk(parse_file(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
            # `from package import module` ties to the module, not to the package's own file.
            if (ROOT / Path(*node.module.split("."))).with_suffix(".py").exists():
                found.add(node.module)
    return {name for name in found if name.startswith("dfgen.")}


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    name = relative.parts[0].removesuffix(".py")
    return "" if name == "__init__" else name


@pytest.mark.parametrize("path", list_modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    assert part in ARROWS, f"{part} is a new part: draw its arrows here"
    wrong = imported_parts(path) - ARROWS[part] - {part}
    assert not wrong, f"{part} must not import {sorted(wrong)}"


# Files that decide something about rows and nothing else: they know no directory and no model. What
# stands between a run directory and them is a file named stage, record, grading, pairs, ...
PURE = (
    "pictures/*.py",
    "diff/*.py",
    "grade/*.py",
    "stages/prompting.py",
    "stages/screening.py",
    "stages/sample/draws.py",
    "stages/sample/early_stop.py",
    "stages/repair/checks.py",
    "stages/repair/compare.py",
    "stages/repair/estimate.py",
    "stages/repair/leak.py",
    "stages/repair/necessity.py",
    "stages/repair/parse.py",
    "stages/repair/plan.py",
    "stages/repair/prompt.py",
    "stages/repair/select.py",
    "stages/repair/wording.py",
    "stages/score/black.py",
    "stages/score/gap.py",
    "stages/score/planning.py",
    "stages/score/rows.py",
    "stages/value/blame.py",
    "stages/value/masks.py",
    "stages/value/planning.py",
    "stages/value/rows.py",
    "stages/mask/rows.py",
    "stages/mask/weights.py",
    "validate/masks.py",
)


@pytest.mark.parametrize("pattern", PURE)
def test_decisions_about_rows_know_no_store_and_no_model(pattern: str) -> None:
    paths = sorted(PACKAGE.glob(pattern))
    assert paths, f"{pattern} is gone: name its successor here"
    for path in paths:
        wrong = imported_modules(path) & {name_module(other) for other in list_modules()}
        # The protocol of an engine is data: requests and results.
        wrong = {name for name in wrong if re.match(r"dfgen\.(store|engines(?!\.base$))", name)}
        assert not wrong, f"{path.relative_to(PACKAGE)} imports {sorted(wrong)}"


def test_no_files_import_each_other_in_a_circle() -> None:
    """Imports inside of functions and for type checking count, too: they tie two files as well."""
    names = {name_module(path): path for path in list_modules()}
    graph = {name: imported_modules(path) & names.keys() - {name} for name, path in names.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        raise AssertionError(f"a circle: {' -> '.join(error.args[1])}") from None


def test_demo_training_may_use_everything_but_nothing_uses_it() -> None:
    for path in list_modules():
        if part_of(path) != "demo":
            assert "dfgen.demo.train" not in path.read_text("utf-8")


def test_files_stay_readable() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in list_modules()}
    long = {str(path): n for path, n in lengths.items() if n > 500}
    assert not long
    assert statistics.median(n for n in lengths.values() if n > 1) <= 150


def test_file_names_say_something() -> None:
    vague = re.compile(r"(utils?|helpers?|common|misc)\.py$")
    assert not [path for path in list_modules() if vague.search(path.name)]


def test_top_level_holds_only_what_was_agreed() -> None:
    import subprocess

    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout: the list of files is git's")
    top = {line.split("/")[0] for line in listed.stdout.splitlines()}
    agreed = {
        *("pyproject.toml", "dfgen", "pipelines", "schemas", "tests", "Makefile", "README.md"),
        *("LICENSE", "CHANGELOG.md", "SECURITY.md", ".ci", ".gitignore"),
    }
    assert top <= agreed
