"""Both repair protocols on the demo, against the known truth of its pictures.

    dfgen run pipelines/demo.yaml --out RUN --set repair.controls=1.0
    python tests/benchmarks/repair_protocols.py RUN

`rewrite` is RUN itself, by the demo's own repairer. That model has learned to write whole texts, so
for `hunks` a loopback server replays its answers as JSON edits, each with as much context as makes
it unique: the figures say what the protocol loses and saves, not what another model would do.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from dfgen.config.load import check_pipeline
from dfgen.config.pipeline import Pipeline
from dfgen.demo.truth import true_repair
from dfgen.diff.pair import diff_pair
from dfgen.report.stats import measure_repairs, measure_truth
from dfgen.runners.local import run_stages
from dfgen.stages.session import Session
from dfgen.store.finished import open_finished
from dfgen.store.run import Run
from dfgen.tokens.tokenizer import TextTokenizer
from dfgen.validate.audit import audit
from tests.faults.framing import read_student
from tests.support.loopback import LoopbackServer, Received, Reply, write_completion


def write_edits(wrong: str, right: str, tokenizer: TextTokenizer) -> str:
    """The difference of two texts as edits whose `find` occurs once."""
    raw = wrong.encode()
    edits = []
    for hunk in diff_pair(wrong, right, tokenizer).hunks:
        start, end = (len(raw[:at].decode()) for at in hunk.wrong_bytes)
        first, last = start, end
        while first == last or wrong.find(wrong[first:last]) != wrong.rfind(wrong[first:last]):
            first, last = max(0, first - 1), min(len(wrong), last + 1)
        replace = wrong[first:start] + hunk.right_text + wrong[end:last]
        edits.append(
            {
                "find": wrong[first:last],
                "replace": replace,
                "reason": "miscounted",
                "kind": "perception",
            }
        )
    return json.dumps({"edits": edits})


def replay(source: Run, target: Path, tokenizer: TextTokenizer) -> Run:
    """Make the repairs of a run again with `hunks`, from what its repairer answered."""
    # The same question may be asked of several pictures.
    pictures = {
        row["prompt_id"]: row["image_info"][0]["sha256"]
        for row in source.table("prompts").iter_rows(columns=["prompt_id", "image_info"])
    }
    texts = {
        row["trajectory_id"]: row["completion"] for row in source.table("trajectories").iter_rows()
    }
    answers: dict[tuple[str, str], str] = {}
    for row in source.table("repairs").iter_rows():
        answers[pictures[row["prompt_id"]], texts[row["trajectory_id"]]] = row["repair"]
    for row in source.table("controls").iter_rows():
        text = texts[row["trajectory_id"]]
        answers[pictures[row["prompt_id"]], text] = row["text"] or text

    def answer(received: Received) -> Reply:
        student = read_student(received)
        text = write_edits(student, answers[hash_picture(received), student], tokenizer)
        body = write_completion(text)
        body["usage"] = {
            "prompt_tokens": len(tokenizer.encode(received.text)),
            "completion_tokens": len(tokenizer.encode(text)),
        }
        return Reply(body)

    for name in ("prompts", "trajectories"):
        shutil.copytree(source.root / name, target / name)
    manifest: dict[str, Any] = json.loads((source.root / "run.json").read_text())
    for name in ("repair", "mask"):
        manifest["stages"].pop(name, None)
    (target / "run.json").write_text(json.dumps(manifest))
    with LoopbackServer(answer) as server:
        values = json.loads(json.dumps(source.manifest.pipeline))
        values["repair"] |= {
            "engine": {"engine": "openai", "model": "replay", "base_url": server.url},
            "protocol": "hunks",
            "prompt": None,
        }
        pipeline: Pipeline = check_pipeline(values, "replay")
        run = Run.open_or_create(target, pipeline)
        with run.lock():
            run_stages(Session(run, pipeline), ("repair", "mask"))
    return run


def hash_picture(received: Received) -> str:
    """The sha256 of a request's only picture."""
    [url] = [
        part["image_url"]["url"]
        for part in received.payload["messages"][-1]["content"]
        if part["type"] == "image_url"
    ]
    return hashlib.sha256(base64.b64decode(url.partition("base64,")[2])).hexdigest()


def describe(name: str, root: Path) -> None:
    """Print the figures of a finished run."""
    session = open_finished(root)
    assert audit(session.run) == []
    repairs = measure_repairs(session.run, session.tokenizer)
    truth = measure_truth(session) or {}
    print(
        f"{name}: accepted {repairs['accepted']} of {repairs['accepted'] + repairs['rejected']} "
        f"({repairs['accepted_share']:.1%}), median edit ratio {repairs['median_edit_ratio']:.3f}, "
        f"masks equal to the truth's {truth['exact_share']:.1%}, "
        f"completion tokens {repairs['completion_tokens']:,}"
    )
    if "tokens_saved_share" in repairs:
        print(f"  tokens saved against whole texts: {repairs['tokens_saved_share']:.0%}")
    if "controls" in repairs:
        print(f"  {describe_controls(session.run)}")


def describe_controls(run: Run) -> str:
    """False edits, apart for answers that are true throughout and for those right by luck."""
    truths = {
        row["prompt_id"]: json.loads(row["metadata"])["demo_truth"]
        for row in run.table("prompts").iter_rows(columns=["prompt_id", "metadata"])
    }
    columns = ["trajectory_id", "completion"]
    texts = {
        row["trajectory_id"]: row["completion"]
        for row in run.table("trajectories").iter_rows(columns=columns)
    }
    seen = {True: 0, False: 0}
    changed = {True: 0, False: 0}
    for row in run.table("controls").iter_rows():
        text = texts[row["trajectory_id"]]
        whole = true_repair(text, truths[row["prompt_id"]]) == text
        seen[whole] += 1
        changed[whole] += row["changed"]
    return (
        f"controls: changed {changed[True]} of {seen[True]} that are true throughout, "
        f"{changed[False]} of {seen[False]} that are right with a false step"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    source = open_finished(parser.parse_args().run)
    os.environ.setdefault("OPENAI_API_KEY", "EMPTY")
    describe("rewrite", source.run.root)
    with tempfile.TemporaryDirectory() as folder:
        replayed = replay(source.run, Path(folder), source.tokenizer)
        describe("hunks (replayed)", replayed.root)
