"""Run directories: one belongs to one recipe file, and one that cannot be used is an error of one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.recipe.loading import load
from pipelines.records.claims import claim, find_conflict
from tests import ROOT
from tests.pipelines.conftest import Call
from tests.pipelines.records.making import make_run
from tests.terminal import pipeline

RECIPE = f"""\
name: twice
model: ./model
hardware: {{platform: cpu}}
stages:
  - name: sft
    kind: sft
    data:
      train: {{converter: programs_execution, source: {ROOT}/recipes/data/programs.py, limit: 4}}
      validation: {{fraction: 0.25}}
    steps: 10
    learning_rate: 1.0e-5
    batch: {{per_device: 2, accumulate: 1}}
    max_tokens: 512
"""


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """Write a recipe and its model."""
    for folder in (tmp_path, tmp_path / "other"):
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "config.json").write_text("{}")
    path = tmp_path / "first.yaml"
    path.write_text(RECIPE)
    return path


def write(path: Path, seed: int = 3) -> Path:
    """Write another recipe of the same name."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{RECIPE}seed: {seed}\n")
    return path


def conflict(directory: Path, recipe: Path) -> str | None:
    return find_conflict(directory, load(recipe))


def test_two_recipes_of_one_name(call: Call, first: Path, tmp_path: Path) -> None:
    assert call("data", "prepare", "first.yaml")[0] == 0
    second, directory = write(tmp_path / "second.yaml"), tmp_path / "runs" / "twice"
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    line = f"second.yaml:1: name: {directory} is the run of {first}; {second} would overwrite it: set another `name`"
    for command in (["run"], ["run", "--fresh"], ["run", "--detach"], ["data", "prepare"], ["check", "--sample", "1"]):
        status, _, err = call(*command, "second.yaml")
        assert status == 2, command
        assert [each for each in err.splitlines() if line in each], err
    status, _, err = call("submit", "second.yaml", "--to", "slurm")
    assert status == 2
    status, out, _ = call("plan", "second.yaml", "--brief")
    assert status == 0 and f"on this machine:\n  {line}" in out
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before
    status, _, err = call("data", "prepare", "second.yaml", "--adopt")
    assert status == 0
    assert json.loads((directory / "recipe.json").read_text())["path"] == str(second)
    assert call("data", "prepare", "second.yaml")[0] == 0
    assert call("data", "prepare", "first.yaml")[0] == 2


def test_a_recipe_without_a_name_of_its_own(call: Call, first: Path, tmp_path: Path) -> None:
    assert call("data", "prepare", "first.yaml")[0] == 0
    (tmp_path / "longer.yaml").write_text("extends: first.yaml\nseed: 4\n")
    status, _, err = call("data", "prepare", "longer.yaml")
    assert status == 2
    assert err.startswith(
        f"error: first.yaml:1: name: {tmp_path}/runs/twice is the run of {first}; {tmp_path}/longer.yaml would"
    )


def test_the_same_recipe(first: Path, tmp_path: Path) -> None:
    directory = tmp_path / "runs" / "twice"
    directory.mkdir(parents=True)
    assert conflict(directory, first) is None, "it belongs to none yet"
    claim(directory, first)
    first.write_text(f"{RECIPE}seed: 5\n")
    assert conflict(directory, first) is None, "edited"
    claim(directory, first)
    copy = write(tmp_path / "other" / "copy.yaml", 5)
    assert conflict(directory, copy) is None, "a copy"
    link = tmp_path / "link.yaml"
    link.symlink_to(first)
    assert conflict(directory, link) is None
    renamed = first.rename(tmp_path / "renamed.yaml")
    assert conflict(directory, renamed) is None, "moved"
    renamed.write_text(f"{RECIPE}seed: 6\n")
    found = conflict(directory, renamed)
    assert found is not None and f"is the run of {first}, which does not exist any more; {renamed} would" in found


def test_a_recipe_that_moved_with_its_runs(first: Path, tmp_path: Path) -> None:
    directory = tmp_path / "other" / "runs" / "twice"
    directory.mkdir(parents=True)
    claim(directory, write(tmp_path / "other" / "mine.yaml"))
    shutil.copytree(tmp_path / "other", tmp_path / "copied")
    edited = write(tmp_path / "copied" / "mine.yaml", 9)
    assert conflict(tmp_path / "copied" / "runs" / "twice", edited) is None
    assert conflict(directory, edited) is not None


def test_the_recipe_of_the_directory_itself(call: Call, first: Path, tmp_path: Path) -> None:
    """`pipeline status` prints it as the command that resumes a run that was moved; submitted jobs run a frozen copy."""
    assert call("data", "prepare", "first.yaml")[0] == 0
    assert call("data", "prepare", "runs/twice/recipe.yaml", "--set", "seed=8")[0] == 0
    known = json.loads((tmp_path / "runs/twice/recipe.json").read_text())["path"]
    assert known == str(first)


def test_a_directory_of_an_earlier_version(first: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "twice")
    assert conflict(tmp_path / "runs" / "twice", first) is None


def clone(folder: Path) -> Path:
    """Make a checkout of this project, as far as recipes are found in it."""
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    pin = folder / "third_party" / "verl" / "pin.toml"
    pin.parent.mkdir(parents=True)
    shutil.copy(ROOT / "third_party" / "verl" / "pin.toml", pin)
    text = (ROOT / "recipes" / "smoke.yaml").read_text()
    (folder / "recipes" / "smoke.yaml").write_text(text.replace("name: smoke\n", "name: smoke-of-clone\n"))
    (folder / "recipes" / "new.yaml").write_text("# New here.\nextends: smoke.yaml\nname: new\n")
    return folder


@pytest.mark.parametrize("inside", [".", "docs", "runs/x"])
def test_a_bare_name_in_another_checkout(inside: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = clone(tmp_path / "other")
    (other / inside).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(other / inside)
    for name, run in (("smoke.yaml", "smoke-of-clone"), ("new.yaml", "new")):
        status, out, err = call("plan", name, "--brief", "--set", "hardware.platform=cpu")
        assert status == 0
        assert out.startswith(f"recipe    {run}\n")
        assert err == f"note: {other}/recipes/{name} is a recipe of {other}; it is run by the code of {ROOT}\n"
    assert "\nnew.yaml\tNew here\t" in call("recipes")[1]
    (other / "recipes" / "learns.yaml").unlink()
    assert call("plan", "learns.yaml", "--brief", "--set", "hardware.platform=cpu")[0] == 0, "the other has none of this name"


def test_a_bare_name_in_a_copy_of_a_recipe(tmp_path: Path) -> None:
    other = clone(tmp_path / "other")
    (other / "mine").mkdir()
    (other / "mine" / "x.yaml").write_text("extends: smoke.yaml\nname: x\n")
    found = load(other / "mine" / "x.yaml")
    assert found.where("stages", "sft").startswith(f"{other}/recipes/smoke.yaml:")


def limited(folder: Path, *arguments: str, before: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Call `pipeline …` as a user who may not use what permissions forbid; root may everything."""
    drop = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner"] if os.getuid() == 0 else []
    # With its bounding set changed first, the shell has the capabilities that it needs to enter the folder.
    script = f'cd "$1" && {before or ":"} && shift && exec "$@"'
    argv = ["sh", "-c", script, "sh", str(folder), *drop, *pipeline(*arguments)]
    return subprocess.run(
        argv, capture_output=True, text=True, env=os.environ | variables, stdin=subprocess.DEVNULL, check=False
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line of an error."""
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("note: ", "warning: "))]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    return lines[0]


@pytest.fixture
def place(first: Path, tmp_path: Path) -> Callable[[str, int], Path]:
    """Return a function that changes the permissions of a path; they are restored after the test."""
    make_run(tmp_path / "runs" / "twice")
    changed: list[Path] = []

    def change(name: str, mode: int) -> Path:
        path = tmp_path / name
        changed.append(path)
        path.chmod(mode)
        return path

    yield change  # type: ignore[misc]
    for path in changed:
        path.chmod(0o755)


READERS = [
    ["status", "twice"],
    ["logs", "twice"],
    ["stop", "twice"],
    ["compare", "twice", "twice"],
    ["report", "twice"],
    ["evaluate", "runs/twice"],
    ["export", "runs/twice"],
    ["push", "runs/twice", "me/x", "--dry-run"],
    ["chat", "runs/twice"],
    ["clean", "runs/twice"],
]
WRITERS = [["run", "first.yaml"], ["run", "first.yaml", "--detach"], ["data", "prepare", "first.yaml"]]
PLANNERS = [["plan", "first.yaml"], ["estimate", "first.yaml"]]


@pytest.mark.parametrize("arguments", [*READERS, *WRITERS, *PLANNERS], ids=" ".join)
@pytest.mark.parametrize("folder", ["runs", "runs/twice"])
def test_a_directory_that_may_not_be_read(
    folder: str, arguments: list[str], place: Callable[[str, int], Path], tmp_path: Path
) -> None:
    place(folder, 0)
    line = refused(limited(tmp_path, *arguments))
    assert folder in line
    assert any(word in line.lower() for word in ("denied", "not readable", "permissions"))


@pytest.mark.parametrize("arguments", WRITERS, ids=" ".join)
@pytest.mark.parametrize("folder", ["runs", "runs/twice", "runs/twice/stages/sft", "runs/twice/stages/sft/train"])
def test_a_directory_that_may_not_be_written(
    folder: str, arguments: list[str], place: Callable[[str, int], Path], tmp_path: Path
) -> None:
    if folder == "runs":
        shutil.rmtree(tmp_path / "runs" / "twice")
    path = place(folder, 0o555)
    line = refused(limited(tmp_path, *arguments))
    assert (
        line == f"error: {path} cannot be written: its permissions are dr-xr-xr-x; --runs DIR makes run directories elsewhere"
    )
    planned = limited(tmp_path, "plan", "first.yaml", "--brief")
    assert planned.returncode == 0 and f"{path} cannot be written" in planned.stdout
    assert refused(limited(tmp_path, "run", "first.yaml", "--runs", "/proc/runs")).startswith("error: /proc")


@pytest.mark.parametrize(
    "arguments", [["status", "twice"], ["runs"], ["logs", "twice"], ["compare", "twice", "twice"]], ids=" ".join
)
def test_a_directory_that_may_be_read_only(arguments: list[str], place: Callable[[str, int], Path], tmp_path: Path) -> None:
    for path in sorted(tmp_path.glob("runs/twice/**/"), reverse=True):
        place(str(path.relative_to(tmp_path)), 0o555)
    done = limited(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files to another user")
def test_a_directory_of_another_user(first: Path, tmp_path: Path) -> None:
    directory = make_run(tmp_path / "runs" / "twice").directory
    os.chown(directory, 65534, 65534)
    line = refused(limited(tmp_path, "run", "first.yaml"))
    assert line.startswith(f"error: {directory} cannot be written: it belongs to ")
    directory.chmod(0o700)
    assert "denied" in refused(limited(tmp_path, "status", "twice"))


def test_unreadable_runs_are_listed(place: Callable[[str, int], Path], tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "readable")
    place("runs/twice", 0)
    done = limited(tmp_path, "runs")
    assert done.returncode == 0
    assert "readable\t" in done.stdout
    assert done.stderr == "warning: runs/twice cannot be read: permission denied\n"


def test_a_file_that_may_not_be_read(place: Callable[[str, int], Path], tmp_path: Path) -> None:
    place("first.yaml", 0)
    assert refused(limited(tmp_path, "plan", "first.yaml")) == "error: first.yaml: cannot be read: Permission denied"


@pytest.mark.parametrize(
    "arguments",
    [*READERS, *WRITERS, *PLANNERS, ["recipes"], ["runs"], ["init", "x", "--from", "smoke.yaml"], ["doctor"], ["env", "list"]],
    ids=" ".join,
)
def test_a_current_folder_that_was_deleted(arguments: list[str], tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    line = refused(limited(gone, *arguments, before='rmdir "$1"'))
    assert line == "error: the current folder cannot be used: No such file or directory; change to another one"


def test_help_needs_no_folder(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    assert limited(gone, "run", "--help", before='rmdir "$1"').returncode == 0


ASCII = {
    "encoding": {"PYTHONIOENCODING": "ascii", "LANG": "C"},
    "locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("variables", ASCII)
@pytest.mark.parametrize(
    "arguments",
    [
        *(each for each in READERS if each[0] in ("status", "logs", "compare", "report")),
        ["data", "prepare", "größe.yaml"],
        ["plan", "größe.yaml"],
        ["plan", "größe.yaml", "--set", "größe=1"],
        ["explain", "temperature"],
        ["algorithms"],
        ["recipes"],
        ["doctor"],
        ["submit", "--help"],
        ["data", "show", f"{ROOT}/preprocess/converters/examples/alpaca.jsonl"],
    ],
    ids=" ".join,
)
def test_output_in_ascii(variables: str, arguments: list[str], first: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "twice", "sft/train", "failed", reason="Überlauf 世界 …")
    (tmp_path / "größe.yaml").write_text(RECIPE.replace("twice", "size"), encoding="utf-8")
    done = limited(tmp_path, *arguments, **ASCII[variables])
    assert done.returncode == (2 if "größe=1" in arguments else 0), done.stderr
    assert (done.stdout + done.stderr).isascii()
    assert "Traceback" not in done.stderr
    if arguments[0] == "status":
        assert r"\xdcberlauf \u4e16\u754c ..." in done.stdout


def test_no_temporary_folder(first: Path, tmp_path: Path) -> None:
    """Python tries TMPDIR, some folders of the system, and the current folder."""
    from pipelines.cli import main

    error = FileNotFoundError(2, "No usable temporary directory found in ['/x', '/tmp']")
    assert main.describe_file_error(error) == ("no usable temporary directory found in ['/x', '/tmp']; set TMPDIR", 2)
