"""Runs: their states, the step that runs, where they are found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.records.runs import Run, find_run, find_runs, is_run, locate, newest_run, open_run
from pipelines.records.steps import Outcome
from tests.pipelines.records.making import NAMES, hold, make_old, make_run, write_step


@pytest.mark.parametrize(
    ("last", "outcome", "held", "state", "current"),
    [
        ("rl/handover", "complete", False, "complete", None),
        ("rl/handover", "complete", True, "running", None),
        ("rl/train", "started", True, "running", "rl/train"),
        ("rl/train", "started", False, "interrupted", "rl/train"),
        ("rl/train", "failed", False, "failed", "rl/train"),
        ("sft/handover", "complete", False, "interrupted", None),
        ("rl/prepare", "complete", False, "waiting", None),
        ("sft/prepare", "failed", False, "failed", "sft/prepare"),
    ],
)
def test_states(tmp_path: Path, last: str, outcome: Outcome, held: bool, state: str, current: str | None) -> None:
    directory = make_run(tmp_path / "mine", last, outcome).directory
    if held:
        hold(directory)
    run = open_run(directory)
    assert (run.state, run.current.name if run.current else None) == (state, current)


def test_a_run_that_did_all_that_was_asked_for_is_complete(tmp_path: Path) -> None:
    run = make_run(tmp_path / "mine", "sft/handover", selected=[name for name in NAMES if not name.startswith("rl/t")][:6])
    assert run.state == "complete"
    assert [stage.state for stage in run.stages] == ["complete", "waiting"]


def test_a_failed_evaluation_does_not_fail_the_run(tmp_path: Path) -> None:
    directory = make_run(tmp_path / "mine").directory
    write_step(directory / "evaluations" / "sft", "failed", "no memory")
    run = open_run(directory)
    assert (run.state, run.current) == ("complete", None)


@pytest.mark.parametrize(
    ("last", "outcome", "states"),
    [
        ("sft/train", "started", ["interrupted", "waiting"]),
        ("sft/train", "complete", ["interrupted", "waiting"]),
        ("rl/train", "failed", ["complete", "failed"]),
        ("rl/handover", "complete", ["complete", "complete"]),
    ],
)
def test_states_of_stages(tmp_path: Path, last: str, outcome: Outcome, states: list[str]) -> None:
    assert [stage.state for stage in make_run(tmp_path / "mine", last, outcome).stages] == states


def test_a_moved_run_of_version_0_2(tmp_path: Path) -> None:
    directory = make_old(make_run(tmp_path / "mine").directory)
    (tmp_path / "kept").mkdir()
    shutil.move(directory, tmp_path / "kept" / "other")
    run = open_run(tmp_path / "kept" / "other")
    assert (run.name, run.state) == ("mine", "complete")
    assert run.model == tmp_path / "kept" / "other" / "stages" / "rl" / "model"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the runs `one`, of version 0.2, and `two`, which changed last."""
    monkeypatch.chdir(tmp_path)
    make_old(make_run(tmp_path / "runs" / "one", "rl/train", "started").directory)
    make_run(tmp_path / "runs" / "two")
    return tmp_path


@pytest.mark.parametrize("text", ["two", "runs/two", "./runs/two", "runs/two/", "{here}/runs/two"])
def test_a_run_is_found_by_path_or_name(here: Path, text: str) -> None:
    assert find_run(text.format(here=here)).name == "two"


def test_a_path_comes_first(here: Path) -> None:
    make_run(here / "two", "sft/train", "failed")
    assert (find_run("two").state, find_run("runs/two").state) == ("failed", "complete")
    (here / "one").mkdir()
    assert find_run("one").directory == Path("runs/one"), "the folder of that name is no run"


def test_names_are_of_the_given_folder(here: Path) -> None:
    make_run(here / "out" / "three")
    assert find_run("three", Path("out")).name == "three"
    assert newest_run(Path("out")).name == "three"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tow", "runs/tow does not exist; did you mean 'two'?"),
        ("runs/tow", "runs/tow does not exist; did you mean 'two'?"),
        ("other", "runs/other does not exist; the runs in runs are two, one"),
        ("runs", "runs is not a run: it has no run.json; the runs in runs are two, one"),
        ("runs/two/stages", "runs/two/stages is not a run: it has no run.json; runs/two has no runs"),
        ("/nowhere/x", "/nowhere/x does not exist"),
    ],
)
def test_what_is_no_run_names_the_nearest(here: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        find_run(text)
    assert str(raised.value) == message


def test_a_folder_with_many_runs_is_not_listed_in_full(here: Path) -> None:
    for number in range(12):
        make_run(here / "runs" / f"x{number}", "sft/prepare")
    with pytest.raises(InputError, match=r"the runs in runs are (\w+, ){7}\w+ and 6 more$"):
        find_run("quite-different")


def test_the_newest_run(here: Path) -> None:
    assert newest_run().name == "two"
    write_step(here / "runs" / "one" / "stages" / "rl" / "train", "failed")
    assert newest_run().name == "one"
    assert [path.name for path in find_runs()] == ["one", "two"]
    with pytest.raises(InputError, match="nothing has no runs; `pipeline run"):
        newest_run(Path("nothing"))


def test_paths_may_begin_with_the_name_of_a_run(here: Path) -> None:
    assert locate("two/sft") == Path("runs/two/sft")
    assert locate("three/sft") == Path("three/sft")
    assert locate("/two/sft") == Path("/two/sft")
    (here / "two" / "sft").mkdir(parents=True)
    assert locate("two/sft") == Path("two/sft")


def test_rows_alone_are_a_run_that_has_not_begun(tmp_path: Path) -> None:
    """`pipeline data prepare` writes the rows and the recipe."""
    directory = make_old(make_run(tmp_path / "mine", "rl/prepare").directory)
    assert is_run(directory) and open_run(directory).state == "waiting"


def test_a_stage_that_does_not_exist(tmp_path: Path) -> None:
    run: Run = make_run(tmp_path / "mine")
    with pytest.raises(InputError, match="has no stage 'sftt'; did you mean 'sft'\\?; its stages are sft, rl"):
        run.stage("sftt")
