"""The two lists of fields are complete, and together name every field once."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from dfgen.config.pipeline import Pipeline
from dfgen.store.fields import GROWING_FIELD, NEUTRAL_FIELDS, RESULT_FIELDS
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
