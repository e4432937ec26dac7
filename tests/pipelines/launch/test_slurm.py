"""Jobs on a real Slurm cluster of two nodes on this machine, with a program instead of `pipeline run`."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.launch import jobs, submission
from pipelines.launch.job import Job
from pipelines.launch.settings import Settings
from pipelines.records.submission import read_submission
from tests.pipelines.conftest import Call
from tests.pipelines.launch.making import make_job, make_settings
from tests.pipelines.launch.slurm_cluster import Cluster, start_cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    with start_cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(running: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    for name, value in running.variables.items():
        monkeypatch.setenv(name, value)
    return running


def make_program(folder: Path, text: str) -> str:
    """Write a program that is run instead of `pipeline`."""
    program = folder / "program with a space"
    program.write_text(f"#!/bin/bash\n{text}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def make_cpu_job(folder: Path, text: str, **values: object) -> Job:
    given = {"runs": folder / "all runs", "nodes": 1, "gpus": 0, "workers": 1, "paths": (), **values}
    return make_job(pipeline=make_program(folder, text), **given)


def submit(job: Job, settings: Settings | None = None) -> list[submission.Submitted]:
    recipes = dict.fromkeys(job.names, "name: mine\n")
    return submission.submit(job, "slurm", settings or make_settings(slurm={}), recipes, lambda name: None, print)


def read_lines(log: Path) -> list[str]:
    """Return the lines of a job's log without those of Slurm itself."""
    return [line for line in log.read_text().splitlines() if not line.startswith("slurmstepd")]


def test_a_job_runs_the_frozen_recipe_after_the_setup_lines(cluster: Cluster, tmp_path: Path) -> None:
    job = make_cpu_job(tmp_path, 'printf "%s|" "$A" "$SRUN_CPUS_PER_TASK" "$@"; cat "$2"')
    settings = make_settings(slurm={"partition": "main", "cpus": 2, "setup": ["export A='b  c'"], "options": ["--comment=x y"]})
    (run,) = submit(job, settings)
    cluster.wait_until_ended()
    folder = tmp_path / "all runs" / "mine"
    log = (folder / run.job.log).read_text()
    assert log == f"b  c|2|run|{folder}/launch/recipe.yaml|--runs|{tmp_path}/all runs|name: mine\n"
    assert read_submission(folder) == run.job
    assert {each.name for each in (folder / "launch").iterdir()} == {
        "job.json",
        "recipe.yaml",
        "slurm.sh",
        Path(run.job.log).name,
    }
    assert jobs.describe_job(run.job) == f"Slurm job {run.job.id}, completed"


def test_each_seed_has_a_run_of_its_own(cluster: Cluster, tmp_path: Path) -> None:
    job = make_cpu_job(tmp_path, 'echo "$2"', seeds=(7, 1))
    runs = submit(job)
    cluster.wait_until_ended()
    assert [run.directory.name for run in runs] == ["mine-seed-7", "mine-seed-1"]
    for run in runs:
        assert (run.directory / run.job.log).read_text() == f"{run.directory}/launch/recipe.yaml\n"


@pytest.mark.nightly
def test_near_the_time_limit_the_run_is_stopped_and_the_job_requeued(cluster: Cluster, tmp_path: Path) -> None:
    # The first attempt waits for SIGTERM; its end takes a while.
    stopped = 'trap "echo stopping; sleep 1; echo stopped; exit 143" TERM; echo first; while :; do sleep 0.2; done'
    job = make_cpu_job(tmp_path, f'if [ -e "$4/again" ]; then echo resumed; else touch "$4/again"; {stopped}; fi')
    (run,) = submit(job, make_settings(slurm={"time": "2:00:00", "stop_before": 3600}))
    log = run.directory / run.job.log
    cluster.wait_for(lambda: log.exists() and "first" in log.read_text(), "the start")
    # Slurm looks at the limits of jobs twice a minute.
    cluster.call("scontrol", "update", f"JobId={run.job.id}", "TimeLimit=60")
    cluster.wait_for(lambda: jobs.find_state(run.job) == ("pending", "BeginTime"), "the requeue")
    cluster.release(run.job.id)
    cluster.wait_until_ended()
    assert read_lines(log) == [
        "first",
        "stopping",
        "stopped",
        f"near the time limit: job {run.job.id} is requeued and resumes the run",
        "resumed",
    ]


def test_a_stopped_job_ends_in_order_and_is_not_requeued(cluster: Cluster, tmp_path: Path) -> None:
    job = make_cpu_job(tmp_path, 'trap "sleep 1; echo stopped; exit 143" TERM; echo first; while :; do sleep 0.2; done')
    (run,) = submit(job)
    log = run.directory / run.job.log
    cluster.wait_for(lambda: log.exists() and "first" in log.read_text(), "the start")
    with pytest.raises(InputError, match=rf"was submitted before: Slurm job {run.job.id}, running; `pipeline stop mine`"):
        submit(job)
    assert jobs.stop_job(run.job)
    assert read_lines(log) == ["first", "stopped"]
    assert not jobs.stop_job(run.job)
    assert cluster.jobs() == []


def test_a_job_is_followed_until_it_ends(cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = submit(make_cpu_job(tmp_path, "for i in 1 2 3; do echo line $i; sleep 0.4; done; printf end"))
    capsys.readouterr()
    jobs.follow_job(run.directory, run.job)
    assert capsys.readouterr().out == "line 1\nline 2\nline 3\nend"


def test_scancel_ends_a_run_in_order_too(cluster: Cluster, tmp_path: Path) -> None:
    job = make_cpu_job(
        tmp_path, "trap \"trap '' TERM; sleep 1; echo stopped; exit 143\" TERM; echo first; while :; do sleep 0.2; done"
    )
    (run,) = submit(job)
    log = run.directory / run.job.log
    cluster.wait_for(lambda: log.exists() and "first" in log.read_text(), "the start")
    cluster.call("scancel", run.job.id)
    cluster.wait_until_ended()
    assert read_lines(log)[-1] == "stopped"


def test_a_waiting_job_is_stopped(cluster: Cluster, tmp_path: Path) -> None:
    job = make_cpu_job(tmp_path, "echo started")
    (run,) = submit(job, make_settings(slurm={"options": ["--hold"]}))
    assert jobs.find_state(run.job)[0] == "pending"
    assert jobs.stop_job(run.job)
    assert not (run.directory / run.job.log).exists()


def test_the_end_of_a_run_that_failed_is_that_of_the_job(cluster: Cluster, tmp_path: Path) -> None:
    (run,) = submit(make_cpu_job(tmp_path, "echo error: no; exit 2"))
    cluster.wait_until_ended()
    assert jobs.describe_job(run.job) == f"Slurm job {run.job.id}, failed (NonZeroExitCode)"


@pytest.mark.parametrize(
    ("settings", "nodes", "message"),
    [
        (
            {"partition": "mian"},
            1,
            r"mine.yaml:3: launch.slurm.partition: Slurm has no partition 'mian'; did you mean 'main'\?",
        ),
        ({"partition": "small"}, 2, r"mine.yaml:3: launch.slurm.partition: hardware.nodes is 2; partition small has 1"),
        ({"cpus": 99}, 1, r"Slurm would refuse the job: allocation failure: Requested node configuration is not available; .*"),
        ({"options": ["--no-such"]}, 1, r"Slurm would refuse the job: .*no-such.*"),
    ],
    ids=["partition", "nodes", "cpus", "option"],
)
def test_what_the_cluster_cannot_run(
    cluster: Cluster, tmp_path: Path, settings: dict[str, object], nodes: int, message: str
) -> None:
    job = make_cpu_job(tmp_path, "echo started", nodes=nodes)
    with pytest.raises(InputError) as raised:
        submit(job, make_settings(slurm=settings))
    assert re.fullmatch(message, str(raised.value))
    assert cluster.jobs() == []
    assert not job.runs.exists()


def test_a_run_directory_that_is_not_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_cpu_job(tmp_path, "echo started", nodes=2)
    job.runs.mkdir()
    with start_cluster(hidden={"n2": job.runs}) as cluster:
        monkeypatch.setenv("SLURM_CONF", cluster.variables["SLURM_CONF"])
        with pytest.raises(InputError) as raised:
            submit(job)
        assert str(raised.value) == (
            f"node n2 has no {job.runs}/mine/launch/recipe.yaml, which this machine has; "
            "use a file system that all nodes share (--runs)"
        )
        assert list(job.runs.iterdir()) == []
        # The nodes were busy when it was submitted: the job looks when it starts.
        monkeypatch.setattr("pipelines.launch.slurm.commands.probe", lambda *_: "the nodes are busy")
        (run,) = submit(job)
        cluster.wait_until_ended()
        log = (run.directory / run.job.log).read_text()
        assert "error: n2 has no" in log and "it must be on a file system that all nodes share" in log
        assert "started" not in log


def test_no_slurm_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        InputError, match=r"^Slurm does not answer: sinfo not found; submit on a machine that has Slurm's commands$"
    ):
        submit(make_cpu_job(tmp_path, "echo started"))


def test_the_command_line(cluster: Cluster, tmp_path: Path, call: Call) -> None:
    """Only what every node would refuse; `test_real_slurm` runs a recipe."""
    (tmp_path / "mine.yaml").write_text("extends: smoke.yaml\nname: mine\nlaunch: {slurm: {partition: mian}}\n")
    status, out, err = call("submit", "mine.yaml", "--to", "slurm", "--set", "hardware.platform=cpu", "--runs", "r")
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith("error: mine.yaml:3: launch.slurm.partition: Slurm has no partition 'mian'")
    assert not (tmp_path / "r").exists()
