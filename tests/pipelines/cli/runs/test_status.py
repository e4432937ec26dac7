"""`pipeline status`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pipelines.cli.runs.next_commands import COMMANDS, resume_command
from pipelines.records.runs import open_run
from pipelines.records.summaries import RunStatus
from tests.pipelines.conftest import Call
from tests.pipelines.records.making import hold, make_run, write_step


def test_a_complete_run(here: Path, call: Call) -> None:
    code, out, err = call("status", "whole")
    stages, steps = out.split("step\tstate")
    assert code == 0
    assert stages.splitlines() == [
        "stage\ttrained by\tsteps\ttime\tnewest\tstate\tmodel folder",
        "sft\tllamafactory\t450/450\t4:04\tloss 0.02222\tcomplete\tstages/sft/model",
        "rl\tgrpo verl\t4/4\t4:04\treward 0.8\tcomplete\tstages/rl/model",
    ]
    assert "rl/handover\tcomplete\t1:01\t\t" in steps
    assert err.splitlines()[0] == "whole: complete"
    assert err.splitlines()[1].startswith("runs/whole, on cpu, 9:09 in all; changed ")
    assert "model: runs/whole/stages/rl/model" in err
    assert "pipeline evaluate runs/whole # measure its model" in " ".join(err.split())


def test_the_newest_run_is_the_default(here: Path, call: Call) -> None:
    write_step(here / "runs/broken/stages/rl/train", "failed", "rl/train ended with status 1: ValueError: x\x1b[31m")
    assert call("status")[2].startswith(
        "broken: failed at rl, step 1/4, reward 0.2: rl/train ended with status 1: ValueError: x\\x1b[31m\n"
    )


def test_the_step_of_a_failure_is_named_once(here: Path, call: Call) -> None:
    make_run(here / "runs" / "mine", "rl/export", "failed", reason="rl/export ended with status 1: no space")
    assert call("status", "mine")[2].startswith(
        "mine: failed at rl/export, step 4/4, reward 0.8: ended with status 1: no space\n"
    )


def test_a_run_that_is_stopped_says_how_to_resume(here: Path, call: Call) -> None:
    _, out, err = call("status", "old")
    assert err.startswith("old: interrupted at rl, step 1/4, reward 0.2\n")
    assert "pipeline run runs/old/recipe.yaml  # resume; complete steps are kept" in err
    assert "pipeline logs runs/old" in err and "rl/train\tinterrupted\t" in out


def test_a_run_that_runs(here: Path, call: Call) -> None:
    hold(here / "runs/old", pid=7, host="elsewhere")
    _, out, err = call("status", "old")
    assert err.startswith("old: running on elsewhere: rl, step 1/4, reward 0.2\n")
    assert "process 7 of elsewhere" in err
    assert "rl/train\trunning\t" in out
    for command in ("status runs/old --watch", "logs runs/old -f", "stop runs/old"):
        assert (f"pipeline {command}" in " ".join(err.split())) == (not command.startswith("status"))


def test_failures_that_were_resumed(here: Path, call: Call) -> None:
    path = here / "runs/whole/stages/rl/train/record.json"
    failure = {"attempt": 1, "kind": "killed", "reason": "was killed by signal 9", "step": 3, "checkpoint": 2, "resumed": True}
    path.write_text(path.read_text().replace('"failures": []', f'"failures": [{json.dumps(failure)}]'))
    assert "rl/train: attempt 1 failed at step 3: was killed by signal 9; resumed from step 2" in call("status", "whole")[2]
    (found,) = (each for each in json.loads(call("status", "whole", "--json")[1])["steps"] if each["name"] == "rl/train")
    assert found["failures"] == [failure]


def test_notes_and_failed_evaluations(here: Path, call: Call) -> None:
    path = here / "runs/whole/stages/rl/train/record.json"
    path.write_text(path.read_text().replace('"notes": []', '"notes": ["2 of 9 rows were dropped"]'))
    write_step(here / "runs/whole/evaluations/sft", "failed", "no memory")
    _, _, err = call("status", "whole")
    assert "rl/train: 2 of 9 rows were dropped" in err
    assert "warning: sft/evaluate: no memory; log: runs/whole/evaluations/sft/log" in err


@pytest.mark.parametrize("name", ["whole", "torn", "old", "broken"])
def test_json(here: Path, call: Call, name: str) -> None:
    code, out, err = call("status", name, "--json")
    found = msgspec.json.decode(out.encode(), type=RunStatus)
    assert (code, err, found.directory) == (0, "", f"runs/{name}")
    assert json.loads(out)["version"] == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("whol", "runs/whol does not exist; did you mean 'whole'?"),
        ("runs", "runs is not a run: it has no run.json; the runs in runs are "),
        ("later", "runs/later is a run of a later version 9.0 (layout 9); this one, "),
    ],
)
def test_what_is_no_run_is_one_line(here: Path, call: Call, name: str, message: str) -> None:
    for command in ("status", "logs", "stop"):
        code, out, err = call(command, name)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert err.startswith(f"error: {message}")
    assert call("compare", "whole", name)[0] == 2


def test_a_name_that_is_too_long(here: Path, call: Call) -> None:
    code, _, err = call("status", "x" * 5000)
    assert code == 2 and err.startswith("error: ") and err.endswith(" cannot be opened: File name too long\n")


def test_a_moved_run(here: Path, call: Call) -> None:
    shutil.move("runs/broken", "elsewhere")
    code, _, err = call("status", "elsewhere")
    assert code == 0 and "elsewhere: failed at rl" in err
    (here / "kept").mkdir()
    shutil.move("elsewhere", "kept/broken")
    assert "pipeline run kept/broken/recipe.yaml --runs kept" in call("status", "kept/broken")[2]


def test_watching_ends_with_the_run(here: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = here / "runs" / "old"
    hold(directory)
    monkeypatch.setattr("time.sleep", lambda _: (directory / "owner").unlink())
    code, out, _ = call("status", "old", "--watch", "--json")
    first, second = [json.loads(line) for line in out.splitlines()]
    assert (code, first["state"], second["state"]) == (0, "running", "interrupted")


def test_resume_command_of_a_run_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = make_run(tmp_path / "runs" / "mine", "rl/train", "failed").directory
    monkeypatch.chdir(tmp_path)
    assert resume_command(open_run(directory)) == "pipeline run mine.yaml"
    monkeypatch.chdir(tmp_path / "runs")
    assert resume_command(open_run(directory)) == f"cd {tmp_path} && pipeline run mine.yaml"


@pytest.mark.parametrize("option", [["--runs", "out put"], ["--runs=out put"]])
def test_resume_command_with_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    path = make_run(tmp_path / "out put" / "mine", "rl/train", "failed").directory / "run.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"command": [*manifest["command"], *option]}))
    assert resume_command(open_run(path.parent)).startswith("pipeline run mine.yaml ")


def test_resume_command_of_a_run_with_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "runs" / "mine", "rl/train", "failed").directory.rename(tmp_path / "runs" / "other")
    text = resume_command(open_run(tmp_path / "runs" / "other"))
    assert text == "mv runs/other runs/mine && pipeline run runs/mine/recipe.yaml"


def test_listed_commands_exist() -> None:
    """The list is in one place: a command that is added to it must exist."""
    from pipelines.cli.main import app

    names = {each.name or getattr(each.callback, "__name__", "") for each in app.registered_commands}
    listed = {command.split()[0] for commands in COMMANDS.values() for command, _ in commands}
    assert listed <= names


def test_status_imports_nothing_heavy(here: Path) -> None:
    heavy = {"pyarrow", "torch", "ruamel.yaml", "pipelines.recipe.schema", "rich", "yaml"}
    code = "import sys; sys.argv = ['pipeline', 'status', 'whole']; from pipelines.cli.main import app\n"
    code += f"try: app()\nexcept SystemExit: print(*sorted(set(sys.modules) & {heavy}), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == ""
