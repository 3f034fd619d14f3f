"""No result depends on the order of a set: of strings it is another one in every process."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.code_trees import parse_code, parse_file

ROOT = Path(__file__).parents[1]
#: What hands on the order of what it is given. `sorted`, `min`, `max` do so among what is equal.
KEEPERS = {"list", "tuple", "enumerate", "zip", "iter", "join", "fromkeys", "extend"}
CHOOSERS = {"sorted", "min", "max", "nsmallest", "nlargest"}
#: Keys of which each value has its own.
TOTAL = {"int", "str", "repr"}
OPERATORS = (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)


def find_uses(tree: ast.AST) -> Iterator[int]:
    """Yield the lines on which the order of a set is handed on."""
    for scope in ast.walk(tree):
        if isinstance(scope, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef):
            nodes = list(walk_scope(scope))
            names = find_set_names(nodes)
            yield from (node.lineno for node in nodes if hands_on(node, names))


def walk_scope(scope: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Yield what stands in a function, or a module, without the functions inside."""
    for child in ast.iter_child_nodes(scope):
        if isinstance(child, ast.expr | ast.stmt):
            yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from walk_scope(child)


def find_set_names(nodes: list[ast.expr | ast.stmt]) -> set[str]:
    """Name the variables that hold nothing but sets."""
    held: dict[str, list[bool]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    held.setdefault(target.id, []).append(is_set(node.value, set()))
    return {name for name, kinds in held.items() if all(kinds)}


def is_set(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.BinOp) and isinstance(node.op, OPERATORS):
        return is_set(node.left, names) or is_set(node.right, names)
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return isinstance(node, ast.Set | ast.SetComp) or (
        called and node.func.id in {"set", "frozenset"}  # type: ignore[attr-defined]
    )


def hands_on(node: ast.expr | ast.stmt, names: set[str]) -> bool:
    if isinstance(node, ast.ListComp):
        return any(is_set(each.iter, names) for each in node.generators)
    if not isinstance(node, ast.Call) or not node.args:
        return False
    func = node.func
    name = func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")
    given = [arg.value if isinstance(arg, ast.Starred) else arg for arg in node.args]
    held = any(
        is_set(each, names)
        or (
            isinstance(each, ast.GeneratorExp)
            and any(is_set(part.iter, names) for part in each.generators)
        )
        for each in given
    )
    if name in CHOOSERS:
        keys = [word.value for word in node.keywords if word.arg == "key"]
        return held and any(not (isinstance(k, ast.Name) and k.id in TOTAL) for k in keys)
    return held and name in KEEPERS


@pytest.mark.parametrize("folder", ["dfgen", "tests/benchmarks", "tests/support", "pipelines"])
def test_no_order_of_a_set_is_handed_on(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in find_uses(parse_file(path))
    ]
    assert found == [], "sort it by all there is first, or keep the order with dict.fromkeys"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("names = {x for x in y}\nsorted(names, key=lambda n: n[0])", True),
        ("def f():\n    names = set(y) - other\n    return [n for n in names]", True),
        ("', '.join(x.name for x in {a, b})", True),
        ("min({a, b}, key=len)", True),
        ("list(frozenset(y))", True),
        ("sorted(sorted({a, b}), key=len)", False),
        ("sorted({a, b}, key=int)", False),
        ("names = {a}\nnames = [a]\nlist(names)", False),
        ("sum(x for x in {a, b})", False),
    ],
)
def test_it_finds_what_it_should(code: str, found: bool) -> None:
    assert bool(list(find_uses(parse_code(code)))) is found


@pytest.mark.parametrize("seed", ["0", "3"])
def test_the_studys_tables_are_in_one_order(seed: str) -> None:
    """Two cells that the chosen order leaves open; by seed 0 and 3 their set has both orders."""
    code = """
from itertools import product
from tests.benchmarks.study.comparisons import list_cells
cells = product(("steps", "chains"), ("rounds", "offline"), ("a", "b", "c"), (True, False))
names = ("task", "regime", "repairer", "verified")
print(list_cells([dict(zip(names, cell)) for cell in cells]))
"""
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    cells = ast.literal_eval(told)
    assert [cell[2] for cell in cells[:6]] == ["a", "b", "c"] * 2
    assert len(cells) == 24
