"""The two lists of fields are complete, and together name every field once."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from dfgen.config.pipeline import Pipeline
from dfgen.store.fields import GROWING_FIELD, JUDGING_FIELDS, NEUTRAL_FIELDS, RESULT_FIELDS
from dfgen.store.fingerprint import flatten, list_defaults, list_fields
from tests.store.examples import make_pipeline


def test_every_field_is_on_exactly_one_list() -> None:
    """Fails for you because you added a setting: decide in store/fields.py what it changes."""
    listed = Counter(
        [*NEUTRAL_FIELDS, *(name for names in RESULT_FIELDS.values() for name in names)]
    )
    fields = list_fields(Pipeline)
    assert fields - listed.keys() == set(), "on neither list"
    assert listed.keys() - fields == set(), "listed, but no such field"
    assert [name for name, times in listed.items() if times > 1] == [], "listed twice"
    assert GROWING_FIELD in RESULT_FIELDS["sample"]


def test_what_forgives_never_refuses() -> None:
    """Waiting, trying again, paying, and how much of a machine is used: none changes a row."""
    forgiving = re.compile(
        r"timeout|retries|concurrency|in_flight|per_minute|price|max_cost|max_requests|workers"
        r"|threads|batch_size|memory|device|base_url|api_key|max_reject|recycle|max_num_seqs"
    )
    found = {name for name in list_fields(Pipeline) if forgiving.search(name)}
    assert len(found) > 30
    assert found - set(NEUTRAL_FIELDS) == set()


def test_fields_that_judge_are_those_of_the_repairs() -> None:
    assert set(JUDGING_FIELDS) < set(RESULT_FIELDS["repair"])
    # What the repairer reads, and how its answer is decoded, can be known of no stored answer.
    asked = {name for name in RESULT_FIELDS["repair"] if re.search("engine|decoding|prompt", name)}
    assert not asked & set(JUDGING_FIELDS)


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9
    name: str


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: tuple[str, ...] = ("sit",)
    name: str


class Home(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    spare: Cat = Cat(name="Tom", lives=3)
    rooms: dict[str, int] = {}
    note: str | None = None


def test_optional_sections_and_variants_count() -> None:
    assert list_fields(Home) == {
        *("pet.kind", "pet.lives", "pet.name", "pet.tricks"),
        *("spare.kind", "spare.lives", "spare.name", "rooms", "note"),
    }


def test_defaults_are_those_of_the_place() -> None:
    defaults = list_defaults(Home)
    assert defaults["spare.lives"] == 3 and defaults["spare.name"] == "Tom"
    assert defaults["pet.lives"] == 9 and defaults["pet.tricks"] == ["sit"]
    assert "pet.kind" not in defaults and "pet.name" not in defaults
    assert defaults["note"] is None


def test_flatten_gives_values_that_json_keeps() -> None:
    assert flatten(Home(pet=Dog(name="Rex"), rooms={"hall": 1})) == {
        "pet.kind": "dog",
        "pet.tricks": ["sit"],
        "pet.name": "Rex",
        "spare.kind": "cat",
        "spare.lives": 3,
        "spare.name": "Tom",
        "rooms": {"hall": 1},
        "note": None,
    }
    assert not any(name.startswith("pet") for name in flatten(Home()))
    assert flatten(make_pipeline()).keys() <= list_fields(Pipeline)
