"""Every reason code has a row in the table, and every row a use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dfgen import reasons
from dfgen.reasons import REASONS, find_reason, write_reasons
from tests.support.code_trees import parse_code
from tests.support.reason_codes import (
    NO_CODE,
    Collector,
    Source,
    UnknownFormError,
    collect_codes,
    list_names,
    read_source,
    read_sources,
)

ROOT = Path(__file__).parents[1]
STAGES = ("prompts", "sample", "repair", "score", "value", "mask")
FOUND = collect_codes()


def test_no_code_is_used_without_a_row() -> None:
    unknown = {code: sorted(files) for code, files in FOUND.items() if find_reason(code) is None}
    assert not unknown, "add rows to dfgen/reasons/"


def test_no_row_is_without_a_use() -> None:
    assert {reason.code for reason in REASONS} <= set(FOUND)


def test_codes_stand_once_and_are_spelt_alike() -> None:
    codes = [reason.code for reason in REASONS]
    assert len(set(codes)) == len(codes)
    for reason in REASONS:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason.code)
        assert reason.stages and set(reason.stages) <= set(STAGES)
        for sentence in (reason.meaning, reason.remedy):
            assert re.fullmatch(r"[A-Z`].+\.", sentence), sentence
            assert "|" not in sentence and "\n" not in sentence


def test_remedies_name_settings_that_exist() -> None:
    """`section.field` of a remedy is a field of the pipeline file; a bare one of some section."""
    from dfgen.config.pipeline import Pipeline

    schema = Pipeline.model_json_schema()
    known = {name for model in schema["$defs"].values() for name in model.get("properties", {})}
    known |= set(schema["properties"])
    for reason in REASONS:
        for named in re.findall(
            r"`([a-z_]+(?:\.[a-z_]+)*)(?::[^`]*)?`", reason.meaning + reason.remedy
        ):
            if named not in {
                "row_id",
                "detail",
                "evidence",
                "drop",
                "keep",
                "wrong",
                "all",
                "none",
            }:
                assert set(named.split(".")) <= known, f"{reason.code}: {named}"


def test_page_is_the_generated_one() -> None:
    assert (ROOT / "schemas" / "reasons.md").read_text("utf-8") == write_reasons(), (
        "run `make schemas`"
    )


def test_stages_of_a_code_are_those_that_can_give_it() -> None:
    """Codes of the prompts folder come of reading, those of the engines of asking."""
    folders = {
        "prompts": {"prompts", "mask", "repair", "sample", "score", "value"},
        "engines": {"sample", "repair", "score", "value"},
    }
    for code, files in FOUND.items():
        reason = find_reason(code)
        for folder, allowed in folders.items():
            if reason and all(name.startswith(f"{folder}/") for name in files):
                assert set(reason.stages) <= allowed | {"mask"}, code


def test_what_has_other_reasons_exists() -> None:
    assert set(NO_CODE) <= list_names(read_sources())


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ('def f():\n raise RowError("a", "x")', {"a"}),
        ('def f(x):\n raise RowError("a" if x else "b", "x")', {"a", "b"}),
        ('def f(what):\n raise RowError(f"{what}_c", "x")\nf("a")\nf(what="b")', {"a_c", "b_c"}),
        ('CODE = "a"\ndef f():\n raise RowError(CODE, "x")', {"a"}),
        (
            'def g():\n return "a", "x"\ndef f():\n r, d = g() or ("b", "")\n RowError(r, d)',
            {"a", "b"},
        ),
        (
            "def f(t):\n for c, g in t:\n  RowError(c, g)\n"
            'T = (("a", 1), *U)\nU = (("b", 2),)\nf(T)',
            {"a", "b"},
        ),
        ('def f():\n return {"reason": "a"}', {"a"}),
        ("def f(error):\n raise RowError(error.reason, error.detail)", set()),
        ('class B:\n reason: str\ndef f():\n B("a")', {"a"}),
    ],
)
def test_codes_are_followed(text: str, codes: set[str]) -> None:
    carrier = "class RowError:\n def __init__(self, reason, detail): ...\n"
    source: Source = read_source(Path(__file__), parse_code(carrier + text))
    assert set(Collector([source]).collect()) == codes


def test_what_cannot_be_followed_is_an_error() -> None:
    carrier = "class RowError:\n def __init__(self, reason, detail): ...\n"
    for text in ("RowError('a' + b, 'x')", "RowError(unknown, 'x')", "RowError(unknown(), 'x')"):
        source = read_source(Path(__file__), parse_code(carrier + text))
        with pytest.raises(UnknownFormError):
            Collector([source]).collect()


def test_an_unknown_code_has_no_row() -> None:
    assert reasons.find_reason("of_another_version") is None
