"""What the repairer is told: the reference or not, the solution, why an attempt was refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfgen.config.repair import RepairConfig
from dfgen.errors import ConfigError
from dfgen.stages.prompting import build_messages
from dfgen.stages.repair.prompt import fill_fields, hash_template, load_template
from tests.stages.repair.test_adversarial import PROMPT
from tests.stages.repair.test_select import attempt, make

SOLVED = PROMPT.model_copy(update={"solution": "Count the squares: there are six."})
REFUSED = [
    attempt(1, "meta_talk").model_copy(update={"detail": "it speaks about the correction."}),
    attempt(0).model_copy(update={"detail": "the repaired answer is still wrong: it is '5'."}),
    attempt(2).model_copy(update={"detail": "HTTP 503.", "finish_reason": "error"}),
    attempt(3, "accepted").model_copy(update={"detail": "fine."}),
]


def write(config: RepairConfig, *refusals: int) -> str:
    fields = fill_fields(make("p-0", "It is 5."), SOLVED, [REFUSED[i] for i in refusals], config)
    [message] = build_messages(SOLVED, load_template(config), None, fields)
    return "".join(part for part in message.content if isinstance(part, str))


@pytest.mark.parametrize("protocol", ["hunks", "rewrite"])
def test_a_blind_repairer_is_not_told_the_answer(protocol: str) -> None:
    config = RepairConfig.model_validate({"protocol": protocol, "show_solution": True})
    assert "Reference answer: 6\nReference solution:\nCount the squares" in write(config)
    without = config.model_copy(update={"show_solution": False})
    assert "Reference answer: 6" in write(without)
    assert "Count the squares" not in write(without)
    blind = config.model_copy(update={"answer": "blind"})
    # Nor by what an earlier attempt was refused for.
    for text in (write(blind), write(blind, 0, 1)):
        assert "eference" not in text and "Count the squares" not in text
        assert "6" not in text.partition("Question:")[2].partition("Student's answer")[0]
        assert "6" not in text.partition("previous attempt")[2]


def test_a_further_attempt_is_told_every_check_that_failed_and_no_fault_of_the_server() -> None:
    text = write(RepairConfig(), 0, 1, 2, 3)
    assert (
        "Your previous attempt was refused: the repaired answer is still wrong: it is '5'. "
        "it speaks about the correction. Try again." in text
    )
    assert "503" not in text and "fine." not in text
    assert "previous attempt" not in write(RepairConfig())
    assert "previous attempt" not in write(RepairConfig(), 2)


def test_a_template_of_ones_own_is_used_and_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("Fix {completion} for {question}{images}", "utf-8")
    mine = RepairConfig(prompt=f"file:{file}")
    assert write(mine) == "Fix It is 5. for How many?"
    assert write(RepairConfig(prompt="Just {completion}{images}")) == "Just It is 5."
    hashes = {hash_template(mine), hash_template(RepairConfig())}
    file.write_text("Mend {completion}{images}", "utf-8")
    assert len(hashes | {hash_template(mine)}) == 3


@pytest.mark.parametrize("template", ["{completion} {answer}", "file:/nowhere/x.txt"])
def test_a_template_that_cannot_be_used_is_named(template: str) -> None:
    with pytest.raises(ConfigError, match=r"repair\.prompt|answer"):
        load_template(RepairConfig(prompt=template))
