"""Which jobs `dfgen launch slurm` writes, and what it refuses; a real Slurm is in tests/cluster."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.config.pipeline import Pipeline
from dfgen.errors import ConfigError
from dfgen.runners.launching import Resources, plan_stages
from tests.support.scripted_runs import invoke

GOLDEN = Path(__file__).with_name("launch_slurm.txt")
POLICY = {"engine": "vllm", "model": "Qwen/Qwen2.5-VL-7B-Instruct"}
REPAIRER = {"engine": "openai", "model": "Qwen/Qwen2.5-VL-72B-Instruct"}


def make_tree(**sections: Any) -> dict[str, Any]:
    prompts = {"source": "jsonl", "path": "questions.jsonl"}
    return {"prompts": prompts, "policy": POLICY, "repair": {"engine": REPAIRER}, **sections}


def make_pipeline(**sections: Any) -> Pipeline:
    return Pipeline.model_validate(make_tree(**sections))


def print_jobs(folder: Path, *options: str, **sections: Any) -> str:
    """What `--print` shows, the folders of this machine replaced."""
    file = folder / "my.yaml"
    file.write_text(yaml.safe_dump(make_tree(**sections)))
    words = [file, "--out", folder / "run", "--workers", "4", "--dfgen", "dfgen", "--print"]
    said = invoke("launch", "slurm", *words, *options).stdout
    assert not (folder / "run").exists(), "something was written"
    return said.replace(str(Path.cwd()), "/home/me").replace(str(folder), "/shared")


def list_workers(said: str) -> dict[str, str]:
    """The words of each job's command, by the name of the job."""
    lines = iter(said.splitlines())
    found, name = {}, ""
    for line in lines:
        if line.startswith("#SBATCH --job-name=dfgen-"):
            name = line.rpartition("-")[2]
        elif line.endswith(" &") and line.startswith("dfgen "):
            found[name] = line
    return found


def list_gpus(said: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in said.splitlines():
        if line.startswith("#SBATCH --job-name=dfgen-"):
            name = line.rpartition("-")[2]
            found[name] = ""
        elif line.startswith("#SBATCH --gres="):
            found[name] = line.partition("=")[2]
    return found


def test_what_is_printed(tmp_path: Path) -> None:
    """The whole of it, as a person reads it."""
    said = print_jobs(
        tmp_path,
        *("--time", "4:00:00", "--partition", "gpu", "--cpu-partition", "cpu"),
        *("--cpus-per-worker", "8", "--memory-per-worker", "64G", "--sbatch=--account=lab"),
        *("--setup", "module load cuda", "--lease", "120", "--limit", "1000", "--max-cost", "50"),
        *("--serve-repairer", "--servers", "2", "--gpus-per-server", "4"),
        score={"enabled": True},
    )
    assert said == GOLDEN.read_text("utf-8")


def test_what_is_printed_is_a_script_that_submits_the_jobs(tmp_path: Path) -> None:
    """It writes the same scripts and gives sbatch the same words, under a path of odd signs."""
    folder = tmp_path / "odd 'a' \"b\" #1 $HOME `id` %j ü"
    folder.mkdir()
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sbatch").write_text(
        '#!/bin/bash\necho "$@" >> "$CALLS"\necho "$(wc -l < "$CALLS");c"\n'
    )
    (tools / "sbatch").chmod(0o755)
    file = folder / "my.yaml"
    file.write_text(yaml.safe_dump(make_tree()))
    words = [
        file,
        "--out",
        folder / "run",
        "--workers",
        "4",
        "--dfgen",
        "dfgen",
        "--serve-repairer",
        "--no-check",
    ]
    printed = invoke("launch", "slurm", *words, "--print").stdout
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "CALLS": str(tmp_path / "printed")}
    subprocess.run(["bash", "-e"], input=printed, text=True, env=environment, check=True)
    first = folder / "run/launch/0001"
    scripts = {path.name: path.read_bytes() for path in first.glob("*.sh")}
    assert sorted(scripts) == ["mask.sh", "prompts.sh", "repair.sh", "sample.sh", "server.sh"]
    assert (first / "repair.job").read_text() == "4\n"
    assert (first / "server.key").stat().st_mode & 0o777 == 0o600
    runner = CliRunner(env={**environment, "CALLS": str(tmp_path / "submitted")})
    result = runner.invoke(cli, ["launch", "slurm", *map(str, words)])
    assert result.exit_code == 0, result.output
    second = folder / "run/launch/0002"
    assert (second / "repair.job").read_text() == "4\n"
    assert (second / "server.key").stat().st_mode & 0o777 == 0o600
    assert {
        path.name: path.read_bytes().replace(b"0002", b"0001") for path in second.glob("*.sh")
    } == scripts
    written = (*first.glob("*.sh"), *second.glob("*.sh"))
    assert not any(path.stat().st_mode & 0o077 for path in written), "settings may be secrets"
    calls = [(tmp_path / name).read_text() for name in ("printed", "submitted")]
    assert calls[0] == calls[1].replace("0002", "0001")
    assert "--dependency=after:3" in calls[0], "repair waits for a server that has begun"


def test_no_setting_ends_a_script_that_is_shown(tmp_path: Path) -> None:
    """A line of a value that is the end of the shown script would be run by the login node."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sbatch").write_text("#!/bin/bash\necho 1\n")
    (tools / "sbatch").chmod(0o755)
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(make_tree()))
    ends = [f"END_OF_{name}{more}" for name in ("SAMPLE", "MASK") for more in ("", "_")]
    trap = "name=a\n" + "\n".join(f"{end}\ntouch {tmp_path}/trapped" for end in ends)
    words = [tmp_path / "my.yaml", "--out", tmp_path / "run", "--workers", "2", "--set", trap]
    printed = invoke("launch", "slurm", *words, "--no-check", "--print").stdout
    environment = {"PATH": f"{tools}:/usr/bin:/bin"}
    subprocess.run(["bash"], input=printed, text=True, env=environment, cwd=tmp_path, check=False)
    assert not (tmp_path / "trapped").exists()
    assert trap.splitlines()[1] in (tmp_path / "run/launch/0001/sample.sh").read_text()


def test_only_who_holds_a_model_gets_gpus(tmp_path: Path) -> None:
    parallel = {**POLICY, "tensor_parallel_size": 2}
    said = print_jobs(tmp_path, policy=parallel, score={"enabled": True}, value={"enabled": True})
    assert list_gpus(said) == {
        **{"prompts": "", "sample": "gpu:2", "repair": "", "score": "gpu:2", "value": "gpu:2"},
        "mask": "",
    }
    assert list_gpus(print_jobs(tmp_path, "--gpus-per-worker", "0"))["sample"] == ""
    local = {"engine": {"engine": "transformers", "model": "demo:repairer"}}
    assert list_gpus(print_jobs(tmp_path, repair=local))["repair"] == "gpu:1"


def test_stages_that_a_run_has_not_are_left_out(tmp_path: Path) -> None:
    assert list(list_workers(print_jobs(tmp_path, repair={}))) == ["prompts", "sample", "mask"]
    tree = {"imports": {"source": "jsonl", "path": "a.jsonl", "tokenizer": "demo:policy"}}
    pipeline = Pipeline.model_validate({**tree, "repair": {"engine": REPAIRER}})
    assert [task.stage for task in plan_stages(pipeline, Resources(3))] == [
        *("prompts", "repair", "mask")
    ]
    assert [task.workers for task in plan_stages(pipeline, Resources(3))] == [1, 3, 3]
    pairs = Pipeline.model_validate({"pairs": {"path": "p.jsonl", "tokenizer": "demo:policy"}})
    with pytest.raises(ConfigError, match="no stage that several machines can share"):
        plan_stages(pairs, Resources(3))


def test_without_sbatch_nothing_is_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(make_tree()))
    monkeypatch.setenv("PATH", "/nowhere")
    words = [str(tmp_path / "my.yaml"), "--out", str(tmp_path / "run"), "--workers", "2"]
    result = CliRunner().invoke(cli, ["launch", "slurm", *words, "--no-check"])
    assert result.exit_code == 1
    assert "no command `sbatch`" in result.output and "--print" in result.output
    assert not (tmp_path / "run").exists()


def test_what_slurm_refuses_leaves_no_job_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(make_tree()))
    (tmp_path / "sbatch").write_text(
        "#!/bin/bash\nn=$(cat N 2>/dev/null || echo 0)\necho $((n + 1)) > N\n"
        '[ $n -lt 2 ] && echo $((n + 70)) || { echo "invalid account" >&2; exit 1; }\n'
    )
    (tmp_path / "scancel").write_text('#!/bin/bash\necho "$@" > cancelled\n')
    for name in ("sbatch", "scancel"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    words = ["my.yaml", "--out", "run", "--workers", "2", "--no-check"]
    result = CliRunner().invoke(cli, ["launch", "slurm", *words])
    assert result.exit_code == 1
    assert "invalid account" in result.output
    assert (tmp_path / "cancelled").read_text() == "70 71\n"
    assert not (tmp_path / "run" / "launch").exists()
    # Folders that were there, and those of other launches, stay.
    (tmp_path / "run" / "launch" / "0001").mkdir(parents=True)
    (tmp_path / "logs").mkdir()
    for more in ([], ["--logs", "logs/a/b"]):
        assert CliRunner().invoke(cli, ["launch", "slurm", *words, *more]).exit_code == 1
    assert [each.name for each in (tmp_path / "run" / "launch").iterdir()] == ["0001"]
    assert list((tmp_path / "logs").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--server-command", "x"], "--server-command is for --serve-repairer"),
        (["--sbatch=account=x"], "long option"),
        (["--logs", "a\nb"], "cannot hold"),
        (["--sbatch=--account\nrm -r x=y"], "no option of sbatch"),
        (["--sbatch=--hold\ntouch x"], "no option of sbatch"),
        (["--sbatch=--comment=a\ntouch x"], "cannot hold"),
        (["--partition", "a\ntouch x"], "cannot hold"),
        (["--time", "1:00\ntouch x"], "cannot hold"),
        (["--memory-per-worker", "1G\ntouch x"], "cannot hold"),
        (["--dfgen", "a 'b"], "--dfgen is no command"),
        (["--serve-repairer", "--server-command", "a 'b"], "--server-command is no command"),
        (["--serve-repairer", "--server-command", " "], "--server-command is empty"),
        (["--lease", "nan"], "no number of seconds"),
        (["--lease", "inf"], "inf is not in the range"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: list[str], what: str, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(make_tree()))
    words = [str(tmp_path / "my.yaml"), "--out", str(tmp_path / "run"), "--workers", "2", "--print"]
    result = CliRunner().invoke(cli, ["launch", "slurm", *words, *options])
    assert result.exit_code != 0
    assert what in result.output


SERVED = {"engine": "openai", "model": "m"}
BATCH = {**SERVED, "lane": "batch"}


@pytest.mark.parametrize(
    ("sections", "where"),
    [
        ({"repair": {"engine": BATCH}}, "repair.engine.lane"),
        ({"repair": {"engines": [SERVED, BATCH]}}, "repair.engines.1.lane"),
        ({"policy": {**SERVED, "lane": "files"}}, "policy.lane"),
    ],
)
def test_what_goes_in_batches_is_for_one_process(
    sections: dict[str, Any], where: str, tmp_path: Path
) -> None:
    """Whoever launches workers is told, and so is a worker that somebody starts by hand."""
    file, root = tmp_path / "my.yaml", tmp_path / "run"
    file.write_text(yaml.safe_dump(make_tree(**sections)))
    for words in (
        ["launch", "slurm", "--workers", "2"],
        ["run", "--shared"],
        ["run", "--shard", "0/2"],
    ):
        result = CliRunner().invoke(cli, [*words, str(file), "--out", str(root)])
        assert result.exit_code == 1, words
        assert f"{where}: lane " in result.output
        assert "is for one process at a time" in result.output
        assert "without --shared, --shard and launch" in result.output
        assert not root.exists()


def test_a_repairer_in_the_worker_needs_no_server(tmp_path: Path) -> None:
    local = {"engine": {"engine": "transformers", "model": "demo:repairer"}}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(make_tree(repair=local)))
    words = [str(tmp_path / "my.yaml"), "--out", str(tmp_path / "run"), "--workers", "2", "--print"]
    result = CliRunner().invoke(cli, ["launch", "slurm", *words, "--serve-repairer"])
    assert result.exit_code == 1
    assert "needs no server" in result.output


def test_workers_in_another_folder_mean_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(make_tree()))
    monkeypatch.chdir(tmp_path)
    words = ["my.yaml", "--out", "run", "--workers", "2", "--set", "name=a b", "--print"]
    said = invoke("launch", "slurm", *words, "--dfgen", "dfgen").stdout
    assert shlex.split(list_workers(said)["mask"])[4:-1] == [
        *(f"{tmp_path}/my.yaml", "--out", f"{tmp_path}/run", "--set", "name=a b", "--shared")
    ]
