"""What pip calls this project stands in one constant, and nothing sends people to another's."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from dfgen.version import DISTRIBUTION, VERSION

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

# pip, uv, pipx, poetry ...: anything that installs, then options and quotes, then the bare name.
FOREIGN = re.compile(
    r"""\b(?:pip3?\s+install|pipx\s+(?:install|run)|uv\s+(?:add|tool\s+install)|uvx|poetry\s+add)
        (?:[ \t]+[^\s#;|&]+)*?[ \t]+["'`]?dfgen(?![\w/.-])""",
    re.VERBOSE,
)
PAGE = re.compile(r"pypi\.(?:org|python\.org)/(?:project|pypi|simple)/dfgen(?![\w-])")


def list_texts() -> list[Path]:
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    paths = [ROOT / name for name in names.split("\0") if name]
    return [path for path in paths if path.is_file() and path != Path(__file__)]


@pytest.mark.parametrize(
    "text",
    [
        "pip install dfgen",
        "pip install -U dfgen",
        "pip install --upgrade --quiet dfgen",
        "pip install 'dfgen[vllm]'",
        'pip install "dfgen>=0.1"',
        "python -m pip install torch dfgen==0.2",
        "pip3 install dfgen[local]",
        "uv add dfgen",
        "pipx install dfgen",
    ],
)
def test_a_foreign_installation_is_recognised(text: str) -> None:
    assert FOREIGN.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "pip install dfgen-masks",
        "pip install '.[vllm]'",
        "pip install '.[vllm]' in the clone of dfgen",
        "pip install --editable . && dfgen demo",
        "pip install .; dfgen demo",
        "pip install torch   # dfgen needs it",
    ],
)
def test_our_own_installation_is_none(text: str) -> None:
    clone = text.split(" in the clone", maxsplit=1)[0]
    assert not FOREIGN.search(clone)


def test_nothing_installs_what_belongs_to_somebody_else() -> None:
    found = []
    for path in list_texts():
        text = path.read_bytes().decode("utf-8", "replace").replace("in the clone of dfgen", "")
        for pattern in (FOREIGN, PAGE):
            found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in pattern.finditer(text)]
    assert not found


def test_the_name_stands_in_one_constant() -> None:
    assert PROJECT["project"]["name"] == DISTRIBUTION == "dfgen-masks"
    literals = [
        str(path.relative_to(ROOT))
        for path in list_texts()
        if path.suffix == ".py" and DISTRIBUTION in path.read_text("utf-8")
    ]
    assert literals == ["dfgen/version.py"]


def test_package_command_and_graders_keep_their_name() -> None:
    project = PROJECT["project"]
    assert project["scripts"] == {"dfgen": "dfgen.__main__:main"}
    assert "dfgen.graders" in project["entry-points"]
    command = EntryPoint("dfgen", project["scripts"]["dfgen"], "console_scripts")
    assert callable(command.load())
    module, _, name = PROJECT["tool"]["setuptools"]["dynamic"]["version"]["attr"].rpartition(".")
    assert EntryPoint("version", f"{module}:{name}", "").load() == VERSION
    assert set(PROJECT["tool"]["setuptools"]["package-data"]) == {"dfgen"}


def test_hints_name_extras_that_exist() -> None:
    extras = set(PROJECT["project"]["optional-dependencies"])
    for path in list_texts():
        if path.suffix in {".py", ".md", ".yaml"} or path.name == "Makefile":
            for named in re.findall(r"'\.\[([\w,]+)\]'", path.read_text("utf-8")):
                assert set(named.split(",")) <= extras, path
