"""Each thing that would stop a run or spoil it is found before it begins, with the way out."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dfgen.check.finding import Finding, make_error
from dfgen.cli.main import cli
from dfgen.demo import locate_model
from tests.check.making import find, make_pipeline, serve_models
from tests.support.loopback import find_closed_port


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "MY_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path) -> None:
    assert find(make_pipeline(tmp_path), out=tmp_path / "run") == []
    assert not (tmp_path / "run").exists()


SERVER = {"engine": "openai", "model": "large", "base_url": "https://api.example.com/v1"}

ERRORS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"policy__model": "no/such/place"}, ("policy.model", "no directory 'no/such/place'")),
    ({"policy__model": "owner/name"}, ("policy.model", "HF_HUB_OFFLINE", "hf download owner/name")),
    ({"policy__model": "demo:polcy"}, ("policy.model", "no demo model")),
    ({"repair__engine__model": "nowhere/at/all"}, ("repair.engine.model", "nowhere/at/all")),
    (
        {"repair__engine": {**SERVER, "api_key_env": "MY_KEY"}},
        ("repair.engine", "MY_KEY", "export"),
    ),
    ({"repair__engine": {**SERVER, "base_url": "localhost:8000"}}, ("repair.engine", "http://")),
    ({"prompts__path": "nowhere.jsonl"}, ("nowhere.jsonl", "no such file")),
    ({"prompts__columns": {"answer": "anser"}}, ("no column 'anser'", "Did you mean 'answer'")),
    (
        {"prompts__image_root": "/nowhere"},
        ("none of the first 3 rows", "3 image_missing", "rows.jsonl:1"),
    ),
    ({"sample__prompt": "{qestion}"}, ("sample.prompt", "{qestion}")),
    ({"repair__prompt": "{complection}"}, ("repair.prompt", "{complection}")),
    ({"repair__prompt": "file:gone.txt"}, ("repair.prompt", "gone.txt")),
    ({"sample__chat_template": "template.jinja"}, ("sample.chat_template", "no Jinja")),
    ({"sample__chat_template": "{% if %}"}, ("policy", "chat template")),
    ({"sample__chat_template": "{{ raise_exception('no system') }}"}, ("no system",)),
    ({"sample__max_tokens": 600}, ("sample.max_tokens", "512 tokens")),
    ({"sample__max_tokens": 500}, ("sample.max_tokens", "3 of the first 3 prompts", "pictures")),
    ({"policy__max_length": 40}, ("sample.max_tokens", "40 tokens")),
    ({"grade__grader": "mathh"}, ("grade.grader", "Did you mean 'math'")),
    ({"grade__grader": "nowhere:grade"}, ("grade.grader", "cannot be imported")),
    ({"grade__grader": "tests.grade.bad_graders:return_none"}, ("grade.grader", "NoneType")),
    ({"prompts__answer_type": "numbr"}, ("no answer type 'numbr'",)),
    (
        {"policy": {**SERVER, "base_url": "http://127.0.0.1:1/v1", "return_token_ids": False}},
        ("return_token_ids", "policy.tokenizer is missing"),
    ),
]


@pytest.mark.parametrize(("changes", "parts"), ERRORS, ids=lambda value: str(value)[:60])
def test_errors(tmp_path: Path, changes: dict[str, Any], parts: tuple[str, ...]) -> None:
    errors = [f for f in find(make_pipeline(tmp_path, **changes)) if f.level == "error"]
    text = "\n".join(map(str, errors))
    for part in parts:
        assert part in text
    assert all(error.hint or error.where for error in errors)


def test_a_repairer_that_may_write_less_than_the_policy(tmp_path: Path) -> None:
    changes = {"sample__max_tokens": 100, "repair__decoding": {"max_tokens": 60}}
    (found,) = find(make_pipeline(tmp_path, **changes))
    assert (found.level, found.where) == ("warning", "repair.decoding.max_tokens")
    assert find(make_pipeline(tmp_path, **changes, repair__protocol="hunks")) == []


def test_prompts_of_which_some_do_not_fit(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, sample__max_tokens=400)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    rows[1]["question"] = "How many? " * 60
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (found,) = find(pipeline, ("prompts", "sample"))
    assert (found.level, found.where) == ("warning", "sample.max_tokens")
    assert "1 of the first 3 prompts" in found.what and "rows.jsonl:2" in found.what


def test_a_grader_that_cannot_read_the_references(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, prompts__answer_type="numeric")
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    rows[1]["answer"] = "the blue one"
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (found,) = find(pipeline)
    assert (found.level, found.where) == ("warning", "prompts.answer_type")
    assert "1 of the first 3 rows, such as rows.jsonl:2: 'the blue one'" in found.what


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    pipeline = make_pipeline(
        tmp_path,
        policy__model="nowhere/a/b",
        repair__engine={**SERVER, "api_key_env": "MY_KEY"},
        prompts__path="gone.jsonl",
        grade__grader="mathh",
        repair__prompt="{nothing}",
    )
    text = str(make_error(find(pipeline)))
    for part in ("nowhere/a/b", "MY_KEY", "gone.jsonl", "mathh", "{nothing}"):
        assert part in text
    assert "things stand in the way, and nothing was begun" in text


@pytest.mark.parametrize("as_list", [False, True])
def test_a_missing_source_is_told_once_and_by_its_setting(tmp_path: Path, as_list: bool) -> None:
    gone = str(tmp_path / "gone.jsonl")
    (found,) = find(make_pipeline(tmp_path, prompts__path=[gone] if as_list else gone))
    assert (found.level, found.where) == ("error", f"prompts.path: {gone}")
    assert "no such file" in found.what


def test_only_the_stages_to_run_are_looked_at(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path, repair__engine={**SERVER, "api_key_env": "MY_KEY"})
    assert find(pipeline, ("prompts", "sample")) == []
    assert len(find(pipeline, ("repair",))) == 1


def test_some_bad_rows_are_a_warning(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    (tmp_path / "1.png").unlink()
    (found,) = find(pipeline)
    assert found.level == "warning"
    assert "1 of the first 3 rows would be rejected: 1 image_missing" in found.what
    assert "rows.jsonl:2" in str(found.hint)


def test_references_that_are_no_choice(tmp_path: Path) -> None:
    rows = [{"question": f"Which? {n}", "answer": "z", "options": ["x", "y"]} for n in range(4)]
    pipeline = make_pipeline(tmp_path, prompts__columns={"choices": "options"})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (found,) = find(pipeline)
    assert found.level == "error"
    assert "4 answer_no_choice" in found.what


def test_a_question_that_spells_a_control_token(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    rows[1]["question"] = "Is <|user|> here?"
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (found,) = find(pipeline)
    assert (found.level, found.where) == ("warning", "policy")
    assert "1 control_token" in found.what


def test_a_model_directory_lacks_its_parts(tmp_path: Path) -> None:
    for name in ("chat_template.jinja", "preprocessor_config.json", "model.safetensors"):
        model = tmp_path / name.partition(".")[0]
        shutil.copytree(locate_model("policy"), model)
        (model / name).unlink()
        if name == "preprocessor_config.json":
            (model / "processor_config.json").unlink()
        (found, *_) = find(make_pipeline(tmp_path, policy__model=str(model)))
        assert found.level == "error"
        assert str(found.where).startswith("policy")


def test_packages_that_are_missing_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dfgen.check.models as module

    monkeypatch.setattr(module, "find_spec", lambda _: None)
    findings = find(make_pipeline(tmp_path))
    assert {f.where for f in findings} == {"policy.engine", "repair.engine.engine"}
    assert all("pip install" in str(f.hint) for f in findings)


def test_the_disk_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dfgen.check.disk as module

    for free, level in ((10, "error"), (4_000, "warning")):
        usage = shutil.disk_usage(tmp_path)._replace(free=free)
        monkeypatch.setattr(module.shutil, "disk_usage", lambda _, usage=usage: usage)
        (found,) = find(make_pipeline(tmp_path), out=tmp_path / "a" / "run")
        assert found.level == level
        assert found.where == str(tmp_path) and "are free" in found.what


@pytest.fixture
def own_graders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "my_graders.py").write_text(
        "from dfgen.grade import Verdict\n"
        "def never(completion, answer, choices, config):\n    raise ValueError('no luck')\n"
        "def well(completion, answer, choices, config):\n"
        "    return Verdict(True, 1.0, 'well', answer, answer, 'none', '')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("my_graders", None)


def test_a_grader_of_ones_own_is_called(tmp_path: Path, own_graders: None) -> None:
    assert find(make_pipeline(tmp_path, grade__grader="my_graders:well")) == []
    (found,) = find(make_pipeline(tmp_path, grade__grader="my_graders:never"))
    assert found.level == "error"
    assert "'my_graders:never' failed on 3 of the first 3" in found.what
    assert "ValueError: no luck" in found.what


def point(url: str, **more: Any) -> dict[str, Any]:
    return {"engine": "openai", "model": "large", "base_url": url, **more}


def test_a_server_that_serves_the_model(tmp_path: Path) -> None:
    with serve_models("other", "large", max_model_len=4096) as server:
        assert find(make_pipeline(tmp_path, repair__engine=point(server.url))) == []
    assert server.count == 0


def test_nobody_is_asked_where_requests_travel_in_files(tmp_path: Path) -> None:
    """Another site answers them, with its own key; here there may be no network."""
    for url in ("http://127.0.0.1:1/v1", "https://api.example.com/v1"):
        away = point(url, lane="files", api_key_env="A_KEY_OF_ANOTHER_SITE")
        assert find(make_pipeline(tmp_path, repair__engine=away), ("repair",)) == []


def test_a_server_that_serves_another_model(tmp_path: Path) -> None:
    with serve_models("largo", "tiny") as server:
        (found,) = find(make_pipeline(tmp_path, repair__engine=point(server.url)))
    assert (found.level, found.where) == ("error", "repair.engine.model")
    assert "It serves: largo, tiny. Did you mean 'largo'?" in str(found)


def test_a_server_that_answers_by_any_name_is_only_warned_of(tmp_path: Path) -> None:
    with serve_models("other", owned_by="sglang") as server:
        (found,) = find(make_pipeline(tmp_path, repair__engine=point(server.url)))
    assert found.level == "warning"


@pytest.mark.parametrize("status", [200, 400, 405, 500])
def test_a_server_that_does_not_say_that_it_lacks_a_model_is_only_warned_of(
    tmp_path: Path, status: int
) -> None:
    from tests.support.loopback import LoopbackServer, Reply

    listed = Reply({"object": "list", "data": [{"id": "other"}]})
    with LoopbackServer(
        lambda _: Reply(),
        models=lambda path, _: listed if path.endswith("/models") else Reply({}, status),
    ) as server:
        (found,) = find(make_pipeline(tmp_path, repair__engine=point(server.url)))
    assert (found.level, found.where) == ("warning", "repair.engine.model")


def test_a_model_that_is_listed_with_a_prefix_is_only_warned_of(tmp_path: Path) -> None:
    with serve_models("models/large") as server:
        (found,) = find(make_pipeline(tmp_path, repair__engine=point(server.url)))
    assert found.level == "warning"


def test_a_server_that_refuses_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "wrong-key-0123456789")
    with serve_models("large", key="right") as server:
        (found,) = find(make_pipeline(tmp_path, repair__engine=point(server.url)))
    assert found.level == "error"
    assert "401" in found.what and "wrong-key" not in str(found)


def test_a_server_without_a_list_is_left_alone(tmp_path: Path) -> None:
    from tests.support.loopback import LoopbackServer, Reply

    with LoopbackServer(lambda _: Reply()) as server:
        assert find(make_pipeline(tmp_path, repair__engine=point(server.url))) == []


def test_a_server_whose_context_is_full_of_completion(tmp_path: Path) -> None:
    with serve_models("large", max_model_len=2048) as server:
        (found,) = find(make_pipeline(tmp_path, repair__engine=point(server.url)))
    assert (found.level, found.where) == ("error", "repair.decoding.max_tokens")


def test_a_server_that_is_started_later_is_a_warning_and_an_error_when_it_is_needed(
    tmp_path: Path,
) -> None:
    url = f"http://127.0.0.1:{find_closed_port()}/v1"
    pipeline = make_pipeline(tmp_path, repair__engine=point(url))
    (found,) = find(pipeline)
    assert found.level == "warning" and url in found.what and "repair stage" in str(found.hint)
    (found,) = find(pipeline, ("repair",))
    assert found.level == "error" and url in found.what
    assert find(pipeline, network=False) == []


def test_one_of_two_servers_is_enough(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{find_closed_port()}/v1"
    with serve_models("large") as server:
        both = [server.url, url]
        pipeline = make_pipeline(tmp_path, repair__engine=point(server.url, base_url=both))
        (found,) = find(pipeline, ("repair",))
    assert found.level == "warning" and url in found.what


def test_a_finding_in_words_and_in_json() -> None:
    finding = Finding("error", "it is broken.", "a.b", "Mend it.")
    assert str(finding) == "a.b: it is broken.\nMend it."
    assert finding.to_json() == {
        "level": "error",
        "what": "it is broken.",
        "where": "a.b",
        "hint": "Mend it.",
    }


def ask_two(folder: Path) -> dict[str, Any]:
    other = folder / "more.csv"
    other.write_text("question,answer\na,b\n")
    return {"prompts__source": "csv", "prompts__path": [str(other), str(write_csv(folder))]}


def ask_packed(folder: Path) -> dict[str, Any]:
    (folder / "one.jsonl").write_bytes(b"PAR1")
    (folder / "two.jsonl").write_bytes(b"\x1f\x8b")
    return {"prompts__path": [str(folder / "one.jsonl"), str(folder / "two.jsonl")]}


def write_csv(folder: Path) -> Path:
    path = folder / "lacking.csv"
    path.write_text("question,image\na,b\n")
    return path


FAMILIES: list[tuple[Any, tuple[str, ...]]] = [
    (
        {"prompts__columns": {"answer": "anser", "question": "qestion", "solution": "proof"}},
        (
            "'anser' (columns.answer)",
            "'qestion' (columns.question)",
            "'proof' (columns.solution)",
            "'answer' for 'anser'",
            "'question' for 'qestion'",
        ),
    ),
    (
        {"prompts__path": ["gone-1.jsonl", "gone-2.jsonl"]},
        ("2 paths", "gone-1.jsonl", "gone-2.jsonl"),
    ),
    (ask_two, ("lacking.csv", "'answer' (columns.answer)")),
    (
        ask_packed,
        ("2 files", "one.jsonl: the file is a Parquet", "two.jsonl: the file is compressed"),
    ),
    ({"sample__prompt": "{qestion}{coices}"}, ("{qestion} and {coices}",)),
    ({"repair__prompt": "{complection}{coices}"}, ("{complection} and {coices}",)),
    (
        {
            "repair__engine": {
                **SERVER,
                "base_url": ["localhost:80", "ftp://a", SERVER["base_url"]],
            }
        },
        ("not 'localhost'", "not 'ftp'", "OPENAI_API_KEY"),
    ),
    (
        {
            "policy": {
                "engine": "vllm",
                "model": "no/such/place",
                "lora": "no-adapter",
            }
        },
        ("no directory 'no/such/place'", "no-adapter"),
    ),
]


def name_family(changes: Any) -> str:
    """Name a case, the same in every process that collects it."""
    return changes.__name__ if callable(changes) else " ".join(sorted(changes))


@pytest.mark.parametrize(
    ("changes", "parts"), FAMILIES, ids=[name_family(changes) for changes, _ in FAMILIES]
)
def test_all_of_a_kind_are_told_at_once(
    tmp_path: Path, changes: Any, parts: tuple[str, ...]
) -> None:
    changes = changes(tmp_path) if callable(changes) else changes
    text = "\n".join(map(str, find(make_pipeline(tmp_path, **changes))))
    for part in parts:
        assert part in text


def test_all_prompts_that_cannot_be_written_are_told_at_once(tmp_path: Path) -> None:
    template = (
        "{% for message in messages %}{% for part in message['content'] %}"
        "{% if '(1)' in part['text'] | default('') %}{{ raise_exception('no one') }}{% endif %}"
        "{% if '(2)' in part['text'] | default('') %}{{ raise_exception('no two') }}{% endif %}"
        "{% endfor %}{% endfor %}"
    )
    text = str(find(make_pipeline(tmp_path, sample__chat_template=template))[0])
    assert "no one" in text and "no two" in text


def test_pictures_for_a_model_that_sees_none_are_counted(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(locate_model("policy"), model)
    (model / "preprocessor_config.json").unlink()
    (model / "processor_config.json").write_text("{}")
    text = "\n".join(map(str, find(make_pipeline(tmp_path, policy__model=str(model)))))
    assert "no image processor, but 3 of the first 3 prompts hold pictures" in text


def test_one_server_of_two_stages_has_room_for_both(tmp_path: Path) -> None:
    with serve_models("large", max_model_len=1024) as server:
        one = point(server.url, return_token_ids=False, tokenizer="demo:policy")
        changes = {"sample__max_tokens": 2000, "repair__decoding": {"max_tokens": 3000}}
        found = find(make_pipeline(tmp_path, policy=one, repair__engine=one, **changes))
    assert {"sample.max_tokens", "repair.decoding.max_tokens"} <= {each.where for each in found}


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--set", "a", "--set", "b"), ("--set 'a'", "--set 'b'")),
        (
            tuple(f"--set=sample.wrong_{n}=1" for n in range(9)),
            tuple(f"sample.wrong_{n} is not a field" for n in range(9)),
        ),
        (("--set", "seed.a=1", "--set", "name.b=2"), ("seed is not a", "name is not a")),
    ],
)
def test_all_wrong_options_are_told_at_once(
    tmp_path: Path, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    pipeline = tmp_path / "my.yaml"
    pipeline.write_text("seed: 1\nname: a\n")
    result = CliRunner().invoke(cli, ["check", str(pipeline), *arguments])
    for part in parts:
        assert part in result.stderr


def test_the_first_of_several_repairers_is_called_as_the_file_calls_it(tmp_path: Path) -> None:
    with serve_models("other") as server:
        several = [point(server.url), point(server.url) | {"model": "largest"}]
        found = find(make_pipeline(tmp_path, repair={"engines": several}))
    assert [each.where for each in found] == [f"repair.engines[{i}].model" for i in (0, 1)]
