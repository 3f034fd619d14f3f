"""What the same repairs cost in the three lanes, as a Markdown table.

    python tests/benchmarks/lane_costs.py

One sampled run (demo scenes, scripted policy and repairer) is repaired three times: online, in
batches, in files that are answered as `vllm run-batch` does. The server counts tokens by rule: four
letters a token, 1,000 for a picture, and, online, the beginning that a request shares with the one
before it as cached. What is printed is what `dfgen stats --cost` adds up of each run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
from os.path import commonprefix
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from dfgen.cli.main import cli
from tests.faults.server import Script, make_pipeline, sample_run
from tests.support.batch_server import BatchServer
from tests.support.loopback import LoopbackServer, Received, Reply

PRICE = {"prompt": 2.0, "completion": 8.0, "cached": 0.5, "cached_from": 0, "batch_factor": 0.5}
PICTURE_TOKENS = 1000


class CountingServer:
    """Repairs as `Script` does, and counts tokens.

    Args:
        caching: whether it keeps the beginning of the request before.
    """

    def __init__(self, ideal: dict[str, str], *, caching: bool) -> None:
        self.script, self.caching = Script(ideal), caching
        self.before = ""
        self._lock = threading.Lock()

    def __call__(self, received: Received) -> Reply:
        reply = self.script(received)
        content = received.payload["messages"][-1]["content"]
        whole = json.dumps(content)
        pictures = sum(part["type"] == "image_url" for part in content)
        read = len(received.text) // 4 + PICTURE_TOKENS * pictures
        with self._lock:
            shared = commonprefix([whole, self.before])  # noqa: RUF071  # letter by letter
            self.before = whole
        texts = shared.partition('"type": "text"')
        cached = len(texts[2]) // 4 + PICTURE_TOKENS * pictures if texts[1] else 0
        answer = reply.body["choices"][0]["message"]["content"]
        details = {"cached_tokens": min(cached, read) if self.caching else 0}
        usage = {"prompt_tokens": read, "completion_tokens": len(answer) // 4}
        reply.body["usage"] = usage | {"prompt_tokens_details": details}
        return reply


def call(*arguments: object) -> str:
    """Call dfgen, which must end well."""
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    if result.exit_code:
        sys.exit(result.output)
    return result.output


def answer_files(folder: Path, server: CountingServer, target: Path) -> None:
    """Do as `vllm run-batch` does."""
    target.mkdir(exist_ok=True)
    for path in folder.glob("*.jsonl"):
        with (target / f"{folder.name}-{path.name}").open("w") as file:
            for line in path.read_text().splitlines():
                row = json.loads(line)
                body = server(Received(0, row["url"], {}, row["body"])).body
                response = {"status_code": 200, "request_id": "r", "body": body}
                answer = {"custom_id": row["custom_id"], "response": response, "error": None}
                file.write(json.dumps(answer) + "\n")


def repair(root: Path, ideal: dict[str, str], lane: str) -> dict[str, Any]:
    """Repair a run in a lane; returns what it cost."""
    file = root.with_suffix(".yaml")
    server = CountingServer(ideal, caching=lane == "online")

    def start(url: str, *options: object) -> None:
        engine = {"price": PRICE, "concurrency": 1, "batch": {"poll_s": 0.01, "settle_s": 0.0}}
        pipeline = make_pipeline(url, engine=engine)
        file.write_text(yaml.safe_dump(pipeline.model_dump(mode="json")))
        command = ("repair", file, "--out", root, "--lane", lane, "--no-check", "-q")
        call(*command, *options)

    if lane == "online":
        with LoopbackServer(server) as online:
            start(online.url)
    elif lane == "batch":
        with BatchServer(server) as batches:
            start(batches.url)
    else:
        answers = root.with_name("answers")
        for turn in range(3):
            folder = root.with_name(f"requests-{turn}")
            start(
                "http://127.0.0.1:1/v1", *(("--read", answers) if turn else ()), "--write", folder
            )
            if not folder.exists():
                break
            answer_files(folder, server, answers)
    found: dict[str, Any] = json.loads(call("stats", root, "--cost", "--json"))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=60)
    arguments = parser.parse_args()
    print(
        f"Prices a million tokens: ${PRICE['prompt']:.2f} read, ${PRICE['cached']:.2f} cached, "
        f"${PRICE['completion']:.2f} written; a batch at {PRICE['batch_factor']:.0%}.\n"
    )
    print(
        "| lane | requests | tokens read | of them cached | written | cost | per accepted repair |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as name:
        sampled = sample_run(
            Path(name) / "sampled",
            make_pipeline("http://127.0.0.1:1/v1", prompts=arguments.prompts),
        )
        for lane in ("online", "batch", "files"):
            root = Path(shutil.copytree(sampled.root, Path(name) / lane))
            costs = repair(root, sampled.ideal, lane)
            total = costs["total"]
            counts = (total[key] for key in ("prompt_tokens", "cached_tokens", "completion_tokens"))
            cells = [f"{total['requests']:,}", *(f"{count:,}" for count in counts)]
            cells += [f"${total['cost_usd']:.4f}", f"${costs['cost_usd_per_accepted']:.5f}"]
            print(f"| `{lane}` | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
