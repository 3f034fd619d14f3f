"""Collects the tokens that the files of a model folder add to those of `tokenizer.json`.

They may stand in `tokenizer_config.json`, in `special_tokens_map.json` and in `added_tokens.json`.
The order in which they are added decides their ids. It is that of `transformers` 5
(`PreTrainedTokenizerBase._from_pretrained`, `TokenizersBackend.__init__`); a test compares both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""The special tokens that every `transformers` tokenizer has a name for, in its order."""

Token = Any
"""`str` or `tokenizers.AddedToken`."""


class NotPlainError(Exception):
    """Only `transformers` knows what to do with this folder, if anybody does."""


@dataclass(frozen=True)
class Additions:
    """The tokens that the files beside `tokenizer.json` name.

    Attributes:
        by_id: tokens with the id that the files give them; the id decides only the order.
        named: role (`eos_token`, `image_token`) to token, in the order in which they are added.
        extra: further special tokens.
    """

    by_id: dict[int, Any] = field(default_factory=dict)
    named: dict[str, Token] = field(default_factory=dict)
    extra: list[Token] = field(default_factory=list)


def read_text(path: Path) -> str | None:
    """Return the content of a file, None if it is not there or cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def read_json(path: Path) -> dict[str, Any]:
    """Return the settings in a JSON file, none if it is not there.

    Raises:
        NotPlainError: it holds something else than settings by name.
        ValueError: it is no JSON.
    """
    text = read_text(path)
    found = {} if text is None else json.loads(text)
    if not isinstance(found, dict):
        raise NotPlainError
    return found


def read_additions(
    folder: Path,
    settings: dict[str, Any],
    description: dict[str, Any],
    defaults: dict[str, str | None],
) -> Additions:
    """Collect the tokens that a folder's files add, as `transformers` does.

    Args:
        folder: where `special_tokens_map.json` and `added_tokens.json` may be.
        settings: the content of `tokenizer_config.json`.
        description: the content of `tokenizer.json`.
        defaults: special tokens that the tokenizer's class has unless the settings say otherwise.

    Raises:
        NotPlainError: what stands for a token is none.
        KeyError, TypeError, ValueError: the files are malformed.
    """
    from tokenizers import AddedToken

    given = dict(settings)
    _use_old_name(given)
    by_kind: dict[str, Token] = {
        key: given.pop(key)
        for key in list(given)
        if key.endswith("_token") and key not in ROLES and isinstance(given[key], str)
    }
    if isinstance(given.get("extra_special_tokens"), dict):
        by_kind |= given.pop("extra_special_tokens")
    by_id: dict[int, Any] = {}
    if "added_tokens_decoder" in given:
        for index, token in given.pop("added_tokens_decoder").items():
            by_id[int(index)] = make_token(token)
    else:
        _merge_special_tokens_map(given, by_kind, read_json(folder / "special_tokens_map.json"))
        # As `transformers` compares them: tokens that are still JSON equal no text.
        special = {str(given[role]) for role in ROLES if given.get(role)}
        special |= {str(token) for token in given.get("extra_special_tokens") or ()}
        for content, index in read_json(folder / "added_tokens.json").items():
            by_id[index] = AddedToken(
                content, normalized=content not in special, special=content in special
            )
        for entry in description["added_tokens"]:
            by_id[entry["id"]] = make_token(entry)
    by_content = {token.content: token for token in by_id.values()}
    given = {key: _to_token(value) for key, value in given.items()}
    for role in ROLES:
        token = given.get(role)
        if token is not None:
            given[role] = by_content.get(str(token), token)
    given = {**defaults, **given}
    if description.get("padding"):
        given.setdefault("pad_token", description["padding"]["pad_token"])
    _use_old_name(given, replace_empty=False)
    extra = [_to_token(token) for token in given.get("extra_special_tokens") or ()]
    named = {role: given[role] for role in ROLES if given.get(role) is not None}
    named |= {
        key: value
        for key, value in given.items()
        if key.endswith("_token") and key not in ROLES and isinstance(value, (str, AddedToken))
    }
    named |= {key: _to_token(value) for key, value in by_kind.items()}
    if not all(isinstance(token, (str, AddedToken)) for token in [*named.values(), *extra]):
        raise NotPlainError
    return Additions(by_id, named, extra)


def _use_old_name(given: dict[str, Any], *, replace_empty: bool = True) -> None:
    """`additional_special_tokens` is what `extra_special_tokens` was called before."""
    taken = given.get("extra_special_tokens") if replace_empty else "extra_special_tokens" in given
    if "additional_special_tokens" in given and not taken:
        given["extra_special_tokens"] = given.pop("additional_special_tokens")


def _merge_special_tokens_map(
    given: dict[str, Any], by_kind: dict[str, Token], found: dict[str, Any]
) -> None:
    for key, value in found.items():
        if key == "extra_special_tokens" and isinstance(value, list):
            merged = list(given.get(key) or ())
            for token in value:
                entry = make_token(token, special=True) if isinstance(token, dict) else token
                if entry not in merged:
                    merged.append(entry)
            given[key] = merged
        elif isinstance(value, dict) and key != "extra_special_tokens":
            given[key] = make_token(value, special=True)
        else:
            given[key] = value
    if isinstance(given.get("extra_special_tokens"), dict):
        by_kind |= given.pop("extra_special_tokens")


def make_token(entry: dict[str, Any], **changes: Any) -> Any:
    """Make a `tokenizers.AddedToken` of its JSON, with some of its flags changed."""
    from tokenizers import AddedToken

    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    given = {key: entry[key] for key in flags if key in entry} | changes
    return AddedToken(entry["content"], **given)


def _to_token(value: Any) -> Any:
    """Turn the JSON of an added token into one; anything else stays as it is."""
    if isinstance(value, dict) and value.get("__type") == "AddedToken":
        return make_token(value)
    if isinstance(value, list):
        return [_to_token(entry) for entry in value]
    return value


def add_tokens(tokenizer: Any, additions: Additions) -> None:
    """Add tokens to a `tokenizers.Tokenizer`, in the order of `transformers`."""
    from tokenizers import AddedToken

    known = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    names = {str(token) for token in additions.named.values() if token}
    wanted = [additions.by_id[index] for index in sorted(additions.by_id)]
    known |= {token.content for token in wanted}
    for token in [*additions.named.values(), *additions.extra]:
        # One text may come twice, with other flags: the last one counts, as in `transformers`.
        if str(token) not in known and token not in wanted:
            wanted.append(token)
    tokens = []
    for token in wanted:
        if isinstance(token, str):
            tokens.append(AddedToken(token, special=True))
            continue
        if not token.special and token.content in names:
            token.special = True
        tokens.append(token)
    if tokens:
        tokenizer.add_tokens(tokens)


def restate_special_tokens(tokenizer: Any, additions: Additions) -> None:
    """Add all special tokens once more, which takes their stripping of blanks away."""
    from tokenizers import AddedToken

    names = [str(token) for token in [*additions.named.values(), *additions.extra] if token]
    tokenizer.add_tokens([AddedToken(name, special=True) for name in dict.fromkeys(names)])


def show_added(tokenizer: Any) -> dict[int, str]:
    """Return id and description of every added token of a `tokenizers.Tokenizer`."""
    return {index: repr(token) for index, token in tokenizer.get_added_tokens_decoder().items()}
