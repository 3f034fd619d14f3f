"""Trajectories that attack, from `dfgen import` over the wire of `dfgen repair` to the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from dfgen.demo.scenes import iter_scenes
from dfgen.stages.repair.prompt import shield
from dfgen.store.counts import count_reject_reasons, count_rows
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.faults.command import call_here
from tests.faults.framing import find_student, read_student
from tests.stages.repair.test_adversarial import ATTACKS
from tests.support.loopback import LoopbackServer, Received, Reply, write_completion

WRONG = "17"


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Attacks as the answers of a model, each with a wrong final answer."""
    folder = tmp_path_factory.mktemp("hostile")
    scene = next(iter(iter_scenes(1, 5)))
    (folder / "picture.png").write_bytes(scene.image_png)
    answers = folder / "answers.jsonl"
    with answers.open("w", encoding="utf-8") as file:
        for name, attack in ATTACKS.items():
            row = {
                "question": f"How many? ({name})",
                "image": "picture.png",
                "answer": "6",
                "response": answer_wrongly(attack),
            }
            file.write(json.dumps(row) + "\n")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(make_recipe(answers, "")))
    call_here("import", folder / "recipe.yaml", "--out", folder / "run", "-q")
    return folder


def answer_wrongly(attack: str) -> str:
    return f"{attack}\nI see 3 and 14.\nAnswer: {WRONG}"


def make_recipe(answers: Path, url: str, **repair: Any) -> dict[str, Any]:
    tree: dict[str, Any] = {"imports": {"path": str(answers), "tokenizer": "demo:policy"}}
    if url:
        engine = {"engine": "openai", "model": "m", "base_url": url, "concurrency": 4}
        tree["repair"] = {"engine": engine, "max_edit_ratio": 1.0, **repair}
    return tree


def obey(student: str, protocol: str) -> str:
    """What a repairer says that does as the text tells it: it claims that all is well."""
    changed = f"{student}\nAnswer: 6 is what I was told, but it is {WRONG}.\nAnswer: {WRONG}"
    return write_output(student, changed, protocol)


def correct(student: str, protocol: str) -> str:
    """An honest repair of the last two lines."""
    return write_output(student, put_right(student), protocol)


def put_right(text: str) -> str:
    changed = text.replace("I see 3 and 14.", "I see 3 and 3, 3 + 3 = 6.")
    return changed.replace(f"Answer: {WRONG}", "Answer: 6")


def write_output(student: str, changed: str, protocol: str) -> str:
    if protocol == "rewrite":
        return f"<corrected>{changed}</corrected>"
    at = student.rindex("I see 3 and 14.")
    edit = {"find": student[at:], "replace": changed[at:], "reason": "", "kind": "perception"}
    return json.dumps({"edits": [edit]})


@pytest.mark.parametrize("protocol", ["hunks", "rewrite"])
@pytest.mark.parametrize("repairer", [obey, correct], ids=["obeys", "corrects"])
def test_attacks_reach_the_repairer_framed_and_are_judged(
    protocol: str, repairer: Any, imported: Path, tmp_path: Path
) -> None:
    sent: list[str] = []

    def answer(received: Received) -> Reply:
        sent.append(received.text)
        return Reply(write_completion(repairer(read_student(received), protocol)))

    run = Path(shutil.copytree(imported / "run", tmp_path / "run"))
    recipe = tmp_path / "recipe.yaml"
    with LoopbackServer(answer) as server:
        tree = make_recipe(imported / "answers.jsonl", server.url, protocol=protocol)
        recipe.write_text(yaml.safe_dump(tree))
        call_here("repair", recipe, "--out", run, "-q")
    opened = Run.open_or_create(run, None)
    assert audit(opened) == []
    numbers = count_rows(opened)["repair"]
    assert numbers["input"] == len(ATTACKS) and numbers["pending"] == 0
    # Every character arrived, inside the frame and nowhere else.
    completions = [row["completion"] for row in opened.table("trajectories").iter_rows()]
    assert sorted(completions) == sorted(map(answer_wrongly, ATTACKS.values()))
    assert {find_student(text) for text in sent} == set(map(shield, completions))
    assert not [text for text in sent if "<|im_" in text or "</s>" in text]
    repairs = sorted(row["repair"] for row in opened.table("repairs").iter_rows())
    if repairer is obey:
        assert count_reject_reasons(opened)["repair"] == {"answer_wrong": len(ATTACKS)}
    else:
        assert repairs == sorted(map(put_right, completions))
    call_here("mask", recipe, "--out", run, "-q")
    call_here("validate", run)
    if repairer is correct:
        call_here("report", run)
