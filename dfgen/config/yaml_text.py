"""Parses YAML that people and strangers wrote, in bounded time, with one clear error for all of it.

PyYAML alone takes the last of two equal keys in silence, raises whatever Python raises for an
impossible date or a number of thousands of digits, follows nesting until Python's stack ends, and
lets a few aliases stand for millions of values.
"""

from __future__ import annotations

from typing import Any

import yaml

from dfgen.errors import ConfigError

MOST_LEVELS = 64
"""Lists and mappings inside each other."""
MOST_VALUES = 200_000
"""Scalars, lists and mappings, those that aliases repeat counted each time."""
LONGEST_NUMBER = 400
"""Characters of a number; more are a mistake or an attack, as Python needs their square in time."""

_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_SHOWN = 60


def parse_yaml(text: str, origin: str, *, unique_keys: bool = True) -> Any:
    """Return the value that a YAML document stands for.

    Args:
        text: the document.
        origin: names it in messages: a file, an option.
        unique_keys: two equal keys of a mapping are an error; otherwise the last one holds.

    Raises:
        ConfigError: it is not valid YAML, or more than a pipeline could need; names the line.
    """
    try:
        loader = _Loader(text)
        loader.unique_keys = unique_keys
        return loader.get_single_data()
    except yaml.YAMLError as error:
        raise ConfigError(
            f"is not valid YAML: {_explain(error)}.", where=f"{origin}{_find_line(error, text)}"
        ) from None


def _explain(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        return f"the character U+{int(error.character):04X} may not stand in it"
    said = getattr(error, "problem", None) or getattr(error, "context", None) or str(error)
    return str(said).strip().rstrip(".")


def _find_line(error: yaml.YAMLError, text: str) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        return f":{text.count(chr(10), 0, error.position) + 1}"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return f":{mark.line + 1}" if mark else ""


class _Loader(yaml.SafeLoader):
    """SafeLoader, bounded. Composing comes before constructing, so that a bomb is never built."""

    unique_keys = True

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._levels = 0
        self._values = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a value; counts it, with all that an alias stands for."""
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        is_alias = self.check_event(yaml.AliasEvent)
        before = self._values
        self._levels += 1
        if self._levels > MOST_LEVELS:
            raise _refuse(f"more than {MOST_LEVELS} lists and mappings stand in each other", mark)
        node = super().compose_node(parent, index)
        self._levels -= 1
        if is_alias and id(node) not in self._sizes:
            raise _refuse("a value contains itself", mark)
        self._values += self._sizes[id(node)] if is_alias else 1
        if self._values > MOST_VALUES:
            raise _refuse(f"it stands for more than {MOST_VALUES:,} values, aliases followed", mark)
        if node is not None and not is_alias:
            self._sizes[id(node)] = self._values - before
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping; two equal keys are an error."""
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value if self.unique_keys else ():
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            name = (key.tag, key.value)
            if name in lines:
                raise _refuse(
                    f"the key {key.value[:_SHOWN]!r} stands twice, first in line {lines[name]}",
                    key.start_mark,
                )
            lines[name] = key.start_mark.line + 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Make a value; whatever Python raises for it is an error of the file."""
        if node.tag in _NUMBERS and len(str(node.value)) > LONGEST_NUMBER:
            raise _refuse(
                f"a number has {len(node.value):,} characters, more than {LONGEST_NUMBER}",
                node.start_mark,
            )
        try:
            if isinstance(node, yaml.ScalarNode):
                node.value.encode()  # half of a surrogate pair can be written, and kept nowhere
            return super().construct_object(node, deep)
        except (yaml.YAMLError, MemoryError):
            raise
        except Exception as error:
            said = (str(error).splitlines() or [""])[0]
            shown = str(node.value)[:_SHOWN] if isinstance(node, yaml.ScalarNode) else "a value"
            raise _refuse(f"{shown!r} cannot be read: {said}", node.start_mark) from error


def _refuse(problem: str, mark: yaml.Mark) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(problem=problem, problem_mark=mark)
