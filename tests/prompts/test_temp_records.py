from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.errors import StorageError
from dfgen.prompts.importing import ImportedResponse
from dfgen.prompts.temp_records import TempRecords
from dfgen.records import Image, Prompt


def make_prompt(question: str, images: list[bytes]) -> Prompt:
    return Prompt(
        prompt_id="0" * 32,
        question=question,
        images=[Image(bytes=data, path="a") for data in images],
        image_info=[],
        choices=[],
        answer="1",
        answer_type="auto",
        source="a:1",
        metadata="{}",
    )


PROMPTS = st.builds(make_prompt, st.text(), st.lists(st.binary()))
RESPONSES = st.builds(ImportedResponse, st.text(), st.text(), st.text())


@given(st.lists(PROMPTS | RESPONSES))
def test_gives_back_what_was_put_in(values: list[Prompt | ImportedResponse]) -> None:
    with TempRecords() as records:
        places = [records.append(value) for value in values]
        for place, value in reversed(list(zip(places, values, strict=True))):
            assert records.load(place, type(value)) == value


def test_a_full_disk_is_explained() -> None:
    with TempRecords() as records:
        records._file.close()
        with Path("/dev/full").open("wb+", buffering=0) as full:
            records._file = full  # type: ignore[assignment]
            with pytest.raises(StorageError, match=r"No space left(.|\n)*TMPDIR"):
                records.append(make_prompt("q", [b"x"]))
