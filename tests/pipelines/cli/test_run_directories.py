"""Run directories: one belongs to one recipe file, and one that cannot be used is an error of one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from pipelines.cli.main import describe_file_error
from pipelines.recipe.loading import load
from pipelines.records.claims import claim, find_conflict
from pipelines.records.manifest import read_manifest, write_manifest
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


def test_two_recipes_of_one_name(call: Call, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.checks.upstreams.find_built", lambda _: None)
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
    directory = make_run(tmp_path / "runs" / "twice").directory
    assert conflict(directory, first) is None, "its recipe is not there any more"
    manifest = read_manifest(directory)
    assert manifest is not None
    write_manifest(directory, replace(manifest, command=["pipeline", "run", "first.yaml"], folder=str(tmp_path)))
    assert conflict(directory, first) is None
    found = conflict(directory, write(tmp_path / "second.yaml"))
    assert found is not None and f"is the run of {first}; " in found


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


DRIVER = """
import contextlib, io, json, sys
from pipelines.cli import main
results = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["pipeline", *words]
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main.main()
        except SystemExit as ended:
            status = ended.code or 0
    results.append((status, out.getvalue(), err.getvalue()))
print(json.dumps(results), file=sys.stderr)
"""


@dataclass(frozen=True)
class Done:
    """What a command printed."""

    arguments: str
    status: int
    out: str
    err: str

    def refused(self) -> str:
        """Return the one line of an error."""
        lines = [line for line in self.err.splitlines() if not line.startswith(("note: ", "warning: "))]
        assert self.status == 2, self
        assert len(lines) == 1 and lines[0].startswith("error: "), self
        return lines[0]


def limited(folder: Path, *commands: str, before: str = ":") -> list[Done]:
    """Call `pipeline …` several times as a user who may not use what permissions forbid; root may use everything."""
    drop = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner"] if os.getuid() == 0 else []
    script = f'cd "$1" && {before} && shift && exec "$@"'
    words = json.dumps([command.split() for command in commands])
    argv = ["sh", "-c", script, "sh", str(folder), *drop, sys.executable, "-c", DRIVER, words]
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert "Traceback" not in done.stderr and done.returncode == 0, done.stderr
    results = json.loads(done.stderr.splitlines()[-1])
    return [Done(command, *result) for command, result in zip(commands, results, strict=True)]


@pytest.fixture
def place(first: Path, tmp_path: Path) -> Iterator[Callable[[str, int], Path]]:
    """Return a function that changes the permissions of a path; they are restored after the test."""
    make_run(tmp_path / "runs" / "twice")
    changed: list[Path] = []

    def change(name: str, mode: int) -> Path:
        path = tmp_path / name
        changed.append(path)
        path.chmod(mode)
        return path

    yield change
    for path in changed:
        path.chmod(0o755)


READERS = [
    "status twice",
    "logs twice",
    "stop twice",
    "compare twice twice",
    "report twice",
    "evaluate runs/twice",
    "export runs/twice -o out",
    "push runs/twice me/x --dry-run",
    "chat runs/twice",
    "clean runs/twice",
]
WRITERS = ["run first.yaml", "run first.yaml --detach", "data prepare first.yaml"]
PLANNERS = ["plan first.yaml", "estimate first.yaml"]


@pytest.mark.parametrize("folder", ["runs", "runs/twice"])
def test_a_directory_that_may_not_be_read(folder: str, place: Callable[[str, int], Path], tmp_path: Path) -> None:
    place(folder, 0)
    for done in limited(tmp_path, *READERS, *WRITERS, *PLANNERS):
        line = done.refused()
        assert folder in line, done
        assert any(word in line.lower() for word in ("denied", "not readable", "permissions")), done


@pytest.mark.parametrize("folder", ["runs", "runs/twice", "runs/twice/stages/sft", "runs/twice/stages/sft/train"])
def test_a_directory_that_may_not_be_written(folder: str, place: Callable[[str, int], Path], tmp_path: Path) -> None:
    if folder == "runs":
        shutil.rmtree(tmp_path / "runs" / "twice")
    problem = f"{place(folder, 0o555)} cannot be written: its permissions are dr-xr-xr-x; --runs DIR makes run directories"
    *refused, planned, elsewhere = limited(tmp_path, *WRITERS, "plan first.yaml --brief", "run first.yaml --runs /proc/runs")
    for done in refused:
        assert done.refused() == f"error: {problem} elsewhere"
    assert planned.status == 0 and f"on this machine:\n  {problem}" in planned.out
    assert elsewhere.refused().startswith("error: /proc")


def test_a_directory_that_may_only_be_read(place: Callable[[str, int], Path], tmp_path: Path) -> None:
    for path in sorted(tmp_path.glob("runs/twice/**/"), reverse=True):
        place(str(path.relative_to(tmp_path)), 0o555)
    *shown, report = limited(tmp_path, "status twice", "runs", "logs twice", "compare twice twice", "report twice")
    assert {done.status for done in shown} == {0}
    assert report.refused() == "error: cannot write runs/twice/report.html: Permission denied; the old file is unchanged"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files to another user")
def test_a_directory_of_another_user(first: Path, tmp_path: Path) -> None:
    directory = make_run(tmp_path / "runs" / "twice").directory
    os.chown(directory, 65534, 65534)
    (done,) = limited(tmp_path, "run first.yaml")
    assert done.refused().startswith(f"error: {directory} cannot be written: it belongs to ")
    directory.chmod(0o700)
    (done,) = limited(tmp_path, "status twice")
    assert "denied" in done.refused()


def test_unreadable_runs_are_listed(place: Callable[[str, int], Path], tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "readable")
    place("runs/twice", 0)
    (done,) = limited(tmp_path, "runs")
    assert (done.status, done.err) == (0, "warning: runs/twice cannot be read: permission denied\n")
    assert "readable\t" in done.out


def test_a_recipe_that_may_not_be_read(place: Callable[[str, int], Path], tmp_path: Path) -> None:
    place("first.yaml", 0)
    (tmp_path / "second.yaml").write_text("extends: first.yaml\n")
    for done in limited(tmp_path, "plan first.yaml", "run first.yaml", "plan second.yaml"):
        assert "first.yaml" in done.refused()


def test_a_current_folder_that_was_deleted(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    others = ["recipes", "runs", "status", "init x --from smoke.yaml", "doctor", "env list", "explain temperature"]
    for done in limited(gone, *READERS, *WRITERS, *PLANNERS, *others, before='rmdir "$1"'):
        line = "error: the current folder cannot be used: No such file or directory; change to another one"
        assert done.refused() == line
    gone.mkdir()
    (done,) = limited(gone, "run --help", before='rmdir "$1"')
    assert done.status == 0


ASCII = {
    "encoding": {"PYTHONIOENCODING": "ascii", "LANG": "C"},
    "locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("variables", ASCII)
def test_output_in_ascii(variables: str, first: Path, tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "twice", "sft/train", "failed", reason="Überlauf 世界 …")
    folder = tmp_path / "größe"
    folder.mkdir()
    (folder / "model").symlink_to(tmp_path / "model")
    (folder / "maß.yaml").write_text(RECIPE.replace("twice", "size"), encoding="utf-8")
    printed = {}
    for command in ("status ../runs/twice", "data prepare maß.yaml", "plan maß.yaml --set größe=1", "submit --help"):
        argv = pipeline(*command.split())
        done = subprocess.run(argv, capture_output=True, cwd=folder, env=os.environ | ASCII[variables], check=False)
        assert b"Traceback" not in done.stderr, done.stderr
        assert done.returncode == (2 if "größe=1" in command else 0), done.stderr
        printed[command.split()[0]] = (done.stdout + done.stderr).decode("ascii")
    assert r"\xdcberlauf \u4e16\u754c ..." in printed["status"]
    assert r"error: --set gr\xf6\xdfe: unknown key" in printed["plan"]
    assert str(folder / "maß.yaml") == json.loads((folder / "runs/size/recipe.json").read_text(encoding="utf-8"))["path"]


def test_no_temporary_folder() -> None:
    error = FileNotFoundError(2, "No usable temporary directory found in ['/x', '/tmp']")
    assert describe_file_error(error) == ("no usable temporary directory found in ['/x', '/tmp']; set TMPDIR", 2)
