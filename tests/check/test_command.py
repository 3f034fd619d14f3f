"""`dfgen check`, and the same at the start of every command that works on a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from dfgen.cli.main import cli
from tests.check.making import find, make_pipeline, make_tree, write_pipeline
from tests.support.loopback import find_closed_port
from tests.support.sample_run import make_run


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


HOSTED = {"engine": "openai", "model": "large", "base_url": "https://api.example.com/v1"}


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_ready(tmp_path: Path) -> None:
    result = invoke("check", write_pipeline(tmp_path), "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "ready, nothing in the way" in result.stdout


def test_errors_are_exit_code_1_and_warnings_0(tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path, repair__engine=HOSTED)
    result = invoke("check", pipeline, "--offline", "--set", "policy.model=nowhere/a/b")
    assert result.exit_code == 1
    assert result.stderr.count("Error: ") == 2
    assert "OPENAI_API_KEY" in result.stderr and "nowhere/a/b" in result.stderr
    tree = make_tree(tmp_path, sample__max_tokens=100, repair__decoding={"max_tokens": 60})
    pipeline.write_text(yaml.safe_dump(tree))
    result = invoke("check", pipeline)
    assert (result.exit_code, "1 warning" in result.stdout) == (0, True), result.output
    found = json.loads(invoke("check", pipeline, "--json").stdout)
    assert found["ok"] is True
    assert [sorted(finding) for finding in found["findings"]] == [
        ["hint", "level", "what", "where"]
    ]
    assert found["findings"][0]["level"] == "warning"


@pytest.mark.parametrize("command", ["run", "sample", "repair", "mask"])
def test_a_command_that_cannot_work_begins_nothing(command: str, tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path, policy__model="nowhere/a/b")
    result = invoke(command, pipeline, "--out", tmp_path / "run")
    assert result.exit_code == 1, result.output
    assert "nowhere/a/b" in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_missing_key_of_the_repairer_is_said_before_anything_is_sampled(tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path, repair__engine=HOSTED)
    result = invoke("run", pipeline, "--out", tmp_path / "run")
    assert result.exit_code == 1, result.output
    assert "OPENAI_API_KEY" in result.stderr
    assert not (tmp_path / "run").exists()
    assert invoke("sample", pipeline, "--out", tmp_path / "run").exit_code == 0


def test_no_check_begins_at_once(tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path, repair__engine=HOSTED)
    result = invoke("run", pipeline, "--out", tmp_path / "run", "--no-check", "-q")
    assert result.exit_code == 1
    assert (tmp_path / "run" / "trajectories").exists()


def test_a_server_that_comes_up_later_stops_nothing_and_is_named(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{find_closed_port()}/v1"
    pipeline = write_pipeline(tmp_path, repair__engine={**HOSTED, "base_url": url})
    result = invoke(
        "run", pipeline, "--out", tmp_path / "run", "--set", "repair.engine.max_retries=0"
    )
    assert result.exit_code == 1
    assert result.stderr.count("Warning: ") == 1 and url in result.stderr
    assert (tmp_path / "run" / "trajectories").exists()
    again = invoke("repair", pipeline, "--out", tmp_path / "run")
    assert again.exit_code == 1
    assert "does not answer" in again.stderr and "--no-check" in again.stderr


def test_a_finished_run_is_not_looked_at_again(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", prompts=3, samples=2)
    from dfgen.store.finished import open_finished

    assert find(open_finished(root).pipeline, out=root, network=False) == []


def test_no_model_library_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from dfgen.cli.main import cli\n"
        "result = CliRunner().invoke(cli, ['check', sys.argv[1]])\n"
        "assert result.exit_code == 0, result.output\n"
        "print([n for n in ('torch', 'transformers', 'vllm', 'datasets') if n in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(write_pipeline(tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_template_is_rendered_as_transformers_renders_it(tmp_path: Path) -> None:
    from dfgen.check.chats import render_prompts
    from dfgen.check.models import find_model_files
    from dfgen.check.scope import Scope
    from dfgen.config.engine import TransformersConfig
    from dfgen.demo import resolve_model
    from dfgen.engines.base import Request
    from dfgen.engines.processor.chat_template import render_chat
    from dfgen.engines.processor.loading import load_processor
    from dfgen.stages.sample.draws import write_chats

    own = (
        "{{ bos_token }}{% for message in messages %}{% if loop.last %}{% generation %}"
        "{{ message['content'] | tojson(indent=1) }}{% endgeneration %}{% endif %}"
        "{% for part in message['content'] %}{% if part['type'] != 'text' %}{% continue %}"
        "{% endif %}{{ part['text'] | trim }}\n{% endfor %}{% endfor %}{{ strftime_now('%Y') }}"
        "{% if add_generation_prompt %}<go>{% endif %}{{ thinking }}{{ tools is none }}"
    )
    model = resolve_model("demo:policy")
    config = TransformersConfig(model=model)
    loaded, files = load_processor(config), find_model_files(config)
    assert files is not None
    for template in (None, own):
        pipeline = make_pipeline(
            tmp_path,
            sample__chat_template=template,
            sample__chat_template_args={"thinking": "no \u00e9"},
        )
        scope = Scope(pipeline, ("prompts", "sample"))
        rendered = render_prompts(config, scope, files)
        chats = write_chats(scope.rows.prompts, pipeline.sample)
        for one, (_, messages) in zip(rendered, chats, strict=True):
            request = Request(
                "k",
                messages,
                pipeline.sample,
                0,
                chat_template=template,
                chat_template_args=pipeline.sample.chat_template_args,
            )
            assert one.text == render_chat(loaded, request)
            assert one.image_tokens == 16
