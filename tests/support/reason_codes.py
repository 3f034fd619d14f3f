"""Finds every reason code that the package can give, by following its source.

A code is whatever reaches a parameter or field named `reason` of a class or function of dfgen, or
stands under that key in a dict. Names are followed to what they are assigned, parameters to what
callers pass, calls to what the function returns. What cannot be followed is an error, so that no
code hides behind a form of Python that this module does not know.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.code_trees import parse_file

PACKAGE = Path(__file__).parents[2] / "dfgen"

NO_CODE = {
    "RepairerEdit": "what the repairer said about an edit, in its own words",
    "Hunk": "the same, of a hunk",
    "MarkGuess": "a sentence about how a number was read",
    "_note": "the same",
}
"""What has a parameter `reason` that is no code, and what it is instead."""

NO_CODE_UNDER_THE_KEY = {
    "retry.py": "the manifest's entry of a retry says why it was asked for: `length`",
    "parse.py": "the JSON schema of an edit",
    "lanes.py": "the ledger's entry of an answer that nobody waits for any more",
    "costs.py": "under what an answer is counted that nobody asked for any more",
}
"""Files whose dicts have a key `reason` for something else."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


class UnknownFormError(Exception):
    """A value whose code cannot be found; the message says where."""


@dataclass
class Source:
    """One file, with what of it is looked up by name."""

    path: Path
    tree: ast.Module
    constants: dict[str, ast.expr] = field(default_factory=dict)
    functions: dict[str, list[Function]] = field(default_factory=lambda: defaultdict(list))
    owner: dict[ast.AST, Function | None] = field(default_factory=dict)


def read_sources() -> list[Source]:
    """Parse every file of the package."""
    return [read_source(path, parse_file(path)) for path in sorted(PACKAGE.rglob("*.py"))]


def read_source(path: Path, tree: ast.Module) -> Source:
    """Make a parsed file ready to be searched."""
    source = Source(path, tree)
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                source.constants.update(_pair_names(target, node.value))
    _note_owners(source, tree, None)
    return source


def list_names(sources: list[Source]) -> set[str]:
    """Names of all classes and functions."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    return {n.name for source in sources for n in ast.walk(source.tree) if isinstance(n, kinds)}


def _pair_names(target: ast.expr, value: ast.expr) -> dict[str, ast.expr]:
    """Names of an assignment, each with its own value where that can be told."""
    if isinstance(target, ast.Name):
        return {target.id: value}
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        found: dict[str, ast.expr] = {}
        for inner, part in zip(target.elts, value.elts, strict=True):
            found |= _pair_names(inner, part)
        return found
    return {}


def _note_owners(source: Source, node: ast.AST, owner: Function | None) -> None:
    for child in ast.iter_child_nodes(node):
        source.owner[child] = owner
        if isinstance(child, Function):
            source.functions[child.name].append(child)
            _note_owners(source, child, child)
        else:
            _note_owners(source, child, owner)


def _list_parameters(function: Function) -> list[str]:
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def _name_called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Name):
        return call.func.id
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


class Collector:
    """Follows values through the package."""

    def __init__(self, sources: list[Source]) -> None:
        self.sources = sources
        self.calls: dict[str, list[tuple[Source, ast.Call]]] = defaultdict(list)
        for source in sources:
            for node in ast.walk(source.tree):
                if isinstance(node, ast.Call):
                    self.calls[_name_called(node)].append((source, node))
        self.carriers = self.find_carriers()
        # Functions of a module, not of a class: what is called `thing.name(...)` is another one.
        self.plain = {
            node.name
            for source in sources
            for node in source.tree.body
            if isinstance(node, Function)
        }
        self._open: set[tuple[int, int]] = set()

    def find_carriers(self) -> dict[str, list[str]]:
        """Classes and functions that take a reason, with the order of their parameters."""
        found = {}
        for source in self.sources:
            for node in ast.walk(source.tree):
                if isinstance(node, Function) and node.name != "__init__":
                    names = _list_parameters(node)
                elif isinstance(node, ast.ClassDef):
                    names = [
                        part.target.id
                        for part in node.body
                        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
                    ]
                    for part in node.body:
                        if isinstance(part, Function) and part.name == "__init__":
                            names = _list_parameters(part)
                else:
                    continue
                if "reason" in names and node.name not in NO_CODE:
                    found[node.name] = names
        return found

    def collect(self) -> dict[str, set[str]]:
        """Every code with the files that give it."""
        found: dict[str, set[str]] = defaultdict(set)
        for source, value in self._iter_values():
            for code in self.resolve(source, value):
                found[code].add(_name_file(source))
        return dict(found)

    def _iter_values(self) -> Iterator[tuple[Source, ast.expr]]:
        for name, parameters in self.carriers.items():
            for source, call in self.calls[name]:
                if self._means_another(source, call):
                    continue
                value = _find_argument(call, parameters, "reason")
                if value is not None:
                    yield source, value
        for source in self.sources:
            for node in ast.walk(source.tree):
                if isinstance(node, ast.Dict):
                    for key, part in zip(node.keys, node.values, strict=True):
                        if source.path.name in NO_CODE_UNDER_THE_KEY:
                            continue
                        if isinstance(key, ast.Constant) and key.value == "reason":
                            yield source, part

    def _means_another(self, source: Source, call: ast.Call) -> bool:
        """Whether a call is not one of the function of this name: a method's, or a parameter's."""
        if _name_called(call) in self.plain and isinstance(call.func, ast.Attribute):
            return True
        owner = source.owner.get(call)
        return owner is not None and _name_called(call) in _list_parameters(owner)

    def resolve(self, source: Source, value: ast.expr, part: int | None = None) -> set[str]:
        """Codes that a value may be; of a tuple, those of one part of it.

        Raises:
            UnknownFormError: it cannot be told.
        """
        mark = (id(value), -1 if part is None else part)
        if mark in self._open:
            return set()
        self._open.add(mark)
        try:
            return self._resolve(source, value, part)
        finally:
            self._open.discard(mark)

    def _resolve(self, source: Source, value: ast.expr, part: int | None) -> set[str]:
        if isinstance(value, ast.Constant):
            return {value.value} if isinstance(value.value, str) else set()
        if isinstance(value, ast.Tuple) and part is not None:
            return self.resolve(source, value.elts[part])
        if isinstance(value, ast.IfExp | ast.BoolOp):
            branches = value.values if isinstance(value, ast.BoolOp) else [value.body, value.orelse]
            return set().union(*(self.resolve(source, branch, part) for branch in branches))
        return self._follow(source, value, part)

    def _follow(self, source: Source, value: ast.expr, part: int | None) -> set[str]:
        if isinstance(value, ast.JoinedStr):
            return self._spell(source, value)
        if isinstance(value, ast.Name):
            return self._follow_name(source, value, part)
        if isinstance(value, ast.Call):
            return self._follow_call(source, value, part)
        # `error.reason`, `row["reason"]`: made elsewhere, and found there. A schema is no code.
        if isinstance(value, ast.Attribute | ast.Subscript | ast.Dict):
            return set()
        raise self._complain(source, value)

    def _spell(self, source: Source, text: ast.JoinedStr) -> set[str]:
        spelt = {""}
        for piece in text.values:
            inner = piece.value if isinstance(piece, ast.FormattedValue) else piece
            spelt = {head + tail for head in spelt for tail in self.resolve(source, inner)}
        return spelt

    def _follow_name(self, source: Source, name: ast.Name, part: int | None) -> set[str]:
        owner = source.owner.get(name)
        found: set[str] = set()
        bound = False
        for node in ast.walk(owner) if owner else ():
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    place = _find_place(target, name.id)
                    if place is not None:
                        bound = True
                        found |= self.resolve(source, node.value, part if place < 0 else place)
            elif isinstance(node, ast.For | ast.comprehension):
                place = _find_place(node.target, name.id)
                if place is not None:
                    bound = True
                    for item_source, item in self._iter_items(source, node.iter):
                        found |= self.resolve(item_source, item, None if place < 0 else place)
        if bound:
            return found
        if owner and name.id in _list_parameters(owner):
            for caller, argument in self._iter_arguments(owner, name.id):
                found |= self.resolve(caller, argument, part)
            return found
        constant = self._find_constant(source, name.id)
        if constant is None:
            raise self._complain(source, name)
        return self.resolve(*constant, part)

    def _find_constant(self, source: Source, name: str) -> tuple[Source, ast.expr] | None:
        for candidate in (source, *self.sources):
            if name in candidate.constants:
                return candidate, candidate.constants[name]
        return None

    def _follow_call(self, source: Source, call: ast.Call, part: int | None) -> set[str]:
        name = _name_called(call)
        found: set[str] = set()
        # An object with a reason of its own, or a row on record: found where it is made.
        if name == "get" or (name in self.carriers and name[0].isupper()):
            return found
        places = [place for place in self.sources if name in place.functions]
        if not places:
            raise self._complain(source, call)
        for place in [source] if source in places else places:
            for function in place.functions[name]:
                for node in ast.walk(function):
                    if isinstance(node, ast.Return) and node.value is not None:
                        found |= self.resolve(place, node.value, part)
        return found

    def _iter_arguments(self, function: Function, name: str) -> Iterator[tuple[Source, ast.expr]]:
        for source, call in self.calls[function.name]:
            if self._means_another(source, call):
                continue
            argument = _find_argument(call, _list_parameters(function), name)
            if argument is not None:
                yield source, argument

    def _iter_items(self, source: Source, value: ast.expr) -> Iterator[tuple[Source, ast.expr]]:
        if isinstance(value, ast.Tuple | ast.List):
            for item in value.elts:
                if isinstance(item, ast.Starred):
                    yield from self._iter_items(source, item.value)
                else:
                    yield source, item
            return
        owner = source.owner.get(value)
        if isinstance(value, ast.Name) and owner and value.id in _list_parameters(owner):
            for caller, argument in self._iter_arguments(owner, value.id):
                yield from self._iter_items(caller, argument)
            return
        place = self._find_constant(source, value.id) if isinstance(value, ast.Name) else None
        if place is None:
            raise self._complain(source, value)
        yield from self._iter_items(*place)

    def _complain(self, source: Source, node: ast.expr) -> UnknownFormError:
        place = f"{_name_file(source)}:{node.lineno}"
        return UnknownFormError(f"{place}: cannot tell which code {ast.unparse(node)} is")


def _name_file(source: Source) -> str:
    inside = source.path.is_relative_to(PACKAGE)
    return source.path.relative_to(PACKAGE).as_posix() if inside else source.path.name


def _find_argument(call: ast.Call, parameters: list[str], name: str) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    index = parameters.index(name)
    return call.args[index] if index < len(call.args) else None


def _find_place(target: ast.expr, name: str) -> int | None:
    """Where a target binds a name: -1 as a whole, else its place in a tuple; None if nowhere."""
    if isinstance(target, ast.Name) and target.id == name:
        return -1
    if isinstance(target, ast.Tuple):
        for index, part in enumerate(target.elts):
            if isinstance(part, ast.Name) and part.id == name:
                return index
    return None


def collect_codes() -> dict[str, set[str]]:
    """Every code that the package can give, with the files that give it."""
    return Collector(read_sources()).collect()
