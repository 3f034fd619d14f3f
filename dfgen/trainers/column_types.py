"""Says of what type each column is that trainers read, and refuses a file in which one is another.

numpy and torch would make something of nearly any type: of a mask of numbers a mask that is true
wherever a number is not 0, of ids of 64 bits others of 32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dfgen.errors import DamagedFileError

if TYPE_CHECKING:
    import pyarrow as pa

NESTED = "trajectories"
"""The column of a group that holds its answers."""

_AGAIN_HINT = "Export the run again; a table that was written anew keeps the types it had."


def _is_text(found: pa.DataType) -> bool:
    import pyarrow as pa

    inner = found.value_type if pa.types.is_dictionary(found) else found
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))


def _is_bool(found: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_boolean(found))


def _is_integer(found: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(found))


def _is_float(found: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_floating(found))


def _is_binary(found: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(found) or pa.types.is_large_binary(found))


_NAMES: dict[Callable[..., bool], str] = {
    _is_text: "text",
    _is_bool: "true or false",
    _is_integer: "whole numbers",
    _is_float: "floating-point numbers",
    _is_binary: "bytes",
}

_GROUP: Mapping[str, Any] = {
    "prompt_id": _is_text,
    "prompt": ({"role": _is_text, "content": ({"type": _is_text, "text": _is_text},)},),
    "messages": ({"role": _is_text, "content": _is_text},),
    "images": ({"bytes": _is_binary},),
    "answer": _is_text,
    "solution": _is_text,
    "choices": (_is_text,),
    "metadata": _is_text,
}
"""What must be true of a type: a list (a tuple of one), a struct (a dict), or one of the above."""

_ANSWER: Mapping[str, Any] = {
    **dict.fromkeys(("trajectory_id", "mask_source", "finish_reason", "source_id"), _is_text),
    **dict.fromkeys(("completion_text", "repair", "metadata"), _is_text),
    **dict.fromkeys(("completion_ids", "repair_ids"), (_is_integer,)),
    **dict.fromkeys(("loss_mask", "repair_mask"), (_is_bool,)),
    **dict.fromkeys(("logprobs", "scored_logprobs", "tempered_logprobs", "weights"), (_is_float,)),
    **dict.fromkeys(("repair_logprobs", "repair_tempered_logprobs"), (_is_float,)),
    "reward": _is_float,
    "undecided": _is_bool,
}

_NEEDED = ("prompt_id", "prompt", "messages", "images")
NEEDED_ANSWER = ("trajectory_id", "mask_source", "completion_ids", "loss_mask", "reward")
"""Without these nothing can be trained on; the other columns came later or may be unknown."""


def check_columns(
    schema: pa.Schema, columns: Sequence[str], nested: Sequence[str], where: str
) -> None:
    """Refuse a file whose columns are missing or of another type than dfgen writes.

    Args:
        schema: of the file.
        columns: of groups that are going to be read.
        nested: of their trajectories.
        where: names the file.

    Raises:
        DamagedFileError: names the first such column.
    """
    _check(schema, _GROUP, [name for name in _GROUP if name in columns], _NEEDED, "", where)
    if not nested:
        return
    index = schema.get_field_index(NESTED)
    kind = None if index < 0 else schema.field(index).type
    if kind is None or not _is_list_of_structs(kind):
        raise DamagedFileError(
            f"its column {NESTED} is {kind or 'missing'}; it must be a list of answers.",
            where=where,
            hint=_AGAIN_HINT,
        )
    wanted = [name for name in _ANSWER if name in nested]
    _check(list(kind.value_type), _ANSWER, wanted, NEEDED_ANSWER, f"{NESTED}.", where)


def _check(
    fields: Iterable[pa.Field],
    kinds: Mapping[str, Any],
    wanted: Sequence[str],
    needed: Sequence[str],
    prefix: str,
    where: str,
) -> None:
    found = {field.name: field.type for field in fields}
    for name in wanted:
        if name not in found:
            if name in needed:
                raise DamagedFileError(
                    f"it has no column {prefix}{name}.", where=where, hint=_AGAIN_HINT
                )
        elif not _matches(found[name], kinds[name], needed=name in needed):
            raise DamagedFileError(
                f"its column {prefix}{name} is {found[name]}; it must be {_describe(kinds[name])}.",
                where=where,
                hint=_AGAIN_HINT,
            )


def _matches(found: pa.DataType, wanted: Any, *, needed: bool) -> bool:
    import pyarrow as pa

    if pa.types.is_null(found):  # all of it is null
        return not needed
    if isinstance(wanted, tuple):
        return _is_list(found) and _matches(found.value_type, wanted[0], needed=False)
    if isinstance(wanted, dict):
        if not pa.types.is_struct(found):
            return False
        inner = {field.name: field.type for field in found}
        return all(n in inner and _matches(inner[n], k, needed=False) for n, k in wanted.items())
    return bool(wanted(found))


def _is_list(found: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(found) or pa.types.is_large_list(found))


def _is_list_of_structs(found: pa.DataType) -> bool:
    import pyarrow as pa

    return _is_list(found) and bool(pa.types.is_struct(found.value_type))


def _describe(wanted: Any) -> str:
    if isinstance(wanted, tuple):
        return f"lists of {_describe(wanted[0])}"
    if isinstance(wanted, dict):
        return f"structs of {', '.join(wanted)}"
    return _NAMES[wanted]
